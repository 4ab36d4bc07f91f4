//! Measures the verification of signatures on a GPU: `cargo run --release --example verify_rate`.
//!
//! Of the device without its queue, by size of the batch and by the wall: microseconds of each
//! kernel, and million signatures a second with a full ring, copies included. What a node gets of
//! it measures `clearway bench verify --backend gpu --callers N`. With
//! `-- --allow-software-adapter` on a driver that computes on the processor.

use std::time::{Duration, Instant};

use clearway_crypto::suite::Case;
use clearway_gpu::batch::{Batch, Packed};
use clearway_gpu::device::{Device as _, DeviceError};
use clearway_gpu::keys::DeviceKeys;
use clearway_gpu::wgpu_device::WgpuDevice;
use clearway_gpu::{AdapterChoice, GpuConfig};
use clearway_types::seeded::SplitMix;

/// Signatures of a batch on the device alone.
const SIZES: [usize; 5] = [1024, 8192, 32_768, 131_072, 262_144];
const ROUNDS: usize = 9;
/// How long each rate is measured.
const WINDOW: Duration = Duration::from_secs(1);
/// Different signatures; larger batches repeat them.
const CASES: usize = 32_768;

fn main() {
    let software = std::env::args().any(|option| option == "--allow-software-adapter");
    let choice = AdapterChoice {
        index: None,
        software,
    };
    let mut random = SplitMix(5);
    let cases: Vec<Case> = (0..CASES as u64)
        .map(|number| Case::honest(number % 32, &mut random))
        .collect();
    let measured = SIZES
        .into_iter()
        .try_for_each(|len| measure(choice, &cases, len));
    if let Err(error) = measured {
        println!("{error}");
    }
}

fn measure(choice: AdapterChoice, cases: &[Case], len: usize) -> Result<(), DeviceError> {
    let config = GpuConfig::sized(len, len);
    let ring_len = config.size.ring_len;
    let mut device = WgpuDevice::open(choice, config.size, None)?;
    let mut packed = Packed::with_capacity(len);
    for case in cases.iter().cycle().take(len) {
        packed.push(&case.item(16));
    }
    let mut device_keys = DeviceKeys::new(len);
    let first = Batch::of(&packed, &mut device_keys, len, 1);
    let since = Instant::now();
    let batch = Batch::of(&packed, &mut device_keys, len, 2);
    let laid_out = since.elapsed();
    device.kernel_times(&first)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(device.kernel_times(&batch)?);
    }
    let kernels = (0..times[0].len()).map(|kernel| {
        let mut of_rounds: Vec<Duration> = times.iter().map(|round| round[kernel].1).collect();
        of_rounds.sort_unstable();
        format!(
            "{} {}",
            times[0][kernel].0,
            of_rounds[ROUNDS / 2].as_micros()
        )
    });
    let kernels: Vec<String> = kernels.collect();
    let (mut under_way, mut done, mut results) = (0, 0, Vec::new());
    let since = Instant::now();
    for slot in (0..ring_len).cycle() {
        if under_way == ring_len {
            if device.collect(slot, Duration::from_secs(60), &mut results)? {
                done += len;
            }
            under_way -= 1;
        }
        if since.elapsed() >= WINDOW {
            break;
        }
        device.submit(slot, &batch)?;
        under_way += 1;
    }
    let rate = done as f64 / since.elapsed().as_secs_f64() / 1e6;
    println!(
        "n={len:<7} {rate:>8.3} M/s  lay out {} us; {} us",
        laid_out.as_micros(),
        kernels.join(", "),
    );
    Ok(())
}

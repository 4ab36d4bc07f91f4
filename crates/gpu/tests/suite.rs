//! The shared suite through the backend `gpu`: over the twin everywhere, and over an adapter.

use std::sync::Arc;

use clearway_crypto::gate::Gate;
use clearway_crypto::suite;
use clearway_gpu::batch::Batch;
use clearway_gpu::device::Size;
use clearway_gpu::twin::device::TwinDevice;
use clearway_gpu::{Gpu, GpuConfig, Timings, adapter, testing};

/// Signatures of the seeded comparison with the rule, unless `CLEARWAY_DIFFERENTIAL` says.
const DIFFERENTIAL_LEN: usize = 20_000;

fn differential_len() -> usize {
    let len = std::env::var("CLEARWAY_DIFFERENTIAL");
    len.map_or(DIFFERENTIAL_LEN, |len| len.parse().expect("a number"))
}

fn cpu() -> Arc<Gate> {
    Arc::new(Gate::new().expect("this machine computes rightly"))
}

#[test]
fn a_device_passes_the_full_suite() {
    let Some(choice) = testing::adapter("a_device_passes_the_full_suite") else {
        return;
    };
    let config = GpuConfig {
        adapter: choice,
        ..GpuConfig::default()
    };
    let config = match adapter::chosen(choice).is_some_and(|report| report.software) {
        true => config.software(),
        false => config,
    };
    let gpu = Gpu::open(config, cpu()).expect("the adapter is right");
    let seed = rand::random();
    println!("seed {seed}");
    suite::full(&gpu, seed, differential_len()).unwrap_or_else(|failure| {
        panic!("seed {seed}: {failure}");
    });
    let metrics = gpu.metrics();
    println!(
        "{} batches, {} accepted, {} refused and {} sampled by the CPU",
        metrics.batches.value(),
        metrics.accepted.value(),
        metrics.refused.value(),
        metrics.sampled.value(),
    );
    assert_eq!(metrics.unanswered.value(), 0, "{gpu:?}");
    // Torsion and other encodings are valid, and leave no evidence.
    assert!(metrics.unproven.value() > 0, "{gpu:?}");
    assert!(
        metrics.accepted.value() > differential_len() as u64,
        "{gpu:?}"
    );
}

#[test]
fn the_twin_passes_the_self_test_of_the_gate() {
    let size = Size {
        items_max: 512,
        batch_words_max: Batch::words_max(512),
        key_slots: 512,
        ring_len: 3,
    };
    let opener = move || Ok(Box::new(TwinDevice::new(size)) as _);
    let gpu = Gpu::with_opener(Box::new(opener), Timings::default(), cpu());
    let gpu = gpu.expect("the twin is right");
    assert_eq!(suite::self_test(&gpu), Ok(()));
    assert_eq!(gpu.metrics().unanswered.value(), 0, "{gpu:?}");
}

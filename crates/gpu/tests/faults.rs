//! Devices that lie, hang or disappear: no wrong verdict leaves, and no signature is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clearway_crypto::backend::{Backend as _, Item, Work};
use clearway_crypto::gate::Gate;
use clearway_crypto::near_miss::NearMiss;
use clearway_crypto::suite::Case;
use clearway_gpu::batch::Batch;
use clearway_gpu::device::{Device, DeviceError, Size};
use clearway_gpu::faults::{Fault, Faulty};
use clearway_gpu::twin::device::TwinDevice;
use clearway_gpu::wgpu_device::WgpuDevice;
use clearway_gpu::{Gpu, Timings, testing};
use clearway_types::seeded::SplitMix;

const SIZE: Size = Size {
    items_max: 128,
    batch_words_max: Batch::words_max(128),
    key_slots: 128,
    ring_len: 3,
};

const TIMINGS: Timings = Timings {
    batch_min: Duration::from_millis(50),
    delay: Duration::from_millis(1),
    retry_min: Duration::from_millis(10),
    retry_max: Duration::from_millis(40),
};

/// Nothing here takes so long unless it is stuck.
const LONG: Duration = Duration::from_secs(60);
/// A driver's call that nobody waits for; on a busy machine callers give it up after a minute.
const HANG: Duration = Duration::from_secs(600);

/// Questions with every eighth signature invalid, by turns a broken one and a near miss.
fn questions(len: usize, seed: u64) -> Vec<Case> {
    let mut random = SplitMix(seed);
    let mut cases = Vec::with_capacity(len);
    for at in 0..len {
        let mut case = Case::honest(random.next_u64() % 5, &mut random);
        match at % 16 {
            7 => {
                case.signature[32] ^= 1;
                case.valid = false;
            }
            // What a single step of a verification refuses.
            15 => case = NearMiss::ALL[at / 16 % 3].case(&mut random),
            _ => {}
        }
        cases.push(case);
    }
    cases
}

fn gpu(opener: impl FnMut() -> Result<Box<dyn Device>, DeviceError> + Send + 'static) -> Gpu {
    let cpu = Arc::new(Gate::new().expect("this machine computes rightly"));
    Gpu::with_opener(Box::new(opener), TIMINGS, cpu).expect("healthy at first")
}

/// Asks again and again; every verdict must be right, whatever the device does.
fn ask(gpu: &Gpu, cases: &[Case], rounds: usize, what: &str) {
    let items: Vec<Item<'_>> = cases.iter().map(|case| case.item(16)).collect();
    for round in 0..rounds {
        // The opposite of what is right, so that a verdict that is not written is seen.
        let mut valid: Vec<bool> = cases.iter().map(|case| !case.valid).collect();
        gpu.verify_each(&items, &mut valid, &mut Work::default());
        let wrong = (0..cases.len()).find(|&at| valid[at] != cases[at].valid);
        assert_eq!(wrong, None, "{what}, round {round}: {gpu:?}");
    }
}

/// Asks on until the device is doubted for one of these reasons: on a busy machine a caller may
/// give it up before it has answered wrongly.
fn ask_until_seen(gpu: &Gpu, cases: &[Case], kinds: &[&str], what: &str) {
    let start = Instant::now();
    while doubts(gpu, kinds) == 0 {
        assert!(start.elapsed() < LONG, "{what}: {gpu:?}");
        ask(gpu, cases, 1, what);
    }
}

fn doubts(gpu: &Gpu, kinds: &[&str]) -> u64 {
    kinds
        .iter()
        .map(|kind| gpu.metrics().doubts(kind).value())
        .sum()
}

#[test]
fn no_wrong_verdict_leaves_at_any_rate() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let cases = questions(100, seed);
    let unwritten: &[&str] = &["unwritten"];
    let computed: &[&str] = &["evidence", "canary"];
    // What a fault that strikes every result is seen by.
    let rows = [
        (Fault::Flip, &["unwritten", "evidence"][..]),
        (Fault::Shift, unwritten),
        (Fault::Repeat, unwritten),
        (Fault::Unwritten, unwritten),
        (Fault::AllTrue, computed),
        (Fault::ShortCompare, computed),
        (Fault::AllFalse, computed),
    ];
    for (fault, seen_by) in rows {
        for rate in [1e-6, 1e-3, 0.05, 1.0] {
            let opener = move || {
                let device = Faulty::new(TwinDevice::new(SIZE), fault, rate, seed);
                Ok(Box::new(device) as _)
            };
            let gpu = gpu(opener);
            let what = format!("seed {seed}: {fault:?} at {rate}");
            ask(&gpu, &cases, 3, &what);
            if rate == 1.0 {
                ask_until_seen(&gpu, &cases, seen_by, &what);
            }
        }
    }
}

#[test]
fn near_misses_are_refused_whatever_step_of_the_device_has_failed() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = SplitMix(seed);
    for fault in [Fault::ShortCompare, Fault::NoChecks, Fault::AllTrue] {
        for near in NearMiss::ALL {
            let cases: Vec<Case> = (0..20).map(|_| near.case(&mut random)).collect();
            let gpu = gpu(move || {
                let device = Faulty::new(TwinDevice::new(SIZE), fault, 1.0, seed);
                Ok(Box::new(device) as _)
            });
            let what = format!("seed {seed}: {fault:?} on {near:?}");
            ask(&gpu, &cases, 2, &what);
            ask_until_seen(&gpu, &cases, &["evidence", "canary"], &what);
        }
    }
}

#[test]
fn a_forger_is_found_by_the_canaries() {
    let cases = questions(100, 1);
    let gpu = gpu(|| {
        let device = Faulty::new(TwinDevice::new(SIZE), Fault::Forge, 1.0, 1);
        Ok(Box::new(device) as _)
    });
    ask(&gpu, &cases, 2, "a forger");
    // It copies R, so that only a canary tells; the one with an S beyond the order, by its S.
    ask_until_seen(&gpu, &cases, &["canary", "evidence"], "a forger");
}

#[test]
fn a_device_that_is_stuck_slow_or_lost_delays_and_loses_nothing() {
    let cases = questions(60, 2);
    let rows = [
        (Fault::Stuck, "late"),
        (Fault::Slow(HANG), "caller"),
        (Fault::Lost, "device"),
    ];
    // Small batches: what a full one takes says how long callers wait.
    let size = Size {
        items_max: 80,
        ..SIZE
    };
    for (fault, kind) in rows {
        let gpu = gpu(move || {
            let device = Faulty::new(TwinDevice::new(size), fault, 1.0, 3);
            Ok(Box::new(device) as _)
        });
        let start = Instant::now();
        ask(&gpu, &cases, 2, &format!("{fault:?}"));
        // A hang inside a driver's call is given up by the caller, long before it ends.
        let took = start.elapsed();
        assert!(took < HANG / 2, "{fault:?}: {took:?}");
        let given_up = doubts(&gpu, &[kind]) > 0 || !gpu.is_ready();
        assert!(
            given_up && gpu.metrics().unanswered.value() > 0,
            "{fault:?}: {gpu:?}"
        );
    }
}

#[test]
fn a_device_that_recovers_is_trusted_again_after_its_self_test() {
    let cases = questions(60, 4);
    let mut openings = 0;
    let gpu = gpu(move || {
        openings += 1;
        let twin = TwinDevice::new(SIZE);
        match openings {
            1 => Ok(Box::new(Faulty::new(twin, Fault::Lost, 1.0, 5)) as _),
            // The second try fails too, as a driver does that still resets.
            2 => Err(DeviceError::NoAdapter {
                why: "a test".into(),
            }),
            _ => Ok(Box::new(twin) as _),
        }
    });
    ask(&gpu, &cases, 1, "lost");
    assert_eq!(gpu.metrics().accepted.value(), 0, "{gpu:?}");
    let start = Instant::now();
    while gpu.metrics().accepted.value() == 0 {
        assert!(start.elapsed() < LONG, "{gpu:?}");
        ask(&gpu, &cases, 1, "recovered");
    }
    assert_eq!(doubts(&gpu, &["device"]), 2, "{gpu:?}");
}

#[test]
fn callers_side_by_side_each_get_their_own_verdicts() {
    let gpu = gpu(|| Ok(Box::new(TwinDevice::new(SIZE)) as _));
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let gpu = &gpu;
            scope.spawn(move || {
                let len = 1 + 50 * usize::try_from(caller).expect("small");
                ask(
                    gpu,
                    &questions(len, 10 + caller),
                    3,
                    &format!("caller {caller}"),
                );
            });
        }
    });
    assert_eq!(gpu.metrics().unanswered.value(), 0, "{gpu:?}");
}

/// Destroys the driver's device under a batch that is under way.
struct Destroying {
    device: WgpuDevice,
    batches: usize,
}

impl Device for Destroying {
    fn size(&self) -> Size {
        self.device.size()
    }

    fn submit(&mut self, slot: usize, batch: &Batch<'_>) -> Result<(), DeviceError> {
        let submitted = self.device.submit(slot, batch);
        self.batches += 1;
        if self.batches == 5 {
            self.device.destroy();
        }
        submitted
    }

    fn collect(
        &mut self,
        slot: usize,
        timeout: Duration,
        results: &mut Vec<u32>,
    ) -> Result<bool, DeviceError> {
        self.device.collect(slot, timeout, results)
    }
}

#[test]
fn a_destroyed_device_loses_nothing() {
    let Some(adapter) = testing::adapter("a_destroyed_device_loses_nothing") else {
        return;
    };
    let mut openings = 0;
    let cpu = Arc::new(Gate::new().expect("this machine computes rightly"));
    let size = Size {
        items_max: 512,
        batch_words_max: Batch::words_max(512),
        key_slots: 512,
        ring_len: 3,
    };
    let opener = move || {
        openings += 1;
        let device = WgpuDevice::open(adapter, size, None)?;
        // The first is destroyed under its fifth batch, the others live.
        let batches = if openings == 1 { 0 } else { usize::MAX / 2 };
        Ok(Box::new(Destroying { device, batches }) as _)
    };
    let timings = Timings {
        batch_min: Duration::from_secs(10),
        ..TIMINGS
    };
    let gpu = Gpu::with_opener(Box::new(opener), timings, cpu).expect("healthy at first");
    let cases = questions(200, 6);
    let start = Instant::now();
    while gpu.metrics().opened.value() < 2 || !gpu.is_ready() {
        ask(&gpu, &cases, 1, "destroyed");
        assert!(start.elapsed() < Duration::from_secs(120), "{gpu:?}");
    }
    let before = gpu.metrics().accepted.value();
    ask(&gpu, &cases, 1, "opened again");
    assert!(gpu.metrics().accepted.value() > before, "{gpu:?}");
}

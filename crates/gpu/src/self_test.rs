//! What a device must answer before it is trusted, and how long a full batch takes it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use clearway_crypto::near_miss::NearMiss;
use clearway_crypto::suite::{self, Case};
use clearway_types::seeded::SplitMix;

use crate::batch::{Batch, Packed, Signature};
use crate::device::{Device, Size};
use crate::keys::DeviceKeys;
use crate::layout::{RESULT_TAG, RESULT_WORDS};
use crate::queue::Doubt;
use crate::twin::device::TwinDevice;

/// The known answers of the suite, and what the twin says to each: found and evidence.
static KNOWN: LazyLock<(Packed, Vec<u32>)> = LazyLock::new(|| {
    let mut cases = suite::known_answers();
    let mut random = SplitMix(4);
    cases.extend(NearMiss::ALL.map(|near| near.case(&mut random)));
    cases.extend((0..32).map(|key| Case::honest(key % 7, &mut random)));
    let mut packed = Packed::with_capacity(cases.len());
    for case in &cases {
        packed.push(&case.item(16));
    }
    let mut twin = TwinDevice::new(Size {
        items_max: cases.len(),
        batch_words_max: usize::MAX,
        key_slots: cases.len(),
        ring_len: 1,
    });
    let results = ask(&mut twin, &packed, NONCE, Duration::ZERO).expect("the twin answers");
    (packed, results)
});

/// Which batch the self-test's is.
const NONCE: u32 = 0x7e57_0000;
/// Compiling the kernels may take a driver this long.
const FIRST_TIMEOUT: Duration = Duration::from_secs(120);

/// Compares the device's answers with the twin's, word by word; gives the time of a full batch.
pub(crate) fn pass(device: &mut dyn Device) -> Result<Duration, Doubt> {
    let (packed, expected) = &*KNOWN;
    let order: Vec<Signature<'_>> = packed.signatures().collect();
    let items_max = device.size().items_max;
    let asked = order
        .chunks(items_max)
        .zip(expected.chunks(items_max * RESULT_WORDS));
    for (part, expected) in asked {
        let part = pack(part.iter().copied());
        let results = ask(device, &part, NONCE, FIRST_TIMEOUT)?;
        let pairs = results
            .chunks(RESULT_WORDS)
            .zip(expected.chunks(RESULT_WORDS));
        for (at, (found, expected)) in pairs.enumerate() {
            // The place within the batch is another where the answers were cut.
            let same = found[..RESULT_TAG] == expected[..RESULT_TAG];
            if !same || found[RESULT_TAG] != NONCE ^ place(at) {
                return Err(Doubt::SelfTest(at));
            }
        }
    }
    let honest = order.iter().rev().take(32).cycle().take(items_max);
    let honest = pack(honest.copied());
    let start = Instant::now();
    ask(device, &honest, NONCE, FIRST_TIMEOUT)?;
    Ok(start.elapsed())
}

/// Batches of a self-test on a device of this size: the known answers, and one that is timed.
pub(crate) fn batches(size: Size) -> usize {
    KNOWN.0.len().div_ceil(size.items_max) + 1
}

fn pack<'a>(signatures: impl Iterator<Item = Signature<'a>>) -> Packed {
    let mut packed = Packed::default();
    signatures.for_each(|signature| packed.push_signature(signature));
    packed
}

fn ask(
    device: &mut dyn Device,
    packed: &Packed,
    nonce: u32,
    timeout: Duration,
) -> Result<Vec<u32>, Doubt> {
    let size = device.size();
    let mut device_keys = DeviceKeys::new(size.key_slots);
    let batch = Batch::of(packed, &mut device_keys, size.items_max, nonce);
    device.submit(0, &batch)?;
    let mut results = Vec::new();
    match device.collect(0, timeout, &mut results)? {
        true => Ok(results),
        false => Err(Doubt::Late(timeout)),
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).expect("a place in a batch")
}

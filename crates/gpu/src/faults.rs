//! A device that lies, hangs or disappears: what tests put between a real one and the queue.

use std::thread;
use std::time::Duration;

use clearway_types::seeded::SplitMix;

use crate::batch::Batch;
use crate::device::{Device, DeviceError, Size};
use crate::layout::{
    EVIDENCE_WORDS, HEAD_ITEM_COUNT, HEAD_NONCE, ITEM_STREAM, RESULT_ACCEPT, RESULT_EVIDENCE,
    RESULT_REJECT, RESULT_TAG, RESULT_WORDS, item_at,
};
use crate::self_test;

/// What goes wrong: with each result at a rate, or with each batch for the last three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// One bit flips.
    Flip,
    /// The result of the place before stands here.
    Shift,
    /// The result of the slot's batch before stands here.
    Repeat,
    /// It says that the signature is valid.
    AllTrue,
    /// It says so where the computed point begins as R does: a comparison that stops early.
    ShortCompare,
    /// It says so where the computed point is R, whatever key and S are: checks that always pass.
    NoChecks,
    /// It says so, and forges the evidence from what was asked.
    Forge,
    /// It says that the signature is invalid.
    AllFalse,
    /// It is not written.
    Unwritten,
    /// Results never come.
    Stuck,
    /// The call for results takes this long.
    Slow(Duration),
    /// The device is lost.
    Lost,
}

/// A device with a fault.
pub struct Faulty<D> {
    device: D,
    fault: Fault,
    rate: f64,
    random: SplitMix,
    /// Batches that still go well.
    healthy: usize,
    slots: Vec<Slot>,
}

#[derive(Clone, Default)]
struct Slot {
    /// Whether the fault may strike this batch, and whether it strikes it as a whole.
    sick: bool,
    struck: bool,
    /// R of each item.
    asked: Vec<[u32; EVIDENCE_WORDS]>,
    /// What hides the evidence of an item whose key or S is none.
    mask: u32,
    /// Results of the batch before.
    before: Vec<u32>,
}

impl<D: Device> Faulty<D> {
    /// The device, healthy until it passed its self-test; then the fault strikes at this rate, from
    /// 0 to 1.
    #[must_use]
    pub fn new(device: D, fault: Fault, rate: f64, seed: u64) -> Self {
        let healthy = self_test::batches(device.size());
        let slots = vec![Slot::default(); device.size().ring_len];
        Self {
            device,
            fault,
            rate,
            random: SplitMix(seed),
            healthy,
            slots,
        }
    }

    fn strikes(&mut self) -> bool {
        // 53 bits, as many as the mantissa holds.
        let drawn = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < self.rate
    }

    fn strike(&mut self, slot: usize, results: &mut [u32]) {
        let (results, _) = results.as_chunks_mut::<RESULT_WORDS>();
        let whole = results.to_vec();
        for (place, result) in results.iter_mut().enumerate() {
            if !self.strikes() {
                continue;
            }
            let Slot {
                asked,
                mask,
                before,
                ..
            } = &self.slots[slot];
            let r = &asked[place];
            let evidence = RESULT_EVIDENCE..RESULT_TAG;
            match self.fault {
                Fault::Flip => {
                    result[self.random.index(RESULT_WORDS)] ^= 1 << self.random.index(32);
                }
                Fault::Shift => *result = whole[place.saturating_sub(1)],
                Fault::Repeat => {
                    let before = before.get(place * RESULT_WORDS..);
                    *result = before
                        .and_then(|words| words.first_chunk().copied())
                        .unwrap_or([0; RESULT_WORDS]);
                }
                Fault::AllTrue => result[0] = RESULT_ACCEPT,
                Fault::ShortCompare => {
                    if result[RESULT_EVIDENCE..][..SHORT_WORDS] == r[..SHORT_WORDS] {
                        result[0] = RESULT_ACCEPT;
                    }
                }
                Fault::NoChecks => {
                    let bare = |word: &u32| word ^ mask;
                    if result[evidence.clone()].iter().map(bare).eq(*r) {
                        result[0] = RESULT_ACCEPT;
                        result[evidence].copy_from_slice(r);
                    }
                }
                Fault::Forge => {
                    result[0] = RESULT_ACCEPT;
                    result[evidence].copy_from_slice(r);
                }
                Fault::AllFalse => result[0] = RESULT_REJECT,
                Fault::Unwritten => *result = [0; RESULT_WORDS],
                Fault::Stuck | Fault::Slow(_) | Fault::Lost => {}
            }
        }
        self.slots[slot].before = whole.into_flattened();
    }
}

impl<D: Device> Device for Faulty<D> {
    fn size(&self) -> Size {
        self.device.size()
    }

    fn submit(&mut self, slot: usize, batch: &Batch<'_>) -> Result<(), DeviceError> {
        let words = batch.words();
        let struck = self.strikes();
        let memory = &mut self.slots[slot];
        memory.sick = self.healthy == 0;
        memory.struck = memory.sick && struck;
        memory.mask = words[HEAD_NONCE] | 1;
        memory.asked = (0..words[HEAD_ITEM_COUNT] as usize)
            .map(|place| {
                let stream = words[item_at(place) + ITEM_STREAM] as usize;
                let r = words[stream..].first_chunk();
                *r.expect("a stream begins with R")
            })
            .collect();
        self.healthy = self.healthy.saturating_sub(1);
        self.device.submit(slot, batch)
    }

    fn collect(
        &mut self,
        slot: usize,
        timeout: Duration,
        results: &mut Vec<u32>,
    ) -> Result<bool, DeviceError> {
        let Slot { sick, struck, .. } = self.slots[slot];
        match self.fault {
            Fault::Stuck if struck => {
                thread::sleep(timeout);
                return Ok(false);
            }
            Fault::Slow(more) if struck => thread::sleep(more),
            Fault::Lost if struck => {
                return Err(DeviceError::Driver {
                    at: "collecting",
                    why: "the fault of a test".into(),
                });
            }
            _ => {}
        }
        let come = self.device.collect(slot, timeout, results)?;
        if come && sick {
            self.strike(slot, results);
        }
        Ok(come)
    }
}

/// Words that a comparison which stops early compares.
const SHORT_WORDS: usize = 2;

#[cfg(test)]
mod tests {
    use clearway_crypto::near_miss::NearMiss;
    use clearway_crypto::suite::Case;

    use super::*;
    use crate::batch::Packed;
    use crate::device::Size;
    use crate::keys::DeviceKeys;
    use crate::twin::device::TwinDevice;

    const ITEMS: usize = 16;

    /// Whether a device with this fault accepts each of these.
    fn accepted(fault: Fault, cases: &[Case]) -> Vec<bool> {
        let size = Size {
            items_max: ITEMS,
            batch_words_max: Batch::words_max(ITEMS),
            key_slots: ITEMS,
            ring_len: 1,
        };
        let mut device = Faulty::new(TwinDevice::new(size), fault, 1.0, 1);
        device.healthy = 0;
        let mut packed = Packed::default();
        for case in cases {
            packed.push(&case.item(16));
        }
        let batch = Batch::of(&packed, &mut DeviceKeys::new(ITEMS), ITEMS, 77);
        device.submit(0, &batch).unwrap();
        let mut results = Vec::new();
        let come = device.collect(0, Duration::ZERO, &mut results);
        assert!(come.unwrap(), "at once");
        let results = results.chunks(RESULT_WORDS).take(cases.len());
        results.map(|result| result[0] == RESULT_ACCEPT).collect()
    }

    #[test]
    fn the_step_that_has_failed_alone_refuses_its_near_miss() {
        let mut random = SplitMix(31);
        let broken = (0..ITEMS).map(|_| {
            let mut case = Case::honest(1, &mut random);
            case.signature[32] ^= 1;
            case
        });
        let broken: Vec<Case> = broken.collect();
        let rows = [
            (Fault::ShortCompare, NearMiss::TailOfR),
            (Fault::NoChecks, NearMiss::SBeyondOrder),
            (Fault::NoChecks, NearMiss::KeyNoPoint),
        ];
        for (fault, near) in rows {
            let cases: Vec<Case> = (0..ITEMS).map(|_| near.case(&mut random)).collect();
            let all = vec![true; ITEMS];
            assert_eq!(accepted(fault, &cases), all, "{fault:?} on {near:?}");
            assert!(!accepted(fault, &broken).contains(&true), "{fault:?}");
        }
    }
}

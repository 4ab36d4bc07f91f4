//! The search for the invalid signatures of a batch whose equation failed.
//!
//! Single verdicts at random places tell first whether it pays: where many signatures are invalid,
//! most parts fail down to the shortest. Otherwise parts that fail are halved until they are short.
//! Every `false` comes from a verdict on that signature alone, every `true` from one or from a part
//! that holds.

use std::collections::VecDeque;
use std::ops::Range;

use rand::seq::index;

use crate::backend::{Backend, BatchVerdict, Item, Work};

/// What a search asks of a batch.
pub(crate) trait Parts {
    /// Whether halving this part may cost less than a verdict on each of its items.
    fn halving_pays(&self, part: &Range<usize>) -> bool;

    /// Whether each half of a part holds that does not hold as a whole. Where the answer is no
    /// proof, the caller proves the result after the search.
    fn halve(&mut self, part: &Range<usize>, work: &mut Work) -> [bool; 2];
}

/// Where the verdicts of a search come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Each has one of its own.
    Singly,
    /// Some signatures are valid because a part holds.
    ByParts,
}

/// Parts of a batch as batches of their own.
#[derive(Debug)]
pub(crate) struct Anew<'a, B: ?Sized> {
    pub(crate) backend: &'a B,
    pub(crate) items: &'a [Item<'a>],
}

impl<B: Backend + ?Sized> Anew<'_, B> {
    fn holds(&self, part: Range<usize>, work: &mut Work) -> bool {
        work.batched += part.len();
        self.backend.verify_batch(&self.items[part], work) == BatchVerdict::AllValid
    }
}

impl<B: Backend + ?Sized> Parts for Anew<'_, B> {
    fn halving_pays(&self, part: &Range<usize>) -> bool {
        let [left, _] = halves(part);
        part.len() > SINGLE_LEN_MAX && self.backend.batch_pays(&self.items[left])
    }

    fn halve(&mut self, part: &Range<usize>, work: &mut Work) -> [bool; 2] {
        let [left, right] = halves(part);
        let left_holds = self.holds(left, work);
        // Where the left half holds, the right one fails: no need to ask.
        [left_holds, !left_holds && self.holds(right, work)]
    }
}

/// The two halves of a part.
pub(crate) fn halves(part: &Range<usize>) -> [Range<usize>; 2] {
    let middle = part.start + part.len() / 2;
    [part.start..middle, middle..part.end]
}

/// Finds the invalid items of a batch whose equation failed. Those for which `valid` is false when
/// it begins are known to be invalid, and their parts hold without them.
pub(crate) fn find<B: Backend + ?Sized>(
    backend: &B,
    items: &[Item<'_>],
    parts: &mut dyn Parts,
    valid: &mut [bool],
    work: &mut Work,
) -> Found {
    if many_are_invalid(backend, items, valid, work) {
        singly(backend, items, valid, work);
        return Found::Singly;
    }
    let mut budget = backend.search_passes_max() * items.len();
    let mut single = Vec::new();
    // The longest first: a search that runs out of budget leaves short parts for single verdicts.
    let mut failing: VecDeque<_> = std::iter::once(0..items.len()).collect();
    while let Some(part) = failing.pop_front() {
        if budget < part.len() || !parts.halving_pays(&part) {
            single.extend(part.filter(|&at| valid[at]));
            continue;
        }
        budget -= part.len();
        let hold = parts.halve(&part, work);
        let halves = halves(&part).into_iter().zip(hold);
        failing.extend(halves.filter_map(|(half, holds)| (!holds).then_some(half)));
    }
    verify_at(backend, items, &single, valid, work);
    Found::ByParts
}

/// A verdict of its own for each item that is not known to be invalid.
pub(crate) fn singly<B: Backend + ?Sized>(
    backend: &B,
    items: &[Item<'_>],
    valid: &mut [bool],
    work: &mut Work,
) {
    verify_at(backend, items, &open_places(valid), valid, work);
}

fn open_places(valid: &[bool]) -> Vec<usize> {
    (0..valid.len()).filter(|&at| valid[at]).collect()
}

/// Looks at a few of the open items.
fn many_are_invalid<B: Backend + ?Sized>(
    backend: &B,
    items: &[Item<'_>],
    valid: &mut [bool],
    work: &mut Work,
) -> bool {
    let open = open_places(valid);
    if open.len() < SAMPLED_LEN_MIN {
        return false;
    }
    let drawn = index::sample(&mut rand::rng(), open.len(), SAMPLE_LEN);
    let drawn: Vec<usize> = drawn.iter().map(|at| open[at]).collect();
    verify_at(backend, items, &drawn, valid, work);
    drawn.iter().filter(|&&at| !valid[at]).count() >= SAMPLE_INVALID_MANY
}

/// Single verdicts on the items at these places.
fn verify_at<B: Backend + ?Sized>(
    backend: &B,
    items: &[Item<'_>],
    places: &[usize],
    valid: &mut [bool],
    work: &mut Work,
) {
    let chosen: Vec<Item<'_>> = places.iter().map(|&at| items[at]).collect();
    let mut verdicts = vec![false; chosen.len()];
    work.single += chosen.len();
    backend.verify_each(&chosen, &mut verdicts, work);
    for (&at, verdict) in places.iter().zip(verdicts) {
        valid[at] = verdict;
    }
}

/// Longest part that every backend resolves by single verdicts, where it starts each part anew.
const SINGLE_LEN_MAX: usize = 32;
/// Batches from this length on are sampled first.
const SAMPLED_LEN_MIN: usize = 16 * SAMPLE_LEN;
/// Single verdicts of a sample.
const SAMPLE_LEN: usize = 64;
/// This many invalid ones in a sample speak for a share of some 3 percent, where a search loses.
const SAMPLE_INVALID_MANY: usize = 2;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clearway_types::seeded::SplitMix;

    use super::*;

    /// Takes the first byte of a signature for its verdict: searches are tested without arithmetic.
    struct FirstByte;

    impl Backend for FirstByte {
        fn name(&self) -> &'static str {
            "first byte"
        }

        fn lanes(&self) -> usize {
            8
        }

        fn batch_pays(&self, items: &[Item<'_>]) -> bool {
            !items.is_empty()
        }

        fn search_passes_max(&self) -> usize {
            3
        }

        fn verify_batch(&self, items: &[Item<'_>], _: &mut Work) -> BatchVerdict {
            match items.iter().all(|item| item.signature[0] == 0) {
                true => BatchVerdict::AllValid,
                false => BatchVerdict::SomeInvalid,
            }
        }

        fn verify_each(&self, items: &[Item<'_>], valid: &mut [bool], _: &mut Work) {
            for (item, valid) in items.iter().zip(valid) {
                *valid = item.signature[0] == 0;
            }
        }
    }

    #[test]
    fn a_search_finds_exactly_the_invalid_ones_within_its_budget() {
        let mut random = SplitMix(5);
        let (public_key, message) = ([0; 32], [0; 144]);
        for len in [1, 2, 31, 32, 33, 64, 65, 100, 1000, 4097] {
            for bad_count in [1, 2, 3, 10, 100, len] {
                let mut bad: BTreeSet<usize> =
                    (0..bad_count.min(len)).map(|_| random.index(len)).collect();
                if bad_count == len {
                    bad = (0..len).collect();
                }
                let signatures: Vec<[u8; 64]> = (0..len)
                    .map(|index| [u8::from(bad.contains(&index)); 64])
                    .collect();
                let items: Vec<_> = signatures
                    .iter()
                    .map(|signature| Item {
                        public_key: &public_key,
                        prefix: &[],
                        message: &message,
                        signature,
                        hint: None,
                    })
                    .collect();
                let (mut valid, mut work) = (vec![true; len], Work::default());
                let mut parts = Anew {
                    backend: &FirstByte,
                    items: &items,
                };
                find(&FirstByte, &items, &mut parts, &mut valid, &mut work);
                let found: BTreeSet<usize> = (0..len).filter(|&index| !valid[index]).collect();
                assert_eq!(found, bad, "len {len}");
                assert!(
                    work.batched <= FirstByte.search_passes_max() * len,
                    "{work:?} len {len}"
                );
                let sampled = match len {
                    ..SAMPLED_LEN_MIN => 0,
                    _ => SAMPLE_LEN,
                };
                assert!(work.single <= len + sampled, "{work:?} len {len}");
                if bad.len() == 1 {
                    assert!(
                        work.single <= SINGLE_LEN_MAX + sampled,
                        "{work:?} len {len}"
                    );
                    assert!(work.batched <= 2 * len, "{work:?} len {len}");
                }
                if bad.len() == len && sampled > 0 {
                    assert_eq!(
                        work.batched, 0,
                        "a sample shows that a search would not pay"
                    );
                }
            }
        }
    }
}

//! The search for the invalid signatures of a batch whose equation failed.

use std::collections::VecDeque;
use std::ops::Range;

use crate::backend::{Backend, BatchVerdict, Item, Work};

/// Finds the invalid ones of a batch whose equation failed, by halving down to single verdicts.
///
/// Every `false` comes from a single verdict, every `true` from one or from an equation that held.
pub(crate) fn find(backend: &dyn Backend, items: &[Item<'_>], valid: &mut [bool], work: &mut Work) {
    let mut budget = backend.search_passes_max() * items.len();
    let mut holds = |range: Range<usize>, budget: &mut usize, work: &mut Work| {
        *budget = budget.saturating_sub(range.len());
        work.batched += range.len();
        let holds = backend.verify_batch(&items[range.clone()], work) == BatchVerdict::AllValid;
        if holds {
            valid[range].fill(true);
        }
        holds
    };
    let mut singles = Vec::new();
    // Ranges of which at least one signature is invalid.
    // The longest first: a search that runs out of budget leaves short ranges for single verdicts.
    let mut failing = VecDeque::new();
    failing.push_back(0..items.len());
    while let Some(range) = failing.pop_front() {
        let middle = range.start + range.len() / 2;
        let (left, right) = (range.start..middle, middle..range.end);
        let short = range.len() <= SINGLE_LEN_MAX || budget < range.len();
        if short || !backend.batch_pays(&items[left.clone()]) {
            singles.push(range);
            continue;
        }
        let left_holds = holds(left.clone(), &mut budget, work);
        if !left_holds {
            failing.push_back(left);
        }
        // The left half holds, so the right one fails: no need to ask.
        if left_holds || !holds(right.clone(), &mut budget, work) {
            failing.push_back(right);
        }
    }
    for range in singles {
        work.single += range.len();
        backend.verify_each(&items[range.clone()], &mut valid[range], work);
    }
}

/// Longest range that every backend resolves by single verdicts: halving on costs as much.
const SINGLE_LEN_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::suite::Mixer;

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
        let mut mixer = Mixer(5);
        let (public_key, message) = ([0; 32], [0; 144]);
        for len in [1, 2, 31, 32, 33, 64, 65, 100, 1000, 4097] {
            for bad_count in [1, 2, 3, 10, 100, len] {
                let mut bad: BTreeSet<usize> =
                    (0..bad_count.min(len)).map(|_| mixer.below(len)).collect();
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
                let (mut valid, mut work) = (vec![false; len], Work::default());
                find(&FirstByte, &items, &mut valid, &mut work);
                let found: BTreeSet<usize> = (0..len).filter(|&index| !valid[index]).collect();
                assert_eq!(found, bad, "len {len}");
                assert!(
                    work.batched <= FirstByte.search_passes_max() * len,
                    "{work:?} len {len}"
                );
                assert!(work.single <= len, "{work:?} len {len}");
                if bad.len() == 1 {
                    assert!(work.single <= SINGLE_LEN_MAX, "{work:?} len {len}");
                    assert!(work.batched <= 2 * len, "{work:?} len {len}");
                }
            }
        }
    }
}

//! Work on whole tables, by all cores: the roots of a million accounts at start, for example.
//!
//! What a block changes is less, and is done where it stands: its stage has neighbours that need
//! the other cores, and waking these costs more than it gives.

use rayon::prelude::*;

/// Items from which on all cores share them. No block changes as many records at usual rates.
const SHARED_MIN: usize = 1 << 15;
/// Items that a core takes at once: a tenth of a millisecond of hashing.
const CHUNK: usize = 1 << 10;

/// What `work` gives for all items, in their order; it must give the same for a part of them.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> Vec<R> + Send + Sync) -> Vec<R> {
    match items.len() < SHARED_MIN {
        true => work(items),
        false => items.par_chunks(CHUNK).flat_map_iter(work).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_keeps_its_order_and_its_number() {
        for len in [0, 1, SHARED_MIN - 1, SHARED_MIN, 2 * SHARED_MIN + CHUNK + 1] {
            let items: Vec<usize> = (0..len).collect();
            let doubled = map(&items, |items| items.iter().map(|item| 2 * item).collect());
            assert!(
                doubled.iter().copied().eq((0..len).map(|item| 2 * item)),
                "{len} items"
            );
        }
    }
}

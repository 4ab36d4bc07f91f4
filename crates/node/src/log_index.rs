//! Where the final blocks lie in the log, kept in memory so that any height is found in one hop.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clearway_store::Sequence;
use clearway_store::history::StoredBlock;
use clearway_types::manifest::Manifest;
use clearway_types::units::{Digest, Height, TimeMs};

/// Blocks whose places are all kept: an hour at 20 blocks a second.
const RECENT_COUNT: usize = 65_536;
/// Of older blocks, every so many-th place is kept; reading starts there and goes on.
const SPARSE_STEP: u64 = 64;

/// Where a final block lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockPlace {
    /// The block.
    pub(crate) height: Height,
    /// Its time.
    pub(crate) time: TimeMs,
    /// No record below this one is needed to read this block or a later one.
    pub(crate) low: Sequence,
    /// The record of its certificate and results.
    pub(crate) sequence: Sequence,
}

/// Places of final blocks; filled by recovery and the store's thread, read by everybody.
#[derive(Debug, Default)]
pub(crate) struct LogIndex {
    places: Mutex<Places>,
    durable: Mutex<Height>,
    /// Signalled when `durable` rises.
    news: Condvar,
}

#[derive(Debug, Default)]
struct Places {
    recent: VecDeque<BlockPlace>,
    sparse: Vec<BlockPlace>,
    /// Durable batches and manifests that no final block has named.
    pending: BTreeMap<Sequence, Digest>,
    sequences: HashMap<Digest, Sequence>,
}

impl LogIndex {
    /// A batch or manifest is durable.
    pub(crate) fn on_durable(&self, digest: Digest, sequence: Sequence) {
        let mut places = self.lock();
        // Stored twice after a restart in the middle of a proposal: the later place serves.
        if let Some(earlier) = places.sequences.insert(digest, sequence) {
            places.pending.remove(&earlier);
        }
        places.pending.insert(sequence, digest);
    }

    /// A block's certificate and results are durable.
    pub(crate) fn on_final(&self, manifest: &Manifest, digest: Digest, sequence: Sequence) {
        let mut places = self.lock();
        let low = places.pending.keys().next().copied().unwrap_or(sequence);
        let named = manifest.batches.iter().map(|batch| batch.digest);
        for digest in named.chain([digest]) {
            if let Some(sequence) = places.sequences.remove(&digest) {
                places.pending.remove(&sequence);
            }
        }
        places.push(BlockPlace {
            height: manifest.height,
            time: manifest.time,
            low,
            sequence,
        });
        drop(places);
        self.set_durable(manifest.height);
    }

    /// A block that recovery has read.
    pub(crate) fn on_recovered(&self, block: &StoredBlock) {
        let manifest = &block.manifest.manifest;
        let (height, time) = (manifest.height, manifest.time);
        self.lock().push(BlockPlace {
            height,
            time,
            low: block.low,
            sequence: block.sequence,
        });
        self.set_durable(height);
    }

    /// The last final block that is durable.
    #[must_use]
    pub(crate) fn durable_height(&self) -> Height {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record from which on the block at `height` and all later ones can be read.
    #[must_use]
    pub(crate) fn scan_start(&self, height: Height) -> Sequence {
        let places = self.lock();
        let at = |list: &dyn Fn(usize) -> BlockPlace, len: usize| {
            let above = partition_point(len, |index| list(index).height <= height);
            above.checked_sub(1).map(|index| list(index).low)
        };
        at(&|index| places.recent[index], places.recent.len())
            .or_else(|| at(&|index| places.sparse[index], places.sparse.len()))
            .unwrap_or(Sequence::FIRST)
    }

    /// The first known block whose results were stored after this record: it, or one after it,
    /// names the batch in the record.
    #[must_use]
    pub(crate) fn first_after(&self, record: Sequence) -> Option<Height> {
        let places = self.lock();
        let recent = &places.recent;
        let at = partition_point(recent.len(), |index| recent[index].sequence <= record);
        if at > 0 || places.sparse.is_empty() {
            return recent.get(at).map(|place| place.height);
        }
        let sparse = &places.sparse;
        let at = partition_point(sparse.len(), |index| sparse[index].sequence <= record);
        // The block may lie between two places that are kept: start at the one before.
        Some(
            at.checked_sub(1)
                .map_or(Height(1), |index| sparse[index].height),
        )
    }

    /// Waits until the block at `height` is durable; false when that did not happen in time.
    #[must_use]
    pub(crate) fn wait_durable(&self, height: Height, patience: Duration) -> bool {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + patience;
        while *durable < height {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self.news.wait_timeout(durable, left);
            durable = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn set_durable(&self, height: Height) {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = height;
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Every change is a few map operations that cannot panic half-way.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn push(&mut self, place: BlockPlace) {
        self.recent.push_back(place);
        if self.recent.len() > RECENT_COUNT {
            let old = self.recent.pop_front().expect("there is at least one");
            if old.height.0.is_multiple_of(SPARSE_STEP) {
                self.sparse.push(old);
            }
        }
    }
}

fn partition_point(len: usize, below: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) {
            low = middle + 1
        } else {
            high = middle
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use clearway_types::manifest::BatchRef;
    use clearway_types::units::ValidatorIndex;

    fn manifest(height: u64, batches: &[Digest]) -> Manifest {
        let batch = |digest: &Digest| BatchRef {
            lane: ValidatorIndex(0),
            count: 1,
            index: 1,
            digest: *digest,
        };
        Manifest {
            epoch: 0,
            height: Height(height),
            parent: Digest::ZERO,
            time: TimeMs(height),
            leader: ValidatorIndex(0),
            state_height: Height(0),
            exec_head: Digest::ZERO,
            batches: batches.iter().map(batch).collect(),
        }
    }

    #[test]
    fn reading_starts_where_the_oldest_open_batch_lies() {
        let index = LogIndex::default();
        let digest = |n| Digest([n; 32]);
        index.on_durable(digest(1), Sequence(1));
        index.on_durable(digest(2), Sequence(2));
        index.on_durable(digest(3), Sequence(3));
        index.on_final(&manifest(1, &[digest(2)]), digest(3), Sequence(4));
        index.on_durable(digest(5), Sequence(5));
        index.on_final(&manifest(2, &[digest(1)]), digest(5), Sequence(6));
        index.on_final(&manifest(3, &[]), digest(9), Sequence(7));
        let starts = [0, 1, 2, 3, 9].map(|height| index.scan_start(Height(height)));
        let expected = [1, 1, 1, 7, 7].map(Sequence);
        assert_eq!(starts, expected);
        assert_eq!(index.durable_height(), Height(3));
    }

    #[test]
    fn old_blocks_are_found_from_a_place_before_them() {
        let index = LogIndex::default();
        let count = RECENT_COUNT as u64 + 1000;
        for height in 1..=count {
            index.on_final(&manifest(height, &[]), Digest::ZERO, Sequence(height));
        }
        assert_eq!(index.scan_start(Height(count)), Sequence(count));
        assert_eq!(index.scan_start(Height(200)), Sequence(192));
        assert_eq!(index.scan_start(Height(5)), Sequence::FIRST);
    }
}

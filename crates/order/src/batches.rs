//! The batches past the final tips, of all lanes: what manifests may name and blocks carry.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use clearway_types::batch::{Batch, LaneId};
use clearway_types::manifest::BatchRef;
use clearway_types::units::{Digest, Incarnation, ValidatorNumber};

use crate::recovery::LaneTip;

struct Held {
    batch: Arc<Batch>,
    durable: bool,
}

/// Batches by digest, and by lane and index to follow a lane.
#[derive(Default)]
pub(crate) struct Batches {
    /// Manifests that are built here may name what is not durable yet.
    names_unsynced: bool,
    held: BTreeMap<Digest, Held>,
    by_place: BTreeMap<(LaneId, u64), Vec<Digest>>,
}

impl Batches {
    pub(crate) fn new(names_unsynced: bool) -> Self {
        Self {
            names_unsynced,
            ..Self::default()
        }
    }

    pub(crate) fn insert(&mut self, batch: Arc<Batch>, durable: bool) {
        let (place, digest) = ((batch.header.lane, batch.header.index), batch.digest);
        if self.held.insert(digest, Held { batch, durable }).is_none() {
            self.by_place.entry(place).or_default().push(digest);
        }
    }

    /// Notes that a batch is on disk; false when it is not held (any more).
    pub(crate) fn mark_durable(&mut self, digest: Digest) -> bool {
        let held = self.held.get_mut(&digest);
        held.map(|held| held.durable = true).is_some()
    }

    pub(crate) fn batch(&self, digest: Digest) -> Option<&Arc<Batch>> {
        self.held.get(&digest).map(|held| &held.batch)
    }

    pub(crate) fn is_durable(&self, digest: Digest) -> bool {
        self.held.get(&digest).is_some_and(|held| held.durable)
    }

    /// The batch that manifests may name and that extends `tip` of the owner's lanes: the next one
    /// of the same lane, or else the first one of a later lane. An owner may fork a lane; then the
    /// lowest digest is taken, and finality chooses.
    pub(crate) fn next_nameable(
        &self,
        owner: ValidatorNumber,
        tip: LaneTip,
    ) -> Option<&Arc<Batch>> {
        let lane = |incarnation| LaneId { owner, incarnation };
        let same = lane(tip.incarnation);
        let next = self.nameable_at((same, tip.index + 1), tip.digest);
        next.or_else(|| {
            let past = Bound::Excluded((same, u64::MAX));
            let last = Bound::Included((lane(Incarnation(u32::MAX)), u64::MAX));
            let mut places = self.by_place.range((past, last));
            places.find_map(|(place, _)| match place.1 {
                1 => self.nameable_at(*place, Digest::ZERO),
                _ => None,
            })
        })
    }

    fn nameable_at(&self, place: (LaneId, u64), previous: Digest) -> Option<&Arc<Batch>> {
        let places = self.by_place.get(&place)?;
        let candidates = places.iter().filter_map(|digest| self.held.get(digest));
        candidates
            .filter(|held| held.durable || self.names_unsynced)
            .filter(|held| held.batch.header.previous == previous)
            .map(|held| &held.batch)
            .min_by_key(|batch| batch.digest)
    }

    /// Takes out a batch that became final, and whatever stood at or below its place in the owner's
    /// lanes: forks that lost, and what an earlier lane had left.
    pub(crate) fn take_final(&mut self, batch: &BatchRef) -> Option<Arc<Batch>> {
        let taken = self.held.remove(&batch.digest).map(|held| held.batch);
        let (owner, incarnation) = (batch.lane.owner, Incarnation(0));
        let first = (LaneId { owner, incarnation }, 0);
        let last = (batch.lane, batch.index);
        let places: Vec<_> = self.by_place.range(first..=last).map(|(p, _)| *p).collect();
        for place in places {
            for digest in self.by_place.remove(&place).unwrap_or_default() {
                self.held.remove(&digest);
            }
        }
        taken
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}

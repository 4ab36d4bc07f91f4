//! This validator's own lane: gathers verified envelopes and seals them into hash-linked batches.
use std::time::Duration;

use bytes::Bytes;
use clearway_crypto::{hash, merkle};
use clearway_types::batch::{Batch, BatchHeader, EnvelopeDigests, LaneId};
use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::limits::{BATCH_ENVELOPES_MAX, LANE_WINDOW};
use clearway_types::messages::{OriginRun, VerifiedBatch};
use clearway_types::units::{Height, ValidatorNumber};
use clearway_types::wire::HINT_BYTES;

use crate::now::Now;
use crate::recovery::LaneTip;

/// What has come since the last batch was sealed.
struct Open {
    slabs: Vec<Bytes>,
    hints: Vec<Bytes>,
    digests: Vec<EnvelopeDigests>,
    origins: Vec<OriginRun>,
    directory_height: Height,
    since: Duration,
}

/// The end of the own lane that grows.
pub(crate) struct OwnLane {
    id: LaneId,
    tip: LaneTip,
    /// Index of the last final batch.
    final_index: u64,
    open: Option<Open>,
}

impl OwnLane {
    /// Continues after `durable`, the last durable batch; `last_final` is the last final one. A
    /// disk without either begins the first lane.
    pub(crate) fn new(me: ValidatorNumber, durable: LaneTip, last_final: LaneTip) -> Self {
        let mut id = LaneId::first(me);
        id.incarnation = id.incarnation.max(durable.incarnation);
        let tip = LaneTip {
            incarnation: id.incarnation,
            ..durable
        };
        let final_index = match last_final.incarnation == id.incarnation {
            true => last_final.index,
            false => 0,
        };
        assert!(final_index <= tip.index, "a final batch is a durable one");
        let open = None;
        Self {
            id,
            tip,
            final_index,
            open,
        }
    }

    pub(crate) fn id(&self) -> LaneId {
        self.id
    }

    /// Index of the last final batch.
    pub(crate) fn final_index(&self) -> u64 {
        self.final_index
    }

    /// Index of the last sealed batch.
    pub(crate) fn sealed_index(&self) -> u64 {
        self.tip.index
    }

    /// Sealed batches that are not final.
    pub(crate) fn window_used(&self) -> u64 {
        self.tip.index - self.final_index
    }

    pub(crate) fn has_room(&self) -> bool {
        self.window_used() < LANE_WINDOW as u64
    }

    pub(crate) fn on_final(&mut self, index: u64) {
        self.final_index = self.final_index.max(index);
    }

    pub(crate) fn open_count(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.digests.len())
    }

    /// When the open batch got its first envelope.
    pub(crate) fn open_since(&self) -> Option<Duration> {
        self.open.as_ref().map(|open| open.since)
    }

    /// Whether `batch` can join the open batch: it fits whole (a linked chain is never split) and
    /// was verified by the same directory.
    pub(crate) fn fits(&self, batch: &VerifiedBatch) -> bool {
        self.open.as_ref().is_none_or(|open| {
            open.digests.len() + batch.digests.len() <= BATCH_ENVELOPES_MAX
                && open.directory_height == batch.directory_height
        })
    }

    /// Adds a batch that [`OwnLane::fits`].
    pub(crate) fn push(&mut self, batch: VerifiedBatch, now: Now) {
        check_shape(&batch);
        assert!(self.fits(&batch), "the caller asks first");
        let open = self.open.get_or_insert_with(|| Open {
            slabs: Vec::new(),
            hints: Vec::new(),
            digests: Vec::new(),
            origins: Vec::new(),
            directory_height: batch.directory_height,
            since: now.uptime,
        });
        open.slabs.push(batch.slab);
        open.hints.push(batch.hints);
        open.digests.extend_from_slice(&batch.digests);
        open.origins.extend_from_slice(&batch.origins);
    }

    /// Seals the open batch, if there is one and the window has room for it.
    pub(crate) fn seal(&mut self, now: Now) -> Option<Batch> {
        if !self.has_room() {
            return None;
        }
        let open = self.open.take()?;
        let count = u32::try_from(open.digests.len()).expect("bounded by BATCH_ENVELOPES_MAX");
        let header = BatchHeader {
            lane: self.id,
            count,
            index: self.tip.index + 1,
            previous: self.tip.digest,
            directory_height: open.directory_height,
            time: now.time,
            envelopes_root: merkle::root_of(open.digests.iter().map(|digests| digests.leaf)),
        };
        let digest = hash::batch_digest(&header);
        self.tip = LaneTip {
            incarnation: self.id.incarnation,
            index: header.index,
            digest,
        };
        Some(Batch {
            header,
            digest,
            slabs: open.slabs,
            hints: open.hints,
            digests: open.digests,
            origins: open.origins,
        })
    }
}

/// What `verify` guarantees; anything else is a bug there.
fn check_shape(batch: &VerifiedBatch) {
    let count = batch.digests.len();
    let places: usize = batch.origins.iter().map(|run| run.count as usize).sum();
    assert!(
        count > 0 && count <= BATCH_ENVELOPES_MAX,
        "1 to {BATCH_ENVELOPES_MAX} envelopes"
    );
    assert_eq!(
        batch.slab.len(),
        count * ENVELOPE_BYTES,
        "one digest per envelope"
    );
    let hints = batch.hints.len();
    assert!(
        hints == 0 || hints == count * HINT_BYTES,
        "one hint per envelope, or none"
    );
    assert_eq!(places, count, "one origin per envelope");
}

//! Batches and manifests on their way into a block: durable, and not named by a final one yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clearway_types::manifest::Manifest;
use clearway_types::units::{Digest, Height};

use crate::blocks::{BatchPlace, BlockPlace};
use crate::format::OpenRow;
use crate::history::HistoryError;
use crate::words::Sequence;

/// The records that a later block may name. A digest that is stored twice, as after a crash in the
/// middle of a proposal, counts at its later place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    batches: HashMap<Digest, Sequence>,
    manifests: HashMap<Digest, (Sequence, Height)>,
    sequences: BTreeSet<Sequence>,
}

impl Open {
    /// A batch is stored.
    pub(crate) fn on_batch(&mut self, digest: Digest, sequence: Sequence) {
        if let Some(earlier) = self.batches.insert(digest, sequence) {
            self.sequences.remove(&earlier);
        }
        self.sequences.insert(sequence);
    }

    /// A manifest is stored.
    pub(crate) fn on_manifest(&mut self, digest: Digest, height: Height, sequence: Sequence) {
        if let Some((earlier, _)) = self.manifests.insert(digest, (sequence, height)) {
            self.sequences.remove(&earlier);
        }
        self.sequences.insert(sequence);
    }

    /// The record of a manifest that waits.
    pub(crate) fn manifest(&self, digest: &Digest) -> Option<Sequence> {
        self.manifests.get(digest).map(|(sequence, _)| *sequence)
    }

    /// A block's certificate and results are stored: its batches and manifest wait no more, nor do
    /// other manifests at its height or below.
    pub(crate) fn on_final(
        &mut self,
        manifest: &Manifest,
        digest: Digest,
        sequence: Sequence,
    ) -> Result<(BlockPlace, Vec<BatchPlace>), HistoryError> {
        let height = manifest.height;
        let low = self.sequences.first().copied().unwrap_or(sequence);
        let missing = |what, digest| HistoryError::Missing {
            height,
            what,
            digest,
        };
        if !self.manifests.contains_key(&digest) {
            return Err(missing("manifest", digest));
        }
        let mut places = Vec::with_capacity(manifest.batches.len());
        let mut first_index = 0;
        for batch in &manifest.batches {
            let record = self.batches.remove(&batch.digest);
            let record = record.ok_or_else(|| missing("batch", batch.digest))?;
            self.sequences.remove(&record);
            places.push(BatchPlace {
                record,
                height,
                first_index,
                count: batch.count,
            });
            first_index += batch.count;
        }
        let sequences = &mut self.sequences;
        self.manifests.retain(|_, (record, above)| {
            let keep = *above > height;
            if !keep {
                sequences.remove(record);
            }
            keep
        });
        let place = BlockPlace {
            height,
            time: manifest.time,
            low,
            sequence,
        };
        Ok((place, places))
    }

    /// What waits, in the order of the log.
    pub(crate) fn rows(&self) -> Vec<OpenRow> {
        let batches = self.batches.iter();
        let batches = batches.map(|(digest, sequence)| (*sequence, (Height(0), *digest)));
        let manifests = self.manifests.iter();
        let manifests =
            manifests.map(|(digest, (sequence, height))| (*sequence, (*height, *digest)));
        let sorted: BTreeMap<Sequence, (Height, Digest)> = batches.chain(manifests).collect();
        let row = |(sequence, (height, digest)): (Sequence, (Height, Digest))| OpenRow {
            sequence: sequence.0.into(),
            height: height.0.into(),
            digest: digest.0,
        };
        sorted.into_iter().map(row).collect()
    }

    /// What [`Open::rows`] gave.
    pub(crate) fn of_rows(rows: &[OpenRow]) -> Self {
        let mut open = Self::default();
        for row in rows {
            let (digest, sequence) = (Digest(row.digest), Sequence(row.sequence.get()));
            match row.height.get() {
                0 => open.on_batch(digest, sequence),
                height => open.on_manifest(digest, Height(height), sequence),
            }
        }
        open
    }
}

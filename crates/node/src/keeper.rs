//! The keeper: prepares segments, indexes sealed ones and writes checkpoints, off the hot path.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clearway_execute::Snapshot;
use clearway_flow::Counter;
use clearway_order::FinalPoint;
use clearway_store::history::HistoryError;
use clearway_store::{BlockIo, Extractor, Preparer, Reader, RecordKind, write_checkpoint};
use clearway_types::batch::BATCH_HEADER_BYTES;
use clearway_types::envelope::envelopes;
use clearway_types::units::Digest;
use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::checkpoint::CheckpointHead;
use crate::disk::{Disk, is_for_want_of_room};
use crate::log_index::LogIndex;

/// How often the keeper looks whether a segment has to be prepared or indexed.
const ROUND: Duration = Duration::from_millis(50);
/// How long a checkpoint waits for its block to be durable.
const DURABLE_PATIENCE: Duration = Duration::from_secs(10);

/// A state to be kept.
pub(crate) struct Keep {
    pub(crate) snapshot: Snapshot,
    pub(crate) point: FinalPoint,
}

/// Figures of the keeper.
#[derive(Debug, Default)]
pub struct KeeperMetrics {
    /// Checkpoints written.
    pub checkpoints: Counter,
    /// Height of the newest checkpoint (gauge).
    pub checkpoint_height: Counter,
    /// Checkpoints, preparations or indexes that failed; the log alone carries on then.
    pub failures: Counter,
}

/// What the keeper works with.
pub(crate) struct Keeper {
    pub(crate) io: Arc<dyn BlockIo>,
    pub(crate) checkpoints: PathBuf,
    pub(crate) genesis: Digest,
    pub(crate) reader: Reader,
    pub(crate) preparer: Preparer,
    pub(crate) index: Arc<LogIndex>,
    pub(crate) metrics: Arc<KeeperMetrics>,
    pub(crate) disk: Arc<Disk>,
}

impl Keeper {
    /// Works until nobody can hand it a state any more.
    pub(crate) fn run(&self, jobs: &Receiver<Keep>) {
        loop {
            match jobs.recv_timeout(ROUND) {
                Ok(keep) => self.note("checkpoint", self.keep(&keep)),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let prepared = self.preparer.prepare_next().map(drop);
                    self.note("segment", prepared.map_err(HistoryError::from));
                    self.note("index", self.index());
                }
            }
        }
    }

    /// None of this work is needed to go on: a failure is counted, said and survived.
    fn note(&self, what: &'static str, result: Result<(), HistoryError>) {
        if let Err(error) = result {
            self.metrics.failures.add(1);
            if let HistoryError::Store(error) = &error
                && is_for_want_of_room(error)
            {
                self.disk.on_left_out(error);
                return;
            }
            tracing::warn!(%error, what, "the keeper failed; the log alone carries on");
        }
    }

    /// Where identifiers and blocks of sealed segments are.
    fn index(&self) -> Result<(), HistoryError> {
        self.reader.index_sealed(&EnvelopeIds)?;
        self.index.save_sealed().map(drop)
    }

    /// Writes a checkpoint once the block it stands on is durable: state must not overtake the log.
    fn keep(&self, keep: &Keep) -> Result<(), HistoryError> {
        let height = keep.snapshot.height();
        if height.0 == 0 || height.0 == self.metrics.checkpoint_height.value() {
            return Ok(());
        }
        if !self.index.wait_durable(height, DURABLE_PATIENCE, &|| true) {
            tracing::warn!(
                height = height.0,
                "block not durable in time; no checkpoint"
            );
            return Ok(());
        }
        let log_from = height.min(keep.snapshot.log_from());
        let log_from = self.index.scan_start(log_from)?;
        let head = CheckpointHead {
            log_from,
            point: keep.point.clone(),
        };
        let mut fill = |to: &mut dyn std::io::Write| head.write(&keep.snapshot, to);
        write_checkpoint(
            &self.io,
            &self.checkpoints,
            self.genesis.0,
            height.0,
            &mut fill,
        )?;
        self.metrics.checkpoints.add(1);
        self.metrics.checkpoint_height.set(height.0);
        Ok(())
    }
}

/// Identifiers in batch records, for look-ups however old.
pub(crate) struct EnvelopeIds;

impl Extractor for EnvelopeIds {
    fn extract(&self, kind: RecordKind, payload: &[u8], row: &mut dyn FnMut([u8; 16], u32, u32)) {
        if kind != RecordKind::Batch {
            return;
        }
        for (index, envelope) in (0..).zip(envelopes(&payload[BATCH_HEADER_BYTES..])) {
            row(envelope.body.id.0, envelope.body.signer.get(), index);
        }
    }
}

//! From a data directory back to a running state: checkpoint, then the log after it.

use std::path::Path;
use std::sync::Arc;

use clearway_execute::{Ledger, Restore};
use clearway_order::{FinalPoint, RecoveryScan, recover_batch};
use clearway_store::history::{Assembler, StoredBlock};
use clearway_store::{BlockIndex, BlockIo, Reader, RecordKind, Sequence, load_newest_checkpoint};
use clearway_types::batch::Batch;
use clearway_types::final_record::FinalRecord;
use clearway_types::genesis::Genesis;
use clearway_types::messages::OrderedBlock;
use clearway_types::units::Height;

use crate::checkpoint::CheckpointHead;
use crate::error::NodeError;
use crate::log_index::{LogIndex, Tip};

/// Everything that the stages go on from.
pub(crate) struct Recovered {
    /// The ledger after the last final block.
    pub(crate) ledger: Ledger,
    /// Where ordering goes on.
    pub(crate) order: clearway_order::Recovery,
    /// Where the blocks lie, from the first one on.
    pub(crate) index: Arc<LogIndex>,
}

/// Says what was found when the store was opened; a damaged watermark slot as a warning.
pub(crate) fn tell(report: &clearway_store::Recovery) {
    if let Some(slot) = report.watermark_slot_damaged {
        tracing::warn!(
            %slot,
            watermark = report.watermark.0,
            records_kept = report.record_count_kept,
            "a slot of the store's watermark was damaged: the other one served, every whole record \
             above it was kept, and the slot is written again"
        );
    }
    tracing::info!(
        records = report.durable.0,
        segments = report.segment_count,
        new = report.fresh,
        records_above_watermark = report.record_count_kept,
        bytes_cut = report.bytes_cut,
        records_verified = report.record_count_verified,
        "store open"
    );
}

/// Reads checkpoint and log.
///
/// # Errors
/// A store that cannot be read, or blocks whose execution here gives other results than stored.
pub(crate) fn recover(
    io: &Arc<dyn BlockIo>,
    checkpoints: &Path,
    reader: &Reader,
    genesis: &Genesis,
) -> Result<Recovered, NodeError> {
    let search = load_newest_checkpoint(io, checkpoints, genesis.hash().0)?;
    for path in &search.damaged {
        tracing::warn!(path = %path.display(), "damaged checkpoint passed over");
    }
    for error in &search.unread {
        tracing::warn!(%error, "unreadable checkpoint passed over: the log has all that it holds");
    }
    let mut replay = match &search.newest {
        None => Replay::from_genesis(genesis)?,
        Some(checkpoint) => Replay::from_checkpoint(genesis, &checkpoint.content)?,
    };
    for record in reader.scan(replay.log_from) {
        let record = record?;
        match record.kind {
            RecordKind::Batch => replay.scan.on_batch(&record.payload)?,
            RecordKind::Manifest => replay.scan.on_manifest(&record.payload)?,
            RecordKind::Final => {
                let decoded = FinalRecord::decode(&record.payload).map_err(NodeError::Record)?;
                replay.scan.on_final(&decoded)?;
            }
        }
        if let Some(block) = replay.assembler.on_record(&record)? {
            replay.on_block(block)?;
        }
    }
    replay.finish(reader)
}

/// State that is either complete or still lacks its live identifiers.
enum State {
    Restoring(Box<Restore>),
    Live(Box<Ledger>),
    /// Only between two states.
    Moving,
}

struct Replay {
    log_from: Sequence,
    scan: RecoveryScan,
    assembler: Assembler,
    state: State,
}

impl Replay {
    fn from_genesis(genesis: &Genesis) -> Result<Self, NodeError> {
        Ok(Self {
            log_from: Sequence::FIRST,
            scan: RecoveryScan::from_genesis(genesis),
            assembler: Assembler::new(Height(1)),
            state: State::Live(Box::new(Ledger::from_genesis(genesis)?)),
        })
    }

    fn from_checkpoint(genesis: &Genesis, mut content: &[u8]) -> Result<Self, NodeError> {
        let head = CheckpointHead::read(&mut content).map_err(NodeError::Checkpoint)?;
        let restore = Ledger::restore(genesis, &mut content)?;
        let first = restore.log_from().min(head.point.height.next());
        let exec_head = restore.exec_head();
        let point: FinalPoint = head.point;
        let mut replay = Self {
            log_from: head.log_from,
            scan: RecoveryScan::new(genesis, point, exec_head)?,
            assembler: Assembler::new(first),
            state: State::Restoring(Box::new(restore)),
        };
        replay.leave_restoring()?;
        Ok(replay)
    }

    fn on_block(&mut self, block: StoredBlock) -> Result<(), NodeError> {
        let batches = batches(&block)?;
        let manifest = &block.manifest.manifest;
        match &mut self.state {
            State::Restoring(restore) => {
                restore.on_block(manifest, &batches, &block.record)?;
                self.leave_restoring()
            }
            State::Live(ledger) => execute(ledger, block, batches),
            State::Moving => unreachable!("left before this function is called"),
        }
    }

    /// The ledger goes live as soon as the last identifier it needs is there.
    fn leave_restoring(&mut self) -> Result<(), NodeError> {
        let done = matches!(&self.state, State::Restoring(r) if r.log_from() > r.height());
        if done && let State::Restoring(r) = std::mem::replace(&mut self.state, State::Moving) {
            self.state = State::Live(Box::new(r.finish()?));
        }
        Ok(())
    }

    fn finish(self, reader: &Reader) -> Result<Recovered, NodeError> {
        let ledger = match self.state {
            State::Live(ledger) => *ledger,
            State::Restoring(restore) => restore.finish()?,
            State::Moving => unreachable!("left before this function is called"),
        };
        let blocks = BlockIndex::open(reader)?;
        let tip = Tip {
            height: ledger.height(),
            exec_head: ledger.exec_head(),
            time: ledger.time(),
        };
        if blocks.height() != tip.height {
            return Err(NodeError::LogBehind {
                log: blocks.height(),
                state: tip.height,
            });
        }
        Ok(Recovered {
            ledger,
            order: self.scan.finish()?,
            index: Arc::new(LogIndex::new(blocks, tip)),
        })
    }
}

fn batches(block: &StoredBlock) -> Result<Vec<Arc<Batch>>, NodeError> {
    let payload = |batch: &clearway_store::history::StoredBatch| recover_batch(&batch.payload);
    block
        .batches
        .iter()
        .map(|batch| payload(batch).map_err(NodeError::from))
        .collect()
}

/// Executes a stored block again and compares the result with the stored one.
fn execute(
    ledger: &mut Ledger,
    block: StoredBlock,
    batches: Vec<Arc<Batch>>,
) -> Result<(), NodeError> {
    let ordered = OrderedBlock {
        manifest: Arc::new(block.manifest.manifest),
        digest: block.manifest.digest,
        batches,
        certificate: block.record.certificate.clone(),
    };
    let height = ordered.manifest.height;
    let executed = ledger.execute(ordered);
    if FinalRecord::of(&executed) == block.record {
        return Ok(());
    }
    Err(NodeError::Divergence {
        height,
        stored: block.record.exec_head,
        executed: executed.exec_head,
    })
}

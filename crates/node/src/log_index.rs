//! How far the log is durable, and where in it any final block lies.

use std::time::{Duration, Instant};

use clearway_store::history::{HistoryError, StoredBlock};
use clearway_store::{BatchPlace, BlockIndex, BlockPlace, Sequence};
use clearway_types::messages::ExecutedBlock;
use clearway_types::units::{Digest, Height, TimeMs};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::damage_log::DamageLog;

/// How often a waiting question checks whether its asker is still there.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// The last final block that is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tip {
    /// Its height.
    pub(crate) height: Height,
    /// Execution head after it.
    pub(crate) exec_head: Digest,
    /// Cluster time there.
    pub(crate) time: TimeMs,
}

/// Places of final blocks and the tip; told by recovery and the store's thread, read by everybody.
#[derive(Debug)]
pub(crate) struct LogIndex {
    blocks: BlockIndex,
    tip: Mutex<Tip>,
    /// Signalled when the tip moves.
    changed: Condvar,
    damage_log: DamageLog,
}

impl LogIndex {
    /// An index that is complete up to `tip`.
    pub(crate) fn new(blocks: BlockIndex, tip: Tip) -> Self {
        Self {
            blocks,
            tip: Mutex::new(tip),
            changed: Condvar::new(),
            damage_log: DamageLog::default(),
        }
    }

    /// A batch is durable.
    pub(crate) fn on_batch(&self, digest: Digest, sequence: Sequence) {
        self.blocks.on_batch(digest, sequence);
    }

    /// A manifest is durable.
    pub(crate) fn on_manifest(&self, digest: Digest, height: Height, sequence: Sequence) {
        self.blocks.on_manifest(digest, height, sequence);
    }

    /// A block's certificate and results are durable.
    ///
    /// # Errors
    /// A block that the log cannot give again.
    pub(crate) fn on_final(
        &self,
        executed: &ExecutedBlock,
        sequence: Sequence,
    ) -> Result<(), HistoryError> {
        let (manifest, digest) = (&executed.block.manifest, executed.block.digest);
        self.blocks.on_final(manifest, digest, sequence)?;
        *self.lock() = Tip {
            height: manifest.height,
            exec_head: executed.exec_head,
            time: manifest.time,
        };
        self.changed.notify_all();
        Ok(())
    }

    /// The last final block that is durable.
    #[must_use]
    pub(crate) fn tip(&self) -> Tip {
        *self.lock()
    }

    /// Its height.
    #[must_use]
    pub(crate) fn durable_height(&self) -> Height {
        self.tip().height
    }

    /// Where the block at a height lies; `None` for heights that are not final here.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn block(&self, height: Height) -> Result<Option<BlockPlace>, HistoryError> {
        self.blocks.block(height)
    }

    /// Which block ordered the batch in a record; `None` when none has.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn batch(&self, record: Sequence) -> Result<Option<BatchPlace>, HistoryError> {
        self.blocks.batch(record)
    }

    /// Final blocks from `height` on: the first one given is that of `height`, if it is final.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn history(
        &self,
        height: Height,
    ) -> Result<impl Iterator<Item = Result<StoredBlock, HistoryError>>, HistoryError> {
        self.blocks.history(height)
    }

    /// A record from which on the block at `height` and all later ones can be read.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn scan_start(&self, height: Height) -> Result<Sequence, HistoryError> {
        self.blocks.scan_start(height)
    }

    /// Says what of it cannot be read.
    pub(crate) fn damage_log(&self) -> &DamageLog {
        &self.damage_log
    }

    /// Keeps the places of sealed segments in files, and no more in memory.
    ///
    /// # Errors
    /// When a segment cannot be read or a file cannot be written.
    pub(crate) fn save_sealed(&self) -> Result<usize, HistoryError> {
        self.blocks.save_sealed()
    }

    /// Waits until the block at `height` is durable, for as long as `wanted` says so; false when
    /// that did not happen in time.
    #[must_use]
    pub(crate) fn wait_durable(
        &self,
        height: Height,
        timeout: Duration,
        wanted: &dyn Fn() -> bool,
    ) -> bool {
        let mut tip = self.lock();
        let until = Instant::now() + timeout;
        while tip.height < height {
            let left = until.checked_duration_since(Instant::now());
            let Some(left) = left.filter(|_| wanted()) else {
                return false;
            };
            self.changed.wait_for(&mut tip, left.min(LOOK_AROUND));
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Tip> {
        self.tip.lock()
    }
}

//! The stage: takes final blocks, gives their results, the head that manifests may name, and from
//! time to time a key directory and a snapshot.

use std::sync::Arc;

use clearway_types::directory::KeyDirectory;
use clearway_types::messages::{ExecHead, ExecutedBlock, OrderedBlock};

use crate::config::ExecuteConfig;
use crate::ledger::Ledger;
use crate::metrics::ExecuteMetrics;
use crate::snapshot::Snapshot;

/// What one block gives.
pub struct Executed {
    /// `execute_store`: the block with its results.
    pub block: ExecutedBlock,
    /// `execute_order`: what the next manifests may name.
    pub head: ExecHead,
    /// A new version of the key directory, when a key changed.
    pub directory: Option<Arc<KeyDirectory>>,
    /// The state after the block, when a snapshot is due; to be written elsewhere.
    pub snapshot: Option<Snapshot>,
}

/// Stop 4.
pub struct ExecuteStage {
    ledger: Ledger,
    config: ExecuteConfig,
    metrics: Arc<ExecuteMetrics>,
    directory: Arc<KeyDirectory>,
}

impl ExecuteStage {
    /// A stage that goes on from `ledger`.
    #[must_use]
    pub fn new(ledger: Ledger, config: ExecuteConfig, metrics: Arc<ExecuteMetrics>) -> Self {
        let directory = ledger.directory();
        Self {
            ledger,
            config,
            metrics,
            directory,
        }
    }

    /// The ledger after the last block.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The ledger, for a snapshot or a root on request.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Executes the next block.
    ///
    /// # Panics
    /// When the block does not follow, or when money was made or lost: the node must stop then.
    pub fn on_block(&mut self, block: OrderedBlock) -> Executed {
        let block = self.ledger.execute(block);
        self.metrics.note(&block, &self.ledger);
        let height = self.ledger.height();
        for one in self.ledger.conserved() {
            let ledger = one.ledger;
            assert!(
                one.conserved,
                "ledger {ledger} does not balance at height {height}"
            );
        }
        if is_due(height.0, self.config.scan_interval) {
            let scan = self.ledger.check_invariants();
            assert_eq!(scan, Ok(()), "at height {height}");
            self.metrics.scans.add(1);
        }
        let head = ExecHead {
            height,
            head: block.exec_head,
        };
        Executed {
            block,
            head,
            directory: self.new_directory(),
            snapshot: self.due_snapshot(),
        }
    }

    fn new_directory(&mut self) -> Option<Arc<KeyDirectory>> {
        let directory = self.ledger.directory();
        if Arc::ptr_eq(&directory, &self.directory) {
            return None;
        }
        self.metrics.directories.add(1);
        self.directory = Arc::clone(&directory);
        Some(directory)
    }

    fn due_snapshot(&mut self) -> Option<Snapshot> {
        let due = is_due(self.ledger.height().0, self.config.snapshot_interval);
        due.then(|| {
            self.metrics.snapshots.add(1);
            self.ledger.snapshot()
        })
    }
}

/// Whether something that happens every `interval` blocks happens at `height`; never for 0.
fn is_due(height: u64, interval: u64) -> bool {
    interval > 0 && height.is_multiple_of(interval)
}

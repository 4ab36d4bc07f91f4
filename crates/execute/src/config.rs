//! Settings of the stage; none of them changes a result.

/// How often the stage does more than execute; in blocks, 0 for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExecuteConfig {
    /// Blocks between two full scans of the invariants: a scan reads every account, hold and live
    /// id.
    pub scan_interval: u64,
    /// Blocks between two snapshots.
    pub snapshot_interval: u64,
}

impl Default for ExecuteConfig {
    fn default() -> Self {
        Self {
            scan_interval: 0,
            snapshot_interval: 4096,
        }
    }
}

//! Counters of the store; `node` exports them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the store has done since it was opened.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    /// Records appended, durable or not yet.
    pub record_count: AtomicU64,
    /// Payload bytes appended.
    pub payload_bytes: AtomicU64,
    /// Bytes written to segments: headers and padding included.
    pub written_bytes: AtomicU64,
    /// Commits that made something durable.
    pub group_count: AtomicU64,
    /// Nanoseconds of the last commit's two syncs together.
    pub sync_ns_last: AtomicU64,
    /// Nanoseconds of all commits' syncs.
    pub sync_ns_total: AtomicU64,
    /// Nanoseconds of the longest commit's syncs.
    pub sync_ns_max: AtomicU64,
    /// The newest durable sequence.
    pub durable_sequence: AtomicU64,
    /// Segments opened for writing after another was full.
    pub segment_rolled_count: AtomicU64,
    /// Rolls that had to wait for a zero-filled segment because none was prepared.
    pub segment_unprepared_count: AtomicU64,
    /// Times a segment could not be reserved for lack of space.
    pub disk_full_count: AtomicU64,
    /// Writes and syncs that failed; the first one stops the writer.
    pub write_failed_count: AtomicU64,
    /// Records read.
    pub read_count: AtomicU64,
    /// Payload bytes read.
    pub read_bytes: AtomicU64,
    /// Damage met by readers.
    pub corrupt_count: AtomicU64,
    /// Index files built, those in place of damaged ones included.
    pub index_built_count: AtomicU64,
    /// Index files found damaged or foreign, and files of identifiers lost, while running, too.
    pub index_damaged_count: AtomicU64,
    /// Monotonic nanoseconds, as given to the stage, of its last commit.
    pub committed_at_ns: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

pub(crate) fn set(counter: &AtomicU64, value: u64) {
    counter.store(value, Ordering::Relaxed);
}

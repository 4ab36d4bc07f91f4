//! A number that many threads add to and the metrics page reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A 64-bit counter; also used as a gauge through [`Counter::set`].
///
/// Relaxed: readers want a recent value, no other memory hangs on it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// At zero, also in a static.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `value`.
    pub fn add(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    /// Adds a number of items.
    pub fn add_count(&self, count: usize) {
        self.add(count as u64);
    }

    /// Adds a duration in nanoseconds; saturates after 584 years.
    pub fn add_ns(&self, duration: Duration) {
        self.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

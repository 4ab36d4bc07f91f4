//! The machine's wall clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use clearway_types::units::TimeMs;

/// Now; a clock before 1970 reads as 1970.
#[must_use]
pub fn wall_time() -> TimeMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

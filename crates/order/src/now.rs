//! The two readings of time that ordering needs, taken by the caller.
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clearway_types::limits::WALL_TIME_MS_END;
use clearway_types::units::TimeMs;

/// One reading of both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Wall clock, milliseconds since 1970: goes into manifests.
    pub time: TimeMs,
    /// Monotonic time since an arbitrary start: paces proposals, never jumps.
    pub uptime: Duration,
}

/// Where the adapter reads time; a test gives its own.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// The machine's clocks.
#[must_use]
pub fn system_clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || Now {
        time: wall_time(SystemTime::now()),
        uptime: start.elapsed(),
    })
}

/// No clock of an honest machine shows this.
const WALL_TIME_END: Duration = Duration::from_millis(WALL_TIME_MS_END);

/// A clock before 1970 or from 2100 on reads as 1970: manifests then keep their parent's time, and
/// the node says that its clock is behind.
fn wall_time(now: SystemTime) -> TimeMs {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = if since < WALL_TIME_END {
        since
    } else {
        Duration::ZERO
    };
    TimeMs(u64::try_from(since.as_millis()).expect("milliseconds up to 2100 fit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_counts_milliseconds_and_never_fails() {
        for (offset, expected) in [(Duration::ZERO, 0), (Duration::from_micros(2500), 2)] {
            assert_eq!(wall_time(UNIX_EPOCH + offset), TimeMs(expected));
        }
        assert_eq!(wall_time(UNIX_EPOCH - Duration::from_secs(9)), TimeMs(0));
        let last = WALL_TIME_END - Duration::from_millis(1);
        assert_eq!(wall_time(UNIX_EPOCH + last), TimeMs(4_102_444_799_999));
        assert_eq!(wall_time(UNIX_EPOCH + WALL_TIME_END), TimeMs(0));
    }
}

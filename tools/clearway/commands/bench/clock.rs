//! Seconds of work: the measuring thread's, or those on the wall.

use rustix::time::{ClockId, clock_gettime};

/// Which seconds count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Clock {
    /// The measuring thread's: other programs on the machine do not count.
    Processor,
    /// Everybody's.
    Wall,
}

impl Clock {
    /// The reading now; what passed between two is their difference.
    pub(super) fn seconds(self) -> f64 {
        let time = clock_gettime(match self {
            Self::Processor => ClockId::ThreadCPUTime,
            Self::Wall => ClockId::Monotonic,
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "months in nanoseconds stay below 2^53"
        )]
        let (whole, parts) = (time.tv_sec as f64, time.tv_nsec as f64);
        whole + parts * 1e-9
    }
}

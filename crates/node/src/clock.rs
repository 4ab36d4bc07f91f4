//! The machine's clocks against each other and against cluster time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clearway_order::{Clock, Now, OrderMetrics};
use clearway_types::units::TimeMs;
use parking_lot::Mutex;

/// How often the clocks are compared.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What wall clock and monotonic clock may differ by between two looks: steps of NTP are larger,
/// its corrections and the time of a look are smaller.
const JUMP_MS: u64 = 1000;
/// Cluster time may be so far ahead of the clock. Beyond, members whose envelopes end by their own
/// clocks begin to lose a noticeable part of the 30 seconds that these live.
const AHEAD_MS_MAX: u64 = 2000;
/// A state that lasts is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

clearway_flow::metrics! {
    /// Figures of the clocks.
    pub struct ClockMetrics in "clock" {
        /// Time by which cluster time is ahead of this machine's clock.
        ahead: gauge_ms,
        /// Times that the wall clock jumped against the monotonic one.
        jumps: total,
        /// The last jump of the wall clock forwards; 0 when it went backwards.
        jump_forward: gauge_ms,
        /// The last jump of the wall clock backwards; 0 when it went forwards.
        jump_backward: gauge_ms,
    }
}

/// Cluster time is so far ahead of this machine's clock that payments may suffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ahead {
    ms: u64,
}

impl fmt::Display for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, tenths) = (self.ms / 1000, self.ms % 1000 / 100);
        write!(
            f,
            "clock behind: cluster time is {seconds}.{tenths} s ahead of this machine's clock, and \
             stands still until the clock has reached it: if the clock is wrong, set it right \
             (NTP); if it is right now, wait; only members that take cluster time from the node \
             can pay meanwhile"
        )
    }
}

/// Compares the clocks from time to time; says so in log and figures.
pub(crate) struct ClockWatch {
    clock: Clock,
    order: Arc<OrderMetrics>,
    metrics: Arc<ClockMetrics>,
    last: Mutex<Last>,
}

struct Last {
    now: Now,
    /// When it was last told that cluster time is ahead; `None` while it is not.
    told: Option<Duration>,
}

impl ClockWatch {
    /// Looks for the first time.
    pub(crate) fn new(clock: &Clock, order: &Arc<OrderMetrics>) -> Self {
        let last = Last {
            now: clock(),
            told: None,
        };
        let watch = Self {
            clock: Arc::clone(clock),
            order: Arc::clone(order),
            metrics: Arc::default(),
            last: Mutex::new(last),
        };
        watch.look();
        watch
    }

    pub(crate) fn metrics(&self) -> Arc<ClockMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Compares the clocks for as long as it is polled.
    pub(crate) async fn run(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    /// Whether payments may suffer now.
    pub(crate) fn ahead(&self) -> Option<Ahead> {
        ahead((self.clock)().time, TimeMs(self.order.time.value()))
    }

    fn look(&self) {
        let mut last = self.last.lock();
        let (before, now) = (last.now, (self.clock)());
        last.now = now;
        if let Some(jump_ms) = jump(before, now) {
            let (forward, ms) = (jump_ms > 0, jump_ms.unsigned_abs());
            self.metrics.jumps.add(1);
            self.metrics.jump_forward.set(if forward { ms } else { 0 });
            self.metrics.jump_backward.set(if forward { 0 } else { ms });
            tracing::warn!(
                jump_ms,
                "the wall clock jumped against the monotonic one: payments that end by another \
                 clock may expire; let NTP slew the clock instead of stepping it"
            );
        }
        let cluster = TimeMs(self.order.time.value());
        self.metrics.ahead.set(cluster.0.saturating_sub(now.time.0));
        match ahead(now.time, cluster) {
            Some(ahead) => {
                let due = |told| now.uptime.saturating_sub(told) >= TOLD_AGAIN;
                if last.told.is_none_or(due) {
                    last.told = Some(now.uptime);
                    tracing::warn!(ahead_ms = ahead.ms, "{ahead}");
                }
            }
            None if last.told.take().is_some() => {
                tracing::info!("the clock has reached cluster time");
            }
            None => {}
        }
    }
}

/// How far cluster time is ahead of the clock, if that is too far.
fn ahead(clock: TimeMs, cluster: TimeMs) -> Option<Ahead> {
    let ms = cluster.0.saturating_sub(clock.0);
    (ms > AHEAD_MS_MAX).then_some(Ahead { ms })
}

/// Milliseconds that the wall clock went further than the monotonic one, if that is a jump.
fn jump(before: Now, now: Now) -> Option<i64> {
    let wall = i128::from(now.time.0) - i128::from(before.time.0);
    let steady = now.uptime.saturating_sub(before.uptime).as_millis();
    let jump = wall - i128::try_from(steady).unwrap_or(i128::MAX);
    let jump = i64::try_from(jump).unwrap_or(if jump < 0 { i64::MIN } else { i64::MAX });
    (jump.unsigned_abs() >= JUMP_MS).then_some(jump)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A day in 2026, milliseconds.
    const NOON: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_jump_is_what_the_wall_clock_went_more_or_less_than_the_monotonic_one() {
        let now = |time, uptime_ms| Now {
            time: TimeMs(time),
            uptime: Duration::from_millis(uptime_ms),
        };
        let rows = [
            (NOON + 250, 250, None),
            // The look itself came late: no jump.
            (NOON + 30_000, 30_000, None),
            (NOON + 250 + 999, 250, None),
            (NOON + 250 + 1000, 250, Some(1000)),
            (NOON + 250 - 1000, 250, Some(-1000)),
            (NOON + HOUR, 0, Some(3_600_000)),
            (NOON - HOUR, 0, Some(-3_600_000)),
            (0, 0, Some(-1_790_000_000_000)),
            (u64::MAX, 0, Some(i64::MAX)),
        ];
        for (time, uptime_ms, expected) in rows {
            assert_eq!(jump(now(NOON, 0), now(time, uptime_ms)), expected, "{time}");
        }
    }

    #[test]
    fn a_jump_is_counted_and_its_length_shown_by_its_direction() {
        let wall = Arc::new(AtomicU64::new(NOON));
        let read = Arc::clone(&wall);
        let clock: Clock = Arc::new(move || Now {
            time: TimeMs(read.load(Ordering::Relaxed)),
            uptime: Duration::ZERO,
        });
        let watch = ClockWatch::new(&clock, &Arc::default());
        for (jumps, time, forward_ms, backward_ms) in
            [(1, NOON + 1500, 1500, 0), (2, NOON - HOUR, 0, HOUR + 1500)]
        {
            wall.store(time, Ordering::Relaxed);
            watch.look();
            let metrics = watch.metrics();
            assert_eq!(metrics.jumps.value(), jumps);
            assert_eq!(metrics.jump_forward.value(), forward_ms, "{time}");
            assert_eq!(metrics.jump_backward.value(), backward_ms, "{time}");
        }
    }

    #[test]
    fn cluster_time_ahead_is_shown_until_the_clock_has_reached_it() {
        let wall = Arc::new(AtomicU64::new(NOON));
        let read = Arc::clone(&wall);
        let clock: Clock = Arc::new(move || Now {
            time: TimeMs(read.load(Ordering::Relaxed)),
            uptime: Duration::from_millis(read.load(Ordering::Relaxed) - NOON),
        });
        let order = Arc::new(OrderMetrics::default());
        order.time.set(NOON + HOUR);
        let watch = ClockWatch::new(&clock, &order);
        assert_eq!(watch.metrics().ahead.value(), HOUR, "at once");
        let said = watch.ahead().expect("an hour is too far").to_string();
        assert!(said.contains("3600.0 s ahead"), "{said}");
        for (passed, ahead_ms, suffers) in [
            (HOUR - 2001, 2001, true),
            (HOUR - 2000, 2000, false),
            (HOUR + 5, 0, false),
        ] {
            wall.store(NOON + passed, Ordering::Relaxed);
            watch.look();
            assert_eq!(watch.metrics().ahead.value(), ahead_ms, "{passed}");
            assert_eq!(watch.ahead().is_some(), suffers, "{passed}");
        }
        assert_eq!(watch.metrics().jumps.value(), 0, "time only passed");
    }
}

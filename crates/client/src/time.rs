//! Cluster time, as a member knows it from the node's answers: envelopes end by it, not by the
//! member's own clock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clearway_types::units::{Digest, TimeMs};
use clearway_types::wire::query::StatusView;
use parking_lot::{Mutex, MutexGuard};

/// Clocks that differ by less are not spoken of: heartbeats and the way there take a part of it.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// Three clocks at one moment: the cluster's, the answering node's, and the member's own; and which
/// cluster that is.
#[derive(Clone, Copy, Debug)]
pub struct ClusterClock {
    genesis: Digest,
    cluster: TimeMs,
    node: TimeMs,
    own: TimeMs,
    heard: Instant,
}

/// What is wrong with the clocks, in words that say whose is off and what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockFault {
    /// Cluster and node agree, this machine differs: milliseconds that it is ahead.
    Own(i64),
    /// Cluster and this machine agree, the node's clock is ahead: milliseconds.
    Node(i64),
    /// Cluster time is ahead of the node's clock, which this machine's agrees with: milliseconds.
    Cluster(i64),
    /// All three differ: milliseconds that cluster time is ahead of the node's clock (behind it
    /// when negative), and that this machine is.
    Both(i64, i64),
}

impl ClusterClock {
    /// The clocks, by a status that came just now.
    #[must_use]
    pub fn new(status: &StatusView) -> Self {
        Self::at(status.genesis, status.time, status.clock, own_time())
    }

    fn at(genesis: Digest, cluster: TimeMs, node: TimeMs, own: TimeMs) -> Self {
        let heard = Instant::now();
        Self {
            genesis,
            cluster,
            node,
            own,
            heard,
        }
    }

    /// Hash of the answering node's genesis.
    #[must_use]
    pub fn genesis(&self) -> Digest {
        self.genesis
    }

    /// Cluster time now. It follows the node's clock, unless that is off by itself, and stands
    /// still while that is behind it.
    #[must_use]
    pub fn now(&self) -> TimeMs {
        self.after(self.heard.elapsed())
    }

    fn after(&self, elapsed: Duration) -> TimeMs {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let heard = match self.fault() {
            Some(ClockFault::Node(_)) => self.cluster,
            _ => self.node,
        };
        TimeMs(heard.0.saturating_add(elapsed_ms).max(self.cluster.0))
    }

    /// What is wrong with the clocks, if anything is.
    ///
    /// A node whose clock is ahead of cluster time may be right, while the cluster stands still:
    /// this machine's clock says which of the two it is.
    #[must_use]
    pub fn fault(&self) -> Option<ClockFault> {
        let cluster_ahead = difference(self.cluster, self.node);
        let own_ahead = difference(self.own, self.node);
        let own_off = is_off(own_ahead);
        match is_off(cluster_ahead) {
            false => own_off.then_some(ClockFault::Own(own_ahead)),
            true if cluster_ahead < 0 && !own_off => None,
            true if cluster_ahead < 0 && !is_off(difference(self.own, self.cluster)) => {
                Some(ClockFault::Node(cluster_ahead.saturating_neg()))
            }
            true if own_off => Some(ClockFault::Both(cluster_ahead, own_ahead)),
            true => Some(ClockFault::Cluster(cluster_ahead)),
        }
    }
}

impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Own(ms) => write!(
                f,
                "this machine's clock is {} the cluster's: set this one right (NTP); envelopes \
                 end by cluster time meanwhile",
                Off(ms)
            ),
            Self::Node(ms) => write!(
                f,
                "the node's clock is {} the cluster's, with which this machine's agrees: tell the \
                 node's operator; envelopes end by cluster time meanwhile",
                Off(ms)
            ),
            Self::Cluster(ms) => write!(
                f,
                "cluster time is {} the node's clock, with which this machine's agrees: tell the \
                 node's operator; envelopes end by cluster time meanwhile",
                Off(ms)
            ),
            Self::Both(cluster_ms, own_ms) => write!(
                f,
                "cluster time is {} the node's clock, and this machine's clock is {} the node's: \
                 set this one right (NTP) and tell the node's operator; envelopes end by cluster \
                 time meanwhile",
                Off(cluster_ms),
                Off(own_ms)
            ),
        }
    }
}

/// Milliseconds ahead, in words.
struct Off(i64);

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.0 < 0 { "behind" } else { "ahead of" };
        let ms = self.0.unsigned_abs();
        write!(f, "{}.{} s {side}", ms / 1000, ms % 1000 / 100)
    }
}

/// What a client last heard about time; clones share it, and every status that comes renews it.
#[derive(Clone, Debug, Default)]
pub struct ClusterTime(Arc<Mutex<Heard>>);

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    clock: Option<ClusterClock>,
    /// When a status was asked for to renew it.
    asked: Option<Instant>,
}

impl ClusterTime {
    /// The clocks as last heard; `None` before the first status.
    #[must_use]
    pub fn clock(&self) -> Option<ClusterClock> {
        self.lock().clock
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock()
    }

    /// Cluster time now; this machine's clock before the first status.
    #[must_use]
    pub fn now(&self) -> TimeMs {
        self.clock().map_or_else(own_time, |clock| clock.now())
    }

    pub(crate) fn hear(&self, status: &StatusView) {
        let clock = ClusterClock::new(status);
        self.lock().clock = Some(clock);
    }

    /// Whether the clocks were neither heard nor asked for within `fresh`; notes that they are now.
    pub(crate) fn ask_again(&self, fresh: Duration) -> bool {
        let mut heard = self.lock();
        let last = heard.clock.map(|clock| clock.heard).max(heard.asked);
        let due = last.is_none_or(|at| at.elapsed() >= fresh);
        if due {
            heard.asked = Some(Instant::now());
        }
        due
    }
}

/// This machine's clock; before 1970 reads as 0.
fn own_time() -> TimeMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    TimeMs(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
}

/// Whether two clocks that differ by this many milliseconds are worth speaking of.
fn is_off(ms: i64) -> bool {
    u128::from(ms.unsigned_abs()) >= CLOCK_TOLERANCE.as_millis()
}

/// How far `a` is ahead of `b`.
fn difference(a: TimeMs, b: TimeMs) -> i64 {
    let ms = i128::from(a.0) - i128::from(b.0);
    i64::try_from(ms).unwrap_or(if ms < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day in 2026, milliseconds.
    const NOON: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn clock_at(cluster: u64, node: u64, own: u64) -> ClusterClock {
        ClusterClock::at(Digest([0; 32]), TimeMs(cluster), TimeMs(node), TimeMs(own))
    }

    #[test]
    fn cluster_time_follows_the_nodes_clock_and_stands_while_it_is_ahead() {
        let clock = |cluster| clock_at(cluster, NOON, NOON);
        let rows = [
            (NOON, 0, NOON),
            // A block is at most a heartbeat old, so the node's clock is the better word.
            (NOON - 250, 0, NOON),
            (NOON - 250, 10_000, NOON + 10_000),
            (NOON + HOUR, 0, NOON + HOUR),
            (NOON + HOUR, HOUR - 1, NOON + HOUR),
            (NOON + HOUR, HOUR + 5, NOON + HOUR + 5),
        ];
        for (cluster, after_ms, expected) in rows {
            let now = clock(cluster).after(Duration::from_millis(after_ms));
            assert_eq!(now, TimeMs(expected), "{cluster} after {after_ms}");
        }
    }

    #[test]
    fn cluster_time_does_not_follow_a_clock_that_is_ahead_by_itself() {
        let after = |own| {
            let clock = clock_at(NOON, NOON + HOUR, own);
            clock.after(Duration::from_secs(3))
        };
        assert_eq!(after(NOON), TimeMs(NOON + 3000));
        assert_eq!(after(NOON + HOUR), TimeMs(NOON + HOUR + 3000));
    }

    #[test]
    fn time_is_asked_for_again_only_after_a_while_answered_or_not() {
        let time = ClusterTime::default();
        assert!(time.ask_again(Duration::from_secs(60)));
        assert!(!time.ask_again(Duration::from_secs(60)), "not answered yet");
        assert!(time.ask_again(Duration::ZERO));
    }

    #[test]
    fn a_fault_names_the_clock_that_is_off_and_by_how_much() {
        let hour = i64::try_from(HOUR).unwrap();
        let rows: [(u64, u64, Option<ClockFault>, &str); 9] = [
            (NOON, NOON, None, ""),
            (NOON - 250, NOON + 3000, None, ""),
            (
                NOON,
                NOON + HOUR,
                Some(ClockFault::Own(hour)),
                "this machine's clock is 3600.0 s ahead of the cluster's",
            ),
            (
                NOON,
                NOON - HOUR,
                Some(ClockFault::Own(-hour)),
                "this machine's clock is 3600.0 s behind the cluster's",
            ),
            (
                NOON + HOUR,
                NOON,
                Some(ClockFault::Cluster(hour)),
                "cluster time is 3600.0 s ahead of the node's clock",
            ),
            (
                NOON + HOUR,
                NOON + HOUR,
                Some(ClockFault::Both(hour, hour)),
                "this machine's clock is 3600.0 s ahead of the node's",
            ),
            (
                NOON - HOUR,
                NOON - HOUR,
                Some(ClockFault::Node(hour)),
                "the node's clock is 3600.0 s ahead of the cluster's",
            ),
            // The cluster stands still: two clocks agree on that.
            (NOON - HOUR, NOON, None, ""),
            (
                NOON - HOUR,
                NOON + HOUR,
                Some(ClockFault::Both(-hour, hour)),
                "cluster time is 3600.0 s behind the node's clock",
            ),
        ];
        for (cluster, own, expected, words) in rows {
            let clock = clock_at(cluster, NOON, own);
            assert_eq!(clock.fault(), expected, "{cluster} {own}");
            let said = clock.fault().map_or(String::new(), |f| f.to_string());
            assert!(said.contains(words), "{said}");
        }
    }
}

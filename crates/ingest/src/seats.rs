//! Places for one member's connections: a new one takes that of the one that is idle longest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// A connection without streams is idle after so long: between two streams of a busy member, or
/// before the first, there are moments without any.
const IDLE_AFTER: Duration = Duration::from_millis(100);

/// The places of one member.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    taken: Mutex<Taken>,
    /// A place is free, or a connection has become idle.
    eased: Notify,
    waiting_count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Taken {
    next_number: u64,
    by_number: BTreeMap<u64, Arc<Occupant>>,
}

/// Who sits on a place.
#[derive(Debug)]
struct Occupant {
    activity: Mutex<Activity>,
    displaced: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Activity {
    stream_count: usize,
    /// Since when there is no stream.
    idle_from: Instant,
}

/// A taken place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    occupant: Arc<Occupant>,
    number: u64,
}

/// A stream on a connection; while there is one, the connection is not idle.
#[derive(Debug)]
pub(crate) struct Busy {
    seats: Arc<Seats>,
    occupant: Arc<Occupant>,
}

impl Seats {
    /// A place, taken from the connection that is idle longest when all `max` are taken; waits up
    /// to `wait_max` for one to become idle. `None` when all stay busy, or too many wait already.
    pub(crate) async fn take(self: &Arc<Self>, max: usize, wait_max: Duration) -> Option<Seat> {
        self.wait_for(max, wait_max, || self.try_take(max, Instant::now()))
            .await
    }

    /// Tries until it succeeds, but no longer than `wait_max`; at most `max` may wait.
    pub(crate) async fn wait_for<T>(
        &self,
        max: usize,
        wait_max: Duration,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let from = Instant::now();
        let mut waiting = None;
        loop {
            let eased = self.eased.notified();
            if let Some(success) = attempt() {
                return Some(success);
            }
            if waiting.is_none() {
                waiting = Some(Waiting::enter(self, max)?);
            }
            let left = wait_max.checked_sub(from.elapsed())?;
            // One that has become idle is displaced only a moment later.
            let _ = tokio::time::timeout(left.min(IDLE_AFTER), eased).await;
        }
    }

    fn try_take(self: &Arc<Self>, max: usize, now: Instant) -> Option<Seat> {
        let mut taken = self.lock();
        if taken.by_number.len() >= max {
            taken.displace_idle(now)?;
        }
        let number = taken.next_number;
        taken.next_number += 1;
        let activity = Activity {
            stream_count: 0,
            idle_from: now,
        };
        let occupant = Arc::new(Occupant {
            activity: Mutex::new(activity),
            displaced: Notify::new(),
        });
        taken.by_number.insert(number, Arc::clone(&occupant));
        Some(Seat {
            seats: Arc::clone(self),
            occupant,
            number,
        })
    }

    /// Takes the place of the connection that is idle longest; false when none is idle.
    pub(crate) fn displace_idle(&self, now: Instant) -> bool {
        self.lock().displace_idle(now).is_some()
    }

    /// Places taken.
    pub(crate) fn len(&self) -> usize {
        self.lock().by_number.len()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock()
    }
}

impl Taken {
    fn displace_idle(&mut self, now: Instant) -> Option<()> {
        let idle = self.by_number.iter().filter_map(|(number, occupant)| {
            let activity = *occupant.activity.lock();
            let is_idle = activity.stream_count == 0
                && now.saturating_duration_since(activity.idle_from) >= IDLE_AFTER;
            is_idle.then_some((activity.idle_from, *number))
        });
        let (_, number) = idle.min()?;
        let occupant = self.by_number.remove(&number)?;
        occupant.displaced.notify_one();
        Some(())
    }
}

impl Seat {
    /// Resolves when the place has gone to another connection.
    pub(crate) async fn displaced(&self) {
        self.occupant.displaced.notified().await;
    }

    /// Gives the place back before it is dropped.
    pub(crate) fn leave(&self) {
        self.seats.lock().by_number.remove(&self.number);
        self.seats.eased.notify_waiters();
    }

    /// Notes that a stream is open until what is returned is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.occupant.activity.lock().stream_count += 1;
        Busy {
            seats: Arc::clone(&self.seats),
            occupant: Arc::clone(&self.occupant),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut activity = self.occupant.activity.lock();
        activity.stream_count -= 1;
        if activity.stream_count == 0 {
            activity.idle_from = Instant::now();
            drop(activity);
            self.seats.eased.notify_waiters();
        }
    }
}

/// One of those that wait for a place.
struct Waiting<'a>(&'a Seats);

impl<'a> Waiting<'a> {
    /// `None` when as many wait as may sit.
    fn enter(seats: &'a Seats, max: usize) -> Option<Self> {
        let before = seats.waiting_count.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(seats);
        (before < max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting_count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    fn is_displaced(seat: &Seat) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let displaced = std::pin::pin!(seat.displaced());
        displaced.poll(&mut context).is_ready()
    }

    #[test]
    fn the_connection_that_is_idle_longest_gives_its_place() {
        let seats = Arc::new(Seats::default());
        let taken: Vec<Seat> = (0..3)
            .map(|_| seats.try_take(3, Instant::now()).expect("free"))
            .collect();
        let _busy = taken[0].busy();
        drop(taken[1].busy());
        let fourth = seats
            .try_take(3, later(200))
            .expect("the third is idle longest");
        assert!(is_displaced(&taken[2]));
        assert!(!is_displaced(&taken[0]) && !is_displaced(&taken[1]) && !is_displaced(&fourth));
        assert_eq!(seats.len(), 3);
        drop(taken);
        assert_eq!(seats.len(), 1, "a displaced one gives nothing back twice");
    }

    #[test]
    fn busy_and_fresh_connections_keep_their_places() {
        let seats = Arc::new(Seats::default());
        let first = seats.try_take(1, Instant::now()).expect("free");
        assert!(seats.try_take(1, Instant::now()).is_none(), "fresh");
        let streams = [first.busy(), first.busy()];
        assert!(seats.try_take(1, later(10_000)).is_none(), "busy");
        let [one, other] = streams;
        drop(one);
        assert!(seats.try_take(1, later(10_000)).is_none(), "still busy");
        drop(other);
        assert!(seats.try_take(1, later(10_000)).is_some(), "idle");
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_that_is_freed_and_few_may_wait() {
        let seats = Arc::new(Seats::default());
        let first = seats.take(1, Duration::ZERO).await.expect("free");
        let busy = first.busy();
        assert!(seats.take(1, Duration::from_millis(1)).await.is_none());
        let timeout = Duration::from_secs(30);
        let (waiter, second) = (Arc::clone(&seats), Arc::clone(&seats));
        let waiting = tokio::spawn(async move { waiter.take(1, timeout).await });
        while seats.waiting_count.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(second.take(1, timeout).await.is_none(), "one waits already");
        drop(busy);
        let seat = waiting.await.expect("no panic");
        assert!(seat.is_some());
        assert_eq!(seats.len(), 1);
        drop(first);
    }
}

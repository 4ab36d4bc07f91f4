//! Room for frames that are being filled: by the bytes that have come, shared among members.
//!
//! A frame gets more room as it fills up, so that a sender who wants to hold room must send bytes
//! for it. Where it runs out, the member that holds least is served first, and the one that holds
//! most loses the frame that has waited longest for its bytes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clearway_types::units::ParticipantId;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

/// A frame may lose its room once it has waited this long for its bytes, all waits together, and
/// waits now: several round trips of a far member.
const STALLED_AFTER: Duration = Duration::from_millis(100);
/// How often stalled frames are looked for while somebody waits: all frames are gone through.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Room for all frames that are being filled.
#[derive(Debug)]
pub(crate) struct FillRoom {
    state: Mutex<State>,
    /// Zero of the milliseconds in [`Pace`] and [`State`].
    clock: Instant,
}

#[derive(Debug)]
struct State {
    free_bytes: usize,
    member_bytes_max: usize,
    shares: HashMap<ParticipantId, Share>,
    claims: HashMap<u64, Held>,
    /// The members whose turn may come: those with a frame that waits and fits below their share.
    queue: BTreeSet<Place>,
    next_number: u64,
    looked_at_ms: Option<u64>,
}

/// What one member holds and waits for.
#[derive(Debug, Default)]
struct Share {
    held_bytes: usize,
    /// In order of asking; no more than its connections may be filling.
    waiters: Vec<Waiter>,
    /// Where it stands in the queue.
    place: Option<Place>,
}

/// A place in the queue: the member that holds least comes first, of several the one that asked
/// first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    held_bytes: usize,
    asked: u64,
    member: ParticipantId,
}

/// What one frame holds.
#[derive(Debug)]
struct Held {
    member: ParticipantId,
    bytes: usize,
    pace: Arc<Pace>,
    /// It has been told to go.
    evicted: bool,
}

/// A frame that wants more.
#[derive(Debug)]
struct Waiter {
    asked: u64,
    claim: u64,
    bytes: usize,
    granted: oneshot::Sender<()>,
}

/// How long a frame has waited for its member.
#[derive(Debug, Default)]
struct Pace {
    waited_ms: AtomicU64,
    /// When the present wait began, plus one; 0 when it does not wait.
    since_ms: AtomicU64,
    evicted: Notify,
}

/// The room of one frame; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    room: Arc<FillRoom>,
    number: u64,
    pace: Arc<Pace>,
}

/// The frame has to give its room back: another member needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Evicted;

/// Marks that a frame waits for its member.
#[derive(Debug)]
pub(crate) struct WaitMark<'a> {
    claim: &'a Claim,
    from: u64,
}

impl FillRoom {
    pub(crate) fn new(bytes_max: usize, member_bytes_max: usize) -> Self {
        let state = State {
            free_bytes: bytes_max,
            member_bytes_max,
            shares: HashMap::new(),
            claims: HashMap::new(),
            queue: BTreeSet::new(),
            next_number: 0,
            looked_at_ms: None,
        };
        Self {
            state: Mutex::new(state),
            clock: Instant::now(),
        }
    }

    /// A frame of this member, without any room yet.
    pub(crate) fn claim(self: &Arc<Self>, member: ParticipantId) -> Claim {
        let pace = Arc::new(Pace::default());
        let held = Held {
            member,
            bytes: 0,
            pace: Arc::clone(&pace),
            evicted: false,
        };
        let mut state = self.lock();
        let number = state.number();
        state.claims.insert(number, held);
        Claim {
            room: Arc::clone(self),
            number,
            pace,
        }
    }

    /// Bytes that are taken.
    #[cfg(test)]
    fn taken(&self) -> usize {
        self.lock().shares.values().map(|s| s.held_bytes).sum()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Claim {
    /// More room; waits while there is none for this member.
    ///
    /// # Errors
    /// When the room that it has must be given back instead: it has been told so while it read, and
    /// found bytes at the same moment.
    pub(crate) async fn grow(&self, bytes: usize) -> Result<(), Evicted> {
        tokio::select! {
            biased;
            () = self.evicted() => Err(Evicted),
            () = self.wait_for(bytes) => Ok(()),
        }
    }

    async fn wait_for(&self, bytes: usize) {
        let Some(mut granted) = self.ask(bytes) else {
            return;
        };
        // A caller that goes away drops its claim, and with it what was asked or granted.
        while tokio::time::timeout(LOOK_AGAIN, &mut granted)
            .await
            .is_err()
        {
            let now_ms = self.room.now_ms();
            self.room.lock().relieve_if_due(now_ms);
        }
    }

    /// Takes room at once, or the place in the queue for it.
    fn ask(&self, bytes: usize) -> Option<oneshot::Receiver<()>> {
        let now_ms = self.room.now_ms();
        let mut state = self.room.lock();
        let member = state.claims.get(&self.number)?.member;
        if state.queue.is_empty() && state.fits(member, bytes) {
            state.give(self.number, bytes);
            return None;
        }
        let (granted, receiver) = oneshot::channel();
        let waiter = Waiter {
            asked: state.number(),
            claim: self.number,
            bytes,
            granted,
        };
        state.change(member, |share| share.waiters.push(waiter));
        state.serve();
        state.relieve_if_due(now_ms);
        Some(receiver)
    }

    /// The frame waits for its member until what is returned is dropped.
    pub(crate) fn wait_mark(&self) -> WaitMark<'_> {
        let from = self.room.now_ms();
        self.pace.since_ms.store(from + 1, Ordering::Relaxed);
        WaitMark { claim: self, from }
    }

    /// Resolves when the room has to be given back.
    pub(crate) async fn evicted(&self) {
        self.pace.evicted.notified().await;
    }
}

impl Drop for WaitMark<'_> {
    fn drop(&mut self) {
        let pace = &self.claim.pace;
        let waited = self.claim.room.now_ms().saturating_sub(self.from);
        pace.waited_ms.fetch_add(waited, Ordering::Relaxed);
        pace.since_ms.store(0, Ordering::Relaxed);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        if let Some(held) = state.claims.remove(&self.number) {
            state.free_bytes += held.bytes;
            state.change(held.member, |share| {
                share.held_bytes -= held.bytes;
                share.waiters.retain(|waiter| waiter.claim != self.number);
            });
        }
        state.serve();
    }
}

impl Pace {
    /// How long it has waited for its member in all, if it does so now.
    fn stalled_ms(&self, now_ms: u64) -> Option<u64> {
        let since = self.since_ms.load(Ordering::Relaxed).checked_sub(1)?;
        let before = self.waited_ms.load(Ordering::Relaxed);
        Some(before + now_ms.saturating_sub(since))
    }
}

impl Share {
    /// The frame of this member that is served next: the first that fits below its share.
    fn next_place(&self, member: ParticipantId, member_bytes_max: usize) -> Option<Place> {
        let fits = |waiter: &&Waiter| self.held_bytes + waiter.bytes <= member_bytes_max;
        let next = self.waiters.iter().find(fits)?;
        Some(Place {
            held_bytes: self.held_bytes,
            asked: next.asked,
            member,
        })
    }
}

impl State {
    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    fn held(&self, member: ParticipantId) -> usize {
        self.shares.get(&member).map_or(0, |share| share.held_bytes)
    }

    fn fits(&self, member: ParticipantId, bytes: usize) -> bool {
        bytes <= self.free_bytes && self.held(member) + bytes <= self.member_bytes_max
    }

    fn give(&mut self, number: u64, bytes: usize) {
        let Some(held) = self.claims.get_mut(&number) else {
            return;
        };
        held.bytes += bytes;
        self.free_bytes -= bytes;
        let member = held.member;
        self.change(member, |share| share.held_bytes += bytes);
    }

    /// Changes what a member holds or waits for, and its place in the queue with it.
    fn change<T>(&mut self, member: ParticipantId, change: impl FnOnce(&mut Share) -> T) -> T {
        let share = self.shares.entry(member).or_default();
        let changed = change(share);
        if let Some(place) = share.place.take() {
            self.queue.remove(&place);
        }
        share.place = share.next_place(member, self.member_bytes_max);
        self.queue.extend(share.place);
        if share.held_bytes == 0 && share.waiters.is_empty() {
            self.shares.remove(&member);
        }
        changed
    }

    /// Who is served next, and where it stands among the waiters of its member.
    fn next_waiter(&self) -> Option<(ParticipantId, usize)> {
        let place = self.queue.first()?;
        let waiters = &self.shares.get(&place.member)?.waiters;
        let index = waiters.iter().position(|w| w.asked == place.asked)?;
        Some((place.member, index))
    }

    /// Grants what can be granted. Nobody overtakes the next one, however little it asks for.
    fn serve(&mut self) {
        while let Some((member, index)) = self.next_waiter() {
            if self.shares[&member].waiters[index].bytes > self.free_bytes {
                return;
            }
            let waiter = self.change(member, |share| share.waiters.remove(index));
            self.give(waiter.claim, waiter.bytes);
            // Who has gone meanwhile gives it back with its claim.
            let _ = waiter.granted.send(());
        }
    }

    /// As [`State::relieve`], unless that was done a moment ago.
    fn relieve_if_due(&mut self, now_ms: u64) {
        let pause_ms = u64::try_from(LOOK_AGAIN.as_millis()).unwrap_or(u64::MAX);
        let rested = |at: u64| now_ms.saturating_sub(at) >= pause_ms;
        if self.looked_at_ms.is_none_or(rested) {
            self.looked_at_ms = Some(now_ms);
            self.relieve(now_ms);
        }
    }

    /// Makes room for the next waiter by sending away frames that wait for their bytes, of members
    /// that hold more than it does: those of the member that holds most first.
    fn relieve(&mut self, now_ms: u64) {
        let Some((member, index)) = self.next_waiter() else {
            return;
        };
        let wanted = self.shares[&member].waiters[index].bytes;
        let share = self.held(member) + wanted;
        let leaving = self.claims.values().filter(|held| held.evicted);
        let mut coming = self.free_bytes + leaving.map(|held| held.bytes).sum::<usize>();
        let after = u64::try_from(STALLED_AFTER.as_millis()).unwrap_or(u64::MAX);
        let mut stalled: Vec<_> = self
            .claims
            .iter()
            .filter(|(_, held)| !held.evicted && held.bytes > 0)
            .filter_map(|(number, held)| {
                let waited = held.pace.stalled_ms(now_ms).filter(|ms| *ms >= after)?;
                let of_member = self.held(held.member);
                (of_member > share).then_some((Reverse((of_member, waited)), *number))
            })
            .collect();
        stalled.sort_unstable();
        for (_, number) in stalled {
            if coming >= wanted {
                return;
            }
            if let Some(held) = self.claims.get_mut(&number) {
                coming += held.bytes;
                held.evicted = true;
                held.pace.evicted.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::limits::CHAIN_LEN_MAX;

    use super::*;
    use crate::config::IngestConfig;
    use crate::slab::ArrivingSlab;
    use crate::slab::FIRST_ROOM_BYTES;

    const HOG: ParticipantId = ParticipantId(1);
    const HONEST: ParticipantId = ParticipantId(2);

    /// Stalled frames are not looked for until time goes back.
    const LOOKED_JUST_NOW: Option<u64> = Some(u64::MAX);

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.poll(&mut context).is_ready()
    }

    fn is_evicted(claim: &Claim) -> bool {
        poll(std::pin::pin!(claim.evicted()))
    }

    /// A claim that got its room at once.
    fn claim(room: &Arc<FillRoom>, member: ParticipantId, bytes: usize) -> Claim {
        let claim = room.claim(member);
        assert!(claim.ask(bytes).is_none(), "{bytes} for {member:?}");
        claim
    }

    #[tokio::test]
    async fn room_is_given_back_and_goes_to_the_member_that_holds_least() {
        let room = Arc::new(FillRoom::new(100, 100));
        let first = claim(&room, HOG, 90);
        let more = room.claim(HOG);
        let little = room.claim(HONEST);
        let mut more_granted = more.ask(20).expect("waits");
        let mut granted = little.ask(60).expect("waits");
        drop(first);
        assert_eq!(granted.try_recv(), Ok(()), "holds nothing, as the other");
        assert_eq!(more_granted.try_recv(), Ok(()), "and asked first");
        assert_eq!(room.taken(), 80);
        let gone = room.claim(HONEST);
        let _receiver = gone.ask(30).expect("waits");
        drop((gone, more, little));
        assert_eq!(room.taken(), 0, "who went away while waiting holds nothing");
    }

    #[test]
    fn a_member_has_a_share_of_its_own() {
        let room = Arc::new(FillRoom::new(100, 40));
        let _first = claim(&room, HOG, 30);
        let second = room.claim(HOG);
        let mut granted = second.ask(20).expect("beyond its share");
        // Who cannot be served holds nobody up.
        let _other = claim(&room, HONEST, 40);
        assert!(granted.try_recv().is_err());
    }

    #[test]
    fn frames_at_the_smallest_budget_do_not_wait_for_each_other_for_ever() {
        let mut config = IngestConfig::new(([127, 0, 0, 1], 0).into());
        (config.connections_max, config.member_connections_max) = (1, 1);
        config.connection_fills_max = 2;
        config.fill_bytes_max = config.fill_bytes_min();
        config.member_fill_bytes_max = config.member_fill_bytes_min();
        config.check().expect("as small as may be");
        let whole = ArrivingSlab::bytes(config.frame_envelopes + CHAIN_LEN_MAX, true);
        let budgets = (config.fill_bytes_max, config.member_fill_bytes_max);
        let room = Arc::new(FillRoom::new(budgets.0, budgets.1));
        let first = claim(&room, HOG, FIRST_ROOM_BYTES);
        let second = claim(&room, HOG, FIRST_ROOM_BYTES);
        assert!(first.ask(whole - FIRST_ROOM_BYTES).is_none(), "goes on");
        let mut granted = second.ask(whole - FIRST_ROOM_BYTES).expect("waits");
        assert!(granted.try_recv().is_err());
        drop(first);
        assert_eq!(granted.try_recv(), Ok(()), "the other one has ended");
    }

    #[test]
    fn stalled_frames_of_the_member_that_holds_most_make_room() {
        let room = Arc::new(FillRoom::new(100, 100));
        let hogs = [
            claim(&room, HOG, 30),
            claim(&room, HOG, 30),
            claim(&room, HOG, 30),
        ];
        let marks = [hogs[0].wait_mark(), hogs[1].wait_mark()];
        hogs[1].pace.waited_ms.store(5000, Ordering::Relaxed);
        hogs[2].pace.waited_ms.store(9000, Ordering::Relaxed);
        let honest = room.claim(HONEST);
        let mut granted = honest.ask(20).expect("waits");
        assert!(is_evicted(&hogs[1]), "waits, and waited most");
        assert!(!is_evicted(&hogs[0]) && !is_evicted(&hogs[2]));
        room.lock().relieve(room.now_ms());
        assert!(!is_evicted(&hogs[0]), "what leaves is enough");
        drop(marks);
        let [_first, second, _third] = hogs;
        drop(second);
        assert_eq!(granted.try_recv(), Ok(()));
    }

    #[test]
    fn nobody_is_sent_away_for_a_member_that_would_hold_as_much_or_while_bytes_come() {
        let room = Arc::new(FillRoom::new(100, 100));
        let hog = claim(&room, HOG, 60);
        hog.pace.waited_ms.store(5000, Ordering::Relaxed);
        let other = claim(&room, HONEST, 30);
        let mut more = other.ask(40).expect("waits");
        let mark = hog.wait_mark();
        room.lock().relieve(room.now_ms());
        assert!(!is_evicted(&hog), "70 are no less than 60");
        drop((mark, other));
        assert!(more.try_recv().is_err());
        let small = room.claim(HONEST);
        let _waits = small.ask(50).expect("waits");
        room.lock().relieve(room.now_ms());
        assert!(!is_evicted(&hog), "it does not wait for its member");
        let _mark = hog.wait_mark();
        room.lock().relieve(room.now_ms());
        assert!(is_evicted(&hog));
    }

    #[tokio::test]
    async fn who_waits_finds_frames_that_stall_later() {
        let room = Arc::new(FillRoom::new(100, 100));
        let hog = claim(&room, HOG, 90);
        let honest = room.claim(HONEST);
        let growing = honest.grow(50);
        tokio::pin!(growing);
        assert!(!poll(growing.as_mut()));
        {
            let _mark = hog.wait_mark();
            let evicted = hog.evicted();
            tokio::pin!(evicted);
            tokio::select! {
                _ = &mut growing => panic!("there is no room yet"),
                () = evicted => {}
            }
        }
        drop(hog);
        assert_eq!(growing.await, Ok(()));
        assert_eq!(room.taken(), 50);
    }

    #[tokio::test]
    async fn an_evicted_frame_whose_bytes_came_leaves_when_it_asks_for_more() {
        let room = Arc::new(FillRoom::new(100, 100));
        let hog = claim(&room, HOG, 90);
        hog.pace.waited_ms.store(5000, Ordering::Relaxed);
        let mark = hog.wait_mark();
        let honest = room.claim(HONEST);
        let mut granted = honest.ask(50).expect("waits, and sends the other one away");
        // Bytes come before the frame looks whether it has to go.
        drop(mark);
        assert_eq!(hog.grow(5).await, Err(Evicted));
        drop(hog);
        assert_eq!(granted.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn a_frame_that_waits_for_room_leaves_when_it_is_evicted() {
        let room = Arc::new(FillRoom::new(100, 100));
        let hog = claim(&room, HOG, 90);
        let mut growing = std::pin::pin!(hog.grow(20));
        assert!(!poll(growing.as_mut()), "there is no room");
        hog.pace.evicted.notify_one();
        assert_eq!(growing.await, Err(Evicted));
    }

    #[test]
    fn frames_that_ask_do_not_look_for_stalled_ones_each_time() {
        let room = Arc::new(FillRoom::new(1000, 1000));
        let hog = claim(&room, HOG, 1000);
        hog.pace.waited_ms.store(5000, Ordering::Relaxed);
        let _mark = hog.wait_mark();
        room.lock().looked_at_ms = LOOKED_JUST_NOW;
        let asking: Vec<_> = (0..100).map(|_| room.claim(HONEST)).collect();
        let _waiting: Vec<_> = asking.iter().map(|claim| claim.ask(5)).collect();
        assert!(!is_evicted(&hog), "one look is enough for a while");
        room.lock().looked_at_ms = Some(0);
        room.lock().relieve_if_due(20);
        assert!(is_evicted(&hog), "then comes the next");
    }

    #[test]
    fn members_that_hold_less_come_first_and_of_several_the_one_that_asked_first() {
        let room = Arc::new(FillRoom::new(100, 60));
        let full = claim(&room, ParticipantId(9), 40);
        let _held = claim(&room, ParticipantId(1), 60);
        let asking = [(1, 1), (2, 20), (3, 20), (4, 20), (3, 10), (4, 10)];
        let claims: Vec<_> = asking.map(|(id, _)| room.claim(ParticipantId(id))).into();
        let mut granted: Vec<_> = claims
            .iter()
            .zip(asking)
            .map(|(claim, (_, bytes))| claim.ask(bytes).expect("waits"))
            .collect();
        drop(full);
        let got: Vec<bool> = granted.iter_mut().map(|g| g.try_recv().is_ok()).collect();
        let expected = [false, true, true, false, false, false];
        assert_eq!(got, expected, "40 for two that hold nothing");
    }
}

//! Handshakes under way: how many, from where, and which of them gives way to the next.
//!
//! A peer that connects has proved nothing but, at most, its address. So places are shared by
//! address: where one is missing, the address that holds most gives its oldest, since an honest
//! handshake is over in one round trip while one that is held open grows old.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::admission::TokenBucket;
use crate::config::HandshakeLimits;

/// Addresses that are remembered as members', and addresses whose rate is counted.
const SITES_MAX: usize = 4096;
/// Closed handshakes that QUIC may still keep, for each place: it keeps one for a second after it
/// was closed. Beyond this, none is displaced by an address that no member came from.
const LEAVING_PER_PLACE_MAX: usize = 4;
/// Beyond this, such an address gets no free place either: its handshakes fail and leave, too.
const LEAVING_PER_PLACE_FREE_MAX: usize = LEAVING_PER_PLACE_MAX + 1;
/// Beyond this, nobody is let in: 512 places hold 3,072 closed handshakes of about 30 KiB, 90 MiB.
const LEAVING_PER_PLACE_KNOWN_MAX: usize = LEAVING_PER_PLACE_MAX + 2;
/// How long an address counts as a member's after the last handshake that was completed from it.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// Handshakes under way.
pub(crate) struct Lobby {
    limits: HandshakeLimits,
    state: Mutex<State>,
}

/// What becomes of a knock.
pub(crate) enum Admission {
    /// The handshake may start; `displaced` tells whether another one lost its place to it.
    Enter { place: Place, displaced: bool },
    /// The address must prove itself first (QUIC Retry).
    Prove,
    /// No place, too many knocks a second from this address, or too many closed handshakes that
    /// QUIC still keeps.
    Refuse,
}

/// A place in the lobby; given back when dropped.
pub(crate) struct Place {
    lobby: Arc<Lobby>,
    number: u64,
    lost: oneshot::Receiver<()>,
}

/// What one party can choose addresses from: an IPv4 address, or the /64 network of an IPv6 one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Site(u64);

#[derive(Default)]
struct State {
    next_number: u64,
    /// In order of arrival.
    places: BTreeMap<u64, Held>,
    stranger_count: usize,
    by_site: HashMap<Site, usize>,
    by_socket: HashMap<SocketAddr, usize>,
    /// Where members completed a handshake, and when they last did.
    known: HashMap<Site, Instant>,
    /// By site, and whether the address was proven: anybody can claim one, which must not use up
    /// the rate of those who are there.
    rates: HashMap<(Site, bool), TokenBucket>,
}

/// Where one more handshake finds room.
enum Room {
    Free,
    /// In the place of this one.
    Of(u64),
    None,
}

struct Held {
    remote: SocketAddr,
    site: Site,
    known: bool,
    /// Dropped when the place is lost.
    _keep: oneshot::Sender<()>,
}

impl Lobby {
    pub(crate) fn new(limits: HandshakeLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Decides about a knock. `proven` says that `remote` has answered from where it claims to be;
    /// `leaving_count` is how many closed handshakes QUIC still keeps.
    pub(crate) fn knock(
        self: &Arc<Self>,
        remote: SocketAddr,
        proven: bool,
        leaving_count: usize,
        now: Instant,
    ) -> Admission {
        let limits = &self.limits;
        let site = Site::of(remote.ip());
        let mut state = self.lock();
        if count(&state.by_socket, &remote) >= limits.socket_max {
            return Admission::Refuse;
        }
        let pressed = state.places.len() >= limits.retry_above
            || count(&state.by_site, &site) >= limits.address_retry_above;
        if pressed && !proven {
            return Admission::Prove;
        }
        if !state.take_rate(site, proven, limits, now) {
            return match proven {
                true => Admission::Refuse,
                false => Admission::Prove,
            };
        }
        let known = state.is_known(site, now);
        let room = state.room(site, known, limits);
        let leaving_max = match room {
            _ if known => LEAVING_PER_PLACE_KNOWN_MAX,
            Room::Free => LEAVING_PER_PLACE_FREE_MAX,
            Room::Of(_) | Room::None => LEAVING_PER_PLACE_MAX,
        };
        if leaving_count > limits.max.saturating_mul(leaving_max) {
            return Admission::Refuse;
        }
        let displaced = match room {
            Room::Free => false,
            Room::Of(loser) => state.remove(loser),
            Room::None => return Admission::Refuse,
        };
        let (keep, lost) = oneshot::channel();
        let number = state.insert(Held {
            remote,
            site,
            known,
            _keep: keep,
        });
        let place = Place {
            lobby: Arc::clone(self),
            number,
            lost,
        };
        Admission::Enter { place, displaced }
    }

    /// Notes that a member has completed a handshake from here.
    pub(crate) fn note_member(&self, remote: SocketAddr, now: Instant) {
        let site = Site::of(remote.ip());
        let mut state = self.lock();
        let known = &mut state.known;
        if known.len() >= SITES_MAX && !known.contains_key(&site) {
            let oldest = known.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(site, _)| *site) {
                known.remove(&oldest);
            }
        }
        known.insert(site, now);
    }

    /// Handshakes under way.
    pub(crate) fn len(&self) -> usize {
        self.lock().places.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Place {
    /// Resolves when the place has gone to another handshake.
    pub(crate) async fn lost(&mut self) {
        // The other half is dropped, never used.
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lobby.lock().remove(self.number);
    }
}

impl Site {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits())),
            // Global unicast and all other networks in use have a bit set in the upper half.
            IpAddr::V6(v6) => Self(u64::try_from(v6.to_bits() >> 64).expect("64 bits are left")),
        }
    }
}

impl State {
    fn insert(&mut self, held: Held) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        *self.by_site.entry(held.site).or_default() += 1;
        *self.by_socket.entry(held.remote).or_default() += 1;
        self.stranger_count += usize::from(!held.known);
        self.places.insert(number, held);
        number
    }

    /// Takes a place away, if it is still held.
    fn remove(&mut self, number: u64) -> bool {
        let Some(held) = self.places.remove(&number) else {
            return false;
        };
        one_less(&mut self.by_site, held.site);
        one_less(&mut self.by_socket, held.remote);
        self.stranger_count -= usize::from(!held.known);
        true
    }

    /// Whose place one more from `site` takes. Strangers never take one from who is known.
    fn room(&self, site: Site, known: bool, limits: &HandshakeLimits) -> Room {
        let loser = if count(&self.by_site, &site) >= limits.address_max {
            self.greediest(|held| held.site == site)
        } else if self.places.len() >= limits.max {
            let stranger = self.greediest(|held| !held.known);
            stranger.or_else(|| self.greediest(|_| known))
        } else if !known && self.stranger_count >= limits.strangers_max {
            self.greediest(|held| !held.known)
        } else {
            return Room::Free;
        };
        loser.map_or(Room::None, Room::Of)
    }

    /// The oldest place of the busiest socket of the busiest address.
    fn greediest(&self, counts: impl Fn(&Held) -> bool) -> Option<u64> {
        let places = self.places.iter().filter(|(_, held)| counts(held));
        let greed = |(number, held): &(&u64, &Held)| {
            let of_site = count(&self.by_site, &held.site);
            let of_socket = count(&self.by_socket, &held.remote);
            (of_site, of_socket, Reverse(**number))
        };
        places.max_by_key(greed).map(|(number, _)| *number)
    }

    fn is_known(&self, site: Site, now: Instant) -> bool {
        let last = self.known.get(&site);
        last.is_some_and(|last| now.saturating_duration_since(*last) < KNOWN_FOR)
    }

    /// Counts a handshake against its address; false when there have been too many of late.
    fn take_rate(
        &mut self,
        site: Site,
        proven: bool,
        limits: &HandshakeLimits,
        now: Instant,
    ) -> bool {
        let key = (site, proven);
        if self.rates.len() >= SITES_MAX && !self.rates.contains_key(&key) {
            self.rates.retain(|_, rate| !rate.is_rested(now));
            if self.rates.len() >= SITES_MAX {
                // That many busy addresses do not belong to one party; forgetting favours
                // newcomers.
                self.rates.clear();
            }
        }
        let new = || TokenBucket::new(limits.address_per_s, limits.address_burst, now);
        let rate = self.rates.entry(key).or_insert_with(new);
        rate.take(now, 1, Duration::ZERO).is_ok()
    }
}

fn count<K: Eq + std::hash::Hash>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

fn one_less<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(left) = counts.get_mut(&key) {
        *left -= 1;
        if *left == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lobby(edit: impl Fn(&mut HandshakeLimits)) -> Arc<Lobby> {
        let mut limits = HandshakeLimits {
            max: 16,
            strangers_max: 12,
            address_max: 8,
            socket_max: 4,
            retry_above: usize::MAX,
            address_retry_above: usize::MAX,
            address_per_s: 1000,
            address_burst: 1000,
            timeout: Duration::from_secs(5),
        };
        edit(&mut limits);
        Arc::new(Lobby::new(limits))
    }

    fn remote(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], port))
    }

    fn enter(lobby: &Arc<Lobby>, remote: SocketAddr) -> Option<Place> {
        match lobby.knock(remote, true, 0, Instant::now()) {
            Admission::Enter { place, .. } => Some(place),
            Admission::Prove | Admission::Refuse => None,
        }
    }

    fn is_lost(place: &mut Place) -> bool {
        place.lost.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn one_socket_has_a_small_share_and_what_it_holds_is_given_back() {
        let lobby = lobby(|_| {});
        let held: Vec<_> = (0..4).map(|_| enter(&lobby, remote(1, 1))).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(enter(&lobby, remote(1, 1)).is_none(), "a fifth");
        assert!(enter(&lobby, remote(1, 2)).is_some(), "another socket");
        drop(held);
        assert_eq!(lobby.len(), 0);
        assert!(enter(&lobby, remote(1, 1)).is_some());
    }

    #[test]
    fn an_address_beyond_its_share_loses_the_oldest_place_of_its_busiest_socket() {
        let lobby = lobby(|_| {});
        let mut neighbour = enter(&lobby, remote(1, 99)).expect("a place");
        let mut held: Vec<_> = [1, 2, 2, 2, 3, 3, 4]
            .map(|port| enter(&lobby, remote(1, port)).expect("a place"))
            .into_iter()
            .collect();
        let ninth = enter(&lobby, remote(1, 5));
        assert!(ninth.is_some());
        let lost: Vec<bool> = held.iter_mut().map(is_lost).collect();
        assert_eq!(lost, [false, true, false, false, false, false, false]);
        assert!(!is_lost(&mut neighbour), "older, but alone on its socket");
        assert_eq!(lobby.len(), 8);
    }

    #[test]
    fn a_full_lobby_takes_from_the_busiest_address_and_never_from_who_holds_least() {
        let lobby = lobby(|limits| limits.address_max = 12);
        let mut small = enter(&lobby, remote(1, 1)).expect("a place");
        let mut flood: Vec<_> = (0..11)
            .map(|port| enter(&lobby, remote(2, port)).expect("a place"))
            .collect();
        for host in 3..10 {
            let place = enter(&lobby, remote(host, 1));
            assert!(place.is_some(), "host {host}");
            drop(place);
        }
        assert!(!is_lost(&mut small));
        assert_eq!(
            flood
                .iter_mut()
                .filter_map(|p| is_lost(p).then_some(()))
                .count(),
            1
        );
    }

    #[test]
    fn places_are_kept_for_addresses_that_members_came_from() {
        let lobby = lobby(|limits| limits.address_max = 16);
        let mut strangers: Vec<_> = (0..12)
            .map(|port| enter(&lobby, remote(2, port)).expect("a place"))
            .collect();
        lobby.note_member(remote(9, 1), Instant::now());
        let members: Vec<_> = (0..4).map(|port| enter(&lobby, remote(9, port))).collect();
        assert!(members.iter().all(Option::is_some));
        assert_eq!(
            strangers
                .iter_mut()
                .filter_map(|p| is_lost(p).then_some(()))
                .count(),
            0
        );
        assert!(enter(&lobby, remote(9, 5)).is_some(), "a stranger goes");
        assert!(is_lost(&mut strangers[0]));
        assert!(lobby.len() <= 16);
    }

    #[test]
    fn strangers_take_no_place_of_a_known_address() {
        let lobby = lobby(|limits| (limits.address_max, limits.socket_max) = (16, 16));
        lobby.note_member(remote(9, 1), Instant::now());
        let mut members: Vec<_> = (0..16)
            .map(|_| enter(&lobby, remote(9, 1)).expect("a place"))
            .collect();
        assert!(enter(&lobby, remote(2, 1)).is_none());
        assert!(!members.iter_mut().any(is_lost));
    }

    #[test]
    fn under_pressure_addresses_prove_themselves_first() {
        let lobby = lobby(|limits| {
            limits.retry_above = 3;
            limits.address_retry_above = 2;
        });
        let knock = |remote, proven| lobby.knock(remote, proven, 0, Instant::now());
        let first = knock(remote(1, 1), false);
        let second = knock(remote(1, 2), false);
        assert!(
            matches!(knock(remote(1, 3), false), Admission::Prove),
            "its address"
        );
        let third = knock(remote(2, 1), false);
        assert!(
            matches!(knock(remote(3, 1), false), Admission::Prove),
            "all addresses"
        );
        assert!(matches!(knock(remote(3, 1), true), Admission::Enter { .. }));
        drop((first, second, third));
    }

    #[test]
    fn while_many_leave_strangers_displace_nobody_and_members_come_in() {
        let lobby = lobby(|limits| limits.address_max = 16);
        let strangers: Vec<_> = (0..12)
            .map(|port| enter(&lobby, remote(2, port)).expect("a place"))
            .collect();
        lobby.note_member(remote(9, 1), Instant::now());
        // Who knocks, how many leave for each of the 16 places, and whether it is let in.
        let rows = [
            ((3, "in the place of another"), 4, true),
            ((3, "in the place of another"), 5, false),
            ((9, "a member's address"), 6, true),
            ((9, "a member's address"), 7, false),
        ];
        let mut kept = Vec::new();
        for ((host, why), per_place, expected) in rows {
            let admission = lobby.knock(remote(host, 1), true, per_place * 16, Instant::now());
            let is_in = matches!(admission, Admission::Enter { .. });
            assert_eq!(is_in, expected, "{why}, {per_place} a place");
            kept.push(admission);
        }
        drop(strangers);
        for (per_place, expected) in [(5, true), (6, false)] {
            let admission = lobby.knock(remote(3, 1), true, per_place * 16, Instant::now());
            let is_in = matches!(admission, Admission::Enter { .. });
            assert_eq!(is_in, expected, "a free place, {per_place} a place");
        }
    }

    #[test]
    fn an_address_has_so_many_handshakes_a_second() {
        let lobby = lobby(|limits| (limits.address_per_s, limits.address_burst) = (10, 3));
        let now = Instant::now();
        let knock = |host, at| lobby.knock(remote(host, 1), true, 0, at);
        for _ in 0..3 {
            assert!(matches!(knock(1, now), Admission::Enter { .. }));
        }
        assert!(matches!(knock(1, now), Admission::Refuse));
        assert!(matches!(knock(2, now), Admission::Enter { .. }), "another");
        let later = now + Duration::from_millis(101);
        assert!(matches!(knock(1, later), Admission::Enter { .. }));
    }

    #[test]
    fn an_address_that_others_claim_proves_itself_and_keeps_its_rate() {
        let lobby = lobby(|limits| (limits.address_per_s, limits.address_burst) = (10, 3));
        let now = Instant::now();
        let knock = |proven| lobby.knock(remote(1, 1), proven, 0, now);
        for _ in 0..3 {
            assert!(matches!(knock(false), Admission::Enter { .. }));
        }
        for _ in 0..100 {
            assert!(matches!(knock(false), Admission::Prove));
        }
        for _ in 0..3 {
            assert!(matches!(knock(true), Admission::Enter { .. }));
        }
        assert!(matches!(knock(true), Admission::Refuse));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let lobby = lobby(|_| {});
        let now = Instant::now();
        for number in 0..3 * u32::try_from(SITES_MAX).expect("small") {
            let remote = SocketAddr::new(IpAddr::from(number.to_be_bytes()), 1);
            lobby.note_member(remote, now + Duration::from_micros(number.into()));
            drop(lobby.knock(remote, true, 0, now));
        }
        let state = lobby.lock();
        assert!(state.known.len() <= SITES_MAX && state.rates.len() <= SITES_MAX);
        assert!(state.by_site.is_empty() && state.by_socket.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_party_and_a_mapped_address_is_the_ipv4_one() {
        let site = |text: &str| Site::of(text.parse().expect("an address"));
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:2:ffff::9"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:1:3::1"));
        assert_eq!(site("::ffff:10.0.0.1"), site("10.0.0.1"));
        assert_ne!(site("10.0.0.1"), site("10.0.0.2"));
    }
}

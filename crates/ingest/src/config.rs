//! Settings of the door; the defaults are the limits that the design promises.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clearway_quic::Transport;
use clearway_types::limits::{CHAIN_LEN_MAX, STREAM_ENVELOPES_MAX};
use clearway_types::units::ParticipantId;

use crate::error::IngestError;
use crate::slab::{ArrivingSlab, FIRST_ROOM_BYTES};

/// Limits of the door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IngestConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Streams, windows and timers of a connection: 32 streams, 256 KiB a stream, 1 MiB in all, and
    /// 2 MiB of answers that are not acknowledged yet. So 2,000 connections hold at most 2 GiB of
    /// what came and 4 GiB of what is sent.
    pub transport: Transport,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one member.
    pub member_connections_max: usize,
    /// How long a member's connection waits for a place when all its others are busy.
    pub seat_wait_max: Duration,
    /// Bounds of handshakes under way.
    pub handshakes: HandshakeLimits,
    /// Envelopes of a frame; a chain at its end makes it up to 64 longer.
    pub frame_envelopes: usize,
    /// Bytes of slabs that are being filled, over all connections; each slab counts with the room
    /// that it has. At least [`IngestConfig::fill_bytes_min`].
    pub fill_bytes_max: usize,
    /// The same of one member. At least [`IngestConfig::member_fill_bytes_min`].
    pub member_fill_bytes_max: usize,
    /// Frames that one connection may be filling at once.
    pub connection_fills_max: usize,
    /// Time that a stream may let us wait for the bytes of a frame, beside what they take at
    /// `fill_bytes_per_s_min`; slower streams are reset.
    pub frame_fill_max: Duration,
    /// Slowest pace of a stream that is waited for beyond that.
    pub fill_bytes_per_s_min: u32,
    /// Time spent waiting for a member to take an answer; slower connections are closed.
    pub answer_take_max: Duration,
    /// Contracted rate of a member without one of its own.
    pub member_rate: MemberRate,
    /// Contracted rates of particular members.
    pub member_rates: BTreeMap<ParticipantId, MemberRate>,
    /// Longest wait for the contracted rate; streams that would wait longer are refused.
    pub rate_wait_max: Duration,
    /// What a signature that does not verify costs, in signatures.
    pub bad_signature_price: u32,
    /// Questions that are being answered at once.
    pub queries_max: usize,
    /// Questions of one member that are being answered, or whose answers wait to be taken, at once;
    /// its others wait for them.
    pub member_queries_max: usize,
    /// How long a question waits for its turn before it is answered `Busy`.
    pub query_wait_max: Duration,
    /// Accounts that one connection may follow at once.
    pub connection_follows_max: usize,
    /// Faulty streams of a connection before it is closed.
    pub connection_faults_max: u32,
    /// How long a graceful stop waits for answers that are on their way.
    pub stop_grace: Duration,
}

/// Bounds of handshakes under way. An address is an IPv4 address or an IPv6 /64 network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandshakeLimits {
    /// Handshakes in all.
    pub max: usize,
    /// Those from addresses that no member came from lately: the rest is kept for members.
    pub strangers_max: usize,
    /// Those from one address; the next takes the place of its oldest.
    pub address_max: usize,
    /// Those from one socket; the next is refused.
    pub socket_max: usize,
    /// Number above which an address must prove itself first (QUIC Retry).
    pub retry_above: usize,
    /// The same for the handshakes of one address.
    pub address_retry_above: usize,
    /// Handshakes a second from one address: each costs a key exchange and a signature.
    pub address_per_s: u32,
    /// Handshakes that may come at once from an address after a pause.
    pub address_burst: u32,
    /// Time that a handshake may take.
    pub timeout: Duration,
}

impl HandshakeLimits {
    fn check(&self) -> Result<(), IngestError> {
        let bad = |field, help| Err(IngestError::Config { field, help });
        if !(1..=self.max).contains(&self.strangers_max) {
            return bad("handshakes.strangers_max", "give 1 to handshakes.max");
        }
        if self.address_max == 0 || self.socket_max == 0 {
            return bad(
                "handshakes.address_max",
                "give at least 1, also for a socket",
            );
        }
        if self.address_per_s == 0 || self.address_burst == 0 {
            return bad(
                "handshakes.address_per_s",
                "give a rate and a burst of at least 1",
            );
        }
        Ok(())
    }
}

impl Default for HandshakeLimits {
    /// 512 half-open connections of about 30 KiB are 16 MiB; 1,000 handshakes a second take a
    /// fifth of a core.
    fn default() -> Self {
        Self {
            max: 512,
            strangers_max: 384,
            address_max: 128,
            socket_max: 16,
            retry_above: 64,
            address_retry_above: 8,
            address_per_s: 1000,
            address_burst: 1000,
            timeout: Duration::from_secs(5),
        }
    }
}

/// Contracted rate of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberRate {
    /// Signatures a second.
    pub signatures_per_s: u32,
    /// Signatures that may come at once after a pause.
    pub burst: u32,
}

impl Default for MemberRate {
    fn default() -> Self {
        Self {
            signatures_per_s: 1_000_000,
            burst: 1_000_000,
        }
    }
}

impl IngestConfig {
    /// The default limits, listening on `listen`.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            transport: Transport {
                // The member keeps the connection alive: a silent one is gone after the idle time.
                keep_alive: None,
                ..Transport::default()
            },
            connections_max: 2000,
            member_connections_max: 8,
            seat_wait_max: Duration::from_secs(1),
            handshakes: HandshakeLimits::default(),
            frame_envelopes: 2048,
            fill_bytes_max: 256 << 20,
            member_fill_bytes_max: 64 << 20,
            connection_fills_max: 8,
            frame_fill_max: Duration::from_secs(10),
            fill_bytes_per_s_min: 4 << 10,
            answer_take_max: Duration::from_secs(10),
            member_rate: MemberRate::default(),
            member_rates: BTreeMap::new(),
            rate_wait_max: Duration::from_secs(2),
            bad_signature_price: 4,
            queries_max: 64,
            member_queries_max: 4,
            query_wait_max: Duration::from_secs(5),
            connection_follows_max: 8,
            connection_faults_max: 64,
            stop_grace: Duration::from_secs(5),
        }
    }

    /// Checks that the settings can work together.
    ///
    /// # Errors
    /// The first setting that cannot, with what to do.
    pub fn check(&self) -> Result<(), IngestError> {
        let bad = |field, help| Err(IngestError::Config { field, help });
        let rates = self.member_rates.values().chain([&self.member_rate]);
        if !(1..=STREAM_ENVELOPES_MAX).contains(&self.frame_envelopes) {
            return bad("frame_envelopes", "give 1 to 8192");
        }
        if self.fill_bytes_max < self.fill_bytes_min() {
            let help = "give 14,336 bytes for each of connections_max * connection_fills_max, and \
                        room for one frame; or take fewer connections";
            return bad("fill_bytes_max", help);
        }
        let of_member = self.member_fill_bytes_min()..=self.fill_bytes_max;
        if !of_member.contains(&self.member_fill_bytes_max) {
            let help = "give 14,336 bytes for each of member_connections_max * \
                        connection_fills_max, and room for one frame; at most fill_bytes_max";
            return bad("member_fill_bytes_max", help);
        }
        if self.fill_bytes_per_s_min == 0 {
            return bad("fill_bytes_per_s_min", "give at least 1");
        }
        if self.connection_fills_max == 0 {
            return bad("connection_fills_max", "give at least 1");
        }
        self.handshakes.check()?;
        if self.connections_max == 0 || self.member_connections_max == 0 {
            return bad("connections_max", "give at least 1, also for a member");
        }
        if self.transport.streams_max == 0 {
            return bad("transport.streams_max", "give at least 1");
        }
        if self.queries_max == 0 || self.member_queries_max == 0 {
            return bad("queries_max", "give at least 1, also for a member");
        }
        for rate in rates {
            if rate.signatures_per_s == 0 || rate.burst == 0 {
                return bad(
                    "member_rate",
                    "give a rate and a burst of at least 1 signature",
                );
            }
        }
        Ok(())
    }

    /// Least `fill_bytes_max`: the first room of every frame of every connection, and one whole
    /// frame beside it. Frames that wait for more hold their first room alone, so that they never
    /// use up the room in which one of them can be finished.
    #[must_use]
    pub fn fill_bytes_min(&self) -> usize {
        self.bytes_to_go_on(self.connections_max)
    }

    /// Least `member_fill_bytes_max`, for the connections of one member.
    #[must_use]
    pub fn member_fill_bytes_min(&self) -> usize {
        self.bytes_to_go_on(self.member_connections_max)
    }

    fn bytes_to_go_on(&self, connection_count: usize) -> usize {
        let frame_count = connection_count.saturating_mul(self.connection_fills_max);
        let first_rooms = frame_count.saturating_mul(FIRST_ROOM_BYTES);
        first_rooms.saturating_add(ArrivingSlab::bytes(
            self.frame_envelopes + CHAIN_LEN_MAX,
            true,
        ))
    }

    /// Contracted rate of a member.
    pub(crate) fn rate_of(&self, member: ParticipantId) -> MemberRate {
        self.member_rates
            .get(&member)
            .copied()
            .unwrap_or(self.member_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_room_of_every_frame_and_one_whole_frame_fit_the_defaults() {
        let good = IngestConfig::new(([127, 0, 0, 1], 0).into());
        assert_eq!(good.fill_bytes_min(), 229_376_000 + 505_856);
        assert!(good.fill_bytes_min() <= good.fill_bytes_max);
        assert_eq!(good.member_fill_bytes_min(), 917_504 + 505_856);
        assert!(good.member_fill_bytes_min() <= good.member_fill_bytes_max);
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        type Edit = fn(&mut IngestConfig);
        let rows: [(Edit, &str); 20] = [
            (|c| c.frame_envelopes = 0, "frame_envelopes"),
            (|c| c.frame_envelopes = 8193, "frame_envelopes"),
            (
                |c| c.fill_bytes_max = c.fill_bytes_min() - 1,
                "fill_bytes_max",
            ),
            (|c| c.connections_max = 3000, "fill_bytes_max"),
            (
                |c| c.member_fill_bytes_max = c.member_fill_bytes_min() - 1,
                "member_fill_bytes_max",
            ),
            (
                |c| {
                    c.connections_max = usize::MAX;
                    c.connection_fills_max = usize::MAX;
                },
                "fill_bytes_max",
            ),
            (
                |c| c.member_fill_bytes_max = c.fill_bytes_max + 1,
                "member_fill_bytes_max",
            ),
            (|c| c.fill_bytes_per_s_min = 0, "fill_bytes_per_s_min"),
            (
                |c| c.handshakes.strangers_max = 0,
                "handshakes.strangers_max",
            ),
            (
                |c| c.handshakes.strangers_max = 513,
                "handshakes.strangers_max",
            ),
            (|c| c.handshakes.socket_max = 0, "handshakes.address_max"),
            (
                |c| c.handshakes.address_burst = 0,
                "handshakes.address_per_s",
            ),
            (|c| c.connection_fills_max = 0, "connection_fills_max"),
            (|c| c.connections_max = 0, "connections_max"),
            (|c| c.member_connections_max = 0, "connections_max"),
            (|c| c.transport.streams_max = 0, "transport.streams_max"),
            (|c| c.queries_max = 0, "queries_max"),
            (|c| c.member_queries_max = 0, "queries_max"),
            (|c| c.member_rate.burst = 0, "member_rate"),
            (
                |c| {
                    let rate = MemberRate {
                        signatures_per_s: 0,
                        burst: 1,
                    };
                    c.member_rates.insert(ParticipantId(1), rate);
                },
                "member_rate",
            ),
        ];
        let good = IngestConfig::new(([127, 0, 0, 1], 0).into());
        assert!(good.check().is_ok());
        for (row, (edit, expected)) in rows.into_iter().enumerate() {
            let mut config = good.clone();
            edit(&mut config);
            let Err(IngestError::Config { field, .. }) = config.check() else {
                panic!("row {row} is accepted");
            };
            assert_eq!(field, expected, "row {row}");
        }
    }
}

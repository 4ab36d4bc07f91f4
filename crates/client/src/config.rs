//! What a client must be told, and what it may be told.

use std::net::SocketAddr;
use std::time::Duration;

use clearway_quic::Transport;

use crate::identity::Identity;

/// A validator's door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its connection key, as the genesis lists it; nobody else is talked to.
    pub public_key: [u8; 32],
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Who connects.
    pub identity: Identity,
    /// The validators, the preferred one first.
    pub servers: Vec<Server>,
    /// Limits and timers of the transport.
    pub transport: Transport,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// After so long without any byte in either direction, the unanswered envelopes of a stream
    /// are sent again, to the next server if there is one.
    pub silence: Duration,
    /// After so long without a new answer, a submission or question is given up.
    pub give_up_after: Duration,
}

impl ClientConfig {
    /// Settings for a cluster whose nodes keep their default limits.
    #[must_use]
    pub fn new(identity: Identity, servers: Vec<Server>) -> Self {
        let transport = Transport {
            // No node opens a stream to a member.
            streams_max: 0,
            // Answers are small, feeds and proofs are not.
            stream_window_bytes: 1 << 20,
            connection_window_bytes: 4 << 20,
            ..Transport::default()
        };
        Self {
            identity,
            servers,
            transport,
            connect_timeout: Duration::from_secs(5),
            silence: Duration::from_secs(5),
            give_up_after: Duration::from_secs(60),
        }
    }
}

//! Connections between two sides that know each other's Ed25519 key: QUIC with TLS 1.3 of raw keys,
//! both halves of it, and every limit and timer of the transport.
//!
//! # In
//! The secret key of this side, the key to expect of the other or a [`KeyCheck`], the name of the
//! protocol to speak, a [`Transport`].
//! # Out
//! quinn's endpoints and configurations; the random bytes that the TLS library draws from.
//! # Never
//! Knows what is spoken over a connection: frames and questions are of `types::wire`, who reads
//! them is above. Speaks TLS 1.2, gives out tickets, takes early data.
//! # Limits
//! Streams, windows, timers and datagrams of a connection are in [`Transport`], the same type on
//! both sides.

mod tls;
mod transport;

pub use tls::{KeyCheck, TlsError, client_tls, fill_random, peer_key, server_tls};
pub use transport::Transport;

//! Stop 1 of the walk, the members' door: QUIC streams become frames, answers go back.
//!
//! # In
//! QUIC connections of members, known by their key; [`clearway_types::messages::Refusals`] and
//! executed blocks through [`AnswerRouter`].
//! # Out
//! [`clearway_types::messages::FrameBatch`]es to `verify` through a [`FrameSink`]; runs of answers
//! to the streams that wait, in stream order; answers of the [`QueryService`].
//! # Never
//! Looks at a signature, splits a linked chain, loses an envelope that it has offered, reads from a
//! stream what it has no room for, writes an answer before it is final (the node calls
//! [`AnswerRouter::on_block`] after the sync).
//! # Limits
//! All of [`IngestConfig`]: handshakes by address, connections by member, streams, windows, bytes
//! in slabs that are being filled by member, signatures per second and member, pace of a frame's
//! bytes, questions answered at once in all and of a member, answers of a member that wait to be
//! taken (as many as it may ask at once), time to take an answer. Where something runs out, the
//! stream that holds most of it gives way.
//! # Cost
//! One copy of each byte from QUIC into a slab, two in a hinted stream, a sixty-fourth of one more
//! where the slab grows, one scan of the flags for chains, 4 bytes copied for each answer;
//! `examples/throughput.rs` measures it.

mod admission;
mod answers;
mod config;
mod door;
mod error;
mod fill_room;
mod frame;
mod intake;
mod lobby;
mod members;
mod metrics;
mod query;
mod router;
mod seats;
mod slab;
mod stage;
mod stream;

pub use config::{HandshakeLimits, IngestConfig, MemberRate};
pub use error::IngestError;
pub use metrics::IngestMetrics;
pub use query::{Asker, FollowPage, QueryError, QueryService};
pub use router::AnswerRouter;
pub use stage::{FrameSink, Ingest};

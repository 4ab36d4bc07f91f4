//! The pipes between the stages: bounded links, workers, counters, the [`metrics!`] tables in which
//! each crate says what it counts, and the two tables that stages share.
//!
//! # In
//! Messages of [`clearway_types::messages`] from one stage.
//! # Out
//! The same messages to the next stage, in order, none lost.
//! # Never
//! Drops a message: a full link makes its sender wait, and that reaches the member as QUIC flow
//! control. Never looks into a message.
//! # Limits
//! Each link is bounded by the capacity that the topology gives it; [`InFlight`] by what the links
//! and the lane window hold. A histogram of times ([`metric::Times`]) takes some 40 KB, however
//! many times it holds.
//! # Cost
//! Two clock reads and one channel operation a message; messages carry up to thousands of
//! envelopes, so this stays below a nanosecond per envelope at load. A counter is one atomic
//! addition, a time one uncontended lock and one addition in a histogram.

pub mod counter;
mod in_flight;
mod latest;
mod link;
pub mod metric;
mod worker;

pub use counter::Counter;
pub use in_flight::{InFlight, Joined};
pub use latest::Latest;
pub use link::{LinkReceiver, LinkSender, LinkStats, link, receive_either, try_receive_either};
pub use worker::{Worker, WorkerTimes, spawn_worker};

//! Assembly: the topology, one node made of it, its configuration, keys and figures.
//!
//! # In
//! A configuration, a genesis, keys, a data directory.
//! # Out
//! A running [`Node`]: the members' door, the operators' page, the log on disk.
//! # Never
//! Decides about a payment: it wires the stages, owns their threads and clocks, and reads their
//! counters.
//! # Limits
//! The capacities in [`topology::LINKS`].
//! # Cost
//! Threads that wait; a checkpoint now and then; nothing an envelope.

pub mod backends;
pub mod config;
pub mod genesis_file;
pub mod keystore;
pub mod log;
pub mod read;
pub mod topology;

mod admin;
mod assembly;
mod checkpoint;
mod checkpointer;
mod clock;
mod damage_log;
mod disk;
mod door;
mod error;
mod feed;
mod gather;
mod log_index;
mod lookups;
mod machine;
mod node;
mod publish;
mod query;
mod question_share;
mod questions;
mod recovery;
mod roster;
mod samples;
mod stages;
#[cfg(test)]
mod testing;
mod threads;
mod touches;

pub use admin::{AdminMetrics, Readiness};
pub use checkpointer::CheckpointerMetrics;
pub use clearway_flow::metric::{Metric, MetricKind};
pub use clearway_order::{Clock, Now, is_engine_source, system_clock};
pub use clock::ClockMetrics;
pub use disk::DiskMetrics;
pub use error::NodeError;
pub use gather::Figures;
pub use machine::Parts;
pub use node::{Addresses, Node};
pub use publish::publish;
pub use samples::{Gather, render};

/// Folder of the log within the data directory.
pub const LOG_FOLDER: &str = "log";
/// Folder of the engine's journal within the data directory.
pub const ENGINE_FOLDER: &str = "engine";
/// Folder of the checkpoints within the data directory.
pub const CHECKPOINT_FOLDER: &str = "checkpoints";

//! Stop 4: the deterministic multi-currency ledger.
//!
//! The same blocks give the same bytes of state, results and roots on every machine. The serial
//! execution here is the specification; a faster one must equal it bit by bit.
//!
//! # In
//! [`clearway_types::messages::OrderedBlock`]: final blocks in height order, on `order_execute`.
//! # Out
//! [`clearway_types::messages::ExecutedBlock`] on `execute_store`, an
//! [`clearway_types::messages::ExecHead`] on `execute_order`, a new key directory when a key
//! changed, and now and then a [`Snapshot`] that another thread writes.
//! # Never
//! Asks a clock, the disk or the network; iterates a hash map; uses a float; fails: each envelope
//! gets a result code. It checks no signature: `verify` did, and the batch header says by which
//! directory.
//! # Limits
//! [`clearway_types::limits`]: accounts, holds a member, live ids, approvals, holds that one block
//! expires. Each table is bounded and answers a code when it is full; of the approvals the oldest
//! gives way.
//! # Cost
//! CPU: one SHA-256 block for a receipt's leaf and two for its tree node (about 85 ns), one lookup
//! in the id table, one for each account. Memory: 128 B + 64 B of tree an account, about 100 B a
//! live id. No disk, no network.

#![deny(
    clippy::float_arithmetic,
    clippy::iter_over_hash_type,
    clippy::arithmetic_side_effects,
    clippy::host_endian_bytes
)]

mod authority;
mod block;
mod chains;
mod checks;
mod clock;
mod effect;
mod events;
mod invariants;
mod kinds;
mod ledger;
mod money;
mod restore;
mod snapshot;
mod state;
mod state_root;
mod tables;

pub mod config;
pub mod error;
pub mod metrics;
pub mod stage;

pub use config::ExecuteConfig;
pub use error::{ExecuteError, InvariantViolation};
pub use ledger::{Conservation, Ledger};
pub use metrics::ExecuteMetrics;
pub use restore::Restore;
pub use snapshot::Snapshot;
pub use stage::{ExecuteStage, Executed};
pub use tables::holds::{Hold, HoldKey, HoldState};

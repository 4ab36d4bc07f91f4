//! Stop 3: lanes of batches, put in one order by the BFT engine.
//!
//! # In
//! `verify_order`: [`VerifiedBatch`](clearway_types::messages::VerifiedBatch);
//! `store_order`: [`Persisted`](clearway_types::messages::Persisted);
//! `execute_order`: [`ExecHead`](clearway_types::messages::ExecHead).
//! # Out
//! `order_store`: [`Persist`](clearway_types::messages::Persist), batches and manifests that must
//! be durable before this validator votes; `order_execute`:
//! [`OrderedBlock`](clearway_types::messages::OrderedBlock), final blocks in height order without
//! gaps.
//! # Never
//! Looks into an envelope; votes for what is not durable here; answers `false` for a local reason;
//! names an engine type outside `engine/`; listens on a port (the engine's telemetry stays off).
//! # Limits
//! `LANE_WINDOW` sealed batches and one open batch of `BATCH_ENVELOPES_MAX` envelopes wait in the
//! lane, then [`OrderHandle::on_verified`] blocks and the link fills; `LANE_STEP_MAX` batches and
//! `BLOCK_BYTES_MAX` bytes go into a block; `EXEC_LAG_MAX` blocks may wait for execution, then
//! proposing pauses. So `order_store` holds at most [`PERSIST_IN_FLIGHT_MAX`] messages and
//! `order_execute` at most [`BLOCKS_IN_FLIGHT_MAX`]: links of that capacity never block the engine.
//! # Cost
//! Batches travel by reference; sealing one hashes a Merkle tree (two SHA-256 blocks per envelope).
//! A view of a single validator costs three small syncs and 1.5 ms of processor time, BLS
//! signatures and the system's part of the syncs, whatever its blocks carry.
mod batches;
mod chain;
mod config;
mod engine;
mod error;
mod handle;
mod journal;
mod lane;
mod metrics;
mod now;
mod recovery;
mod room;
mod rules;
mod stage;
#[cfg(test)]
mod tests;

pub use config::{EngineConfig, HEARTBEAT_MS, OrderConfig, VIEW_PACE_MS, Validator};
#[cfg(all(feature = "simulation", not(test)))]
pub use engine::simulated::{PowerCut, Simulation, simulate};
pub use engine::{ENGINE_PANICS, Orderer, is_engine_source};
pub use error::{OrderError, RecoveryError};
pub use handle::{OrderHandle, Sinks, Stopped};
pub use metrics::OrderMetrics;
pub use now::{Clock, Now, system_clock};
pub use recovery::{FinalPoint, LaneTip, Recovery, RecoveryScan, recover_batch};
pub use room::{AmpleRoom, JournalRoom};
pub use rules::VoteDecision;
pub use stage::{BLOCKS_IN_FLIGHT_MAX, OrderStage, Outgoing, PERSIST_IN_FLIGHT_MAX, Proposal};

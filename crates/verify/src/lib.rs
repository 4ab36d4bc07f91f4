//! Stop 2: every signature is checked; expired envelopes and duplicates leave here.
//!
//! # In
//! `ingest_verify`: frames of one stream each, chains never split over two. The key directory as
//! execution last published it, and the time, are read once per group.
//! # Out
//! `verify_order`: the envelopes whose signatures verify, with their hashes, all of one source; the
//! slab that came in when all of them pass. `verify_ingest`: the others, each with its code.
//! # Never
//! Mixes two sources in one batch, or searches at the expense of another; lets a part of a chain
//! through; owns a thread or a socket; reads a clock but to time a group and, at the start, its
//! backends; decides anything that execution does not decide again (expiry, keys, chains), except
//! the signature itself.
//! # Limits
//! A group, or a pool of groups, is at most `group_len_max` envelopes or one frame. What is
//! remembered of sources is bounded by [`sources::SOURCES_MAX`].
//! # Cost
//! An envelope: five SHA-256 blocks (0.17 us), one lock of the in-flight table (0.1 us), its part
//! of a batch equation (see `clearway_crypto`). About 70 allocations for 2,048 envelopes of one
//! key: by the frame and the key, none by the envelope.

pub mod check;
pub mod choice;
pub mod config;
pub mod error;
pub mod metrics;
mod output;
pub mod scheduler;
pub mod sources;
mod stage;
mod triage;

pub use check::Checked;
pub use config::VerifyConfig;
pub use error::VerifyError;
pub use metrics::VerifyMetrics;
pub use scheduler::Scheduler;
pub use stage::{Verdict, VerifyStage};

//! Workloads, the load generator and its report.
//!
//! # In
//! A seed or payment files, a cluster's genesis and address.
//! # Out
//! A [`measure::Tally`] of what the clients were answered, a [`report::Report`] of the run.
//! # Never
//! Signs while the clock runs; counts a payment whose FINAL answer it does not hold; waits for an
//! answer before the next intended send time of an open-loop run.
//! # Limits
//! All signed envelopes lie in memory: 192 bytes per payment.
//! # Cost
//! Signing about 15 us a payment and core, before the clock starts.

pub mod cluster;
pub mod digest;
pub mod distinct;
pub mod driver;
pub mod files;
mod lines;
pub mod machine;
pub mod measure;
pub mod page;
pub mod random;
pub mod report;
pub mod sign;
pub mod stage_cpu;
pub mod sums;
pub mod text;
pub mod timeline;
pub mod worker;
pub mod workload;

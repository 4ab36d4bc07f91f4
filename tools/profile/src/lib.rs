//! Where a running process spends its processor time: samples of its threads' stacks, folded by
//! stage, and the pictures that are made of them.
//!
//! The kernel takes the samples (`perf_event_open`, a timer for each thread that counts only while
//! the thread runs). Nothing is put into the process, nothing in it stops or is changed, and a
//! profiler that is killed leaves nothing behind. Of each sample the kernel copies the registers
//! and the upper part of the stack; the rest happens in this process.

#![cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    allow(dead_code, reason = "nothing is sampled there")
)]

mod error;
pub mod flame;
mod folded;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod nowhere;
mod pprof;
mod processes;
mod profile;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod sampling;

pub use error::ProfileError;
pub use folded::{Folded, FoldedError};
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub use nowhere::record;
pub use processes::{command_line, listener};
pub use profile::{Frame, Profile, Stack};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use sampling::record;

/// Samples a second of a thread that runs: a prime, so that no work in even steps hides from it.
pub const HERTZ: u64 = 199;

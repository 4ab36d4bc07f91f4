//! Why a process cannot be profiled, and what to do about it.

use std::io;
use std::net::SocketAddr;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Nothing runs under this number.
    #[error("no process {pid} runs here: check the number, or name its address with --target")]
    NoProcess {
        /// The number.
        pid: u32,
    },
    /// Its owner is somebody else.
    #[error(
        "process {pid} belongs to user {owner}, and this is user {user}: run as that user or as \
         root"
    )]
    Foreign {
        /// The process.
        pid: u32,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// The kernel, or what stands before it in a container, refuses.
    #[error(
        "the kernel lets this user take no samples ({said}; kernel.perf_event_paranoid is \
         {level}): set it to 2 (`sysctl kernel.perf_event_paranoid=2`) or run as root, and in a \
         container allow the call perf_event_open"
    )]
    Forbidden {
        /// What it said.
        said: io::Error,
        /// Its setting, where it can be read.
        level: String,
    },
    /// No memory or file is left for the samples of any thread.
    #[error("no thread of process {pid} can be sampled: {said}; raise `ulimit -l` or `ulimit -n`")]
    NoRoom {
        /// The process.
        pid: u32,
        /// What the system said.
        said: io::Error,
    },
    /// No socket of this machine has the address.
    #[error(
        "nothing listens on {address} on this machine: profile a node where it runs, and by its \
         door or its admin address"
    )]
    NoListener {
        /// The address.
        address: SocketAddr,
    },
    /// There is one, of a process that this user may not look into.
    #[error(
        "what listens on {address} belongs to another user: run as that user or as root, or give \
         --pid"
    )]
    HiddenListener {
        /// The address.
        address: SocketAddr,
    },
    /// What tells of processes cannot be read.
    #[error("cannot read {path}: {said}; is /proc mounted?")]
    Proc {
        /// The file.
        path: String,
        /// What the system said.
        said: io::Error,
    },
    /// No thread was running when a sample was due.
    #[error(
        "process {pid} used no processor while it was sampled: there is nothing to draw; profile \
         it under load, or for longer"
    )]
    Idle {
        /// The process.
        pid: u32,
    },
    /// Threads ran, none of them of the stage.
    #[error("no thread of stage `{stage}` ran; there were: {others}")]
    NoStage {
        /// The stage.
        stage: String,
        /// Those that did, busiest first.
        others: String,
    },
    /// This system has no sampler.
    #[error("stacks are sampled on Linux on x86-64 alone: profile there")]
    Nowhere,
}

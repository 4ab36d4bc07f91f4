//! Support for tests of this crate and of others: a disk in memory, one that records every call
//! so that power cuts can be replayed, and one that fails at a chosen call. Not for production.

mod faulty;
mod memory;
mod recording;

pub use faulty::{Fault, FaultyIo};
pub use memory::MemoryIo;
pub use recording::{CrashLog, RecordingIo};

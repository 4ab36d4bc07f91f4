//! Support for tests of this crate and of others: a disk in memory, one that records every call
//! so that power cuts can be replayed, and one that fails at a chosen call. Not for production.

mod faulty;
mod memory;
mod recording;

pub use faulty::{Fault, FaultyIo};
pub use memory::MemoryIo;
pub use recording::{CrashLog, RecordingIo};

/// A small seeded generator (SplitMix64, Steele et al. 2014): tests print the seed, so that a
/// failure can be repeated.
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1. The bias is far below what tests can see.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    /// This many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| self.next_u64().to_le_bytes()[0])
            .collect()
    }
}

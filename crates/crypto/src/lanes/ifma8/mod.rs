//! The lane engine on AVX-512 with IFMA: eight lanes.
//!
//! `unit` is what the engine needs of the registers, and the only file with instructions; `field`
//! and `words` are written over it without any. `emulated` is the same unit in plain Rust, which
//! checks every operand, so that everything above the instructions is tested on every machine.

pub(crate) mod field;
pub(crate) mod unit;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod emulated;

/// Proof that this machine has AVX-512 F, BW, DQ and IFMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token(());

impl Token {
    /// The proof, where it holds.
    #[must_use]
    pub(crate) fn new() -> Option<Self> {
        use std::arch::is_x86_feature_detected as detected;
        (detected!("avx512f")
            && detected!("avx512bw")
            && detected!("avx512dq")
            && detected!("avx512ifma"))
        .then_some(Self(()))
    }
}

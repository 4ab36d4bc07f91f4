//! The proof that a machine has AVX-512 with IFMA.

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

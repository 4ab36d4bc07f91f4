//! The proof that a machine has AVX2.

/// Proof that this machine has AVX2 and FMA: every processor with the one that was ever sold in
/// numbers has the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token(());

impl Token {
    /// The proof, where it holds.
    #[must_use]
    pub(crate) fn new() -> Option<Self> {
        use std::arch::is_x86_feature_detected as detected;
        (detected!("avx2") && detected!("fma")).then_some(Self(()))
    }
}

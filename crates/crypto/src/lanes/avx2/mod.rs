//! The lane engine on AVX2: four lanes.

pub(crate) mod field;
pub(crate) mod words;

/// Proof that this machine has AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token(());

impl Token {
    /// The proof, where it holds.
    #[must_use]
    pub(crate) fn new() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

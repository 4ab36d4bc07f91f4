//! What can be wrong with the stage's settings; frames have result codes instead.

use clearway_crypto::gate::GateError;

/// Why the stage cannot be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// The configured backend is not to be had.
    #[error("setting backend: {0}")]
    Backend(#[from] GateError),
    /// A number is out of its range.
    #[error("setting {setting} is {found}; set it to 1..={max}")]
    OutOfRange {
        /// Name of the setting.
        setting: &'static str,
        /// What was configured.
        found: usize,
        /// Largest value.
        max: usize,
    },
}

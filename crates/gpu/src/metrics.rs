//! Counters of the GPU lane; the binary puts them on the metrics page.

use clearway_flow::Counter;

use crate::lane::Doubt;

/// What the lane has done since it was made.
#[derive(Debug, Default)]
pub struct GpuMetrics {
    /// Batches whose results were trusted.
    pub batches: Counter,
    /// Signatures whose acceptance by the device was taken as their verdict.
    pub accepted: Counter,
    /// Signatures that the device refused; the CPU gave their verdict.
    pub refused: Counter,
    /// Accepted signatures that the CPU looked at again.
    pub sampled: Counter,
    /// Signatures that the CPU verified because the device did not answer, or not credibly.
    pub unanswered: Counter,
    /// Times the device was given up, by [`Doubt`].
    doubts: [Counter; Doubt::KINDS.len()],
    /// Times a device was opened and passed its self-test.
    pub opened: Counter,
}

impl GpuMetrics {
    /// Times the device was given up for a reason of this kind.
    ///
    /// # Panics
    /// When there is no such kind.
    #[must_use]
    pub fn doubts(&self, kind: &str) -> &Counter {
        let at = Doubt::KINDS.iter().position(|name| *name == kind);
        &self.doubts[at.expect("a kind of doubt")]
    }
}

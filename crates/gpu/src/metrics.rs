//! Counters of the GPU queue.

use clearway_flow::Counter;

use crate::queue::Doubt;

clearway_flow::metrics! {
    /// What the queue has done since it was made.
    pub struct GpuMetrics in "gpu" {
        /// 1 while the GPU answers, 0 in quarantine or where there is none.
        ready: gauge,
        /// Batches that the GPU answered credibly.
        batches: total,
        /// Signatures that the GPU found valid: that was taken as their verdict.
        accepted: total,
        /// Signatures that the GPU refused; the CPU looked at each again.
        refused: total,
        /// Signatures accepted by the GPU without evidence; the CPU looked at each again.
        unproven: total,
        /// Signatures accepted by the GPU that the CPU looked at again.
        sampled: total,
        /// Signatures that the CPU verified for want of a credible answer.
        unanswered: total,
        /// Times a GPU was opened and passed its self-test.
        opened: total,
        /// Times the GPU was given up, by reason.
        doubts: family("reason", Doubt::KINDS),
    }
}

impl GpuMetrics {
    /// Times the device was given up for a reason of this kind, one of [`Doubt::KINDS`].
    ///
    /// # Panics
    /// When there is no such kind.
    #[must_use]
    pub fn doubts(&self, kind: &str) -> &Counter {
        let at = Doubt::KINDS.iter().position(|name| *name == kind);
        self.doubts.at(at.expect("a kind of doubt"))
    }
}

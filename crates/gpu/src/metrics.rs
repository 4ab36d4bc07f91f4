//! Counters of the GPU queue; the binary puts them on the metrics page.

use clearway_crypto::backend::BackendFigure;
use clearway_flow::Counter;

use crate::queue::Doubt;

/// What the queue has done since it was made.
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
    /// Signatures that the device accepted without evidence; the CPU gave their verdict.
    pub unproven: Counter,
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

    /// All of it for the metrics page.
    pub(crate) fn figures(&self, ready: bool) -> Vec<BackendFigure> {
        let figure = |name, help, value| BackendFigure {
            name,
            help,
            label: None,
            gauge: false,
            value,
        };
        let mut figures = vec![
            BackendFigure {
                gauge: true,
                ..figure(
                    "gpu_ready",
                    "1 while the GPU answers, 0 in quarantine or where there is none",
                    ready.into(),
                )
            },
            figure(
                "gpu_batches",
                "Batches that the GPU answered credibly",
                self.batches.value(),
            ),
            figure(
                "gpu_accepted",
                "Signatures that the GPU found valid",
                self.accepted.value(),
            ),
            figure(
                "gpu_refused",
                "Signatures that the GPU refused; the CPU looked at each again",
                self.refused.value(),
            ),
            figure(
                "gpu_unproven",
                "Signatures accepted by the GPU without evidence; the CPU looked at each again",
                self.unproven.value(),
            ),
            figure(
                "gpu_sampled",
                "Signatures accepted by the GPU that the CPU looked at again",
                self.sampled.value(),
            ),
            figure(
                "gpu_unanswered",
                "Signatures that the CPU verified for want of a credible answer",
                self.unanswered.value(),
            ),
            figure(
                "gpu_opened",
                "Times a GPU passed its self-test",
                self.opened.value(),
            ),
        ];
        figures.extend(
            Doubt::KINDS
                .iter()
                .zip(&self.doubts)
                .map(|(&kind, counter)| BackendFigure {
                    label: Some(("reason", kind)),
                    ..figure(
                        "gpu_doubts",
                        "Times the GPU was given up, by reason",
                        counter.value(),
                    )
                }),
        );
        figures
    }
}

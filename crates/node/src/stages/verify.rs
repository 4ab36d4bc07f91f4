//! Stop 2 between its links: takes the frames of its sources, as many at once as wait.

use clearway_flow::{LinkReceiver, LinkSender, Worker};
use clearway_order::Clock;
use clearway_types::messages::{FrameBatch, Refusals, VerifiedBatch};
use clearway_verify::VerifyStage;

use super::{Progress, Stage};
use crate::error::NodeError;

/// One verify worker.
pub(crate) struct Verify {
    pub(crate) stage: VerifyStage,
    pub(crate) frames: LinkReceiver<FrameBatch>,
    pub(crate) verified: LinkSender<VerifiedBatch>,
    pub(crate) refused: LinkSender<Refusals>,
    pub(crate) clock: Clock,
}

impl Stage for Verify {
    type Work = FrameBatch;

    fn wait(&mut self) -> Option<FrameBatch> {
        self.frames.receive()
    }

    fn poll(&mut self) -> Option<FrameBatch> {
        self.frames.try_receive().ok()
    }

    fn step(&mut self, first: FrameBatch, worker: &mut Worker) -> Result<Progress, NodeError> {
        let depth = usize::try_from(self.frames.stats().depth()).unwrap_or(usize::MAX);
        let take = self.stage.scheduler().frames_take(depth.saturating_add(1));
        let mut taken = vec![first];
        while taken.len() < take
            && let Ok(frame) = self.frames.try_receive()
        {
            taken.push(frame);
        }
        let verdicts = tracing::trace_span!("ingest_verify", frames = taken.len())
            .in_scope(|| self.stage.on_batches(taken, (self.clock)().time));
        for verdict in verdicts {
            if let Some(batch) = verdict.verified
                && worker.send(&self.verified, batch).is_err()
            {
                return Ok(Progress::Ended);
            }
            for refusals in verdict.refusals {
                if worker.send(&self.refused, refusals).is_err() {
                    return Ok(Progress::Ended);
                }
            }
        }
        Ok(Progress::GoesOn)
    }
}

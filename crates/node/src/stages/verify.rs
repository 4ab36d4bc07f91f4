//! Threads of stop 2: each takes the frames of its sources, as many at once as wait.

use clearway_flow::{LinkReceiver, LinkSender, Worker};
use clearway_order::Clock;
use clearway_types::messages::{FrameBatch, Refusals, VerifiedBatch};
use clearway_verify::VerifyStage;

/// Verifies until the link ends.
pub(crate) fn run(
    mut worker: Worker,
    stage: &VerifyStage,
    frames: &LinkReceiver<FrameBatch>,
    verified: &LinkSender<VerifiedBatch>,
    refused: &LinkSender<Refusals>,
    clock: &Clock,
) {
    while let Some(first) = worker.receive(frames) {
        let depth = usize::try_from(frames.stats().depth()).unwrap_or(usize::MAX);
        let take = stage.scheduler().frames_take(depth.saturating_add(1));
        let mut taken = vec![first];
        while taken.len() < take
            && let Ok(frame) = frames.try_receive()
        {
            taken.push(frame);
        }
        let verdicts = tracing::trace_span!("ingest_verify", frames = taken.len())
            .in_scope(|| stage.on_batches(taken, clock().time));
        for verdict in verdicts {
            if let Some(batch) = verdict.verified
                && worker.send(verified, batch).is_err()
            {
                return;
            }
            for refusals in verdict.refusals {
                if worker.send(refused, refusals).is_err() {
                    return;
                }
            }
        }
    }
}

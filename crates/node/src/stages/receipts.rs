//! Thread of stop 1's way back: results and refusals to the streams that wait for them.

use std::sync::Arc;

use clearway_flow::{LinkReceiver, Worker};
use clearway_ingest::ReceiptRouter;
use clearway_types::messages::{ExecutedBlock, Refusals};
use crossbeam::channel::select;

/// Routes until both links have ended.
pub(crate) fn run(
    mut worker: Worker,
    results: &LinkReceiver<Arc<ExecutedBlock>>,
    refusals: &LinkReceiver<Refusals>,
    router: &ReceiptRouter,
) {
    enum Answer {
        Block(Arc<ExecutedBlock>),
        Refused(Refusals),
    }
    let last_block = || results.receive().map(Answer::Block);
    let last_refusal = || refusals.receive().map(Answer::Refused);
    loop {
        let answer = worker.waiting(|| {
            select! {
                recv(results.channel()) -> block => match block {
                    Ok(block) => {
                        results.note_taken();
                        Some(Answer::Block(block))
                    }
                    Err(_) => last_refusal(),
                },
                recv(refusals.channel()) -> refused => match refused {
                    Ok(refused) => {
                        refusals.note_taken();
                        Some(Answer::Refused(refused))
                    }
                    Err(_) => last_block(),
                },
            }
        });
        match answer {
            None => return,
            Some(Answer::Block(block)) => {
                tracing::trace_span!("store_ingest", height = block.block.manifest.height.0)
                    .in_scope(|| router.on_block(&block));
            }
            Some(Answer::Refused(refused)) => {
                tracing::trace_span!("verify_ingest").in_scope(|| router.on_refusals(&refused));
            }
        }
    }
}

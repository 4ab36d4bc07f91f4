//! Stop 1's way back: results and refusals to the streams that wait for them.

use std::sync::Arc;

use clearway_flow::{LinkReceiver, Worker};
use clearway_ingest::ReceiptRouter;
use clearway_types::messages::{ExecutedBlock, Refusals};
use crossbeam::channel::select;

use super::{Progress, Stage};
use crate::error::NodeError;

/// Routes answers.
pub(crate) struct Receipts {
    pub(crate) results: LinkReceiver<Arc<ExecutedBlock>>,
    pub(crate) refusals: LinkReceiver<Refusals>,
    pub(crate) router: ReceiptRouter,
}

/// What a stream waits for.
pub(crate) enum Answer {
    Block(Arc<ExecutedBlock>),
    Refused(Refusals),
}

impl Stage for Receipts {
    type Work = Answer;

    fn wait(&mut self) -> Option<Answer> {
        let (results, refusals) = (&self.results, &self.refusals);
        select! {
            recv(results.channel()) -> block => match block {
                Ok(block) => {
                    results.note_taken();
                    Some(Answer::Block(block))
                }
                Err(_) => refusals.receive().map(Answer::Refused),
            },
            recv(refusals.channel()) -> refused => match refused {
                Ok(refused) => {
                    refusals.note_taken();
                    Some(Answer::Refused(refused))
                }
                Err(_) => results.receive().map(Answer::Block),
            },
        }
    }

    fn poll(&mut self) -> Option<Answer> {
        let block = self.results.try_receive().map(Answer::Block);
        let answer = block.or_else(|_| self.refusals.try_receive().map(Answer::Refused));
        answer.ok()
    }

    fn step(&mut self, answer: Answer, _: &mut Worker) -> Result<Progress, NodeError> {
        let router = &self.router;
        match answer {
            Answer::Block(block) => {
                tracing::trace_span!("store_ingest", height = block.block.manifest.height.0)
                    .in_scope(|| router.on_block(&block));
            }
            Answer::Refused(refused) => {
                tracing::trace_span!("verify_ingest").in_scope(|| router.on_refusals(&refused));
            }
        }
        Ok(Progress::GoesOn)
    }
}

//! Stop 1's way back: results and refusals to the streams that wait for them.

use std::sync::Arc;

use clearway_flow::{LinkReceiver, Worker, receive_either, try_receive_either};
use clearway_ingest::AnswerRouter;
use clearway_types::messages::{ExecutedBlock, Refusals};

use super::{Progress, Stage};
use crate::error::NodeError;

/// Routes answers.
pub(crate) struct Answering {
    pub(crate) results: LinkReceiver<Arc<ExecutedBlock>>,
    pub(crate) refusals: LinkReceiver<Refusals>,
    pub(crate) router: AnswerRouter,
}

/// What a stream waits for.
pub(crate) enum Answer {
    Block(Arc<ExecutedBlock>),
    Refused(Refusals),
}

impl Stage for Answering {
    type Work = Answer;

    fn wait(&mut self) -> Option<Answer> {
        receive_either(
            (&self.results, Answer::Block),
            (&self.refusals, Answer::Refused),
        )
    }

    fn poll(&mut self) -> Option<Answer> {
        try_receive_either(
            (&self.results, Answer::Block),
            (&self.refusals, Answer::Refused),
        )
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

//! Stop 4 between its links: executes blocks and answers questions in between.

use std::sync::Arc;

use clearway_execute::ExecuteStage;
use clearway_flow::{Latest, LinkReceiver, LinkSender, Worker, try_receive_either};
use clearway_order::FinalPoint;
use clearway_types::directory::KeyDirectory;
use clearway_types::messages::{ExecHead, ExecutedBlock, OrderedBlock};
use crossbeam::channel::{Sender, select};

use super::{Progress, Stage};
use crate::checkpointer::Keep;
use crate::error::NodeError;
use crate::query::LedgerQuery;

/// Links of execution.
pub(crate) struct ExecuteLinks {
    pub(crate) blocks: LinkReceiver<OrderedBlock>,
    pub(crate) queries: LinkReceiver<LedgerQuery>,
    pub(crate) results: LinkSender<Arc<ExecutedBlock>>,
    pub(crate) heads: LinkSender<ExecHead>,
    pub(crate) keep: Sender<Keep>,
}

/// Executes blocks and answers questions; at the end hands the last state to the checkpointer.
pub(crate) struct Execute {
    links: ExecuteLinks,
    pub(crate) stage: ExecuteStage,
    /// Where ordering stands after the last block: goes into checkpoints.
    pub(crate) point: FinalPoint,
    directory: Arc<Latest<KeyDirectory>>,
}

impl Execute {
    pub(crate) fn new(
        links: ExecuteLinks,
        stage: ExecuteStage,
        point: FinalPoint,
        directory: &Arc<Latest<KeyDirectory>>,
    ) -> Self {
        Self {
            links,
            stage,
            point,
            directory: Arc::clone(directory),
        }
    }
}

/// A block, or a question about the state between two.
pub(crate) enum Work {
    Block(OrderedBlock),
    Query(LedgerQuery),
}

impl Stage for Execute {
    type Work = Work;

    fn wait(&mut self) -> Option<Work> {
        let links = &self.links;
        let work = select! {
            recv(links.blocks.channel()) -> block => block.ok().map(Work::Block),
            recv(links.queries.channel()) -> query => {
                // The door holds the other end for as long as blocks come.
                query.map_or_else(
                    |_| links.blocks.channel().recv().ok().map(Work::Block),
                    |query| Some(Work::Query(query)),
                )
            }
        };
        match &work {
            None => {}
            Some(Work::Block(_)) => links.blocks.note_taken(),
            Some(Work::Query(_)) => links.queries.note_taken(),
        }
        work
    }

    fn poll(&mut self) -> Option<Work> {
        let links = &self.links;
        try_receive_either((&links.blocks, Work::Block), (&links.queries, Work::Query))
    }

    fn step(&mut self, work: Work, worker: &mut Worker) -> Result<Progress, NodeError> {
        let block = match work {
            Work::Query(query) => {
                let ledger = self.stage.ledger_mut();
                tracing::trace_span!("query_execute").in_scope(|| query.answer(ledger));
                return Ok(Progress::GoesOn);
            }
            Work::Block(block) => block,
        };
        self.point
            .advance(block.digest, &block.manifest, block.certificate.as_ref());
        let executed = tracing::trace_span!("order_execute", height = block.manifest.height.0)
            .in_scope(|| self.stage.on_block(block));
        if let Some(directory) = executed.directory {
            self.directory.publish(directory);
        }
        if let Some(snapshot) = executed.snapshot {
            let point = self.point.clone();
            // The checkpointer is busy with the one before: this one is left out, the next will do.
            let _ = self.links.keep.try_send(Keep { snapshot, point });
        }
        let block = Arc::new(executed.block);
        if worker.send(&self.links.results, block).is_err() {
            return Ok(Progress::Ended);
        }
        // Ordering may have ended already; then nobody needs the head.
        let _ = worker.send(&self.links.heads, executed.head);
        Ok(Progress::GoesOn)
    }

    fn end(&mut self) -> Result<(), NodeError> {
        let snapshot = self.stage.ledger_mut().snapshot();
        let point = self.point.clone();
        // Without a checkpointer the log alone carries the state to the next start.
        let _ = self.links.keep.send(Keep { snapshot, point });
        Ok(())
    }
}

//! Thread of stop 4: executes blocks and answers questions in between.

use std::sync::Arc;

use clearway_execute::ExecuteStage;
use clearway_flow::{LinkReceiver, LinkSender, Worker};
use clearway_order::FinalPoint;
use clearway_types::directory::KeyDirectory;
use clearway_types::messages::{ExecHead, ExecutedBlock, OrderedBlock};
use crossbeam::channel::{Sender, select};

use crate::keeper::Keep;
use crate::query::LedgerQuery;

/// Links of the execution thread.
pub(crate) struct ExecuteLinks {
    pub(crate) blocks: LinkReceiver<OrderedBlock>,
    pub(crate) queries: LinkReceiver<LedgerQuery>,
    pub(crate) results: LinkSender<Arc<ExecutedBlock>>,
    pub(crate) heads: LinkSender<ExecHead>,
    pub(crate) keep: Sender<Keep>,
}

/// Executes blocks and answers questions in between; at the end hands the last state to the keeper.
pub(crate) fn run(
    mut worker: Worker,
    links: &ExecuteLinks,
    mut stage: ExecuteStage,
    mut point: FinalPoint,
    publish: impl Fn(Arc<KeyDirectory>),
) {
    enum Work {
        Block(OrderedBlock),
        Query(LedgerQuery),
    }
    loop {
        let work = worker.waiting(|| {
            select! {
                recv(links.blocks.channel()) -> block => block.ok().map(Work::Block),
                recv(links.queries.channel()) -> query => {
                    // The door holds the other end for as long as blocks come.
                    query.map_or_else(
                        |_| links.blocks.channel().recv().ok().map(Work::Block),
                        |query| Some(Work::Query(query)),
                    )
                }
            }
        });
        let block = match work {
            None => break,
            Some(Work::Query(query)) => {
                links.queries.note_taken();
                tracing::trace_span!("query_execute").in_scope(|| query.answer(stage.ledger_mut()));
                continue;
            }
            Some(Work::Block(block)) => block,
        };
        links.blocks.note_taken();
        point.advance(block.digest, &block.manifest, block.certificate.as_ref());
        let executed = tracing::trace_span!("order_execute", height = block.manifest.height.0)
            .in_scope(|| stage.on_block(block));
        if let Some(directory) = executed.directory {
            publish(directory);
        }
        if let Some(snapshot) = executed.snapshot {
            let keep = Keep {
                snapshot,
                point: point.clone(),
            };
            // The keeper is busy with the one before: this one is left out, the next will do.
            let _ = links.keep.try_send(keep);
        }
        if worker
            .send(&links.results, Arc::new(executed.block))
            .is_err()
        {
            return;
        }
        // Ordering may have ended already; then nobody needs the head.
        let _ = worker.send(&links.heads, executed.head);
    }
    let snapshot = stage.ledger_mut().snapshot();
    // Without a keeper the log alone carries the state to the next start.
    let _ = links.keep.send(Keep { snapshot, point });
}

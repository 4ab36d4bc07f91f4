//! Threads of stop 3: one feeds the lane, one brings news, one runs the engine.

use clearway_flow::{LinkReceiver, Worker};
use clearway_order::OrderHandle;
use clearway_types::messages::{ExecHead, Persisted, VerifiedBatch};
use crossbeam::channel::{Receiver, select};

/// Feeds the lane until the link ends; waits inside while the lane window is full.
pub(crate) fn feed(
    mut worker: Worker,
    verified: &LinkReceiver<VerifiedBatch>,
    order: &OrderHandle,
) {
    while let Some(batch) = worker.receive(verified) {
        let span = tracing::trace_span!("verify_order", envelopes = batch.digests.len());
        if span.in_scope(|| order.on_verified(batch)).is_err() {
            return;
        }
    }
}

/// Tells ordering what is durable and what is executed, until `stop` has no sender.
pub(crate) fn bring_news(
    mut worker: Worker,
    persisted: &LinkReceiver<Vec<Persisted>>,
    executed: &LinkReceiver<ExecHead>,
    stop: &Receiver<()>,
    order: &OrderHandle,
) {
    enum News {
        Persisted(Vec<Persisted>),
        Executed(ExecHead),
    }
    loop {
        let news = worker.waiting(|| {
            select! {
                recv(persisted.channel()) -> news => news.ok().map(News::Persisted),
                recv(executed.channel()) -> news => news.ok().map(News::Executed),
                recv(stop) -> _ => None,
            }
        });
        match news {
            None => return,
            Some(News::Persisted(all)) => {
                persisted.note_taken();
                tracing::trace_span!("store_order", records = all.len())
                    .in_scope(|| all.into_iter().for_each(|one| order.on_persisted(one)));
            }
            Some(News::Executed(head)) => {
                executed.note_taken();
                tracing::trace_span!("execute_order", height = head.height.0)
                    .in_scope(|| order.on_executed(head));
            }
        }
    }
}

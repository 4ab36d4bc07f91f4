//! Stop 3 between its links: one half feeds the lane, the other brings feedback. The engine runs
//! beside both, in a runtime of its own.

use clearway_flow::{LinkReceiver, Worker, try_receive_either};
use clearway_order::OrderHandle;
use clearway_types::messages::{ExecHead, Persisted, VerifiedBatch};
use crossbeam::channel::{Receiver, select};

use super::{Progress, Stage};
use crate::error::NodeError;

/// Feeds the lane; a step waits while the lane window is full.
pub(crate) struct Feed {
    verified: LinkReceiver<VerifiedBatch>,
    order: OrderHandle,
}

impl Feed {
    pub(crate) fn new(verified: LinkReceiver<VerifiedBatch>, order: &OrderHandle) -> Self {
        let order = order.clone();
        Self { verified, order }
    }
}

impl Stage for Feed {
    type Work = VerifiedBatch;

    fn wait(&mut self) -> Option<VerifiedBatch> {
        self.verified.receive()
    }

    fn poll(&mut self) -> Option<VerifiedBatch> {
        self.verified.try_receive().ok()
    }

    fn step(&mut self, batch: VerifiedBatch, worker: &mut Worker) -> Result<Progress, NodeError> {
        let span = tracing::trace_span!("verify_order", envelopes = batch.digests.len());
        match span.in_scope(|| self.order.on_verified(batch)) {
            Ok(waited) => {
                worker.note_pressure(waited);
                Ok(Progress::GoesOn)
            }
            Err(_) => Ok(Progress::Ended),
        }
    }
}

/// Tells ordering what is durable and what is executed, until `stop` has no sender.
pub(crate) struct Feedback {
    persisted: LinkReceiver<Vec<Persisted>>,
    executed: LinkReceiver<ExecHead>,
    stop: Receiver<()>,
    order: OrderHandle,
}

impl Feedback {
    pub(crate) fn new(
        persisted: LinkReceiver<Vec<Persisted>>,
        executed: LinkReceiver<ExecHead>,
        stop: Receiver<()>,
        order: &OrderHandle,
    ) -> Self {
        let order = order.clone();
        Self {
            persisted,
            executed,
            stop,
            order,
        }
    }
}

/// What ordering is told.
pub(crate) enum Notice {
    Persisted(Vec<Persisted>),
    Executed(ExecHead),
}

impl Stage for Feedback {
    type Work = Notice;

    fn wait(&mut self) -> Option<Notice> {
        let notice = select! {
            recv(self.persisted.channel()) -> notice => notice.ok().map(Notice::Persisted),
            recv(self.executed.channel()) -> notice => notice.ok().map(Notice::Executed),
            recv(self.stop) -> _ => None,
        };
        match &notice {
            None => {}
            Some(Notice::Persisted(_)) => self.persisted.note_taken(),
            Some(Notice::Executed(_)) => self.executed.note_taken(),
        }
        notice
    }

    fn poll(&mut self) -> Option<Notice> {
        let (persisted, executed) = (&self.persisted, &self.executed);
        try_receive_either((persisted, Notice::Persisted), (executed, Notice::Executed))
    }

    fn step(&mut self, notice: Notice, _: &mut Worker) -> Result<Progress, NodeError> {
        match notice {
            Notice::Persisted(all) => tracing::trace_span!("store_order", records = all.len())
                .in_scope(|| all.into_iter().for_each(|one| self.order.on_persisted(one))),
            Notice::Executed(head) => tracing::trace_span!("execute_order", height = head.height.0)
                .in_scope(|| self.order.on_executed(head)),
        }
        Ok(Progress::GoesOn)
    }
}

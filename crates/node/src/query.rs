//! Questions to the ledger, answered by the execution thread between two blocks.

use std::time::Duration;

use clearway_execute::Ledger;
use clearway_flow::LinkSender;
use crossbeam::channel;

/// How long an answer may take: a block executes in milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// One question with the way back for its answer.
pub struct LedgerQuery(Box<dyn FnOnce(&mut Ledger) + Send>);

impl LedgerQuery {
    /// Answers it.
    pub(crate) fn answer(self, ledger: &mut Ledger) {
        (self.0)(ledger);
    }
}

impl std::fmt::Debug for LedgerQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerQuery")
    }
}

/// Asks and waits; `None` when the ledger is gone. The question holds up execution: keep it short.
pub(crate) fn ask<R: Send + 'static>(
    ledger: &LinkSender<LedgerQuery>,
    question: impl FnOnce(&mut Ledger) -> R + Send + 'static,
) -> Option<R> {
    let (answer, receiver) = channel::bounded(1);
    let query = LedgerQuery(Box::new(move |ledger| {
        // The asker may have given up.
        let _ = answer.send(question(ledger));
    }));
    ledger.send(query).ok()?;
    receiver.recv_timeout(ANSWER_TIMEOUT).ok()
}

//! From a snapshot and the end of the log back to the uninterrupted state, checked by its root.

use std::io::Read;
use std::sync::Arc;

use clearway_types::batch::Batch;
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::envelope::Body;
use clearway_types::final_record::FinalRecord;
use clearway_types::genesis::Genesis;
use clearway_types::manifest::Manifest;
use clearway_types::units::{Digest, Height};

use crate::clock::Clock;
use crate::effect::Effect;
use crate::error::ExecuteError;
use crate::kinds;
use crate::ledger::Ledger;
use crate::snapshot::Head;
use crate::state::State;
use crate::tables::Table;
use crate::tables::codec::Source;

/// A ledger without its live identifiers: of no use before [`Restore::finish`].
pub struct Restore {
    state: State,
    head: Head,
    next: Height,
}

impl Ledger {
    /// Reads a snapshot; the log of the blocks whose identifiers are still live completes it.
    ///
    /// # Errors
    /// Bytes that cannot be read, are no snapshot, or belong to another cluster.
    pub fn restore(genesis: &Genesis, from: &mut dyn Read) -> Result<Restore, ExecuteError> {
        Restore::read(genesis, from)
    }
}

impl Restore {
    fn read(genesis: &Genesis, from: &mut dyn Read) -> Result<Self, ExecuteError> {
        let mut from = Source::new(from);
        let head = Head::read(&mut from)?;
        // The identifiers that the log has begin before the snapshot, so they begin at zero.
        let mut state = State::new(genesis, Clock::ZERO);
        if head.genesis != state.genesis {
            return Err(ExecuteError::ForeignGenesis {
                expected: state.genesis,
                found: head.genesis,
            });
        }
        if head.log_from > head.clock.height.next() {
            return Err(ExecuteError::Snapshot { field: "log_from" });
        }
        state.read(&mut from)?;
        from.end()?;
        (state.clock, state.exec_head) = (head.clock, head.exec_head);
        state.currencies.count_money(state.accounts.slots.iter());
        Ok(Self {
            state,
            head,
            next: head.log_from,
        })
    }

    /// Height of the snapshot: the last block that [`Restore::on_block`] takes.
    #[must_use]
    pub fn height(&self) -> Height {
        self.head.clock.height
    }

    /// Execution head at the height of the snapshot.
    #[must_use]
    pub fn exec_head(&self) -> Digest {
        self.head.exec_head
    }

    /// Height of the block that is needed next; above [`Restore::height`] when none is.
    #[must_use]
    pub fn log_from(&self) -> Height {
        self.next
    }

    /// Takes the next block of the log: its identifiers and results, not its money.
    ///
    /// # Errors
    /// A block at another height, results that do not fit its envelopes, or another execution head.
    pub fn on_block(
        &mut self,
        manifest: &Manifest,
        batches: &[Arc<Batch>],
        record: &FinalRecord,
    ) -> Result<(), ExecuteError> {
        let height = manifest.height;
        if height != self.next || record.height != height || height > self.height() {
            return Err(ExecuteError::LogGap {
                expected: self.next,
                found: height,
            });
        }
        let envelopes = batches.iter().map(|batch| batch.digests.len()).sum();
        let results = record.results.len();
        if envelopes != results {
            return Err(ExecuteError::LogShape {
                height,
                envelopes,
                results,
            });
        }
        if height == self.height() && record.exec_head != self.head.exec_head {
            return Err(ExecuteError::Root {
                height,
                expected: self.head.exec_head,
                found: record.exec_head,
            });
        }
        let time = manifest.time;
        self.state.clock = Clock { height, time };
        self.state.ids.forget(time.seconds().0);
        let members = batches
            .iter()
            .flat_map(|batch| batch.envelopes().zip(&batch.digests));
        for ((envelope, digests), outcome) in members.zip(&record.results) {
            self.give_back(&envelope.body, *outcome);
            self.state.remember(&envelope.body, digests, *outcome);
            if outcome.code == ResultCode::AwaitingApproval {
                self.state.approvals.note_body(&envelope.body);
            }
        }
        self.state.ids.end_block(height);
        self.next = height.next();
        Ok(())
    }

    /// The ledger, when all blocks were given and the state has the promised root.
    ///
    /// # Errors
    /// A missing block, another root, or a state that contradicts itself.
    pub fn finish(mut self) -> Result<Ledger, ExecuteError> {
        if self.next != self.height().next() {
            return Err(ExecuteError::LogGap {
                expected: self.next,
                found: self.height(),
            });
        }
        self.state.clock = self.head.clock;
        self.state.ids.forget(self.head.clock.second());
        let found = self.state.root();
        if found != self.head.state_root {
            return Err(ExecuteError::Root {
                height: self.height(),
                expected: self.head.state_root,
                found,
            });
        }
        let ledger = Ledger { state: self.state };
        ledger.check_invariants()?;
        Ok(ledger)
    }

    /// The sum given back of a TRANSFER lies with its identifier, which a snapshot leaves out.
    fn give_back(&mut self, body: &Body, outcome: Outcome) {
        if let Effect::GivesBack(back) = kinds::effect(body, outcome)
            && let Some(at) = self.state.ids.payment(back.payer, back.id)
        {
            self.state.ids.give_back(at, back.amount);
        }
    }
}

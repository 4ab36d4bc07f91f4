//! Counters of the ledger; `node` shows them.

use std::sync::atomic::{AtomicU64, Ordering};

use clearway_types::code::{OutcomeFlags, ResultCode};
use clearway_types::event::Event;
use clearway_types::kind::Kind;
use clearway_types::messages::ExecutedBlock;

use crate::ledger::Ledger;

/// Kinds that are counted by themselves, and one place for kinds without a number.
const KIND_ROWS: usize = Kind::ALL.len() + 1;

clearway_flow::metrics! {
    /// Figures of the stage.
    pub struct ExecuteMetrics in "execute" {
        /// Height of the last block executed.
        height: gauge,
        /// Blocks executed.
        blocks: total,
        /// Envelopes executed.
        envelopes: total,
        /// Envelopes that were applied.
        settled: total,
        /// Envelopes answered with an earlier result.
        duplicates: total,
        /// Refusals that may pass.
        transient: total,
        /// Holds ended because their time was over.
        holds_expired: total,
        /// Holds open now.
        holds_open: gauge,
        /// Identifiers remembered now.
        live_ids: gauge,
        /// Accounts now.
        accounts: gauge,
        /// State roots computed.
        state_roots: total,
        /// Key directory versions published.
        directories: total,
        /// Snapshots taken.
        snapshots: total,
        /// 1 while the running sums of every ledger balance, else 0.
        conserved: gauge,
        /// Full scans that found every promise kept.
        scans: total,
    }
    + {
        /// Envelopes by kind and result code.
        outcomes: Outcomes,
    }
}

/// A row per kind, a column per result code.
#[derive(Debug)]
struct Outcomes(Vec<AtomicU64>);

impl Default for Outcomes {
    fn default() -> Self {
        let places = KIND_ROWS.saturating_mul(ResultCode::ALL.len());
        Self((0..places).map(|_| AtomicU64::new(0)).collect())
    }
}

impl ExecuteMetrics {
    /// How often each result was given to each kind, without the zeros; `None` is a kind that has
    /// no number. Duplicates are not in it.
    pub fn outcomes(&self) -> impl Iterator<Item = (Option<Kind>, ResultCode, u64)> {
        let kinds = Kind::ALL.iter().map(|kind| Some(*kind)).chain([None]);
        let places = kinds.flat_map(|kind| ResultCode::ALL.iter().map(move |code| (kind, *code)));
        let counts = self
            .outcomes
            .0
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let rows = places
            .zip(counts)
            .map(|((kind, code), count)| (kind, code, count));
        rows.filter(|(_, _, count)| *count > 0)
    }

    /// Counts a block and shows the ledger's sizes after it.
    pub(crate) fn note(&self, block: &ExecutedBlock, ledger: &Ledger) {
        self.height.set(ledger.height().0);
        self.blocks.add(1);
        self.envelopes.add_count(block.results.len());
        self.duplicates.add_count(block.duplicates.len());
        for event in &block.events {
            match event {
                Event::HoldExpired(_) => self.holds_expired.add(1),
            }
        }
        self.holds_open.set(ledger.hold_open_count() as u64);
        self.live_ids.set(ledger.live_id_count() as u64);
        self.accounts.set(ledger.state.accounts.slots.len() as u64);
        self.state_roots.add(u64::from(block.state_root.is_some()));
        self.conserved
            .set(u64::from(ledger.conserved().all(|one| one.conserved)));
        self.note_outcomes(block);
    }

    /// Adds runs of equal (kind, code) at once: the usual block is one long run.
    fn note_outcomes(&self, block: &ExecutedBlock) {
        let envelopes = block
            .block
            .batches
            .iter()
            .flat_map(|batch| batch.envelopes());
        let (mut run, mut run_place) = (0u64, 0);
        for (envelope, outcome) in envelopes.zip(&block.results) {
            if outcome.flags.0 & OutcomeFlags::TRANSIENT != 0 {
                self.transient.add(1);
            }
            if outcome.flags.0 & OutcomeFlags::DUPLICATE != 0 {
                continue;
            }
            self.settled
                .add(u64::from(outcome.code == ResultCode::Settled));
            let place = place(envelope.body.kind, outcome.code);
            if place != run_place {
                self.outcomes.0[run_place].fetch_add(run, Ordering::Relaxed);
                (run, run_place) = (0, place);
            }
            run = run.saturating_add(1);
        }
        self.outcomes.0[run_place].fetch_add(run, Ordering::Relaxed);
    }
}

/// Place of a kind and a code in the table; both lists are sorted by number.
fn place(kind: u8, code: ResultCode) -> usize {
    let row = Kind::from_u8(kind).and_then(|kind| Kind::ALL.binary_search(&kind).ok());
    let row = row.unwrap_or(Kind::ALL.len());
    let column = ResultCode::ALL.binary_search(&code).unwrap_or(0);
    row.saturating_mul(ResultCode::ALL.len())
        .saturating_add(column)
}

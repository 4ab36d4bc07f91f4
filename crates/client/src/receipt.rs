//! What a node answered, and how far that can be believed when an envelope was sent several times.

use std::ops::Deref;

use clearway_types::code::{Outcome, OutcomeFlags, ResultCode};
use clearway_types::units::Height;
use clearway_types::wire::query::Found;

use crate::fate::Fate;

/// What a node answered for one envelope. The node's word: [`crate::Client::prove`] checks it.
///
/// Of envelopes that were sent before, the answer may be what the log has under their name (see
/// [`Receipt::by_name`]). Whoever may have used an identifier for two bodies, on two machines for
/// example, must then compare what was executed, [`crate::Client::proof_when_ready`], with what
/// was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Height of the block that executed it; 0 when it was refused before order.
    pub height: Height,
    /// What became of it.
    pub outcome: Outcome,
    /// The log was asked by signer and identifier: it has this of whatever bytes have that name.
    /// Otherwise a node speaks of these bytes.
    pub by_name: bool,
}

impl Receipt {
    /// Whether the envelope was executed in a final block, with whatever result.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.height.0 > 0
    }

    /// Whether it settled.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.is_final() && self.outcome.code == ResultCode::Settled
    }

    /// Whether it says what became of the envelope whatever other copies of it there are: its
    /// identifier is used up, by it or by other bytes.
    ///
    /// A refusal before order never does, even where the bytes alone are to blame: a validator of
    /// the next release may have executed what this one does not know.
    fn speaks_of_all_copies(&self) -> bool {
        let taken = self.outcome.code == ResultCode::IdConflict && !self.transient();
        self.is_final() && (self.outcome.spends_id() || taken)
    }

    /// Whether the same bytes may do better later. Of envelopes that were sent before, only an
    /// `IdConflict` is told with this: what took the identifier ends first, and another copy that
    /// is on its way may be executed then.
    #[must_use]
    pub fn transient(&self) -> bool {
        self.outcome.flags.0 & OutcomeFlags::TRANSIENT != 0
    }

    /// Whether the answer says that the identifier was taken, and this is what took it: had the
    /// envelope itself been executed before, it would have been answered with that.
    fn lost_to(&self, found: &Found) -> bool {
        let conflict = self.outcome.code == ResultCode::IdConflict;
        conflict && self.is_final() && found.height <= self.height
    }
}

/// Whether a submission's envelopes have been sent before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Copies {
    /// These are the only copies.
    First,
    /// Other copies may have been executed, or may be on their way.
    Further,
}

/// Answers in the order of submission.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipts(Vec<Receipt>);

impl Receipts {
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Appends the receipts of the next run.
    pub fn push(&mut self, run: &Run) {
        self.0.extend(run.receipts());
    }

    /// How many settled.
    #[must_use]
    pub fn settled_count(&self) -> usize {
        self.0.iter().filter(|receipt| receipt.settled()).count()
    }
}

impl Deref for Receipts {
    type Target = [Receipt];

    fn deref(&self) -> &[Receipt] {
        &self.0
    }
}

/// Consecutive answers from one block, or consecutive refusals (height 0).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Height of the block; 0 for "refused before order".
    pub height: Height,
    /// Position of the first envelope in the submission.
    pub first_index: usize,
    /// One outcome an envelope.
    pub outcomes: Vec<Outcome>,
    /// As [`Receipt::by_name`].
    pub by_name: bool,
}

impl Run {
    /// One receipt an envelope.
    pub fn receipts(&self) -> impl Iterator<Item = Receipt> + '_ {
        let (height, by_name) = (self.height, self.by_name);
        let outcomes = self.outcomes.iter();
        outcomes.map(move |&outcome| Receipt {
            height,
            outcome,
            by_name,
        })
    }

    /// Takes the first `count` answers out.
    pub(crate) fn take(&mut self, count: usize) -> Self {
        let rest = self.outcomes.split_off(count);
        let taken = Self {
            height: self.height,
            first_index: self.first_index,
            outcomes: std::mem::replace(&mut self.outcomes, rest),
            by_name: self.by_name,
        };
        self.first_index += count;
        taken
    }
}

/// Whether an answer may be about one copy while another has a better one.
pub(crate) fn doubtful(receipt: &Receipt, copies: Copies) -> bool {
    match copies {
        Copies::First => receipt.outcome.code == ResultCode::Expired,
        Copies::Further => !receipt.speaks_of_all_copies(),
    }
}

/// The answers at the head of those that wait as far as they are decided and of one height: what
/// was executed has its own, what never will be, and what lost its identifier to another, keeps the
/// refusal that came.
pub(crate) fn decided(first_index: usize, waiting: &[Receipt], fates: &[Fate]) -> Option<Run> {
    let receipts = waiting.iter().zip(fates);
    let mut receipts = receipts.map_while(|(refused, fate)| match fate {
        Fate::Executed(found) if refused.lost_to(found) => Some(*refused),
        Fate::Executed(found) => Some(Receipt {
            height: found.height,
            outcome: found.outcome,
            by_name: true,
        }),
        Fate::Never(_) => Some(*refused),
        Fate::Open(_) => None,
    });
    let first = receipts.next()?;
    let told_by = |receipt: &Receipt| (receipt.height, receipt.by_name);
    let same = receipts.take_while(|receipt| told_by(receipt) == told_by(&first));
    let outcomes = std::iter::once(first)
        .chain(same)
        .map(|receipt| receipt.outcome);
    Some(Run {
        height: first.height,
        first_index,
        outcomes: outcomes.collect(),
        by_name: first.by_name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(height: u64, code: ResultCode, flags: u16) -> Receipt {
        let mut outcome = Outcome::new(code);
        outcome.flags.0 |= flags;
        Receipt {
            height: Height(height),
            outcome,
            by_name: false,
        }
    }

    #[test]
    fn a_refusal_is_neither_final_nor_settled() {
        let rows = [
            (receipt(0, ResultCode::BadSignature, 0), false, false),
            (receipt(0, ResultCode::Settled, 0), false, false),
            (receipt(3, ResultCode::InsufficientFunds, 0), true, false),
            (receipt(3, ResultCode::Settled, 0), true, true),
        ];
        for (receipt, is_final, settled) in rows {
            assert_eq!((receipt.is_final(), receipt.settled()), (is_final, settled));
        }
    }

    #[test]
    fn after_a_resend_only_answers_that_use_up_the_identifier_are_believed() {
        let again = OutcomeFlags::DUPLICATE;
        let passing = OutcomeFlags::TRANSIENT;
        // The answer, whether the only copy's is in doubt, and whether a further copy's is.
        let mut rows = vec![
            (receipt(5, ResultCode::Settled, 0), false, false),
            (receipt(5, ResultCode::Settled, again), false, false),
            (receipt(5, ResultCode::AwaitingApproval, 0), false, false),
            (receipt(5, ResultCode::InsufficientFunds, 0), false, false),
            (
                receipt(5, ResultCode::InsufficientFunds, again),
                false,
                false,
            ),
            (receipt(5, ResultCode::LinkedFailed, 0), false, false),
            (receipt(5, ResultCode::LinkedFailed, passing), false, true),
            (receipt(5, ResultCode::IdConflict, 0), false, false),
            (receipt(5, ResultCode::IdConflict, passing), false, true),
            (receipt(5, ResultCode::IdTableFull, 0), false, true),
            (receipt(5, ResultCode::HoldTableFull, 0), false, true),
            (receipt(5, ResultCode::KeyNotValid, passing), false, true),
            (
                receipt(5, ResultCode::SignerSuspended, passing),
                false,
                true,
            ),
            (receipt(5, ResultCode::TtlTooLong, passing), false, true),
            (receipt(5, ResultCode::ChainBroken, passing), false, true),
            (receipt(5, ResultCode::Expired, 0), true, true),
            (receipt(0, ResultCode::Expired, 0), true, true),
        ];
        // Nothing that is refused before order says what an earlier copy has become.
        let refusals = ResultCode::ALL
            .iter()
            .filter(|&&c| c != ResultCode::Expired);
        rows.extend(refusals.map(|&code| (receipt(0, code, 0), false, true)));
        for (receipt, first, further) in rows {
            assert_eq!(doubtful(&receipt, Copies::First), first, "{receipt:?}");
            assert_eq!(doubtful(&receipt, Copies::Further), further, "{receipt:?}");
        }
    }

    #[test]
    fn what_is_decided_is_given_on_run_by_run_up_to_the_first_that_is_open() {
        let expired = receipt(0, ResultCode::Expired, 0);
        let executed = |height, code| {
            Fate::Executed(Found {
                height: Height(height),
                index: 0,
                outcome: Outcome::new(code),
            })
        };
        let settled = |height| executed(height, ResultCode::Settled);
        type Given = Option<(u64, Vec<ResultCode>)>;
        let rows: [(&[Fate], Given); 5] = [
            (&[Fate::Open(None), settled(3)], None),
            (
                &[settled(3), Fate::Open(None)],
                Some((3, vec![ResultCode::Settled])),
            ),
            (
                &[settled(3), executed(3, ResultCode::DebitFrozen), settled(4)],
                Some((3, vec![ResultCode::Settled, ResultCode::DebitFrozen])),
            ),
            (
                &[Fate::Never(None), Fate::Never(None), settled(3)],
                Some((0, vec![ResultCode::Expired; 2])),
            ),
            (
                &[settled(3), Fate::Never(None)],
                Some((3, vec![ResultCode::Settled])),
            ),
        ];
        for (fates, expected) in rows {
            let run = decided(7, &vec![expired; fates.len()], fates);
            let given = run.map(|run| {
                assert_eq!(run.first_index, 7);
                let codes = run.outcomes.iter().map(|outcome| outcome.code);
                (run.height.0, codes.collect())
            });
            assert_eq!(given, expected, "{fates:?}");
        }
    }

    #[test]
    fn what_the_log_has_by_name_is_told_as_that_and_never_of_what_lost_the_name_to_it() {
        let passing = OutcomeFlags::TRANSIENT;
        let executed = |height| {
            Fate::Executed(Found {
                height: Height(height),
                index: 0,
                outcome: Outcome::new(ResultCode::Settled),
            })
        };
        let by_name = |height| Receipt {
            by_name: true,
            ..receipt(height, ResultCode::Settled, 0)
        };
        let conflict = receipt(5, ResultCode::IdConflict, passing);
        let expired = receipt(0, ResultCode::Expired, 0);
        let rows = [
            (expired, executed(3), Some(by_name(3))),
            (expired, Fate::Never(None), Some(expired)),
            (conflict, executed(4), Some(conflict)),
            (conflict, executed(5), Some(conflict)),
            // After what took the name has ended, another copy had its turn.
            (conflict, executed(6), Some(by_name(6))),
            (conflict, Fate::Never(None), Some(conflict)),
            (conflict, Fate::Open(None), None),
        ];
        for (refused, fate, expected) in rows {
            let run = decided(0, &[refused], &[fate]);
            let told = run.and_then(|run| run.receipts().next());
            assert_eq!(told, expected, "{refused:?}, {fate:?}");
        }
    }
}

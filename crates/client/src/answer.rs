//! What a node answered, and how far that can be believed when an envelope was sent several times.

use std::ops::Deref;

use clearway_types::code::{Outcome, OutcomeFlags, ResultCode};
use clearway_types::units::Height;
use clearway_types::wire::query::Found;

/// What a node answered for one envelope. The node's word: [`crate::Client::prove`] checks it.
///
/// Of envelopes that were sent before, the answer may be what the log has under their name (see
/// [`Answer::by_name`]). A member that may have used an identifier for two bodies, on two machines
/// for example, must then compare what was executed, [`crate::Client::proof_when_ready`], with what
/// was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Height of the block that executed it; 0 when it was refused before order.
    pub height: Height,
    /// What became of it.
    pub outcome: Outcome,
    /// The log was asked by signer and identifier: it has this of whatever bytes have that name.
    /// Otherwise a node speaks of these bytes.
    pub by_name: bool,
}

impl Answer {
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
    pub(crate) fn lost_to(&self, found: &Found) -> bool {
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
pub struct Answers(Vec<Answer>);

impl Answers {
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Appends the answers of the next run.
    pub fn push(&mut self, run: &Run) {
        self.0.extend(run.answers());
    }

    /// How many settled.
    #[must_use]
    pub fn settled_count(&self) -> usize {
        self.0.iter().filter(|answer| answer.settled()).count()
    }
}

impl Deref for Answers {
    type Target = [Answer];

    fn deref(&self) -> &[Answer] {
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
    /// As [`Answer::by_name`].
    pub by_name: bool,
}

impl Run {
    /// One answer an envelope.
    pub fn answers(&self) -> impl Iterator<Item = Answer> + '_ {
        let (height, by_name) = (self.height, self.by_name);
        let outcomes = self.outcomes.iter();
        outcomes.map(move |&outcome| Answer {
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
pub(crate) fn doubtful(answer: &Answer, copies: Copies) -> bool {
    match copies {
        Copies::First => answer.outcome.code == ResultCode::Expired,
        Copies::Further => !answer.speaks_of_all_copies(),
    }
}

/// An answer of a node's own, for tests.
#[cfg(test)]
pub(crate) fn sample(height: u64, code: ResultCode, flags: u16) -> Answer {
    let mut outcome = Outcome::new(code);
    outcome.flags.0 |= flags;
    Answer {
        height: Height(height),
        outcome,
        by_name: false,
    }
}

#[cfg(test)]
mod tests {
    use super::{sample as answer, *};

    #[test]
    fn a_refusal_is_neither_final_nor_settled() {
        let rows = [
            (answer(0, ResultCode::BadSignature, 0), false, false),
            (answer(0, ResultCode::Settled, 0), false, false),
            (answer(3, ResultCode::InsufficientFunds, 0), true, false),
            (answer(3, ResultCode::Settled, 0), true, true),
        ];
        for (answer, is_final, settled) in rows {
            assert_eq!((answer.is_final(), answer.settled()), (is_final, settled));
        }
    }

    #[test]
    fn after_a_resend_only_answers_that_use_up_the_identifier_are_believed() {
        let again = OutcomeFlags::DUPLICATE;
        let passing = OutcomeFlags::TRANSIENT;
        // The answer, whether the only copy's is in doubt, and whether a further copy's is.
        let mut rows = vec![
            (answer(5, ResultCode::Settled, 0), false, false),
            (answer(5, ResultCode::Settled, again), false, false),
            (answer(5, ResultCode::AwaitingApproval, 0), false, false),
            (answer(5, ResultCode::InsufficientFunds, 0), false, false),
            (
                answer(5, ResultCode::InsufficientFunds, again),
                false,
                false,
            ),
            (answer(5, ResultCode::LinkedFailed, 0), false, false),
            (answer(5, ResultCode::LinkedFailed, passing), false, true),
            (answer(5, ResultCode::IdConflict, 0), false, false),
            (answer(5, ResultCode::IdConflict, passing), false, true),
            (answer(5, ResultCode::IdTableFull, 0), false, true),
            (answer(5, ResultCode::HoldTableFull, 0), false, true),
            (answer(5, ResultCode::KeyNotValid, passing), false, true),
            (answer(5, ResultCode::SignerSuspended, passing), false, true),
            (answer(5, ResultCode::TtlTooLong, passing), false, true),
            (answer(5, ResultCode::ChainBroken, passing), false, true),
            (answer(5, ResultCode::Expired, 0), true, true),
            (answer(0, ResultCode::Expired, 0), true, true),
        ];
        // Nothing that is refused before order says what an earlier copy has become.
        let refusals = ResultCode::ALL
            .iter()
            .filter(|&&c| c != ResultCode::Expired);
        rows.extend(refusals.map(|&code| (answer(0, code, 0), false, true)));
        for (answer, first, further) in rows {
            assert_eq!(doubtful(&answer, Copies::First), first, "{answer:?}");
            assert_eq!(doubtful(&answer, Copies::Further), further, "{answer:?}");
        }
    }
}

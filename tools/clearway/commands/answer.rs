//! An answer as people and scripts read it: one word for what it comes to, help, and its rows.

use clearway_client::Answer;
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::control::{KEY_SLOT_NONE, ParticipantSet};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::kind::Kind as EnvelopeKind;
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::Height;
use clearway_types::wire::query::Found;
use serde::Serialize;

use crate::commands::instruction::{kind_name, signed_by};
use crate::failure::Failure;
use crate::ui::{self, Output};

/// How the end of an instruction is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling {
    /// With its proof.
    pub(crate) prove: bool,
    pub(crate) output: Output,
}

impl Telling {
    /// Writes an answer to stdout.
    pub(super) fn say(self, view: &AnswerView) -> Result<(), Failure> {
        self.output.result("answer", view, || view.shown())
    }
}

/// What a signed instruction came to.
#[derive(Serialize)]
pub(super) struct AnswerView {
    id: String,
    signer: u32,
    /// `settled`, `recorded`, `rejected`, `conflict`, `refused`, `expired`, `open`, `unknown` or
    /// `not_sent`.
    pub(super) state: &'static str,
    /// Of the block that has this answer; 0 where none has.
    height: u64,
    /// Height at which another instruction was executed that has its identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_height: Option<u64>,
    code: Option<String>,
    code_number: Option<u16>,
    r#final: bool,
    duplicate: bool,
    pub(super) help: String,
    /// Where the page of all codes has the code.
    help_page: Option<&'static str>,
    /// Height from which on a key that ends is not valid, or a new one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    takes_effect: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<bool>,
    /// End of the bytes that were executed, and are proven, where they are not those sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) executed_expires_at: Option<u32>,
}

impl AnswerView {
    pub(super) fn new(envelope: &Envelope, answer: Answer, proven: Option<bool>) -> Self {
        let code = answer.outcome.code;
        let (height, other_height) = heights(answer);
        Self {
            id: envelope.body.id.to_string(),
            signer: envelope.body.signer().0,
            state: state(answer.height, answer.outcome),
            height,
            other_height,
            code: Some(code.to_string()),
            code_number: Some(code.as_u16()),
            r#final: stays(answer),
            duplicate: answer.outcome.duplicate(),
            help: help_for(code, &envelope.body),
            help_page: Some(code.help_page()),
            takes_effect: takes_effect(&envelope.body, answer),
            proven,
            executed_expires_at: None,
        }
    }

    /// Of an envelope whose end is not known.
    pub(super) fn unknown(envelope: &Envelope) -> Self {
        Self {
            id: envelope.body.id.to_string(),
            signer: envelope.body.signer().0,
            state: "unknown",
            height: 0,
            other_height: None,
            code: None,
            code_number: None,
            r#final: false,
            duplicate: false,
            help: "look it up, or send the same bytes again".to_owned(),
            help_page: None,
            takes_effect: None,
            proven: None,
            executed_expires_at: None,
        }
    }

    /// Of one of several that was not sent any more, since no answer came to those before it.
    pub(super) fn not_sent(envelope: &Envelope) -> Self {
        Self {
            state: "not_sent",
            help: "this command did not send it: type the same command again".to_owned(),
            ..Self::unknown(envelope)
        }
    }

    fn shown(&self) -> String {
        let unknown = || "not known yet".to_owned();
        let last = if self.r#final { "yes" } else { "NO" };
        let mut rows = vec![
            ("id", self.id.clone()),
            ("result", self.code.clone().unwrap_or_else(unknown)),
            ("final", last.to_owned()),
        ];
        match self.other_height {
            Some(height) => rows.push(("height of the other", height.to_string())),
            None if self.height > 0 => rows.push(("height", self.height.to_string())),
            // No block has it.
            None => {}
        }
        if self.duplicate {
            let means = "yes: this is what the first copy came to";
            rows.push(("duplicate", means.to_owned()));
        }
        if let Some(ends) = self.executed_expires_at {
            rows.push(("executed as", format!("a copy that ends at {ends} s")));
        }
        if let Some(height) = self.takes_effect {
            rows.push(("takes effect", format!("at height {height}")));
        }
        if let Some(proven) = self.proven {
            rows.push(("proven", if proven { "yes" } else { "not yet" }.to_owned()));
        }
        ui::rows(rows)
    }
}

/// What a code means for the payer. The client gives `Expired` only once nothing can come of any
/// copy, which the code alone does not say.
pub(super) fn help(code: ResultCode) -> &'static str {
    match code {
        ResultCode::Expired => "it was not executed and never will be: a new one may be signed",
        code => code.help(),
    }
}

/// As [`help`], of a record that is known.
fn help_for(code: ResultCode, body: &Body) -> String {
    match (code, EnvelopeKind::from_u8(body.kind)) {
        (ResultCode::NotAuthorised, Some(kind)) => {
            let (name, by) = (kind_name(body), signed_by(kind));
            format!("the signer may not do this: records of kind {name} are signed by {by}")
        }
        (ResultCode::WrongCurrency, _) => format!(
            "{} (or name the accounts' ledger with --ledger: this one says ledger {})",
            help(code).trim_end_matches('.'),
            body.ledger.get()
        ),
        _ => help(code).to_owned(),
    }
}

/// When a key ends that this record ends, or is valid that it brings, where that is known: a
/// further copy may have another height than the first one, which counts.
fn takes_effect(body: &Body, answer: Answer) -> Option<u64> {
    let ends = |set: &ParticipantSet| set.key_slot != KEY_SLOT_NONE && set.public_key == [0; 32];
    let delayed = match EnvelopeKind::from_u8(body.kind)? {
        EnvelopeKind::KeyRotate => true,
        EnvelopeKind::ParticipantSet => ends(ParticipantSet::of(body)),
        _ => false,
    };
    let known = answer.settled() && !answer.outcome.duplicate();
    (delayed && known).then(|| answer.height.0.saturating_add(KEY_LAG_MAX))
}

/// Whether the instruction did what it is for.
pub(super) fn accepted(answer: Answer) -> bool {
    let code = answer.outcome.code;
    answer.is_final() && (code.applied() || code == ResultCode::AwaitingApproval)
}

/// One word for what an outcome comes to; height 0 is "before order".
pub(super) fn state(height: Height, outcome: Outcome) -> &'static str {
    match (height.0 > 0, outcome.code) {
        (true, ResultCode::Settled) => "settled",
        (true, ResultCode::AwaitingApproval) => "recorded",
        (_, ResultCode::Expired) => "expired",
        (true, ResultCode::IdConflict) => "conflict",
        (true, _) => "rejected",
        (false, _) => "refused",
    }
}

/// What the log has under a name.
pub(super) fn answer_of(found: Found) -> Answer {
    Answer {
        height: found.height,
        outcome: found.outcome,
        by_name: true,
    }
}

/// Whether it was refused in a block by a cause that may pass while the envelope lives, which is
/// not its end. A block has published its bytes, so any copy may still be executed; a refusal
/// before order published nothing.
pub(super) fn may_pass(answer: Answer) -> bool {
    answer.is_final() && answer.transient() && !is_conflict(answer)
}

/// The height of an answer's own block, and that of the other instruction. A block that has refused
/// a copy for its identifier is the copy's own; what the log has by name is what took it.
pub(super) fn heights(answer: Answer) -> (u64, Option<u64>) {
    match is_conflict(answer) && answer.by_name {
        true => (0, Some(answer.height.0)),
        false => (answer.height.0, None),
    }
}

/// Whether its identifier was taken by another envelope.
pub(super) fn is_conflict(answer: Answer) -> bool {
    answer.outcome.code == ResultCode::IdConflict && answer.is_final()
}

/// Whether this result of the instruction stays, whatever becomes of other copies.
pub(super) fn stays(answer: Answer) -> bool {
    answer.is_final() && answer.outcome.spends_id()
}

#[cfg(test)]
mod tests {
    use clearway_types::code::Trace;

    use super::*;

    #[test]
    fn a_no_in_a_block_that_may_pass_is_no_end_and_any_other_is() {
        for &code in ResultCode::ALL {
            for height in [0, 7] {
                let answer = Answer {
                    height: Height(height),
                    outcome: Outcome::refused(code),
                    by_name: false,
                };
                let passes = matches!(code.trace(), Trace::MayPass | Trace::Transient);
                let expected = height > 0 && passes && code != ResultCode::IdConflict;
                assert_eq!(may_pass(answer), expected, "{code} at {height}");
                assert!(!(may_pass(answer) && (stays(answer) || accepted(answer))));
            }
        }
    }

    #[test]
    fn the_height_of_another_instruction_is_never_told_as_ones_own() {
        let (settled, conflict) = (ResultCode::Settled, ResultCode::IdConflict);
        let rows = [
            (settled, true, (7, None)),
            (settled, false, (7, None)),
            (conflict, false, (7, None)),
            (conflict, true, (0, Some(7))),
        ];
        for (code, by_name, expected) in rows {
            let answer = Answer {
                height: Height(7),
                outcome: Outcome::new(code),
                by_name,
            };
            assert_eq!(heights(answer), expected, "{code}, by name {by_name}");
        }
    }

    #[test]
    fn a_state_is_one_word_for_height_and_code() {
        let rows = [
            (7, ResultCode::Settled, "settled"),
            (7, ResultCode::AwaitingApproval, "recorded"),
            (7, ResultCode::InsufficientFunds, "rejected"),
            (7, ResultCode::IdConflict, "conflict"),
            (7, ResultCode::Expired, "expired"),
            (0, ResultCode::Expired, "expired"),
            (0, ResultCode::BadSignature, "refused"),
            (0, ResultCode::Settled, "refused"),
        ];
        for (height, code, expected) in rows {
            assert_eq!(
                state(Height(height), Outcome::new(code)),
                expected,
                "{code}"
            );
        }
    }
}

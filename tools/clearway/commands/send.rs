//! One signed instruction on its way: kept in the outbox and named before it is sent, told when its
//! end is known, and never signed anew while it is not.

use clearway_client::{Answer, ClientError, ClusterKeys, Draft};
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::control::{KEY_SLOT_NONE, ParticipantSet};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::hex;
use clearway_types::kind::Kind as EnvelopeKind;
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::{Height, TransferId};
use clearway_types::wire::proof::SettlementProof;
use clearway_types::wire::query::{Found, Lookup};
use serde::Serialize;
use serde_json::json;
use zerocopy::IntoBytes as _;

use crate::commands::connect::{Connect, Session};
use crate::commands::earlier::Earlier;
use crate::commands::instruction::{Instruction, kind_name, signed_by};
use crate::commands::outbox::{Entry, OutboxArg};
use crate::failure::{Failure, Kind, OrFail as _};
use crate::notation::parse_id;
use crate::ui::{self, Output};

/// What all commands that sign have in common.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(
    after_help = "Before anything is sent, the envelope is written to the outbox and its \
identifier to standard error: with --json as one line with the schema clearway/sending/1. Exit \
codes: 0, it is FINAL and did what it is for; 1, it moved nothing and never will; 3, the proof \
contradicts the answer, or the identifier stands for another instruction or waits in the outbox \
for another cluster; 6, the end is not known, or it is FINAL and could not be told or proved: the \
message says which, and which commands ask again; 7, nothing was sent: type the same command again"
)]
pub(crate) struct Sending {
    /// Own identifier, 32 hexadecimal digits ending in 00: the same command with the same
    /// identifier moves money once
    #[arg(long, value_name = "ID", value_parser = parse_own_id)]
    pub(super) id: Option<TransferId>,
    /// Sign and show, but send nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) outbox: OutboxArg,
}

/// The arguments of a command that signs one record and waits for its end.
#[derive(clap::Args, Debug)]
pub(crate) struct Signed {
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    pub(crate) connect: Connect,
    #[command(flatten)]
    output: Output,
}

impl Signed {
    /// As [`Sending::send`].
    pub(crate) fn send<T: Into<Order>>(
        &self,
        prove: bool,
        order: impl FnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<(), Failure> {
        let Self {
            sending,
            connect,
            output,
        } = self;
        sending.send(connect, *output, prove, order)
    }
}

/// What is to be signed and sent.
pub(crate) struct Order {
    draft: Draft,
    refusal: Option<Failure>,
}

impl From<Draft> for Order {
    fn from(draft: Draft) -> Self {
        let refusal = None;
        Self { draft, refusal }
    }
}

impl Order {
    /// Not to be sent where there is a refusal, unless an earlier use of its identifier has sent it
    /// already: then the refusal may be what that came to.
    pub(crate) fn unless(draft: Draft, refusal: Option<Failure>) -> Self {
        Self { draft, refusal }
    }
}

/// The words of a failure after which nothing was sent.
pub(super) const NOTHING_SENT: &str = "nothing was sent";

impl Sending {
    /// Nothing of one's own, beside this outbox.
    pub(super) fn beside(outbox: &OutboxArg) -> Self {
        Self {
            outbox: outbox.clone(),
            ..Self::default()
        }
    }

    /// Connects, makes an order, sends it and tells what it came to. A failure before it is sent
    /// says so.
    pub(crate) fn send<T: Into<Order>>(
        &self,
        connect: &Connect,
        output: Output,
        prove: bool,
        order: impl FnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<(), Failure> {
        let unsent = |failure| self.unsent(failure);
        let session = connect.open_with(self).map_err(unsent)?;
        let order = order(&session).map_err(unsent)?;
        session.submit(order.into(), prove, output)
    }

    fn unsent(&self, failure: Failure) -> Failure {
        unsent(failure, self.id.is_some())
    }
}

/// A failure before anything was sent. With `earlier`, an earlier use of the same identifier may
/// have moved money all the same, so that it is never the end of the instruction.
pub(super) fn unsent(failure: Failure, earlier: bool) -> Failure {
    let failure = failure.adding(NOTHING_SENT);
    match (failure.kind(), earlier) {
        (Kind::Unavailable, _) | (Kind::Failed, true) => failure.of(Kind::NotSent),
        _ => failure,
    }
}

/// Whether other copies of an envelope may be on their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Copy {
    First,
    Further,
}

/// What a dry run has signed.
#[derive(Serialize)]
struct DryRun {
    id: String,
    signer: u32,
    #[serde(flatten)]
    instruction: Instruction,
    expires_at: u32,
    envelope: String,
    sent: bool,
}

/// What a signed instruction came to.
#[derive(Serialize)]
struct AnswerView {
    id: String,
    signer: u32,
    /// `settled`, `recorded`, `rejected`, `conflict`, `refused`, `expired` or `unknown`.
    state: &'static str,
    height: u64,
    code: Option<String>,
    code_number: Option<u16>,
    r#final: bool,
    duplicate: bool,
    help: String,
    /// Height from which on a key that ends is not valid, or a new one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    takes_effect: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<bool>,
}

impl Session {
    /// Signs, keeps, names, sends, waits for FINAL, tells; anything but success fails with the
    /// code's help.
    fn submit(&self, order: Order, prove: bool, output: Output) -> Result<(), Failure> {
        let Order { draft, refusal } = order;
        let envelope = match self.sending.id {
            None => self.signer.sign(draft),
            Some(id) => self.signer.sign_with_id(draft, id),
        };
        if self.sending.dry_run {
            return match refusal {
                None => self.show(&envelope, output),
                Some(failure) => Err(failure),
            };
        }
        let unsent = |failure: Failure| self.sending.unsent(failure);
        let earlier = self.sending.id.map(|_| self.earlier(&envelope));
        let replaces = match earlier.transpose().map_err(unsent)?.flatten() {
            Some(Earlier::Other(other)) => return Err(other.adding(NOTHING_SENT)),
            Some(Earlier::Executed(found, executed)) => {
                return self.tell_again(found, &executed, prove, output);
            }
            Some(Earlier::Waiting(earlier)) => {
                return self.settle(&earlier, Copy::Further, prove, output);
            }
            Some(Earlier::Over) => true,
            None => false,
        };
        let entry = self.entry(envelope);
        let kept = match (refusal, replaces) {
            (Some(failure), _) => Err(failure),
            (None, true) => self.outbox.replace(entry),
            (None, false) => self.outbox.keep(entry),
        };
        kept.map_err(unsent)?;
        self.settle(&envelope, Copy::First, prove, output)
    }

    /// Names an envelope of the outbox, sends it, and tells its end.
    pub(super) fn settle(
        &self,
        envelope: &Envelope,
        copy: Copy,
        prove: bool,
        output: Output,
    ) -> Result<(), Failure> {
        self.announce(envelope, output);
        let envelopes = [*envelope];
        let sent = self.runtime.block_on(async {
            match copy {
                Copy::First => self.client.submit(&envelopes).await,
                Copy::Further => self.client.resubmit(&envelopes).await,
            }
        });
        let answer = sent.map(|answers| answers.first().copied());
        match answer {
            // What the log has by name may be another instruction.
            Ok(Some(answer)) if answer.by_name => match self.own(envelope, answer) {
                Ok(answer) => self.tell(envelope, answer, prove, output),
                Err(failure) => Err(self.unknown(envelope, &failure.to_string(), output)),
            },
            Ok(Some(answer)) if is_conflict(answer) => self.lost(envelope, answer, prove, output),
            Ok(Some(answer)) => self.tell(envelope, answer, prove, output),
            Err(error) if copy == Copy::First && error.nothing_sent() => {
                self.forget(Lookup::of(envelope));
                Err(Failure::new(Kind::NotSent, error))
            }
            Err(error) => Err(self.unknown(envelope, &error.to_string(), output)),
            Ok(None) => Err(self.unknown(envelope, &ClientError::NoAnswer.to_string(), output)),
        }
    }

    pub(super) fn entry(&self, envelope: Envelope) -> Entry {
        Entry {
            genesis: self.genesis.hash(),
            envelope,
        }
    }

    /// The identifier, before anything is sent.
    fn announce(&self, envelope: &Envelope, output: Output) {
        let body = &envelope.body;
        let path = self.outbox.path(body.id);
        let line = match output.json {
            true => ui::to_json(
                "sending",
                &json!({
                    "id": body.id.to_string(),
                    "signer": body.signer().0, "expires_at": body.expires_at().0,
                    "outbox": path.display().to_string(),
                }),
            )
            .expect("text and numbers are JSON"),
            false => format!(
                "id {} of participant {}, kept in {} until its end is known",
                body.id,
                body.signer(),
                path.display()
            ),
        };
        ui::note(&line);
    }

    /// Tells the end of an envelope, and forgets it once that is told. Where another instruction
    /// has its identifier but ends first, this one may be executed still: it stays.
    pub(super) fn tell(
        &self,
        envelope: &Envelope,
        answer: Answer,
        prove: bool,
        output: Output,
    ) -> Result<(), Failure> {
        // Of an envelope that was not executed there is no proof.
        let is_other = is_conflict(answer);
        let proof = match prove && answer.is_final() && !is_other {
            true => Some(self.prove(envelope, answer)),
            false => None,
        };
        let proven = proof.as_ref().map(|proof| matches!(proof, Ok(true)));
        let view = view_of(envelope, answer, proven);
        let said = output.result("answer", &view, || shown(&view));
        let proof = proof.map_or(Ok(()), |proof| proof.map(drop));
        let name = Lookup::of(envelope);
        let may_pass = is_other && answer.transient();
        if told_truly(&said, &proof) && !may_pass {
            self.forget(name);
        }
        if is_other {
            let conflict = self.conflict(envelope, self.executed(name), may_pass);
            return Err(match said {
                Ok(()) => conflict,
                Err(unsaid) => conflict.adding(&unsaid.to_string()),
            });
        }
        exit(name.id, answer, &view.help, said, proof)
    }

    /// An end that is not known: what to type, and an answer that says so for scripts.
    fn unknown(&self, envelope: &Envelope, why: &str, output: Output) -> Failure {
        let (id, again) = (envelope.body.id, &self.again);
        let signer = self.of_another(envelope.body.signer());
        let message = format!("the end of {id} is not known ({why}). Do not sign it anew");
        let remedy = format!(
            "type `clearway lookup {id}{signer} {again}` to ask what became of it, or \
             `clearway resend {id} {again}` to send the same bytes again, which moves money once"
        );
        let failure = Failure::new(Kind::Unavailable, message).remedy(remedy);
        let view = AnswerView {
            id: id.to_string(),
            signer: envelope.body.signer().0,
            state: "unknown",
            height: 0,
            code: None,
            code_number: None,
            r#final: false,
            duplicate: false,
            help: "look it up, or send the same bytes again".to_owned(),
            takes_effect: None,
            proven: None,
        };
        match output.result("answer", &view, || shown(&view)) {
            Ok(()) => failure,
            Err(unsaid) => failure.adding(&unsaid.to_string()),
        }
    }

    /// Shows what a dry run has signed.
    fn show(&self, envelope: &Envelope, output: Output) -> Result<(), Failure> {
        let body = &envelope.body;
        let view = DryRun {
            id: body.id.to_string(),
            signer: body.signer().0,
            instruction: Instruction::of(body, &self.genesis.ledgers),
            expires_at: body.expires_at().0,
            envelope: hex::encode(envelope.as_bytes()),
            sent: false,
        };
        output.result("dry-run", &view, || {
            let sent = "NO: a dry run; it ends by this machine's clock".to_owned();
            ui::rows([
                ("id", view.id.clone()),
                ("signer", view.signer.to_string()),
                ("instruction", view.instruction.text()),
                ("expires_at", view.expires_at.to_string()),
                ("envelope", view.envelope.clone()),
                ("sent", sent),
            ])
        })
    }

    /// Checks certificate, chain and Merkle path of an answer.
    fn prove(&self, envelope: &Envelope, answer: Answer) -> Result<bool, Failure> {
        Ok(self.proof(envelope, answer)?.is_some())
    }

    /// The proof of an answer, checked; `None` where there is none yet.
    pub(super) fn proof(
        &self,
        envelope: &Envelope,
        answer: Answer,
    ) -> Result<Option<SettlementProof>, Failure> {
        let keys = ClusterKeys::from_genesis(&self.genesis).or_fail(Kind::Failed)?;
        let checked = self.ask(async |client| client.checked_proof(&keys, envelope).await)?;
        let Some((proven, proof)) = checked else {
            return Ok(None);
        };
        // A further copy has a height of its own, and the first one's result.
        let again = answer.outcome.duplicate() || proven.outcome.duplicate();
        let same = proven.height == answer.height || again;
        if same && proven.outcome.code == answer.outcome.code {
            return Ok(Some(proof));
        }
        let message = format!(
            "the node answered {} at height {}, the proof says {} at height {}: do not trust it",
            answer.outcome.code, answer.height, proven.outcome.code, proven.height
        );
        Err(Failure::new(Kind::Mismatch, message))
    }
}

/// Whether an end has been told and nothing contradicts it; else it stays in the outbox.
pub(super) fn told_truly(said: &Result<(), Failure>, proof: &Result<(), Failure>) -> bool {
    let is_false = |failure: &Failure| failure.kind() == Kind::Mismatch;
    said.is_ok() && !proof.as_ref().is_err_and(is_false)
}

/// How a command ends whose instruction has its answer: by what that came to, by whether it was
/// told, by whether it was proved.
pub(super) fn exit(
    id: TransferId,
    answer: Answer,
    help: &str,
    said: Result<(), Failure>,
    proof: Result<(), Failure>,
) -> Result<(), Failure> {
    let (moved, code) = (accepted(answer), answer.outcome.code);
    let state = state(answer.height, answer.outcome);
    let end = format!("{id} is {state}, {code} at height {}", answer.height);
    // The money has moved: what cannot be told or proved now must not look as if it had not.
    let after = |failure: Failure| match moved {
        true => failure.end_open(),
        false => failure,
    };
    let told = match proof {
        // It outweighs everything: what the node answered is not so.
        Err(failure) if failure.kind() == Kind::Mismatch => Err(failure.adding(&end)),
        Err(failure) if moved => {
            let missing = format!("only the proof is missing: {end}, do not send it anew");
            Err(after(failure.adding(&missing)))
        }
        _ => said.map_err(|failure| after(failure.adding(&end))),
    };
    told?;
    match moved {
        true => Ok(()),
        false => Err(Failure::new(Kind::Failed, code.to_string()).remedy(help)),
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

pub(super) fn answer_of(found: Found) -> Answer {
    Answer {
        height: found.height,
        outcome: found.outcome,
        by_name: true,
    }
}

/// Whether its identifier was taken by another envelope.
pub(super) fn is_conflict(answer: Answer) -> bool {
    answer.outcome.code == ResultCode::IdConflict && answer.is_final()
}

/// Whether this result of the instruction stays, whatever becomes of other copies.
pub(super) fn is_final(answer: Answer) -> bool {
    answer.is_final() && answer.outcome.spends_id()
}

fn view_of(envelope: &Envelope, answer: Answer, proven: Option<bool>) -> AnswerView {
    let code = answer.outcome.code;
    AnswerView {
        id: envelope.body.id.to_string(),
        signer: envelope.body.signer().0,
        state: state(answer.height, answer.outcome),
        height: answer.height.0,
        code: Some(code.to_string()),
        code_number: Some(code.as_u16()),
        r#final: is_final(answer),
        duplicate: answer.outcome.duplicate(),
        help: help_for(code, &envelope.body),
        takes_effect: takes_effect(&envelope.body, answer),
        proven,
    }
}

/// As [`help`], of a record that is known.
fn help_for(code: ResultCode, body: &Body) -> String {
    match (code, EnvelopeKind::from_u8(body.kind)) {
        (ResultCode::NotAuthorised, Some(kind)) => {
            let (name, by) = (kind_name(body), signed_by(kind));
            format!("the signer may not do this: records of kind {name} are signed by {by}")
        }
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

fn shown(view: &AnswerView) -> String {
    let unknown = || "not known yet".to_owned();
    let last = if view.r#final { "yes" } else { "NO" };
    let mut rows = vec![
        ("id", view.id.clone()),
        ("result", view.code.clone().unwrap_or_else(unknown)),
        ("final", last.to_owned()),
        ("height", view.height.to_string()),
    ];
    if view.duplicate {
        rows.push((
            "duplicate",
            "yes: this is what the first copy came to".to_owned(),
        ));
    }
    if let Some(height) = view.takes_effect {
        rows.push(("takes effect", format!("at height {height}")));
    }
    if let Some(proven) = view.proven {
        rows.push(("proven", if proven { "yes" } else { "not yet" }.to_owned()));
    }
    ui::rows(rows)
}

/// An identifier for an envelope that stands alone: its last byte is the position in a chain.
fn parse_own_id(text: &str) -> Result<TransferId, String> {
    let id = parse_id(text)?;
    match id.chain_position() == 0 && id != TransferId::ZERO {
        true => Ok(id),
        false => Err(format!(
            "`{text}` cannot name an envelope of its own; end it in 00, and not all zeros"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_identifiers_stand_alone() {
        assert!(parse_own_id("0123456789abcdef0123456789abcd00").is_ok());
        for text in [
            "",
            "01",
            &"0".repeat(32),
            &"f".repeat(32),
            "0123456789abcdef0123456789abcd01",
        ] {
            assert!(parse_own_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_fails_after_the_money_has_moved_never_looks_as_if_it_had_not() {
        let answer = |code| Answer {
            height: Height(7),
            outcome: Outcome::new(code),
            by_name: false,
        };
        let (settled, poor) = (ResultCode::Settled, ResultCode::InsufficientFunds);
        let recorded = ResultCode::AwaitingApproval;
        let (failed, mismatch) = (Some(Kind::Failed), Some(Kind::Mismatch));
        let unavailable = Some(Kind::Unavailable);
        // The code, how telling it and proving it failed, how the command ends.
        let rows = [
            (settled, None, None, None),
            (settled, failed, None, unavailable),
            (settled, None, failed, unavailable),
            (settled, None, unavailable, unavailable),
            (settled, None, mismatch, mismatch),
            (settled, failed, mismatch, mismatch),
            (recorded, failed, None, unavailable),
            (poor, None, None, failed),
            (poor, failed, None, failed),
            (poor, None, unavailable, failed),
            // The node says that nothing moved, and a quorum says otherwise.
            (poor, None, mismatch, mismatch),
            (poor, failed, mismatch, mismatch),
        ];
        let done = |kind: Option<Kind>| kind.map_or(Ok(()), |kind| Err(Failure::new(kind, "x")));
        for (code, said, proof, expected) in rows {
            let id = TransferId([1; 16]);
            let ended = exit(id, answer(code), help(code), done(said), done(proof));
            let kind = ended.as_ref().err().map(Failure::kind);
            assert_eq!(kind, expected, "{code}, {said:?}, {proof:?}");
            if code == settled && expected.is_some() {
                let words = ended.expect_err("seen above").to_string();
                assert!(words.contains("Settled at height 7"), "{words}");
            }
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

//! One signed instruction on its way: kept in the outbox and named before it is sent, told when its
//! end is known, and never signed anew while it is not.

use clearway_client::{Answer, ClientError, ClusterKeys, Draft};
use clearway_types::envelope::Envelope;
use clearway_types::hex;
use clearway_types::units::TransferId;
use clearway_types::wire::proof::SettlementProof;
use serde::Serialize;
use serde_json::json;
use zerocopy::IntoBytes as _;

use crate::commands::answer::{AnswerView, Telling, accepted, is_conflict, may_pass, state};
use crate::commands::connect::{Connect, Session};
use crate::commands::earlier::Earlier;
use crate::commands::entry::{Entry, EntryError};
use crate::commands::instruction::Instruction;
use crate::commands::outbox::{End, Held, Outbox, OutboxArg};
use crate::commands::sending::Sending;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::signals::LastWords;
use crate::ui::{self, Output};

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
        let output = *output;
        sending.send(connect, Telling { prove, output }, order)
    }
}

/// The arguments of a command that asks what became of envelopes, beside the outbox.
#[derive(clap::Args, Debug)]
pub(crate) struct Asking {
    /// Also fetch and check the proofs: certificate, chain of results, Merkle path
    #[arg(long)]
    pub(super) prove: bool,
    #[command(flatten)]
    pub(super) outbox: OutboxArg,
    #[command(flatten)]
    pub(super) connect: Connect,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Asking {
    /// Connects.
    pub(super) fn open(&self) -> Result<Session, Failure> {
        self.connect.open_with(&Sending {
            outbox: self.outbox.clone(),
            ..Sending::default()
        })
    }

    pub(super) fn telling(&self) -> Telling {
        Telling {
            prove: self.prove,
            output: self.output,
        }
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
    /// Connects, makes an order, sends it and tells what it came to. A failure before it is sent
    /// says so.
    pub(crate) fn send<T: Into<Order>>(
        &self,
        connect: &Connect,
        telling: Telling,
        order: impl FnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<(), Failure> {
        let outbox = connect.outbox(&self.outbox);
        let unsent = |failure| self.unsent(failure, &outbox);
        let session = connect.open_with(self).map_err(unsent)?;
        let order = order(&session).map_err(unsent)?;
        session.submit(order.into(), telling)
    }

    /// As [`unsent`]; where an earlier copy waits in the outbox its end is not known.
    fn unsent(&self, failure: Failure, outbox: &Outbox) -> Failure {
        let failure = unsent(failure, self.id.is_some());
        let waits =
            |id: &TransferId| matches!(outbox.find(*id), Ok(Some(_)) | Err(EntryError::Damaged(_)));
        let waiting = self.id.filter(waits);
        let Some(id) = waiting.filter(|_| failure.kind() == Kind::NotSent) else {
            return failure;
        };
        let waits = format!(
            "an earlier copy waits in the outbox and may have been executed: type \
             `clearway resend {id} {}`",
            outbox.again()
        );
        failure.adding(&waits).of(Kind::Unavailable)
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

impl Session {
    /// Signs, keeps, names, sends, waits for FINAL, tells; anything but success fails with the
    /// code's help.
    fn submit(&self, order: Order, telling: Telling) -> Result<(), Failure> {
        let Order { draft, refusal } = order;
        let envelope = match self.sending.id {
            None => self.signer.sign(draft),
            Some(id) => self.signer.sign_with_id(draft, id),
        };
        if self.sending.dry_run {
            self.note_earlier();
            return match refusal {
                None => self.show(&envelope, telling.output),
                Some(failure) => Err(failure),
            };
        }
        if self.sending.id.is_none() && refusal.is_none() {
            self.note_waiting(&envelope);
        }
        let unsent = |failure| self.sending.unsent(failure, &self.outbox);
        let held = loop {
            let earlier = self.sending.id.map(|_| self.earlier(&envelope));
            let replaces = match earlier.transpose().map_err(unsent)?.flatten() {
                Some(Earlier::Other(_, other)) => return Err(other.adding(NOTHING_SENT)),
                Some(Earlier::Executed(found, executed)) => {
                    return self.tell_again(&envelope, found, &executed, telling);
                }
                Some(Earlier::Waiting(earlier)) => match self.outbox.hold(&earlier) {
                    // Another command has told its end meanwhile.
                    Ok(None) => continue,
                    held => return self.settle_waiting(&earlier, held, telling),
                },
                Some(Earlier::Over(_)) => true,
                None => false,
            };
            if let Some(failure) = refusal {
                return Err(unsent(failure));
            }
            let entry = self.entry(envelope);
            let kept = match replaces {
                true => self.outbox.replace(entry),
                false => self.outbox.keep(entry),
            };
            // Where another command has taken the identifier meanwhile, that is an earlier use.
            if let Some(held) = kept.map_err(unsent)? {
                break held;
            }
        };
        self.settle(&envelope, Copy::First, &held, telling)
    }

    /// Says of a dry run that another envelope has its identifier in the outbox: without
    /// `--dry-run` that one would be sent.
    fn note_earlier(&self) {
        let earlier = self.sending.id.map(|id| (id, self.outbox.find(id)));
        if let Some((id, Ok(Some(_)))) = earlier {
            ui::note(&format!(
                "{id} waits in the outbox: without --dry-run its end is settled first"
            ));
        }
    }

    /// Names an envelope of the outbox that this command holds, sends it, and tells its end.
    pub(super) fn settle(
        &self,
        envelope: &Envelope,
        copy: Copy,
        _held: &Held,
        telling: Telling,
    ) -> Result<(), Failure> {
        self.announce(envelope, telling.output);
        let signalled = self.not_known(envelope, "a signal ended the command");
        let words = LastWords::new(signalled, telling.output.json);
        let envelopes = [*envelope];
        let sent = self.runtime.block_on(async {
            match copy {
                Copy::First => self.client.submit(&envelopes).await,
                Copy::Further => self.client.resubmit(&envelopes).await,
            }
        });
        // What comes of it is told now; both would contradict each other.
        drop(words);
        let answer = sent.map(|answers| answers.first().copied());
        match answer {
            // What the log has by name may be another instruction, and what took the name may be
            // the same one with another end.
            Ok(Some(answer)) if answer.by_name || is_conflict(answer) => {
                self.tell_beside(envelope, answer, telling)
            }
            Ok(Some(answer)) if may_pass(answer) => self.tell_refused(envelope, answer, telling),
            Ok(Some(answer)) => self.tell(envelope, answer, telling),
            Err(error) if copy == Copy::First && error.nothing_sent() => {
                self.forget(envelope, End::Unsent);
                Err(Failure::new(Kind::NotSent, error))
            }
            Err(error) => self.tell_unanswered(envelope, &error, telling),
            Ok(None) => Err(self.unknown(envelope, &why_unknown(&ClientError::NoAnswer), telling)),
        }
    }

    pub(super) fn entry(&self, envelope: Envelope) -> Entry {
        Entry {
            genesis: self.genesis_hash,
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

    /// Tells the end of an envelope, and forgets it once that is told.
    pub(super) fn tell(
        &self,
        envelope: &Envelope,
        answer: Answer,
        telling: Telling,
    ) -> Result<(), Failure> {
        self.tell_as(envelope, envelope, answer, telling)
    }

    /// As [`Session::tell`], of `asked`, whose instruction was executed as `envelope`.
    pub(super) fn tell_as(
        &self,
        asked: &Envelope,
        envelope: &Envelope,
        answer: Answer,
        telling: Telling,
    ) -> Result<(), Failure> {
        let proof = match telling.prove && answer.is_final() {
            true => Some(self.prove(envelope, answer)),
            false => None,
        };
        let proven = proof.as_ref().map(|proof| matches!(proof, Ok(true)));
        let mut view = AnswerView::new(envelope, answer, proven);
        if asked != envelope {
            view.executed_expires_at = Some(envelope.body.expires_at().0);
        }
        let said = telling.say(&view);
        let proof = proof.map_or(Ok(()), |proof| proof.map(drop));
        if told_truly(&said, &proof) {
            self.forget(asked, End::of(answer));
        }
        let proof_switch = if telling.prove { " --prove" } else { "" };
        let again = format!("type `{}{proof_switch}`", self.look_up(asked));
        exit(asked.body.id, answer, (&view.help, &again), said, proof)
    }

    /// Does not send one of several, since nobody answers: only what waits in the outbox was sent
    /// before. Callers name the envelope.
    pub(super) fn leave(&self, envelope: &Envelope, telling: Telling) -> Result<(), Failure> {
        let why = "no server answers";
        if !matches!(self.kept(envelope.body.id), Ok(None)) {
            return Err(self.unknown(envelope, why, telling));
        }
        let said = telling.say(&AnswerView::not_sent(envelope));
        Err(Failure::new(Kind::NotSent, why).adding_failures([said]))
    }

    /// An end that is not known: what to type.
    fn not_known(&self, envelope: &Envelope, why: &str) -> Failure {
        let (id, again) = (envelope.body.id, self.again());
        let look_up = self.look_up(envelope);
        let message = format!("the end of {id} is not known ({why}). Do not sign it anew");
        let remedy = format!(
            "type `{look_up}` to ask what became of it, or `clearway resend {id} {again}` to send \
             the same bytes again, which moves money once"
        );
        Failure::new(Kind::Unavailable, message).remedy(remedy)
    }

    /// The command that asks what became of an envelope.
    fn look_up(&self, envelope: &Envelope) -> String {
        let (id, again) = (envelope.body.id, self.again());
        let signer = self.signer_switch(envelope.body.signer());
        format!("clearway lookup {id}{signer} {again}")
    }

    /// As [`Session::not_known`], with an answer that says so for scripts.
    pub(super) fn unknown(&self, envelope: &Envelope, why: &str, telling: Telling) -> Failure {
        let failure = self.not_known(envelope, why);
        match telling.say(&AnswerView::unknown(envelope)) {
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

/// Why the end of the one envelope that was sent is not known: the client counts, and says what to
/// do, which the message has beside it.
pub(super) fn why_unknown(error: &ClientError) -> String {
    match error {
        ClientError::Unanswered { .. } | ClientError::NoAnswer => "no answer came in time".into(),
        ClientError::OutcomeUnknown { cause, .. } => why_unknown(cause),
        error => error.to_string(),
    }
}

/// Whether an end has been told and nothing contradicts it; else it stays in the outbox.
pub(super) fn told_truly(said: &Result<(), Failure>, proof: &Result<(), Failure>) -> bool {
    let is_false = |failure: &Failure| failure.kind() == Kind::Mismatch;
    said.is_ok() && !proof.as_ref().is_err_and(is_false)
}

/// How a command ends whose instruction has its answer: by what that came to, by whether it was
/// told, by whether it was proved. `help` is on the answer's code, `again` on how to see its end
/// once more.
pub(super) fn exit(
    id: TransferId,
    answer: Answer,
    (help, again): (&str, &str),
    said: Result<(), Failure>,
    proof: Result<(), Failure>,
) -> Result<(), Failure> {
    let (moved, code) = (accepted(answer), answer.outcome.code);
    let state = state(answer.height, answer.outcome);
    let end = format!("{id} is {state}, {code} at height {}", answer.height);
    // The money has moved: what cannot be told or proved now must not look as if it had not.
    let after = |failure: Failure| match moved {
        true => failure.end_open().remedy(again),
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

#[cfg(test)]
mod tests {
    use clearway_types::code::{Outcome, ResultCode};
    use clearway_types::units::Height;

    use super::*;
    use crate::commands::answer::help;

    #[test]
    fn why_the_end_of_one_envelope_is_not_known_is_said_of_one() {
        let (answered, total) = (0, 1);
        let refused = ClientError::RefusedForNow {
            code: ResultCode::KeySlotEmpty,
        };
        let rows = [
            (
                ClientError::Unanswered { answered, total },
                "no answer came",
            ),
            (
                ClientError::OutcomeUnknown {
                    answered,
                    total,
                    cause: Box::new(refused),
                },
                "answers KeySlotEmpty to a further copy",
            ),
        ];
        for (error, words) in rows {
            let why = why_unknown(&error);
            assert!(why.contains(words) && !why.contains("of 1"), "{why}");
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
            let helps = (help(code), "look again");
            let ended = exit(id, answer(code), helps, done(said), done(proof));
            let kind = ended.as_ref().err().map(Failure::kind);
            assert_eq!(kind, expected, "{code}, {said:?}, {proof:?}");
            if code == settled && expected.is_some() {
                let words = ended.expect_err("seen above").to_string();
                assert!(words.contains("Settled at height 7"), "{words}");
                let is_doubted = expected == mismatch;
                assert_eq!(words.contains("look again"), !is_doubted, "{words}");
            }
        }
    }
}

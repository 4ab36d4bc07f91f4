//! What the log and the outbox have under an identifier: before an envelope is sent, and when its
//! end is told.

use clearway_client::{Answer, ClientError, Fate, Named};
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::flags::Flags;
use clearway_types::units::{Height, ParticipantId, TimeMs, TransferId, UnixSeconds};
use clearway_types::wire::query::{Found, Lookup};
use zerocopy::IntoBytes as _;

use crate::commands::answer::{AnswerView, Telling, answer_of, may_pass};
use crate::commands::connect::Session;
use crate::commands::content::differing;
use crate::commands::entry::{Entry, EntryError};
use crate::commands::instruction::Instruction;
use crate::commands::outbox::{End, Held};
use crate::commands::send::{Copy, why_unknown};
use crate::failure::{Failure, Kind};
use crate::ui;

/// What became of an earlier use of an identifier that is the member's own choice.
pub(super) enum Earlier {
    /// Another instruction has it: at this height, or in the outbox only.
    Other(Option<Height>, Failure),
    /// The same instruction was executed, as these bytes: they may end at another time than those
    /// that were signed just now, and only they have a proof.
    Executed(Found, Envelope),
    /// The same instruction was sent, and may be executed.
    Waiting(Envelope),
    /// The same instruction was sent, and never will be executed.
    Over(Envelope),
}

/// What the log has executed under the name of an envelope.
struct Executed {
    found: Found,
    envelope: Envelope,
    /// What that makes of the envelope that was asked about, where it is another instruction.
    conflict: Option<Outcome>,
}

impl Session {
    /// What became of earlier uses of this envelope's identifier.
    pub(super) fn earlier(&self, envelope: &Envelope) -> Result<Option<Earlier>, Failure> {
        let named = Named::of(envelope);
        let (fate, time) = self.ask(async |client| client.fate(named).await)?;
        if let Fate::Executed(found) = fate {
            return self.executed_as(envelope, found).map(Some);
        }
        let in_time = self.check_end(envelope, time);
        in_time.map_err(|failure| failure.of_one(named.name.id))?;
        let Some(entry) = self.kept(named.name.id)? else {
            return Ok(None);
        };
        if !same_instruction(&entry.envelope.body, &envelope.body) {
            let kept = &entry.envelope.body;
            let other = self.other_use(&envelope.body, kept, "in the outbox");
            return Ok(Some(Earlier::Other(None, other)));
        }
        // The log was asked for its name: it is this envelope's.
        Ok(Some(match Named::of(&entry.envelope).is_over(time) {
            true => Earlier::Over(entry.envelope),
            false => Earlier::Waiting(entry.envelope),
        }))
    }

    /// Whether an envelope whose name the log did not have at `time` may be sent. Whatever was
    /// executed under its name since then, and is not durable yet perhaps, keeps the name taken for
    /// MAX_TTL from then on: one that ends later could move the money again. Callers name the
    /// envelope.
    pub(super) fn check_end(&self, envelope: &Envelope, time: TimeMs) -> Result<(), Failure> {
        let ttl_s = self.genesis.rules.ttl_s_max;
        let (time_s, ends) = (time.seconds(), envelope.body.expires_at());
        let early_s = early_s(ends, time, ttl_s);
        if early_s == 0 {
            return Ok(());
        }
        let message = format!(
            "it ends at {ends} s of cluster time, more than {ttl_s} s after the {time_s} s that \
             this node is known to have reached"
        );
        let remedy = format!(
            "type the same command again in {early_s} s; where the time in `clearway node status` \
             stands still, the node waits for its disk"
        );
        Err(Failure::new(Kind::NotSent, message).remedy(remedy))
    }

    /// Says which envelope of the same instruction waits in the outbox under an identifier of its
    /// own. A second one may be meant, and it is no reason not to send it that this cannot be read.
    pub(super) fn note_waiting(&self, envelope: &Envelope) {
        let entries = self.outbox.all().unwrap_or_default();
        let mut same = entries.into_iter().flatten().filter(|entry| {
            let mut body = entry.envelope.body;
            body.id = envelope.body.id;
            entry.genesis == self.genesis_hash && same_instruction(&body, &envelope.body)
        });
        let Some(earlier) = same.next().map(|entry| entry.id()) else {
            return;
        };
        let others = match same.count() {
            0 => String::new(),
            count => format!(", and {count} more"),
        };
        ui::note(&format!(
            "warning: the same instruction waits in the outbox already, as {earlier}{others}, and \
             may have been executed: this is a further one. For the end of that one, type \
             `clearway resend {earlier} {}`",
            self.again()
        ));
    }

    /// Whether what was executed under this envelope's name is the same instruction.
    fn executed_as(&self, envelope: &Envelope, found: Found) -> Result<Earlier, Failure> {
        let executed = self.executed(Lookup::of(envelope), found)?;
        Ok(match same_instruction(&executed.body, &envelope.body) {
            true => Earlier::Executed(found, executed),
            false => {
                let place = format!("at height {}", found.height);
                let other = self.other_use(&envelope.body, &executed.body, &place);
                Earlier::Other(Some(found.height), other)
            }
        })
    }

    /// What the log has executed under this envelope's name, if anything, beside the envelope; and
    /// the cluster time of that log.
    fn executed_beside(&self, envelope: &Envelope) -> Result<(Option<Executed>, TimeMs), Failure> {
        let named = Named::of(envelope);
        let (fate, time) = self.ask(async |client| client.fate(named).await)?;
        let Fate::Executed(found) = fate else {
            return Ok((None, time));
        };
        let executed = self.executed(named.name, found)?;
        let executed = Executed {
            found,
            envelope: executed,
            conflict: conflict_with(envelope, &executed, time),
        };
        Ok((Some(executed), time))
    }

    /// Sends what waits in the outbox again, where it could be `held`, and tells its end. Where the
    /// log has its instruction it is not sent: the cluster forgets an identifier MAX_TTL after its
    /// result, and would then execute an envelope that was signed since.
    pub(super) fn settle_waiting(
        &self,
        envelope: &Envelope,
        held: Result<Option<Held>, Failure>,
        telling: Telling,
    ) -> Result<(), Failure> {
        let unknown = |why: &str| Err(self.unknown(envelope, why, telling));
        let held = match held {
            Ok(Some(held)) => held,
            Ok(None) => return unknown("another command took it up meanwhile"),
            Err(failure) => return unknown(&failure.to_string()),
        };
        match self.executed_beside(envelope) {
            Ok((Some(executed), _)) if executed.conflict.is_none() => {
                self.tell_executed(envelope, &executed, telling)
            }
            Ok((_, time)) => match self.check_end(envelope, time) {
                Ok(()) => self.settle(envelope, Copy::Further, &held, telling),
                Err(failure) => unknown(&failure.to_string()),
            },
            Err(failure) => unknown(&failure.to_string()),
        }
    }

    /// Tells the end of an envelope's instruction, which the log has.
    fn tell_executed(
        &self,
        envelope: &Envelope,
        executed: &Executed,
        telling: Telling,
    ) -> Result<(), Failure> {
        match executed.envelope == *envelope {
            true => self.tell(envelope, answer_of(executed.found), telling),
            false => self.tell_again(envelope, executed.found, &executed.envelope, telling),
        }
    }

    /// Tells what became of an envelope whose `answer` is what the log has under its name, or that
    /// another envelope took it: the same instruction perhaps, with another end.
    pub(super) fn tell_beside(
        &self,
        envelope: &Envelope,
        answer: Answer,
        telling: Telling,
    ) -> Result<(), Failure> {
        let executed = match self.executed_beside(envelope) {
            Ok((Some(executed), _)) => executed,
            Ok((None, _)) if answer.by_name => {
                let why = "one node has executed it, and another says that it was not executed";
                return Err(self.unknown(envelope, why, telling));
            }
            Ok((None, _)) => return self.tell_conflict(envelope, answer, None, telling),
            Err(failure) => return Err(self.unknown(envelope, &failure.to_string(), telling)),
        };
        let Some(outcome) = executed.conflict else {
            return self.tell_executed(envelope, &executed, telling);
        };
        let outcome = match answer.by_name {
            true => outcome,
            false => answer.outcome,
        };
        let answer = Answer { outcome, ..answer };
        self.tell_conflict(envelope, answer, Some(&executed.envelope), telling)
    }

    /// Tells what became of the instruction of an envelope that was executed as `executed`,
    /// whenever that ended.
    pub(super) fn tell_again(
        &self,
        envelope: &Envelope,
        found: Found,
        executed: &Envelope,
        telling: Telling,
    ) -> Result<(), Failure> {
        let outcome = Outcome::duplicate_of(found.outcome.code);
        let again = Answer {
            outcome,
            ..answer_of(found)
        };
        self.tell_as(envelope, executed, again, telling)
    }

    /// Tells what became of an envelope of which a copy was refused in a block, for a cause that
    /// may pass: by the log and cluster time. Until the envelope's end it stays in the outbox.
    pub(super) fn tell_refused(
        &self,
        envelope: &Envelope,
        answer: Answer,
        telling: Telling,
    ) -> Result<(), Failure> {
        let named = Named::of(envelope);
        match self.ask(async |client| client.fate(named).await) {
            Ok((fate, _)) => self.tell_fate(envelope, fate, Some(answer), telling),
            Err(failure) => Err(self.unknown(envelope, &failure.to_string(), telling)),
        }
    }

    /// Tells what the log and cluster time say of an envelope; where its end is open, a copy was
    /// refused in a block: they tell of it or `refused` does.
    fn tell_fate(
        &self,
        envelope: &Envelope,
        fate: Fate,
        refused: Option<Answer>,
        telling: Telling,
    ) -> Result<(), Failure> {
        match fate {
            Fate::Executed(found) => self.tell_beside(envelope, answer_of(found), telling),
            Fate::Never(_) => {
                let answer = Answer {
                    height: Height(0),
                    outcome: Outcome::new(ResultCode::Expired),
                    by_name: false,
                };
                self.tell(envelope, answer, telling)
            }
            Fate::Open(found) => {
                let refused = found.map(answer_of).or(refused);
                let refused = refused.expect("callers know of a refusal where it is open");
                let mut view = AnswerView::new(envelope, refused, None);
                view.state = "open";
                let open = may_be_executed(envelope.body.id, Some(refused), self.again());
                Err(open.adding_failures([telling.say(&view)]))
            }
        }
    }

    /// Tells the end of an envelope of which further copies were not answered: what the log and
    /// cluster time say where the node refuses them.
    pub(super) fn tell_unanswered(
        &self,
        envelope: &Envelope,
        error: &ClientError,
        telling: Telling,
    ) -> Result<(), Failure> {
        let named = Named::of(envelope);
        let is_refused = matches!(error, ClientError::OutcomeUnknown { cause, .. }
            if matches!(**cause, ClientError::RefusedForNow { .. }));
        let fate = is_refused.then(|| self.ask(async |client| client.fate(named).await));
        match fate {
            Some(Ok((fate, _))) if says_more(fate) => self.tell_fate(envelope, fate, None, telling),
            _ => Err(self.unknown(envelope, &why_unknown(error), telling)),
        }
    }

    /// Tells that another instruction has an envelope's name, of which there is no proof. Where
    /// that one ends first, the envelope may be executed still: it stays in the outbox.
    fn tell_conflict(
        &self,
        envelope: &Envelope,
        answer: Answer,
        executed: Option<&Envelope>,
        telling: Telling,
    ) -> Result<(), Failure> {
        let said = telling.say(&AnswerView::new(envelope, answer, None));
        if said.is_ok() && !answer.transient() {
            self.forget(envelope, End::MovedNothing);
        }
        let conflict = self.conflict(envelope, executed, answer);
        Err(conflict.adding_failures([said]))
    }

    /// How to name the signer of what is not the member's own.
    pub(super) fn signer_switch(&self, signer: ParticipantId) -> String {
        match signer == self.participant() {
            true => String::new(),
            false => format!(" --signer {signer}"),
        }
    }

    /// How a command ends whose envelope was not executed since another has its name. By `answer`
    /// it may be executed still: the ledger has said so, or it ends later than the other, and how
    /// long the ledger keeps the name only a copy is told.
    pub(super) fn conflict(
        &self,
        own: &Envelope,
        executed: Option<&Envelope>,
        answer: Answer,
    ) -> Failure {
        let id = own.body.id;
        let failure = match executed {
            Some(executed) => self.other_use(&own.body, &executed.body, "in the log"),
            None => {
                let message = format!(
                    "identifier {id} stands for another instruction, which the log does not show"
                );
                Failure::new(Kind::Mismatch, message)
            }
        };
        match (answer.transient(), answer.by_name) {
            (false, _) => failure,
            (true, false) => failure.adding("this one ends later, may be executed still and waits"),
            (true, true) => failure.adding(&format!(
                "this one ends later and waits: `clearway resend {id} {}` asks the ledger whether \
                 it may be executed still",
                self.again()
            )),
        }
    }

    /// An identifier that stands for this instruction, and not for the one that was meant.
    fn other_use(&self, own: &Body, other: &Body, place: &str) -> Failure {
        let mut differing = differing(own, other);
        let (mut signed, signer) = (String::new(), other.signer());
        if own.signer() != signer {
            differing.insert(0, "signer");
            signed = format!(" of participant {signer}");
        }
        let message = format!(
            "identifier {} stands for another instruction{signed} {place}, {}; this one differs \
             in: {}",
            other.id,
            Instruction::of(other, &self.genesis.ledgers).text(),
            differing.join(", ")
        );
        let remedy = match signed.is_empty() {
            true => "take a fresh identifier only for another payment",
            false => "name an outbox of this member's own with --outbox",
        };
        Failure::new(Kind::Mismatch, message).remedy(remedy)
    }

    /// The envelope that was found under a name, by the proof of its result.
    pub(super) fn executed(&self, name: Lookup, found: Found) -> Result<Envelope, Failure> {
        let proof = self.ask(async |client| client.proof_when_ready(name).await)?;
        let proof = proof.ok_or_else(|| {
            let message = format!("the node finds {} but no proof of it: try again", name.id);
            Failure::new(Kind::Unavailable, message)
        })?;
        if Lookup::of(&proof.envelope) != name {
            let message = "the node proves another envelope: do not trust it";
            return Err(Failure::new(Kind::Mismatch, message));
        }
        // Another node may be behind, and what was found is not what it proves.
        if (proof.height, proof.index) != (found.height, found.index) {
            let message = format!(
                "{} was found at height {} and is proved at {}: try again",
                name.id, found.height, proof.height
            );
            return Err(Failure::new(Kind::Unavailable, message));
        }
        Ok(proof.envelope)
    }

    /// The outbox's entry with this identifier, if there is one.
    ///
    /// # Errors
    /// For an entry of another cluster too: this one knows nothing of it.
    pub(super) fn kept(&self, id: TransferId) -> Result<Option<Entry>, EntryError> {
        let entry = self.outbox.find(id)?;
        if let Some(entry) = &entry {
            self.check_entry(entry)?;
        }
        Ok(entry)
    }

    /// Whether an entry is one of this cluster, as it was signed.
    pub(super) fn check_entry(&self, entry: &Entry) -> Result<(), EntryError> {
        self.check_cluster(entry)?;
        match self.is_forged(&entry.envelope)? {
            true => Err(self.outbox.unsigned(entry)),
            false => Ok(()),
        }
    }

    /// An entry may be sent, asked about and forgotten at its own cluster alone: an outbox may hold
    /// those of several, and an identifier may be used at each of them.
    pub(super) fn check_cluster(&self, entry: &Entry) -> Result<(), Failure> {
        if entry.genesis == self.genesis_hash {
            return Ok(());
        }
        let message = format!(
            "{} was signed for the cluster with genesis {}: name that cluster's own genesis file, \
             or another folder with --outbox",
            entry.id(),
            entry.genesis
        );
        Err(Failure::new(Kind::Mismatch, message))
    }

    /// Takes an envelope whose `end` has been told out of what waits: these bytes, for another
    /// command may have put others in their place; any copy where the instruction is executed.
    /// Where that cannot be done the end is told once more: no reason to say that the instruction
    /// failed.
    pub(super) fn forget(&self, envelope: &Envelope, end: End) {
        let id = envelope.body.id;
        let is_over = |kept: &Envelope| {
            let is_copy = same_instruction(&kept.body, &envelope.body);
            kept == envelope || (end == End::Executed && is_copy)
        };
        let forgotten = match self.outbox.find(id) {
            Ok(Some(entry)) if is_over(&entry.envelope) => {
                self.check_cluster(&entry).and_then(|()| match end {
                    End::MovedNothing => self.outbox.keep_told(id),
                    End::Executed | End::Unsent => self.outbox.forget(id),
                })
            }
            // At its own cluster it may be as good as any.
            Ok(Some(entry)) if entry.genesis != self.genesis_hash => Ok(()),
            Ok(Some(entry)) if matches!(self.is_forged(&entry.envelope), Ok(true)) => {
                self.put_aside(id);
                Ok(())
            }
            Ok(_) => Ok(()),
            // It may be of another signer or cluster: it is put aside and not removed, and stays
            // where it is if it says so.
            Err(EntryError::Damaged(damaged)) => {
                match self.is_of_another(&damaged, envelope.body.signer()) {
                    true => Err(self.open_end(&damaged)),
                    false => {
                        self.put_aside(id);
                        Ok(())
                    }
                }
            }
            Err(error) => Err(error.into()),
        };
        if let Err(failure) = forgotten {
            ui::note(&format!("what the outbox has of {id} stays: {failure}"));
        }
    }
}

/// Whether a fate says more of an envelope than that its end is not known: the end, or that a copy
/// was refused in a block.
fn says_more(fate: Fate) -> bool {
    match fate {
        Fate::Executed(_) | Fate::Never(_) => true,
        Fate::Open(found) => found.is_some_and(|found| may_pass(answer_of(found))),
    }
}

/// How a command ends whose envelope was not executed and still may be; a copy may have been
/// `refused` in a block.
pub(super) fn may_be_executed(id: TransferId, refused: Option<Answer>, again: &str) -> Failure {
    let message = format!(
        "{id} was not executed yet{} and still may be: do not sign it anew",
        refusal(refused)
    );
    let remedy = format!(
        "type `clearway resend {id} {again}` to send the same bytes again, or `clearway lookup \
         {id} {again}` later"
    );
    Failure::new(Kind::Unavailable, message).remedy(remedy)
}

/// Why a copy was refused in a block without using up the identifier.
pub(super) fn refusal(refused: Option<Answer>) -> String {
    refused.map_or_else(String::new, |answer| {
        let code = answer.outcome.code;
        let help = code.help().trim_end_matches('.');
        let height = answer.height;
        format!(" (a copy was refused at height {height} with {code}: {help})")
    })
}

/// By how many seconds an envelope ends too late to be sent by a look-up of this `time`.
fn early_s(ends: UnixSeconds, time: TimeMs, ttl_s: u32) -> u32 {
    ends.0
        .saturating_sub(time.seconds().0.saturating_add(ttl_s))
}

/// What became of an envelope by `time` where the log has `executed` under its name: nothing of its
/// own if that is the same instruction. A conflict may pass where the envelope ends later and its
/// time is not over; the ledger keeps the name for MAX_TTL after the other's result, which is
/// mostly longer, and tells that to a copy alone.
pub(super) fn conflict_with(
    envelope: &Envelope,
    executed: &Envelope,
    time: TimeMs,
) -> Option<Outcome> {
    let (own, other) = (&envelope.body, &executed.body);
    if same_instruction(other, own) {
        return None;
    }
    let lives = !Named::of(envelope).is_over(time);
    Some(match lives && own.expires_at() > other.expires_at() {
        true => Outcome::refused(ResultCode::IdConflict),
        false => Outcome::new(ResultCode::IdConflict),
    })
}

/// Whether two bodies ask for the same, whenever they end and whichever of the signer's keys has
/// signed them: one of them may have been signed after the key was rotated.
pub(super) fn same_instruction(one: &Body, other: &Body) -> bool {
    let mut one = *one;
    one.expires_at = other.expires_at;
    let slot = other.flags.get() & Flags::KEY_SLOT;
    one.flags = ((one.flags.get() & !Flags::KEY_SLOT) | slot).into();
    one.as_bytes() == other.as_bytes()
}

#[cfg(test)]
mod tests {
    use clearway_client::{Draft, Identity, Signer};
    use clearway_types::amount::Amount;
    use clearway_types::code::OutcomeFlags;
    use clearway_types::units::{AccountId, Digest, LedgerId, ParticipantId};

    use super::*;

    #[test]
    fn an_envelope_is_sent_if_it_ends_by_max_ttl_after_the_time_of_its_look_up() {
        let rows = [
            (160, 100_000, 0),
            (160, 100_999, 0),
            (160, 99_999, 1),
            (161, 100_999, 1),
            (190, 50_000, 80),
            (0, 0, 0),
            (u32::MAX, u64::MAX, 0),
        ];
        for (ends, time, early) in rows {
            let found = early_s(UnixSeconds(ends), TimeMs(time), 60);
            assert_eq!(found, early, "ends at {ends} s, looked up at {time} ms");
        }
    }

    #[test]
    fn of_copies_that_are_refused_an_end_that_came_meanwhile_is_told() {
        let found = |outcome| Found {
            height: Height(7),
            index: 0,
            outcome,
        };
        let settled = found(Outcome::new(ResultCode::Settled));
        let suspended = found(Outcome::refused(ResultCode::SignerSuspended));
        let conflict = found(Outcome::refused(ResultCode::IdConflict));
        let rows = [
            (Fate::Executed(settled), true),
            (Fate::Never(None), true),
            (Fate::Never(Some(suspended)), true),
            (Fate::Open(Some(suspended)), true),
            (Fate::Open(Some(conflict)), false),
            (Fate::Open(None), false),
        ];
        for (fate, expected) in rows {
            assert_eq!(says_more(fate), expected, "{fate:?}");
        }
    }

    #[test]
    fn a_conflict_may_pass_while_the_envelope_lives_and_outlives_what_has_its_name() {
        let signer = Signer::new(
            Identity::from_seed(&[1; 32], ParticipantId(2), 0),
            Digest([0; 32]),
        );
        let signer = signer.expect("a key");
        let account = |owner| AccountId::new(ParticipantId(owner), 1);
        let ending = |minor, ends: u32| {
            let amount = Amount::new(minor, LedgerId(978));
            let mut envelope = signer.sign(Draft::transfer(account(2), account(3), amount));
            envelope.body.id = TransferId([1; 16]);
            envelope.body.expires_at = ends.into();
            envelope
        };
        let own = ending(10, 60);
        let mut by_another_key = own;
        by_another_key.body.flags = (3 << 10).into();
        let (lasting, passing) = (Some(0), Some(OutcomeFlags::TRANSIENT));
        // What has the name, cluster time, and the flags of a conflict.
        let rows = [
            (ending(10, 59), 50_000, None),
            (by_another_key, 50_000, None),
            (ending(11, 59), 50_000, passing),
            (ending(11, 59), 60_999, passing),
            (ending(11, 59), 61_000, lasting),
            (ending(11, 60), 50_000, lasting),
            (ending(11, 61), 50_000, lasting),
        ];
        for (executed, time_ms, expected) in rows {
            let conflict = conflict_with(&own, &executed, TimeMs(time_ms));
            let flags = conflict.map(|outcome| {
                assert_eq!(outcome.code, ResultCode::IdConflict);
                outcome.flags.0
            });
            assert_eq!(flags, expected, "{:?} at {time_ms}", executed.body);
        }
    }
}

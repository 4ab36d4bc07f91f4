//! `clearway lookup`: what became of a signed instruction.

use std::path::PathBuf;

use clearway_client::{Answer, Fate, Named};
use clearway_types::envelope::Envelope;
use clearway_types::units::{ParticipantId, TimeMs, TransferId, UnixSeconds};
use clearway_types::wire::query::{Found, Lookup};
use serde::Serialize;

use crate::commands::answer::{answer_of, heights, help, state, stays};
use crate::commands::connect::Session;
use crate::commands::damaged::NO_END;
use crate::commands::earlier::{conflict_with, may_be_executed, refusal};
use crate::commands::entry::{Damaged, Entry, EntryError};
use crate::commands::instruction::Instruction;
use crate::commands::new_file::NewFile;
use crate::commands::outbox::End;
use crate::commands::proof_file;
use crate::commands::send::{Asking, exit, told_truly};
use crate::failure::{Failure, Kind};
use crate::notation::parse_id;
use crate::ui;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0, it was executed and did what it is for; 1, it moved nothing \
and never will; 3, the node runs another genesis, the proof contradicts the answer, or the \
identifier stands for another instruction than the one in the outbox, or waits there for another \
cluster; 5, it was not executed so far, and the outbox knows no envelope of it, so that nobody can \
say whether it ever will be; 6, it was not \
executed so far and still may be, the outbox has a damaged file of it that may be another's, or \
what became of it could not be asked, told or proved"
)]
pub(crate) struct Args {
    /// Identifier that the command printed before it sent
    #[arg(value_parser = parse_id)]
    id: TransferId,
    /// Participant who signed it, where that is another
    #[arg(long)]
    signer: Option<u32>,
    /// Prove it, and write the proof to this new file: its bytes are those of deploy/PROTOCOL.md
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    #[command(flatten)]
    asking: Asking,
}

impl Args {
    fn proves(&self) -> bool {
        self.asking.prove || self.proof.is_some()
    }
}

#[derive(Serialize)]
struct View {
    id: String,
    signer: u32,
    /// `settled`, `recorded`, `rejected`, `conflict`, `refused`, `expired`, `open` or
    /// `not_executed`.
    state: &'static str,
    /// What was executed under this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction: Option<Instruction>,
    height: Option<u64>,
    /// Height at which that was executed, where it is another instruction than the one asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_height: Option<u64>,
    code: Option<String>,
    code_number: Option<u16>,
    r#final: bool,
    expires_at: Option<u32>,
    cluster_time_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<bool>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let file = args.proof.as_deref();
    let file = file
        .map(|path| NewFile::create("a proof", path))
        .transpose()?;
    let session = args.asking.open().map_err(Failure::end_open)?;
    let told = tell(&session, args, file).map_err(Failure::end_open)?;
    verdict(told, session.again(), session.genesis.rules.ttl_s_max)
}

/// What the outbox says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kept {
    /// Nothing, or not when it ends: absence proves nothing then.
    Nothing,
    /// It waits there, and says when it ends.
    Waiting,
    /// An earlier command has told that it moved nothing and never will.
    Told,
}

/// What was told, for the verdict.
struct Told {
    /// Who signed it, as far as is known.
    name: Lookup,
    fate: Fate,
    /// How the command ends where another instruction was executed than the one in the outbox.
    conflict: Option<Failure>,
    /// What to do where the outbox has a damaged file of it, unless that says that it is another
    /// signer's: it may have been sent, and absence from the log is no end then.
    damaged: Option<Failure>,
    kept: Kept,
    said: Result<(), Failure>,
    proof: Result<(), Failure>,
}

/// Asks, tells, and forgets what has been told. A failure to ask is no verdict.
fn tell(session: &Session, args: &Args, file: Option<NewFile>) -> Result<Told, Failure> {
    let (waiting, damaged) = kept(session, args.id)?;
    let told = match (&waiting, &damaged) {
        (None, None) => session.told(args.id),
        _ => None,
    };
    let found = if told.is_some() {
        Kept::Told
    } else {
        Kept::Waiting
    };
    let entry = waiting.or(told);
    let own = match (&entry, &damaged) {
        (Some(entry), _) => entry.envelope.body.signer(),
        (None, Some(damaged)) => session.signer_of(damaged)?,
        (None, None) => session.participant(),
    };
    let signer = args.signer.map_or(own, ParticipantId);
    let entry = entry.filter(|entry| entry.envelope.body.signer() == signer);
    let kept = entry.map_or(Kept::Nothing, |_| found);
    let ends = entry.as_ref().map(|entry| entry.envelope.body.expires_at());
    let name = Lookup {
        signer,
        id: args.id,
    };
    let named = match &damaged {
        Some(damaged) => session.named(name, damaged),
        None => Named {
            name,
            expires_at: ends.unwrap_or(NO_END),
        },
    };
    let (fate, time) = session.ask(async |client| client.fate(named).await)?;
    let mut view = view(named, (kept, ends), fate, time);
    let (mut conflict, mut proof, mut is_open) = (None, None, matches!(fate, Fate::Open(_)));
    if let Fate::Executed(found) = fate {
        let own = entry.as_ref().map(|entry| &entry.envelope);
        let executed = executed(session, name, found, args.proves() || own.is_some())?;
        if let Some(executed) = executed.filter(|_| args.proves()) {
            let checked = session.proof(&executed, answer_of(found));
            view.proven = Some(matches!(checked, Ok(Some(_))));
            proof = Some(checked.and_then(|proof| proof_file::keep(file, proof.as_ref())));
        }
        let ledgers = &session.genesis.ledgers;
        view.instruction = executed.map(|one| Instruction::of(&one.body, ledgers));
        let pair = own.zip(executed.as_ref());
        let lost =
            pair.and_then(|(own, other)| Some((own, other, conflict_with(own, other, time)?)));
        if let Some((own, other, outcome)) = lost {
            let answer = Answer {
                outcome,
                ..answer_of(found)
            };
            view.take_answer(answer);
            is_open = answer.transient();
            conflict = Some(session.conflict(own, Some(other), answer));
        }
    }
    let output = args.asking.output;
    let said = output.result("lookup", &view, || shown(&view));
    let proof = proof.unwrap_or(Ok(()));
    if let Some(entry) = entry.filter(|_| !is_open && told_truly(&said, &proof)) {
        let end = match (fate, &conflict) {
            (Fate::Executed(_), None) => End::Executed,
            _ => End::MovedNothing,
        };
        session.forget(&entry.envelope, end);
    }
    if damaged.is_some() && matches!(fate, Fate::Never(_)) && said.is_ok() {
        session.put_aside(args.id);
    }
    let damaged = damaged.filter(|damaged| !session.is_of_another(damaged, signer));
    Ok(Told {
        name,
        fate,
        conflict,
        damaged: damaged.map(|damaged| session.open_end(&damaged)),
        kept,
        said,
        proof,
    })
}

impl Session {
    /// An envelope of this cluster that was told to have moved nothing, as far as that is kept.
    fn told(&self, id: TransferId) -> Option<Entry> {
        let told = self.outbox.told(id)?;
        // Refused bytes may have been signed by a key that is not the one of their slot.
        let is_ours = || self.is_by_own_key(&told.envelope) && self.check_cluster(&told).is_ok();
        (self.check_entry(&told).is_ok() || is_ours()).then_some(told)
    }
}

/// The outbox's entry, or what is left of a damaged one, which may be enough to ask the log.
fn kept(session: &Session, id: TransferId) -> Result<(Option<Entry>, Option<Damaged>), Failure> {
    match session.kept(id) {
        Err(EntryError::Damaged(damaged)) => {
            ui::note(&Failure::from(&damaged).to_string());
            Ok((None, Some(damaged)))
        }
        // What is in its file is another one.
        Err(error @ EntryError::Misnamed(..)) => {
            ui::note(&Failure::from(error).to_string());
            Ok((None, None))
        }
        entry => Ok((entry?, None)),
    }
}

/// What was executed under a name. Where nothing depends on it, it is left out if it cannot be had:
/// the result is known all the same.
fn executed(
    session: &Session,
    name: Lookup,
    found: Found,
    is_needed: bool,
) -> Result<Option<Envelope>, Failure> {
    match session.executed(name, found) {
        Err(failure) if !is_needed && failure.kind() != Kind::Mismatch => {
            let message = format!("which instruction that is cannot be told: {failure}");
            ui::note(&message);
            Ok(None)
        }
        executed => executed.map(Some),
    }
}

/// `time` is the cluster's, by which the fate was told.
fn view(named: Named, (kept, ends): (Kept, Option<UnixSeconds>), fate: Fate, time: TimeMs) -> View {
    let (state, found) = match (fate, kept) {
        (Fate::Executed(found), _) => (state(found.height, found.outcome), Some(found)),
        (Fate::Never(found), _) => ("expired", found),
        (Fate::Open(found), Kept::Waiting) => ("open", found),
        (Fate::Open(found), Kept::Told) => ("refused", found),
        (Fate::Open(found), Kept::Nothing) => ("not_executed", found),
    };
    View {
        id: named.name.id.to_string(),
        signer: named.name.signer.0,
        state,
        instruction: None,
        height: found.map(|found| found.height.0),
        other_height: None,
        code: found.map(|found| found.outcome.code.to_string()),
        code_number: found.map(|found| found.outcome.code.as_u16()),
        r#final: found.is_some_and(|found| stays(answer_of(found))),
        expires_at: ends.map(|ends| ends.0),
        cluster_time_ms: time.0,
        proven: None,
    }
}

impl View {
    /// What was executed under the name is another instruction: `answer` is what that makes of the
    /// one that was asked for.
    fn take_answer(&mut self, answer: Answer) {
        let Answer {
            height, outcome, ..
        } = answer;
        (self.state, self.r#final) = (state(height, outcome), stays(answer));
        (self.height, self.other_height) = (None, heights(answer).1);
        self.code = Some(outcome.code.to_string());
        self.code_number = Some(outcome.code.as_u16());
    }
}

fn shown(view: &View) -> String {
    let mut rows = vec![
        ("id", view.id.clone()),
        ("state", view.state.replace('_', " ")),
        ("final", if view.r#final { "yes" } else { "NO" }.to_owned()),
    ];
    if let Some(instruction) = &view.instruction {
        let name = match view.other_height {
            None => "executed",
            Some(_) => "executed instead",
        };
        rows.push((name, instruction.text()));
    }
    rows.extend(view.code.as_ref().map(|code| ("result", code.clone())));
    let heights = [
        ("height", view.height),
        ("height of the other", view.other_height),
    ];
    for (name, height) in heights {
        rows.extend(height.map(|height| (name, height.to_string())));
    }
    if let Some(ends) = view.expires_at {
        rows.push(("ends at", format!("{ends} s of cluster time")));
    }
    rows.push(("cluster time", format!("{} ms", view.cluster_time_ms)));
    if let Some(proven) = view.proven {
        rows.push(("proven", if proven { "yes" } else { "not yet" }.to_owned()));
    }
    ui::rows(rows)
}

/// The exit code, and what to do.
fn verdict(told: Told, again: &str, ttl_s_max: u32) -> Result<(), Failure> {
    let Told {
        name,
        fate,
        conflict,
        damaged,
        kept,
        said,
        proof,
    } = told;
    if let Some(conflict) = conflict {
        return Err(conflict.adding_failures([said, proof]));
    }
    let Lookup { signer, id } = name;
    let (kind, message) = match (fate, damaged) {
        (Fate::Executed(found), _) => {
            let helps = (help(found.outcome.code), "type the same command again");
            return exit(id, answer_of(found), helps, said, proof);
        }
        (Fate::Never(found), _) => (
            Kind::Failed,
            format!(
                "{id} was not executed{}, and its time is over: it moved nothing and never will",
                refusal(found.map(answer_of))
            ),
        ),
        (Fate::Open(_), _) if kept == Kept::Told => (
            Kind::Failed,
            format!(
                "{id} was refused, as was told before, and no copy of it is on its way: it moved \
                 nothing and never will"
            ),
        ),
        (Fate::Open(found), _) if kept == Kept::Waiting => {
            said.map_err(Failure::end_open)?;
            return Err(may_be_executed(id, found.map(answer_of), again));
        }
        (Fate::Open(_), Some(failure)) => {
            said.map_err(Failure::end_open)?;
            return Err(failure.end_open());
        }
        (Fate::Open(found), None) => (
            Kind::NotFound,
            format!(
                "{id} of participant {signer} was not executed so far{}; without its envelope, \
                 which the outbox does not have, nobody can say whether it still may be: it may \
                 until its `expires_at`, which is at most MAX_TTL, {ttl_s_max} s, after it was \
                 signed by this program, and any time after it was signed by another. If another \
                 participant signed it, name that one with --signer",
                refusal(found.map(answer_of))
            ),
        ),
    };
    said.map_err(Failure::end_open)?;
    Err(Failure::new(kind, message))
}

#[cfg(test)]
mod tests {
    use clearway_types::code::{Outcome, ResultCode};
    use clearway_types::units::Height;

    use super::*;

    #[test]
    fn a_verdict_names_the_code_that_the_log_has_whatever_that_decides() {
        let found = |code| Found {
            height: Height(7),
            index: 0,
            outcome: Outcome::new(code),
        };
        let (settled, poor) = (ResultCode::Settled, ResultCode::InsufficientFunds);
        let suspended = ResultCode::SignerSuspended;
        let rows = [
            (Fate::Executed(found(settled)), Kept::Waiting, None, vec![]),
            (
                Fate::Executed(found(poor)),
                Kept::Waiting,
                Some(Kind::Failed),
                vec!["InsufficientFunds"],
            ),
            (
                Fate::Never(None),
                Kept::Waiting,
                Some(Kind::Failed),
                vec!["executed, and"],
            ),
            (
                Fate::Never(Some(found(suspended))),
                Kept::Waiting,
                Some(Kind::Failed),
                vec!["SignerSuspended", "never will"],
            ),
            (
                Fate::Open(None),
                Kept::Waiting,
                Some(Kind::Unavailable),
                vec!["yet and", "resend"],
            ),
            (
                Fate::Open(Some(found(suspended))),
                Kept::Waiting,
                Some(Kind::Unavailable),
                vec!["height 7 with SignerSuspended", "still may be"],
            ),
            (
                Fate::Open(Some(found(suspended))),
                Kept::Nothing,
                Some(Kind::NotFound),
                vec!["SignerSuspended", "MAX_TTL, 60 s"],
            ),
            (
                Fate::Open(None),
                Kept::Told,
                Some(Kind::Failed),
                vec!["was refused", "never will"],
            ),
        ];
        for (fate, kept, kind, words) in rows {
            let told = Told {
                name: Lookup {
                    signer: ParticipantId(2),
                    id: TransferId([1; 16]),
                },
                fate,
                conflict: None,
                damaged: None,
                kept,
                said: Ok(()),
                proof: Ok(()),
            };
            let ended = verdict(told, "--key k", 60);
            assert_eq!(ended.as_ref().err().map(Failure::kind), kind, "{fate:?}");
            let said = ended
                .err()
                .map_or_else(String::new, |failure| failure.to_string());
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
}

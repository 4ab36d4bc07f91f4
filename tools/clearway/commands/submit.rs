//! `clearway submit`: sends envelopes that were signed elsewhere, exactly as they stand in a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clearway_client::Answer;
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::envelope::{ENVELOPE_BYTES, Envelope, envelopes};
use clearway_types::units::Height;
use clearway_types::wire::query::Found;
use clearway_types::wire::roster::RosterView;

use crate::commands::answer::AnswerView;
use crate::commands::connect::Session;
use crate::commands::earlier::Earlier;
use crate::commands::outbox::{ENTRIES_MAX, Held};
use crate::commands::send::{Asking, Copy, NOTHING_SENT, unsent};
use crate::failure::{Failure, Kind};

/// Bytes of the longest file: as many envelopes as an outbox takes.
const FILE_BYTES_MAX: usize = ENTRIES_MAX * ENVELOPE_BYTES;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "The file holds bytes, not text: envelopes of 192 bytes, one after another, each \
standing alone. All are checked before one is sent: their header, and their signature where the \
node knows the key. Then each is written to the outbox, named and sent as `clearway resend` does \
it, since copies may have been sent before: the same bytes settle once. Exit codes: 0, all are \
FINAL and did what they are for; 1, one moved nothing and never will; 2, the file does not hold \
such envelopes, and nothing was sent; 3, the node runs another genesis, a signature is not one of \
this cluster, a proof contradicts the answer, or an identifier stands for another instruction; 6, \
the end of one is not known, or some were not sent; 7, nothing was sent: type the same command \
again"
)]
pub(crate) struct Args {
    /// File with the envelopes; `-` for standard input
    file: PathBuf,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // What is wrong with the file stays wrong however often the command is typed. It says nothing
    // of the instructions in it, of which copies may have been sent.
    let of_file = |failure| match unsent(failure, false) {
        failure if failure.kind() == Kind::Failed => failure.of(Kind::Usage),
        failure => failure,
    };
    let bytes = read(&args.file).map_err(of_file)?;
    let all = envelopes(&bytes);
    for (index, envelope) in all.iter().enumerate() {
        let place = || place(args, all, index);
        check_header(envelope).map_err(|wrong| of_file(wrong.at(&place())))?;
    }
    // Of what else fails an earlier copy says nothing: that may have moved money.
    let of_machine = |failure| unsent(failure, true);
    let session = args.asking.open().map_err(of_machine)?;
    let roster = session.known_roster().map_err(of_machine)?;
    for (index, envelope) in all.iter().enumerate() {
        let place = || place(args, all, index);
        let checked = check_signature(&session, envelope, roster);
        checked.map_err(|wrong| of_file(wrong.at(&place())))?;
        let now = session.client.time().now();
        let in_time = session.check_end(envelope, now);
        in_time.map_err(|wrong| of_machine(wrong.at(&place())))?;
        check_outbox(&session, envelope).map_err(of_machine)?;
    }
    let mut is_alone = false;
    let sent = all.iter().map(|envelope| {
        let sent = match is_alone {
            true => session.leave(envelope, args.asking.telling()),
            false => send(&session, envelope, args),
        };
        sent.map_err(|failure| {
            is_alone = is_alone || session.is_left_alone(&failure);
            failure.of_one(envelope.body.id)
        })
    });
    Failure::together(sent.filter_map(Result::err).collect(), all.len())
}

/// Which envelope of the file.
fn place(args: &Args, all: &[Envelope], index: usize) -> String {
    let (file, id) = (args.file.display(), all[index].body.id);
    format!("{file}: envelope {} of {}, {id}", index + 1, all.len())
}

/// Whole envelopes, at least one.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let place = path.display();
    let mut bytes = Vec::new();
    let max = FILE_BYTES_MAX as u64 + 1;
    let read = match path == Path::new("-") {
        true => std::io::stdin().lock().take(max).read_to_end(&mut bytes),
        false => std::fs::File::open(path).and_then(|file| file.take(max).read_to_end(&mut bytes)),
    };
    read.map_err(|error| {
        Failure::of_file(&error, format!("{place}: {error}")).remedy("check the path")
    })?;
    let wrong = |what: String, remedy: &str| {
        Err(Failure::new(Kind::Failed, format!("{place}: {what}")).remedy(remedy))
    };
    let is_text = |byte: &u8| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace();
    match bytes.len() {
        0 => wrong("no envelope".to_owned(), "give 192 bytes or more"),
        _ if bytes.iter().all(is_text) => wrong(
            "hexadecimal digits, not the bytes of envelopes".to_owned(),
            "turn them into bytes, with `xxd -r -p` for example",
        ),
        len if len > FILE_BYTES_MAX => wrong(
            format!("more than {ENTRIES_MAX} envelopes, which an outbox cannot hold"),
            "cut the file at a multiple of 192 bytes and submit the parts",
        ),
        len if len % ENVELOPE_BYTES != 0 => wrong(
            format!("{len} bytes are no whole number of envelopes"),
            "an envelope has 192 bytes: body, then signature",
        ),
        _ => Ok(bytes),
    }
}

/// What any node refuses by the header alone, and what is sent in another way.
fn check_header(envelope: &Envelope) -> Result<(), Failure> {
    let body = &envelope.body;
    body.check_header().map_err(|code| {
        let help = code.help().trim_end_matches('.');
        Failure::new(Kind::Failed, format!("{code}")).remedy(help)
    })?;
    if body.flags().linked() || body.id.chain_position() != 0 {
        let message = "one of a chain, which must go as one";
        let remedy = "send chains from a program of your own, by `Client::submit` of crates/client";
        return Err(Failure::new(Kind::Failed, message).remedy(remedy));
    }
    Ok(())
}

/// Whether it was signed by the key that it names, for this cluster. Of a key that is not
/// registered the node has the word: it may be by now.
fn check_signature(
    session: &Session,
    envelope: &Envelope,
    roster: &RosterView,
) -> Result<(), Failure> {
    if session.is_signed(envelope, roster) != Some(false) {
        return Ok(());
    }
    let body = &envelope.body;
    let (signer, slot) = (body.signer(), body.flags().key_slot());
    let message = format!(
        "it is not signed by the key of participant {signer} in slot {slot} for this cluster: by \
         another key, for another genesis, or its bytes were changed"
    );
    let remedy = format!(
        "sign it for this genesis with that key; `clearway lookup {} --signer {signer} {}` tells \
         whether another copy was executed",
        body.id,
        session.again()
    );
    Err(Failure::new(Kind::Mismatch, message).remedy(remedy))
}

/// Whether the outbox has room for it under its name: none, or these bytes.
fn check_outbox(session: &Session, envelope: &Envelope) -> Result<(), Failure> {
    match session.kept(envelope.body.id)? {
        Some(entry) if entry.envelope != *envelope => Err(waits_otherwise(session, envelope)),
        _ => Ok(()),
    }
}

fn waits_otherwise(session: &Session, envelope: &Envelope) -> Failure {
    let id = envelope.body.id;
    let message = format!("{id} waits in the outbox as other bytes");
    let remedy = format!("type `clearway resend {id} {}` first", session.again());
    Failure::new(Kind::Mismatch, message).remedy(remedy)
}

/// Each envelope has its answer on stdout, also where it is not sent.
fn send(session: &Session, envelope: &Envelope, args: &Args) -> Result<(), Failure> {
    let telling = args.asking.telling();
    match keep(session, envelope) {
        Ok(Kept::Held(held)) => session.settle(envelope, Copy::Further, &held, telling),
        Ok(Kept::Executed(found, executed)) => {
            session.tell_again(envelope, found, &executed, telling)
        }
        Err((at, failure)) => {
            let view = match at {
                None => AnswerView::unknown(envelope),
                Some(height) => AnswerView::new(envelope, conflict_at(height), None),
            };
            Err(failure.adding_failures([telling.say(&view)]))
        }
    }
}

/// An envelope before it is sent.
enum Kept {
    /// It waits in the outbox, and this command sends it.
    Held(Held),
    /// Its instruction was executed already, as these bytes.
    Executed(Found, Box<Envelope>),
}

/// Keeps an envelope in the outbox, unless its instruction was executed already. An error has the
/// height at which another instruction took its identifier, where that is so.
fn keep(session: &Session, envelope: &Envelope) -> Result<Kept, (Option<Height>, Failure)> {
    // The cluster forgets an identifier MAX_TTL after its result; the log alone knows what was
    // executed under it then.
    let named = |failure: Failure| (None, unsent(failure, true));
    loop {
        let held = match session.earlier(envelope).map_err(named)? {
            Some(Earlier::Other(at, other)) => return Err((at, other.adding(NOTHING_SENT))),
            Some(Earlier::Executed(found, executed)) => {
                return Ok(Kept::Executed(found, executed.into()));
            }
            Some(Earlier::Waiting(kept) | Earlier::Over(kept)) if kept == *envelope => {
                session.outbox.hold(envelope)
            }
            Some(Earlier::Waiting(_) | Earlier::Over(_)) => {
                return Err(named(waits_otherwise(session, envelope)));
            }
            None => session.outbox.keep(session.entry(*envelope)),
        };
        // Nothing where another command has kept or ended it meanwhile.
        if let Some(held) = held.map_err(named)? {
            return Ok(Kept::Held(held));
        }
    }
}

fn conflict_at(height: Height) -> Answer {
    Answer {
        height,
        outcome: Outcome::new(ResultCode::IdConflict),
        by_name: true,
    }
}

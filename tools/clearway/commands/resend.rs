//! `clearway resend`: sends what waits in the outbox again, as the same bytes.

use clearway_client::Fate;
use clearway_types::genesis::Genesis;
use clearway_types::units::{Digest, TransferId};
use clearway_types::wire::query::Lookup;
use serde::Serialize;

use crate::commands::answer::answer_of;
use crate::commands::connect::Session;
use crate::commands::entry::{Damaged, Entry, EntryError};
use crate::commands::instruction::Instruction;
use crate::commands::outbox::Outbox;
use crate::commands::send::Asking;
use crate::commands::signature::is_forged_own;
use crate::failure::{Failure, Kind};
use crate::notation::parse_id;
use crate::ui;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "The same bytes settle once, however often they are sent. Each envelope, except \
damaged ones, is answered like the command that signed it, also where its time is over, and leaves \
the outbox once its end is known. Exit code 6: the end of one is still not known, or could not be \
told"
)]
pub(crate) struct Args {
    /// Identifier that the command printed before it sent; all that wait without it
    #[arg(value_parser = parse_id)]
    id: Option<TransferId>,
    /// Show what waits in the outbox, and send nothing
    #[arg(long, conflicts_with_all = ["id", "prove"])]
    list: bool,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.list {
        return list(args);
    }
    // What does not wait needs no node.
    let outbox = args.asking.connect.outbox(&args.asking.outbox);
    if let Some(id) = args.id {
        drop(waiting(&outbox, id)?);
    }
    let session = match args.asking.open() {
        Err(failure) if failure.kind() == Kind::Unavailable && outbox.all()?.is_empty() => {
            return tell(args, &outbox, Vec::new(), None);
        }
        opened => opened.map_err(Failure::end_open)?,
    };
    let entries = match args.id {
        None => session.outbox.all().map_err(Failure::end_open)?,
        Some(id) => vec![waiting(&session.outbox, id)?],
    };
    if entries.is_empty() {
        let genesis = (&session.genesis, session.genesis_hash);
        return tell(args, &session.outbox, Vec::new(), Some(genesis));
    }
    let total = entries.len();
    let mut is_alone = false;
    let sent = entries.into_iter().map(|entry| {
        let sent = match entry {
            Ok(entry) if is_alone => session.leave(&entry.envelope, args.asking.telling()),
            entry => resend(&session, entry, args),
        };
        sent.inspect_err(|failure| is_alone = is_alone || session.is_left_alone(failure))
    });
    Failure::together(sent.filter_map(Result::err).collect(), total)
}

fn waiting(outbox: &Outbox, id: TransferId) -> Result<Result<Entry, EntryError>, Failure> {
    let found = outbox.find(id).transpose();
    found.ok_or_else(|| {
        let message = format!(
            "{id} does not wait in the outbox: it was never sent, its end was told, or it was \
             signed elsewhere; type `clearway lookup {id} {}`",
            outbox.again()
        );
        Failure::new(Kind::NotFound, message)
    })
}

/// Ends one entry of the outbox.
fn resend(session: &Session, entry: Result<Entry, EntryError>, args: &Args) -> Result<(), Failure> {
    let id = match &entry {
        Ok(entry) => Some(entry.id()),
        Err(EntryError::Damaged(damaged)) => damaged.id(),
        // Its message names it.
        Err(EntryError::Misnamed(..) | EntryError::Unread(_)) => None,
    };
    let checked = entry.and_then(|entry| session.check_entry(&entry).map(|()| entry));
    let ended = match checked {
        Ok(entry) => {
            let held = session.outbox.hold(&entry.envelope);
            session.settle_waiting(&entry.envelope, held, args.asking.telling())
        }
        Err(EntryError::Damaged(damaged)) => end_of_damaged(session, &damaged, args),
        Err(error) => Err(Failure::from(error).end_open()),
    };
    ended.map_err(|failure| id.into_iter().fold(failure, Failure::of_one))
}

/// Of a damaged entry its identifier is left: where the log has that, its end is told by it, and
/// the entry is put aside. What the log lacks may be executed yet until the file is older than any
/// envelope gets, and longer where the file does not say that it is this member's.
fn end_of_damaged(session: &Session, damaged: &Damaged, args: &Args) -> Result<(), Failure> {
    let Some(id) = damaged.id() else {
        return Err(Failure::from(damaged).end_open());
    };
    let signer = session.signer_of(damaged).map_err(Failure::end_open)?;
    let name = Lookup { signer, id };
    let named = session.named(name, damaged);
    let asked = session.ask(async |client| client.fate(named).await);
    let (fate, _) = asked.map_err(Failure::end_open)?;
    let found = match fate {
        Fate::Executed(found) => found,
        Fate::Open(_) => return Err(session.open_end(damaged).end_open()),
        Fate::Never(_) => {
            session.put_aside(id);
            let message = format!(
                "{id} is damaged in the outbox, participant {signer} has not had it executed, and \
                 its file is older than any envelope gets: it moved nothing and never will"
            );
            return Err(Failure::new(Kind::Failed, message));
        }
    };
    let executed = session.executed(name, found).map_err(Failure::end_open)?;
    let ledgers = &session.genesis.ledgers;
    let instruction = Instruction::of(&executed.body, ledgers).text();
    ui::note(&format!(
        "{id} is damaged in the outbox; the log has it of participant {signer} as: {instruction}"
    ));
    session.tell(&executed, answer_of(found), args.asking.telling())
}

/// What waits in an outbox, or what is wrong with a file there.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Waits {
        id: String,
        signer: u32,
        #[serde(flatten)]
        instruction: Box<Instruction>,
        expires_at: u32,
        /// Hash of its cluster's genesis.
        genesis: String,
    },
    Bad {
        problem: String,
    },
}

#[derive(Serialize)]
struct Listing {
    outbox: String,
    waiting: Vec<Listed>,
}

/// Lists the outbox; no node is asked. Whether an entry has been changed since it was signed is
/// seen where the member's own key has signed it, whose public half needs no passphrase.
fn list(args: &Args) -> Result<(), Failure> {
    let Asking {
        connect, outbox, ..
    } = &args.asking;
    let (named, outbox) = (outbox.folder.as_deref(), connect.outbox(outbox));
    if let Some(folder) = named.filter(|folder| !folder.is_dir()) {
        let message = format!("no outbox is in {}: name its folder", folder.display());
        return Err(Failure::new(Kind::NotFound, message));
    }
    // Without the one or the other nothing more is known of what is listed.
    let genesis = connect.genesis().ok();
    let genesis = genesis.as_ref().map(|genesis| (genesis, genesis.hash()));
    let own = genesis.and_then(|(genesis, _)| connect.public_identity(genesis));
    let is_forged = |entry: &Entry| {
        genesis.zip(own).is_some_and(|(genesis, own)| {
            entry.genesis == genesis.1 && is_forged_own(&entry.envelope, own, genesis)
        })
    };
    let entries = outbox.all()?.into_iter().map(|entry| match entry? {
        entry if is_forged(&entry) => Err(outbox.unsigned(&entry)),
        entry => Ok(entry),
    });
    tell(args, &outbox, entries.collect(), genesis)
}

/// Shows entries; amounts have the decimals of the genesis, where it is there.
fn tell(
    args: &Args,
    outbox: &Outbox,
    entries: Vec<Result<Entry, EntryError>>,
    genesis: Option<(&Genesis, Digest)>,
) -> Result<(), Failure> {
    let show = |entry: Entry| {
        let own = genesis.filter(|(_, hash)| *hash == entry.genesis);
        let ledgers = own.map_or(&[][..], |(genesis, _)| &genesis.ledgers);
        let body = &entry.envelope.body;
        Listed::Waits {
            id: body.id.to_string(),
            signer: body.signer().0,
            instruction: Box::new(Instruction::of(body, ledgers)),
            expires_at: body.expires_at().0,
            genesis: entry.genesis.to_string(),
        }
    };
    let bad = |error| Listed::Bad {
        problem: Failure::from(error).to_string(),
    };
    let entries = entries.into_iter();
    let listing = Listing {
        outbox: outbox.folder().display().to_string(),
        waiting: entries.map(|entry| entry.map_or_else(bad, show)).collect(),
    };
    args.asking.output.result("outbox-list", &listing, || {
        if listing.waiting.is_empty() {
            return format!("nothing waits in {}", listing.outbox);
        }
        let rows = listing.waiting.iter().map(|listed| match listed {
            Listed::Waits {
                id,
                signer,
                instruction,
                expires_at,
                ..
            } => vec![
                id.clone(),
                signer.to_string(),
                expires_at.to_string(),
                instruction.text(),
            ],
            Listed::Bad { problem } => {
                let none = || "-".to_owned();
                vec![none(), none(), none(), problem.clone()]
            }
        });
        ui::table(&["id", "signer#", "ends at (unix s)#", "instruction"], rows)
    })
}

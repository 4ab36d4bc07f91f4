//! `clearway resend`: sends what waits in the outbox again, as the same bytes.

use clearway_types::units::TransferId;

use crate::commands::connect::{Connect, Session, parse_id};
use crate::commands::outbox::{Entry, OutboxArg};
use crate::commands::send::{Copy, Sending};
use crate::failure::{Failure, Kind};
use crate::ui::{self, Output};

#[derive(clap::Args, Debug)]
#[command(
    after_help = "The same bytes settle once, however often they are sent. Each envelope is \
answered like the command that signed it, also where its time is over, and leaves the outbox once \
its end is known. Exit code 6: the end of one is still not known, or could not be told"
)]
pub(crate) struct Args {
    /// Identifier that the command printed before it sent; all that wait without it
    #[arg(value_parser = parse_id)]
    id: Option<TransferId>,
    /// Also fetch and check the proofs: certificate, chain of results, Merkle path
    #[arg(long)]
    prove: bool,
    #[command(flatten)]
    outbox: OutboxArg,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let sending = Sending::beside(&args.outbox);
    let opened = args.connect.open_to_send(&sending);
    let session = opened.map_err(Failure::end_open)?;
    let entries = match args.id {
        None => session.outbox.all(),
        Some(id) => waiting(&session, id).map(|entry| vec![Ok(entry)]),
    };
    let entries = entries.map_err(Failure::end_open)?;
    let total = entries.len();
    if total == 0 {
        ui::note("nothing waits in the outbox");
    }
    let mut failures = Vec::new();
    for entry in entries {
        // What is in a damaged entry may have moved money, or may still.
        let entry = entry.map_err(Failure::end_open);
        let sent = entry.and_then(|entry| resend(&session, &entry, args));
        failures.extend(sent.err());
    }
    match (failures.pop(), failures.len()) {
        (None, _) => Ok(()),
        (Some(only), 0) => Err(only),
        (Some(last), others) => {
            failures
                .iter()
                .for_each(|failure| ui::note(&failure.to_string()));
            // One whose end is not known outweighs those that are known to have failed, as do
            // their exit codes.
            let kinds = failures.iter().map(Failure::kind);
            let kind = kinds.fold(last.kind(), |a, b| if b as u8 > a as u8 { b } else { a });
            let message = format!("{} of {total} did not settle; the last: {last}", others + 1);
            Err(Failure::new(kind, message))
        }
    }
}

fn waiting(session: &Session, id: TransferId) -> Result<Entry, Failure> {
    session.kept(id)?.ok_or_else(|| {
        let message = format!(
            "{id} does not wait in the outbox: its end was told, or it was signed elsewhere; type \
             `clearway lookup {id} {}`",
            session.again
        );
        Failure::new(Kind::NotFound, message)
    })
}

fn resend(session: &Session, entry: &Entry, args: &Args) -> Result<(), Failure> {
    session.check_cluster(entry)?;
    session.settle(&entry.envelope, Copy::Further, args.prove, args.output)
}

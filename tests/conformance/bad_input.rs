//! Bad inputs through the public doors, row by row: each has its answer, its counter and its
//! remedy, and harms nobody else.

mod config;
mod data;
mod desk;
mod disk;
mod envelopes;
mod files;
mod folder;
mod frames;
mod keys;
mod ledger;
mod members;
mod page;
mod queries;
mod raw;

use std::path::Path;

use clearway_client::Draft;
use clearway_types::code::ResultCode;
use clearway_types::envelope::{Body, Envelope};
use clearway_types::units::TransferId;
use clearway_types::wire::{AnswerStatus, CloseCode};

use crate::bad_input::desk::Desk;
use crate::bad_input::folder::Folder;

/// One bad input and all that must come of it.
pub(crate) struct Row {
    /// What is wrong, in words; unique.
    name: &'static str,
    /// What is sent.
    bad: Bad,
    /// What comes back.
    told: Told,
    /// What moves on the metrics page.
    counter: Counter,
    /// A part of the message that says what to do.
    says: &'static str,
}

/// What is sent, and through which door.
enum Bad {
    /// A good payment of member 2 whose body is changed before it is signed.
    Edited(fn(&mut Body)),
    /// One record, signed by this participant.
    Signed(u32, fn() -> Draft),
    /// As `Signed`, after others have settled; the draft gets the first one's identifier.
    After {
        given: fn(&Desk) -> Vec<Envelope>,
        by: u32,
        draft: fn(TransferId) -> Draft,
    },
    /// Envelopes on one stream, after others have settled.
    Envelopes {
        given: fn(&Desk) -> Vec<Envelope>,
        bad: fn(&Desk, &[Envelope]) -> Vec<Envelope>,
    },
    /// Bytes on the only stream of a connection of member 2.
    Bytes(fn() -> Vec<u8>),
    /// Method and path of a request to the operators' page.
    Request(&'static str),
    /// Anything else against the running node.
    Knock(fn(&Desk) -> Reply),
    /// A node of its own; `None` where this system cannot play what is wrong.
    Alone(fn() -> Option<Reply>),
    /// The program in a folder with a cluster that does not run, after files were put there; the
    /// words of `call` stand apart by blanks.
    Command {
        arrange: fn(&Path),
        variables: &'static [(&'static str, &'static str)],
        call: &'static str,
    },
}

/// What a bad input is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// An envelope's result.
    Code(ResultCode),
    /// The results of several envelopes.
    Codes(&'static [ResultCode]),
    /// The same result as the first time, marked as a duplicate.
    Again(ResultCode),
    /// The door's reason for a reset stream or a closed connection.
    Close(CloseCode),
    /// A question's status.
    Status(AnswerStatus),
    /// A handshake that fails: the client's error that the key is refused.
    KeyRefused,
    /// A handshake that fails without a word of ours: no common protocol.
    NoProtocol,
    /// Nothing until there is room again.
    Waits,
    /// HTTP status.
    Page(u16),
    /// Exit code, with nothing on standard output.
    Exit(i32),
}

/// What moves among the counters of what goes wrong.
enum Counter {
    /// This line, by so much.
    Line(&'static str, u64),
    /// These lines: the event counts for a member's stream and for its envelopes.
    Lines(&'static [(&'static str, u64)]),
    /// The line of executed envelopes with the kind sent and the code told.
    Executed,
    /// None: the input waits, or is not the node's to count.
    Nothing,
    /// Compared by the row's own play.
    Played,
    /// No node runs.
    NoNode,
}

/// What came back.
pub(crate) struct Reply {
    told: Vec<Told>,
    message: String,
}

impl Reply {
    fn new(told: Told, message: impl Into<String>) -> Self {
        Self {
            told: vec![told],
            message: message.into(),
        }
    }

    /// Envelopes' results; the message is the first one's.
    fn codes(codes: &[ResultCode]) -> Self {
        Self {
            told: codes.iter().map(|&code| Told::Code(code)).collect(),
            message: codes.first().map_or("", |code| code.help()).to_owned(),
        }
    }

    fn close(code: CloseCode) -> Self {
        Self::new(Told::Close(code), code.help())
    }

    fn status(status: AnswerStatus) -> Self {
        Self::new(Told::Status(status), status.help())
    }
}

impl Row {
    /// Compares an answer with the row's.
    fn judge(&self, answer: &Reply) -> Result<(), String> {
        let same = match self.told {
            Told::Codes(codes) => Reply::codes(codes).told == answer.told,
            told => answer.told == [told],
        };
        if !same {
            let Reply { told, message } = answer;
            return Err(format!("told {told:?} ({message}) and not {:?}", self.told));
        }
        match answer.message.contains(self.says) {
            true => Ok(()),
            false => Err(format!("`{}` lacks `{}`", answer.message, self.says)),
        }
    }

    /// A record that execution refuses.
    const fn refused(
        name: &'static str,
        by: u32,
        draft: fn() -> Draft,
        code: ResultCode,
        says: &'static str,
    ) -> Self {
        Self {
            name,
            bad: Bad::Signed(by, draft),
            told: Told::Code(code),
            counter: Counter::Executed,
            says,
        }
    }

    /// A program's row: exit code and words, no node.
    const fn command(
        name: &'static str,
        arrange: fn(&Path),
        call: &'static str,
        exit: i32,
        says: &'static str,
    ) -> Self {
        Self::command_with(name, arrange, &[], call, exit, says)
    }

    /// As [`Row::command`] with environment variables.
    const fn command_with(
        name: &'static str,
        arrange: fn(&Path),
        variables: &'static [(&'static str, &'static str)],
        call: &'static str,
        exit: i32,
        says: &'static str,
    ) -> Self {
        Self {
            name,
            bad: Bad::Command {
                arrange,
                variables,
                call,
            },
            told: Told::Exit(exit),
            counter: Counter::NoNode,
            says,
        }
    }
}

/// Rows against one running node.
const DOOR: [&[Row]; 7] = [
    frames::ROWS,
    envelopes::ROWS,
    ledger::ROWS,
    members::ROWS,
    queries::ROWS,
    page::ROWS,
    data::ROWS_BESIDE_A_NODE,
];
/// Rows for the program by itself.
const PROGRAM: [&[Row]; 4] = [config::ROWS, keys::ROWS, files::ROWS, data::ROWS];

fn check_all(tables: &[&[Row]], mut check: impl FnMut(&Row) -> Result<(), String>) {
    let mut failures = Vec::new();
    let from = std::time::Instant::now();
    for row in tables.iter().copied().flatten() {
        println!("{:?} {}", from.elapsed(), row.name);
        if let Err(failure) = check(row) {
            failures.push(format!("{}: {failure}", row.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_running_node_answers_and_counts_each_bad_input_and_serves_everybody_else() {
    let mut desk = Desk::open();
    check_all(&DOOR, |row| desk.check(row));
    desk.close();
}

#[test]
fn the_program_refuses_each_bad_file_says_what_to_do_and_changes_nothing() {
    let folder = Folder::open();
    check_all(&PROGRAM, |row| folder.check(row));
}

#[test]
fn a_full_disk_loses_nothing_that_was_answered_and_says_so() {
    check_all(&[disk::ROWS], |row| {
        let Bad::Alone(play) = row.bad else {
            panic!("each has a node of its own");
        };
        play().map_or(Ok(()), |answer| row.judge(&answer))
    });
}

#[test]
fn the_table_has_at_least_sixty_rows_each_with_a_name_and_a_remedy_of_its_own() {
    let tables = DOOR.iter().chain(&PROGRAM).chain([&disk::ROWS]);
    let rows: Vec<&Row> = tables.copied().flatten().collect();
    println!("{} rows", rows.len());
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let names: std::collections::BTreeSet<_> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len(), "names are unique");
    for row in rows {
        assert_eq!(
            row.says.is_empty(),
            matches!(row.counter, Counter::Nothing) && row.told == Told::Waits,
            "{}",
            row.name
        );
    }
}

//! The run that is recorded: a real node, killed once in the middle, and what its client was told.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use clearway_client::Client;
use clearway_harness::record::{self, Recorded};
use clearway_harness::{NodeProcess, Recorder, folder, free_door};
use clearway_types::envelope::Envelope;
use clearway_types::wire::query::{Found, Lookup};
use tempfile::{TempDir, tempdir};

use crate::disk::Disk;
use crate::member::{Member, runtime};

/// Submissions before the kill, and after it.
const SUBMISSIONS: [u64; 2] = [14, 8];
/// Most payments of one submission.
const PAYMENTS_MAX: u64 = 3;

/// One submission in this many is sent a second time.
const REPEATED_EACH: u64 = 3;

/// A run with its record.
pub(crate) struct Run {
    dir: TempDir,
    /// The disk before the node was started for the first time.
    pub(crate) before: Disk,
    pub(crate) events: Vec<Recorded>,
    pub(crate) answers: Vec<Answer>,
    /// Lengths of the record between which the same bytes came a second time.
    pub(crate) repeats: Vec<Range<u64>>,
    pub(crate) member: Member,
}

/// A payment that was answered FINAL.
pub(crate) struct Answer {
    pub(crate) payment: Envelope,
    pub(crate) found: Found,
    /// Length of the record when the answer had come: everything that the answer stands on lies
    /// before.
    pub(crate) record_bytes: u64,
}

impl Run {
    /// Makes it, with payments that live for half of this many seconds; takes about a second.
    pub(crate) fn make(recorder: &Recorder, ttl_s_max: u32) -> Self {
        let (dir, beside) = (tempdir(), tempdir());
        let (dir, beside) = (dir.expect("a folder"), beside.expect("a folder"));
        folder::init(program(dir.path()));
        folder::set_rules(dir.path(), |rules| {
            (rules.ttl_s_max, rules.return_window_s) = (ttl_s_max, ttl_s_max);
        });
        let before = Disk::of(dir.path()).expect("readable");
        let member = Member::of(dir.path());
        let (log, kill) = (beside.path().join("record"), beside.path().join("kill"));
        let door = free_door();
        let start = || {
            let mut command = program(dir.path());
            command
                .env("CLEARWAY_STORE_CHECKPOINT_BLOCKS", "7")
                .env("CLEARWAY_STORE_SEGMENT_BYTES", (16 << 20).to_string())
                .env("CLEARWAY_ORDER_HEARTBEAT_MS", "350");
            recorder.record(&mut command, dir.path(), &log, &kill);
            NodeProcess::start(command, Path::new("node.toml"), &door)
        };
        let (mut answers, mut repeats) = (Vec::new(), Vec::new());
        let mut work = async |client: &Client, count| {
            for submission in 0..count {
                let payments = member.payments(1 + submission % PAYMENTS_MAX);
                answers.extend(pay(client, &log, &payments).await);
                // Once more: stored, ordered and answered, and no money moves.
                if submission % REPEATED_EACH == 0 {
                    let begin = record_bytes(&log);
                    client.submit(&payments).await.expect("answered");
                    repeats.push(begin..record_bytes(&log));
                }
            }
        };
        let mut node = start();
        let runtime = runtime();
        let address = door.parse().expect("an address");
        let connecting = runtime.block_on(member.connect(address));
        let client = connecting.expect("the node is up");
        runtime.block_on(work(&client, SUBMISSIONS[0]));
        std::fs::write(&kill, "").expect("writable");
        node.wait_killed();
        std::fs::remove_file(&kill).expect("it was written");
        // The client finds the new node at the old door by itself, long before the connection to
        // the dead one has idled out.
        node = start();
        runtime.block_on(work(&client, SUBMISSIONS[1]));
        runtime.block_on(client.close());
        node.stop();
        let events = record::read(&log);
        assert!(!events.is_empty(), "the library was not loaded");
        Self {
            dir,
            before,
            events,
            answers,
            repeats,
            member,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Pays and asks where each payment is, with the record's length as the answers came.
async fn pay(client: &Client, log: &Path, payments: &[Envelope]) -> Vec<Answer> {
    let answers = client.submit(payments).await.expect("answered");
    let record_bytes = record_bytes(log);
    let names: Vec<Lookup> = payments.iter().map(Lookup::of).collect();
    let found = client.lookup_all(&names).await.expect("answered");
    let answered = payments.iter().zip(answers.iter()).zip(found);
    answered
        .map(|((payment, answer), found)| {
            assert!(answer.settled(), "{}", answer.outcome.code);
            let found = found.expect("it was answered FINAL");
            assert_eq!(
                (found.height, found.outcome.code),
                (answer.height, answer.outcome.code)
            );
            Answer {
                payment: *payment,
                found,
                record_bytes,
            }
        })
        .collect()
}

fn record_bytes(log: &Path) -> u64 {
    std::fs::metadata(log).expect("the record").len()
}

fn program(dir: &Path) -> Command {
    folder::program(env!("CARGO_BIN_EXE_clearway"), dir)
}

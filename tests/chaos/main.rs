//! Every command under what others do to a process: readers that go, full disks behind its output,
//! a foreign environment, low limits, signals, odd arguments. It ends soon, with an exit code of
//! its own, without a panic, and leaves nothing in the temporary folder.
//!
//! The sweep plays every command under each of them by itself; the chaos plays several at once, by
//! a seed. `cargo dev chaos` plays it for a minute: `CLEARWAY_SEED` sets the order and
//! `CLEARWAY_SECONDS` for how long.

mod calls;
mod ends;
mod node;
mod play;
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clearway_harness::setting;
use clearway_load::random::Random;

use crate::calls::{CALLS, Call};
use crate::play::{How, play};
use crate::world::World;

/// Plays of a usual test run; each takes a fraction of a second.
const PLAYS_DEFAULT: u64 = 60;

/// One odd argument in this many is tried on a command in one run; the seed says which.
const ODD_STEP: usize = 4;

/// Plays every call under each of these, and tells every failure.
fn sweep(hows: &[How]) {
    let world = World::new();
    let mut failures = Vec::new();
    for call in CALLS {
        for how in hows {
            if let Err(failure) = play(&world, call, &[*how]) {
                failures.push(failure);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_command_does_its_work_and_outlives_readers_that_go_away() {
    sweep(&[How::Plain, How::OutputGone]);
}

#[test]
fn every_command_outlives_readers_of_its_errors_that_go_away() {
    sweep(&[How::ErrorsGone, How::BothGone]);
}

#[test]
fn every_command_outlives_full_disks_behind_its_output() {
    sweep(&[How::OutputFull, How::ErrorsFull, How::BothFull]);
}

#[test]
fn every_command_outlives_closed_streams_and_low_limits() {
    sweep(&[How::AllClosed, How::FewFiles, How::SmallFiles]);
}

#[test]
fn every_command_outlives_a_foreign_environment() {
    sweep(&[How::Kubernetes, How::Strange, How::NoTemporaryFolder]);
}

#[test]
fn every_command_outlives_odd_arguments() {
    let seed = setting("CLEARWAY_SEED", 1);
    println!("seed {seed}");
    let world = World::new();
    let mut failures = Vec::new();
    let first = usize::try_from(seed).expect("a small seed");
    for (number, call) in CALLS.iter().enumerate() {
        let first = first.wrapping_add(number) % ODD_STEP;
        for odd in (first..play::ODD_COUNT).step_by(ODD_STEP) {
            if let Err(failure) = play(&world, call, &[How::Odd(odd)]) {
                failures.push(failure);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_command_ends_at_a_signal_and_leaves_nothing_behind() {
    sweep(&[How::Interrupted, How::Terminated]);
}

#[test]
fn several_at_once_do_no_more_harm_than_one() {
    let seed = setting("CLEARWAY_SEED", 1);
    let seconds = setting("CLEARWAY_SECONDS", 0);
    println!("seed {seed}, {seconds} s (0: {PLAYS_DEFAULT} plays)");
    let world = World::new();
    let mut random = Random::new(seed);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut calls: Vec<&Call> = Vec::new();
    for number in 0.. {
        let over = match seconds {
            0 => number >= PLAYS_DEFAULT,
            // Each command once, however long that takes.
            _ => number >= CALLS.len() as u64 && Instant::now() >= until,
        };
        if over {
            println!("{number} plays");
            return;
        }
        if calls.is_empty() {
            calls = CALLS.iter().collect();
        }
        let at = usize::try_from(random.below(calls.len() as u64)).expect("small");
        let call = calls.swap_remove(at);
        let hows: Vec<How> = (0..=random.below(3))
            .map(|_| How::any(&mut random))
            .collect();
        if let Err(failure) = play(&world, call, &hows) {
            panic!("seed {seed}, play {number}: {failure}");
        }
    }
}

/// Leaves of the help's tree: what can be called.
fn leaves(world: &World, path: &str, into: &mut BTreeSet<String>) {
    let help = world.help(path);
    let (_, after) = help.split_once("Commands:\n").unwrap_or(("", ""));
    let listed = after.lines().take_while(|line| !line.trim().is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    // A command that does something by itself beside its subcommands is named in `CALLS` too.
    if names.is_empty() {
        into.insert(path.trim().to_owned());
    }
    for name in names {
        leaves(world, &format!("{path} {name}"), into);
    }
}

#[test]
fn no_command_is_left_out_of_the_table() {
    let world = World::new();
    let mut commands = BTreeSet::new();
    leaves(&world, "", &mut commands);
    assert!(commands.len() >= 30, "{commands:?}");
    let missing: Vec<&String> = commands
        .iter()
        .filter(|command| {
            let starts = |call: &Call| {
                call.words == *command || call.words.starts_with(&format!("{command} "))
            };
            !CALLS.iter().any(starts)
        })
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

//! SIGKILL under load: whatever a member was told is FINAL is there afterwards, once, and the node
//! says so whenever it is asked.
//!
//! `CLEARWAY_KILLS` sets how often the node is killed, `CLEARWAY_SEED` when.

mod audit;
mod bank;
mod books;
mod sweep;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clearway_harness::{NodeProcess, folder, free_door, setting};
use clearway_load::random::Random;
use tempfile::tempdir;

use crate::audit::{Auditor, compare_with_log};
use crate::bank::{Bank, TTL_S};

/// Kills of a usual test run; each costs one to two seconds, and a campaign sets more.
const KILLS_DEFAULT: u64 = 50;
/// Longest time between the node's return and the next kill.
const ALIVE_MS_MAX: u64 = 600;

fn program(dir: &Path) -> Command {
    folder::program(env!("CARGO_BIN_EXE_clearway"), dir)
}

#[test]
fn sigkill_at_random_moments_loses_and_doubles_nothing_that_was_final() {
    let (kills, seed) = (
        setting("CLEARWAY_KILLS", KILLS_DEFAULT),
        setting("CLEARWAY_SEED", 1),
    );
    println!("seed {seed}, {kills} kills");
    let dir = tempdir().expect("a temporary folder");
    folder::init(program(dir.path()));
    folder::set_rules(dir.path(), |rules| rules.ttl_s_max = 2 * TTL_S);
    let door = free_door();
    let start = || NodeProcess::start(program(dir.path()), Path::new("node.toml"), &door);
    let mut node = start();
    let bank = Bank::open(dir.path(), &door);
    let auditor = Auditor::new(dir.path(), &door);
    let mut random = Random::new(seed);
    for kill in 0..kills {
        let alive = Duration::from_millis(random.below(ALIVE_MS_MAX));
        bank.work_for(alive);
        node.kill();
        node = start();
        assert!(
            !bank.failed(),
            "seed {seed}, kill {kill}: the bank's client gave up"
        );
        let told = bank.books().answered().clone();
        let round = usize::try_from(kill).expect("few kills");
        auditor.ask_again(&told, round, &format!("seed {seed}, kill {kill}"));
    }
    let record = bank.finish();
    assert!(
        record.settled() > 0,
        "seed {seed}: nothing was settled in between"
    );
    record.check(seed);
    node.stop();
    let told = record.books().answered();
    compare_with_log(dir.path(), &told, &format!("seed {seed}"));
    let replay = ["replay", "data", "--genesis", "genesis.toml"];
    folder::succeed(program(dir.path()).args(replay));
}

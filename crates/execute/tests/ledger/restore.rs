//! Snapshots: at any height, with the end of the log, they give the uninterrupted ledger; and
//! damaged ones are refused.

use clearway_execute::{ExecuteError, Ledger, Restore, Snapshot};
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::final_record::FinalRecord;
use clearway_types::units::Height;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::*;
use crate::workload::{play, steps};

fn bytes(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.write(&mut bytes).expect("memory takes it");
    bytes
}

/// Gives a restore the blocks that it asks for.
fn feed(restore: &mut Restore, world: &World) -> Result<(), ExecuteError> {
    while restore.log_from() <= restore.height() {
        let wanted = restore.log_from();
        let (manifest, batches, record) = world
            .log()
            .nth(usize::try_from(wanted.0).unwrap() - 1)
            .expect("the log has it");
        restore.on_block(manifest, batches, &record)?;
    }
    Ok(())
}

fn restored(world: &World, bytes: &[u8]) -> Result<Ledger, ExecuteError> {
    let mut restore = Ledger::restore(&world.genesis, &mut &bytes[..])?;
    feed(&mut restore, world)?;
    restore.finish()
}

#[test]
fn a_snapshot_at_every_height_gives_the_uninterrupted_ledger() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for case in 0..6 {
        let steps = steps(70).new_tree(&mut runner).unwrap().current();
        let mut world = play(genesis(), &steps);
        // Once more from the start, taking a snapshot after every block.
        let mut ledger = Ledger::from_genesis(&world.genesis).unwrap();
        let mut snapshots = vec![ledger.snapshot()];
        for block in &world.blocks {
            let again = ledger.execute(block.block.clone());
            assert_eq!(
                again.exec_head, block.exec_head,
                "taking snapshots changes nothing"
            );
            snapshots.push(ledger.snapshot());
        }
        // Written late, after all later blocks: pages were copied on write.
        for snapshot in snapshots {
            let mut ledger = restored(&world, &bytes(&snapshot))
                .unwrap_or_else(|error| panic!("case {case}, {}: {error}", snapshot.height()));
            assert_eq!(ledger.height(), snapshot.height());
            assert_eq!(ledger.exec_head(), snapshot.exec_head());
            for block in &world.blocks[usize::try_from(snapshot.height().0).unwrap()..] {
                let again = ledger.execute(block.block.clone());
                assert_eq!(again.results, block.results, "case {case}");
                assert_eq!(again.exec_head, block.exec_head, "case {case}");
            }
            assert_eq!(ledger.state_root(), world.ledger.state_root());
            assert_eq!(ledger.balances_root(), world.ledger.balances_root());
            assert_eq!(ledger.live_id_count(), world.ledger.live_id_count());
            assert_eq!(ledger.directory(), world.ledger.directory());
        }
    }
}

/// A world with something in every table, and a snapshot of it.
fn sample() -> (World, Vec<u8>) {
    let mut genesis = genesis();
    genesis.rules.operator_threshold = 2;
    let mut world = World::with(genesis);
    let payment = world.transfer(A, B, 10);
    world.settle(payment.as_body());
    let bodies = [
        *world.hold(A, B, 5).as_body(),
        *world.limit_set(A, BOB, 500).as_body(),
        *world.give_back(&payment, 4).as_body(),
        *world.key_rotate(CAROL, 1, 1).as_body(),
        *world.ledger_define(826, b"GBP").as_body(),
    ];
    world.run(&bodies);
    let bytes = bytes(&world.ledger.snapshot());
    (world, bytes)
}

#[test]
fn a_restored_ledger_knows_what_was_answered_and_given_back() {
    let (mut world, bytes) = sample();
    let log: Vec<_> = world.blocks.clone();
    world.ledger = restored(&world, &bytes).unwrap();
    let again = log[0].block.batches[0].envelopes().next().unwrap().body;
    let outcome = world.outcomes(&[again])[0];
    assert_eq!(outcome.code, ResultCode::Settled);
    assert!(is_duplicate(outcome));
    assert_eq!(world.blocks.last().unwrap().duplicates[0].height, Height(1));
    let payment = *clearway_types::transfer::Transfer::of(&again);
    let back = world.give_back(&payment, 7);
    assert_eq!(world.one(back.as_body()), ResultCode::ReturnExceeded);
}

#[test]
fn a_snapshot_that_is_cut_or_changed_is_refused() {
    let (world, whole) = sample();
    assert!(restored(&world, &whole).is_ok());
    for len in (0..whole.len()).step_by(13) {
        assert!(restored(&world, &whole[..len]).is_err(), "cut to {len}");
    }
    for at in 0..whole.len() {
        // Every byte of the head, every fifth of the records.
        if at > 300 && at % 5 != 0 {
            continue;
        }
        let mut changed = whole.clone();
        changed[at] ^= 0x41;
        assert!(
            restored(&world, &changed).is_err(),
            "byte {at} of {}",
            whole.len()
        );
    }
    let longer = [&whole[..], &[0]].concat();
    let error = restored(&world, &longer)
        .err()
        .expect("a byte too many")
        .to_string();
    assert!(error.contains("`end`"), "{error}");
}

#[test]
fn a_snapshot_of_an_older_layout_is_refused_by_name_with_what_to_do() {
    let (world, mut whole) = sample();
    assert_eq!(whole[..8], *b"CWSTATE\x02");
    whole[7] = 1;
    let error = restored(&world, &whole).err().expect("an older layout");
    let said = error.to_string();
    assert!(
        matches!(
            error,
            ExecuteError::SnapshotVersion {
                found: 1,
                supported: 2
            }
        ),
        "{said}"
    );
    assert!(said.contains("run the program that wrote it"), "{said}");
}

#[test]
fn a_snapshot_of_another_cluster_is_refused() {
    let (mut world, whole) = sample();
    world.genesis.name.push('x');
    let error = restored(&world, &whole).err().expect("another genesis");
    assert!(
        matches!(error, ExecuteError::ForeignGenesis { .. }),
        "{error}"
    );
}

#[test]
fn a_log_that_does_not_fit_is_refused() {
    let (world, whole) = sample();
    let start = || Ledger::restore(&world.genesis, &mut &whole[..]).unwrap();
    let blocks: Vec<_> = world.log().collect();
    assert_eq!(start().log_from(), Height(1));

    let unfinished = start().finish().err().expect("no block was given");
    assert!(
        matches!(unfinished, ExecuteError::LogGap { .. }),
        "{unfinished}"
    );

    let (manifest, batches, record) = &blocks[1];
    let gap = start()
        .on_block(manifest, batches, record)
        .expect_err("block 1 is missing");
    assert!(matches!(gap, ExecuteError::LogGap { .. }), "{gap}");

    let (manifest, batches, record) = &blocks[0];
    let shorter = FinalRecord {
        results: Vec::new(),
        ..record.clone()
    };
    let shape = start()
        .on_block(manifest, batches, &shorter)
        .expect_err("no results");
    assert!(matches!(shape, ExecuteError::LogShape { .. }), "{shape}");

    let mut other = record.clone();
    other.results[0] = Outcome::new(ResultCode::InsufficientFunds);
    let mut restore = start();
    restore.on_block(manifest, batches, &other).unwrap();
    let (manifest, batches, record) = &blocks[1];
    restore.on_block(manifest, batches, record).unwrap();
    let root = restore.finish().err().expect("a result was changed");
    assert!(matches!(root, ExecuteError::Root { .. }), "{root}");

    let mut other = record.clone();
    other.exec_head.0[0] ^= 1;
    let mut restore = start();
    let (first, first_batches, first_record) = &blocks[0];
    restore
        .on_block(first, first_batches, first_record)
        .unwrap();
    let head = restore
        .on_block(manifest, batches, &other)
        .expect_err("another head");
    assert!(matches!(head, ExecuteError::Root { .. }), "{head}");
}

#[test]
fn a_changed_refusal_in_the_log_is_found_by_the_root() {
    let mut world = World::new();
    let refused = world.transfer(A, B, 5000);
    assert_eq!(world.one(refused.as_body()), ResultCode::InsufficientFunds);
    let whole = bytes(&world.ledger.snapshot());
    let (manifest, batches, mut record) = world.log().next().unwrap();
    record.results[0] = Outcome::new(ResultCode::AmountZero);
    let mut restore = Ledger::restore(&world.genesis, &mut &whole[..]).unwrap();
    restore.on_block(manifest, batches, &record).unwrap();
    let root = restore
        .finish()
        .err()
        .expect("the code is part of the root");
    assert!(matches!(root, ExecuteError::Root { .. }), "{root}");
}

//! The stage by hand: blocks in; results, heads, directories and snapshots out; everything counted.

use std::sync::Arc;

use clearway_execute::{ExecuteConfig, ExecuteMetrics, ExecuteStage, Ledger};
use clearway_types::code::ResultCode;
use clearway_types::kind::Kind;
use clearway_types::limits::ROOT_INTERVAL;
use clearway_types::units::Height;

use crate::support::*;

fn stage(config: ExecuteConfig) -> (ExecuteStage, Arc<ExecuteMetrics>) {
    let metrics = Arc::new(ExecuteMetrics::default());
    let ledger = Ledger::from_genesis(&genesis()).unwrap();
    (
        ExecuteStage::new(ledger, config, Arc::clone(&metrics)),
        metrics,
    )
}

#[test]
fn a_block_gives_results_head_and_what_is_due() {
    let config = ExecuteConfig {
        scan_interval: 1,
        snapshot_interval: 2,
    };
    let (mut stage, metrics) = stage(config);
    let mut world = World::new();
    let payment = *world.transfer(A, B, 1).as_body();
    let refused = *world.transfer(A, B, 5000).as_body();
    let hold = *world.hold(A, B, 7).as_body();
    let mut unknown = payment;
    unknown.kind = 0xee;
    let time_ms = world.time_ms;
    let first = block(Height(1), time_ms, 0, &[&[payment, refused, hold, unknown]]);
    let first = stage.on_block(first);
    assert_eq!(first.head.height, Height(1));
    assert_eq!(first.head.head, first.block.exec_head);
    assert!(first.directory.is_none() && first.snapshot.is_none());
    assert_eq!(
        (metrics.holds_open.value(), metrics.live_ids.value()),
        (1, 3)
    );

    let rotate = *world.key_rotate(BOB, 1, 1).as_body();
    let mut orphan = *world.transfer(A, B, 1).as_body();
    orphan.id.0[15] = 3;
    let time_ms = time_ms + 20_000;
    let second = block(Height(2), time_ms, 0, &[&[payment, rotate, orphan]]);
    let second = stage.on_block(second);
    assert_eq!(second.directory.expect("a key changed").height, Height(2));
    assert_eq!(second.snapshot.expect("one is due").height(), Height(2));

    let counted = [
        (metrics.height.value(), 2),
        (metrics.blocks.value(), 2),
        (metrics.envelopes.value(), 7),
        (metrics.settled.value(), 3),
        (metrics.duplicates.value(), 1),
        (metrics.transient.value(), 1),
        (metrics.holds_expired.value(), 1),
        (metrics.holds_open.value(), 0),
        (metrics.live_ids.value(), 4),
        (metrics.accounts.value(), 10),
        (metrics.state_roots.value(), 0),
        (metrics.directories.value(), 1),
        (metrics.snapshots.value(), 1),
        (metrics.conserved.value(), 1),
        (metrics.scans.value(), 2),
    ];
    for (row, (found, expected)) in counted.into_iter().enumerate() {
        assert_eq!(found, expected, "row {row}");
    }
    let outcomes: Vec<_> = metrics.outcomes().collect();
    let expected = [
        (Some(Kind::Transfer), ResultCode::Settled, 1),
        (Some(Kind::Transfer), ResultCode::ChainBroken, 1),
        (Some(Kind::Transfer), ResultCode::InsufficientFunds, 1),
        (Some(Kind::Hold), ResultCode::Settled, 1),
        (Some(Kind::KeyRotate), ResultCode::Settled, 1),
        (None, ResultCode::KindUnknown, 1),
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn a_state_root_is_due_every_interval_and_goes_into_the_head() {
    let (mut stage, metrics) = stage(ExecuteConfig::default());
    let time_ms = genesis().time.0;
    for height in 1..=2 * ROOT_INTERVAL {
        let executed = stage.on_block(block(Height(height), time_ms, 0, &[]));
        let due = height % ROOT_INTERVAL == 0;
        assert_eq!(executed.block.state_root.is_some(), due, "height {height}");
        if due {
            assert_eq!(
                executed.block.state_root,
                Some(stage.ledger_mut().state_root())
            );
        }
    }
    assert_eq!(metrics.state_roots.value(), 2);
}

#[test]
#[should_panic(expected = "blocks come in height order")]
fn a_block_out_of_order_stops_the_node() {
    let (mut stage, _) = stage(ExecuteConfig::default());
    stage.on_block(block(Height(2), genesis().time.0, 0, &[]));
}

#[test]
#[should_panic(expected = "cluster time never falls")]
fn a_clock_that_falls_stops_the_node() {
    let (mut stage, _) = stage(ExecuteConfig::default());
    stage.on_block(block(Height(1), genesis().time.0 - 1, 0, &[]));
}

#[test]
fn the_stage_and_its_snapshots_move_between_threads() {
    fn moves<T: Send>(value: T) -> T {
        value
    }
    let (stage, _) = stage(ExecuteConfig::default());
    let mut stage = moves(stage);
    let snapshot = moves(stage.ledger_mut().snapshot());
    let written = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        snapshot.write(&mut bytes).map(|()| bytes.len())
    });
    let executed = stage.on_block(block(Height(1), genesis().time.0, 0, &[]));
    assert_eq!(executed.head.height, Height(1));
    assert!(written.join().unwrap().unwrap() > 1000);
}

//! Linked chains: all or none, and what a malicious batcher can do to them (nothing but refuse).

use clearway_types::code::ResultCode::{self, *};
use clearway_types::envelope::Body;
use clearway_types::limits::CHAIN_LEN_MAX;
use clearway_types::transfer::Transfer;
use clearway_types::units::AccountId;
use zerocopy::little_endian::{U16, U32, U64};

use crate::support::*;

/// A chain of `count` payments of 1 from A to B.
fn chain(world: &mut World, count: usize) -> Vec<Body> {
    let members: Vec<_> = (0..count).map(|_| world.transfer(A, B, 1)).collect();
    link(&members)
}

#[test]
fn a_whole_chain_settles_and_later_members_see_earlier_ones() {
    let mut world = World::new();
    // A_LINE has a credit line of 50 only: the 200 it sends come in within the chain.
    let members = [
        world.transfer(A, A_LINE, 200),
        world.transfer(A_LINE, B, 220),
    ];
    assert_eq!(world.run(&link(&members)), [Settled, Settled]);
    assert_eq!(
        (world.balance(A), world.balance(A_LINE), world.balance(B)),
        (800, -20, 1220)
    );
}

#[test]
fn a_failing_member_takes_all_others_back() {
    for failing in 0..3 {
        let mut world = World::new();
        let hold = world.hold(A, B, 100);
        world.settle(hold.as_body());
        let payment = world.transfer(B, A, 10);
        world.settle(payment.as_body());
        let limit = world.limit_set(A, 0, 5000);
        world.settle(limit.as_body());
        let before = world.ledger.state_root();
        let accounts: Vec<_> = world.ledger.accounts().copied().collect();
        // Money, holds, returns and limits are all touched before the failure.
        let mut members = vec![
            world.post(&hold, 60),
            world.give_back(&payment, 7),
            world.hold(A, B, 30),
        ];
        members.insert(failing, world.transfer(A, B, 1_000_000));
        let outcomes = world.outcomes(&link(&members));
        let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
        let mut expected = vec![LinkedFailed; 4];
        expected[failing] = InsufficientFunds;
        assert_eq!(codes, expected);
        assert!(outcomes.iter().all(|outcome| !is_transient(*outcome)));
        for (old, new) in accounts.iter().zip(world.ledger.accounts()) {
            assert_eq!(old.debits_posted, new.debits_posted);
            assert_eq!(old.debits_pending, new.debits_pending);
            assert_eq!(
                old.last_height, new.last_height,
                "not even the height of a change stays"
            );
        }
        assert_ne!(
            world.ledger.state_root(),
            before,
            "the identifiers are used up"
        );
        let net = world.ledger.limit(AccountId(A), Default::default());
        assert_eq!(net.unwrap().net.get(), 0);
        // The hold is open again, and so much of the payment can still be returned.
        let post = world.post(&hold, 100);
        let back = world.give_back(&payment, 10);
        assert_eq!(
            world.run(&[*post.as_body(), *back.as_body()]),
            [Settled, Settled]
        );
    }
}

#[test]
fn a_malicious_batcher_can_only_break_chains() {
    type Attack = fn(&mut World, Vec<Body>) -> Vec<Body>;
    let broken = ChainBroken;
    let rows: [(&str, Attack, Vec<ResultCode>); 10] = [
        ("whole", |_, c| c, vec![Settled; 3]),
        ("head cut off", |_, c| c[1..].to_vec(), vec![broken; 2]),
        ("tail cut off", |_, c| c[..2].to_vec(), vec![broken; 2]),
        ("middle dropped", |_, c| vec![c[0], c[2]], vec![broken; 2]),
        ("reordered", |_, c| vec![c[1], c[0], c[2]], vec![broken; 3]),
        ("reversed", |_, c| vec![c[2], c[1], c[0]], vec![broken; 3]),
        (
            "member doubled",
            |_, c| vec![c[0], c[1], c[1], c[2]],
            vec![broken; 4],
        ),
        (
            "a stranger spliced in",
            |w, c| vec![c[0], *w.transfer(B, A, 1).as_body(), c[1], c[2]],
            vec![broken, Settled, broken, broken],
        ),
        (
            "tail of another chain of the same signer",
            |w, c| {
                let other = chain(w, 3);
                vec![c[0], c[1], other[2]]
            },
            vec![broken; 3],
        ),
        (
            "a lone envelope of the same signer behind an open end",
            |w, c| vec![c[0], c[1], *w.transfer(A, B, 1).as_body()],
            vec![broken, broken, Settled],
        ),
    ];
    for (name, attack, expected) in rows {
        let mut world = World::new();
        let whole = chain(&mut world, 3);
        let attacked = attack(&mut world, whole.clone());
        let outcomes = world.outcomes(&attacked);
        let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
        assert_eq!(codes, expected, "{name}");
        // A broken chain used up no identifier: sent whole, it settles.
        if name != "whole" {
            assert_eq!(
                world.run(&whole),
                vec![Settled; 3],
                "{name}, sent whole afterwards"
            );
        }
        for outcome in outcomes {
            assert_eq!(is_transient(outcome), outcome.code == broken, "{name}");
        }
    }
}

#[test]
fn a_chain_over_two_batches_is_broken() {
    let mut world = World::new();
    let whole = chain(&mut world, 4);
    let results = world.execute(&[&whole[..2], &whole[2..]]).results.clone();
    assert!(results.iter().all(|outcome| outcome.code == ChainBroken));
}

#[test]
fn a_chain_is_as_long_as_the_limit_and_no_longer() {
    for (count, code) in [(CHAIN_LEN_MAX, Settled), (CHAIN_LEN_MAX + 1, ChainBroken)] {
        let mut world = World::new();
        let members = chain(&mut world, count);
        assert_eq!(world.run(&members), vec![code; count]);
    }
}

#[test]
fn a_chain_sent_again_is_answered_as_the_first_time() {
    let mut world = World::new();
    let settled = chain(&mut world, 3);
    let mut failing = chain(&mut world, 2);
    let mut transfer = *Transfer::of(&failing[1]);
    transfer.amount = U64::new(5000);
    failing[1] = *transfer.as_body();
    let bodies = [&settled[..], &failing].concat();
    let first = world.outcomes(&bodies);
    let height = world.ledger.height();
    let again = world.execute(&[&bodies]).clone();
    for (one, two) in first.iter().zip(&again.results) {
        assert_eq!(one.code, two.code);
        assert!(is_duplicate(*two));
    }
    assert_eq!(again.duplicates.len(), 5);
    assert!(
        again
            .duplicates
            .iter()
            .all(|duplicate| duplicate.height == height)
    );
    assert_eq!(world.balance(B), 1003);
}

#[test]
fn a_chain_with_a_member_refused_before_its_kind_settles_nothing() {
    type Edit = fn(&mut Body);
    let rows: [(Edit, ResultCode, bool); 4] = [
        (|b| b.expires_at = U32::new(START_S), Expired, false),
        (|b| b.expires_at = U32::new(START_S + 61), TtlTooLong, true),
        (
            |b| b.flags = U16::new(b.flags.get() | 1 << 10),
            KeySlotEmpty,
            true,
        ),
        (|b| b.version = 9, VersionUnknown, false),
    ];
    for (row, (edit, code, may_pass)) in rows.into_iter().enumerate() {
        let mut world = World::new();
        let mut members = chain(&mut world, 3);
        edit(&mut members[1]);
        let outcomes = world.outcomes(&members);
        let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
        assert_eq!(codes, [LinkedFailed, code, LinkedFailed], "row {row}");
        assert!(
            outcomes.iter().all(|one| is_transient(*one) == may_pass),
            "row {row}"
        );
        // What may pass is not remembered, what is remembered stays.
        assert_eq!(
            is_duplicate(world.outcomes(&members)[0]),
            !may_pass,
            "row {row}"
        );
    }
}

#[test]
fn identifiers_taken_by_another_chain_are_conflicts() {
    let mut world = World::new();
    let first = chain(&mut world, 2);
    let members: Vec<_> = (0..3).map(|_| world.transfer(A, B, 2)).collect();
    let mut second = link(&members);
    for (position, body) in (0u8..).zip(&mut second) {
        body.id = first[0].id;
        body.id.0[15] = position;
    }
    assert_eq!(world.run(&first), [Settled; 2]);
    assert_eq!(world.run(&second), [IdConflict, IdConflict, LinkedFailed]);
    assert_eq!(world.balance(B), 1002);
}

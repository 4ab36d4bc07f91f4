//! Net debit limits: towards one participant or everyone, by day, consumed when money settles.

use clearway_types::code::ResultCode::*;
use clearway_types::units::{AccountId, ParticipantId};

use crate::support::*;

/// A world in which A may pay `limit` net a day to `counterparty`.
fn limited(counterparty: u32, limit: u64) -> World {
    let mut world = World::new();
    let set = world.limit_set(A, counterparty, limit);
    world.settle(set.as_body());
    world
}

#[test]
fn a_limit_counts_what_is_paid_less_what_comes_back() {
    for counterparty in [0, BOB] {
        let mut world = limited(counterparty, 100);
        let steps = [
            (A, B, 60, Settled),
            (A, B, 41, LimitExceeded),
            (A, B, 40, Settled),
            (A, B, 1, LimitExceeded),
            (B, A, 30, Settled),
            (A, B, 31, LimitExceeded),
            (A, B, 30, Settled),
        ];
        for (row, (debit, credit, amount, code)) in steps.into_iter().enumerate() {
            let payment = world.transfer(debit, credit, amount);
            assert_eq!(
                world.one(payment.as_body()),
                code,
                "to {counterparty}, row {row}"
            );
        }
    }
}

#[test]
fn a_limit_towards_one_does_not_bind_payments_to_others() {
    let mut world = limited(BOB, 10);
    let payment = world.transfer(A, C, 500);
    world.settle(payment.as_body());
    let payment = world.transfer(A, B, 11);
    assert_eq!(world.one(payment.as_body()), LimitExceeded);
}

#[test]
fn the_narrower_of_two_limits_binds() {
    let mut world = limited(0, 50);
    let set = world.limit_set(A, BOB, 20);
    world.settle(set.as_body());
    for (credit, amount, code) in [(B, 20, Settled), (B, 1, LimitExceeded), (C, 30, Settled)] {
        let payment = world.transfer(A, credit, amount);
        assert_eq!(world.one(payment.as_body()), code);
    }
    let payment = world.transfer(A, C, 1);
    assert_eq!(world.one(payment.as_body()), LimitExceeded);
}

#[test]
fn a_new_day_starts_at_zero() {
    let mut world = limited(0, 100);
    let payment = world.transfer(A, B, 100);
    world.settle(payment.as_body());
    let to_midnight = 86_400 - world.second() % 86_400;
    world.wait_s(to_midnight - 1);
    let late = world.transfer(A, B, 1);
    assert_eq!(world.one(late.as_body()), LimitExceeded);
    world.wait_s(1);
    let next_day = world.transfer(A, B, 100);
    world.settle(next_day.as_body());
}

#[test]
fn a_hold_is_checked_and_its_post_counts() {
    let mut world = limited(0, 100);
    let beyond = world.hold(A, B, 101);
    assert_eq!(world.one(beyond.as_body()), LimitExceeded);
    let first = world.hold(A, B, 80);
    let second = world.hold(A, B, 80);
    assert_eq!(
        world.run(&[*first.as_body(), *second.as_body()]),
        [Settled; 2]
    );
    let post = world.post(&first, 80);
    world.settle(post.as_body());
    let post = world.post(&second, 80);
    assert_eq!(
        world.one(post.as_body()),
        LimitExceeded,
        "the hold stays open"
    );
    let post = world.post(&second, 20);
    world.settle(post.as_body());
    let net = world
        .ledger
        .limit(AccountId(A), ParticipantId(0))
        .unwrap()
        .net
        .get();
    assert_eq!(net, 100);
}

#[test]
fn a_limit_set_anew_keeps_what_was_paid_and_a_lifted_one_is_gone() {
    let mut world = limited(0, 100);
    let payment = world.transfer(A, B, 90);
    let lower = world.limit_set(A, 0, 50);
    let refused = world.transfer(A, B, 1);
    let lift = world.limit_set(A, 0, u64::MAX);
    let free = world.transfer(A, B, 500);
    let bodies = [
        *payment.as_body(),
        *lower.as_body(),
        *refused.as_body(),
        *lift.as_body(),
        *free.as_body(),
    ];
    assert_eq!(
        world.run(&bodies),
        [Settled, Settled, LimitExceeded, Settled, Settled]
    );
    assert_eq!(world.ledger.limit_count(), 0);
    let nothing_to_lift = world.limit_set(B, CAROL, u64::MAX);
    world.settle(nothing_to_lift.as_body());
    let again = world.limit_set(A, BOB, 5);
    world.settle(again.as_body());
    assert_eq!(world.ledger.limit_count(), 1, "the slot is used again");
    let everyone = world.limit_set(A, 0, 7);
    world.settle(everyone.as_body());
    let payment = world.transfer(A, B, 4);
    world.settle(payment.as_body());
    let listed = world.ledger.limits_of(AccountId(A));
    let listed = listed.map(|(one, net)| (one.counterparty.get(), one.limit.get(), net));
    assert_eq!(listed.collect::<Vec<_>>(), [(0, 7, 4), (BOB, 5, 4)]);
    assert_eq!(world.ledger.limits_of(AccountId(B)).count(), 0);
}

#[test]
fn issue_and_redeem_do_not_count() {
    let mut world = World::new();
    let set = world.limit_set(I, 0, 0);
    world.settle(set.as_body());
    let redeem = world.redeem(I, 200);
    world.settle(redeem.as_body());
    let payment = world.transfer(I, B, 1);
    assert_eq!(world.one(payment.as_body()), LimitExceeded);
}

//! Idempotency and returns: what the id table remembers, for how long, and for how many.

use clearway_types::code::ResultCode::*;
use clearway_types::envelope::Body;
use clearway_types::messages::Duplicate;
use clearway_types::transfer::Transfer;
use clearway_types::units::Height;
use zerocopy::little_endian::{U32, U64};

use crate::support::*;

#[test]
fn the_same_bytes_get_the_first_answer_through_any_lane() {
    let mut world = World::new();
    let payment = *world.transfer(A, B, 10).as_body();
    let refused = *world.transfer(A, B, 10_000).as_body();
    world.execute(&[&[payment, refused]]);
    // Richer now: the refused payment would settle if it were executed again.
    let gift = world.transfer(B, A, 500);
    let line = world.credit_line(A, 100_000);
    world.run(&[*gift.as_body(), *line.as_body()]);
    let block = world.execute(&[&[refused], &[payment, payment]]).clone();
    let codes: Vec<_> = block.results.iter().map(|outcome| outcome.code).collect();
    assert_eq!(codes, [InsufficientFunds, Settled, Settled]);
    assert!(block.results.iter().all(|outcome| is_duplicate(*outcome)));
    let expected = [0, 1, 2].map(|index| Duplicate {
        index,
        height: Height(1),
    });
    assert_eq!(block.duplicates, expected);
    assert_eq!(world.balance(B), 1000 + 10 - 500, "paid once");
}

#[test]
fn another_body_under_the_same_identifier_is_a_conflict() {
    let mut world = World::new();
    let payment = world.transfer(A, B, 10);
    let mut other = payment;
    other.amount = U64::new(11);
    let mut outliving = other;
    outliving.expires_at = U32::new(START_S + 60);
    let mut same_id = world.transfer(B, A, 1);
    same_id.id = payment.id;
    let bodies = [payment, other, outliving, same_id].map(|transfer| *transfer.as_body());
    let outcomes = world.outcomes(&bodies);
    let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
    assert_eq!(
        codes,
        [Settled, IdConflict, IdConflict, Settled],
        "the signer is part of the key"
    );
    // The entry is kept for 60 s, the return window, so neither can ever succeed.
    assert!(!is_transient(outcomes[1]) && !is_transient(outcomes[2]));
}

#[test]
fn a_refusal_without_trace_says_that_it_may_pass() {
    let mut world = World::new();
    let mut early = world.transfer(A, B, 10);
    early.expires_at = U32::new(START_S + 90);
    let outcome = world.outcomes(&[*early.as_body()])[0];
    assert_eq!(outcome.code, TtlTooLong);
    assert!(is_transient(outcome));
    world.wait_s(40);
    assert_eq!(world.one(early.as_body()), Settled);
}

#[test]
fn an_envelope_is_valid_until_its_last_millisecond() {
    for (after_ms, code) in [(29_999, Settled), (30_000, Expired)] {
        let mut world = World::new();
        let payment = world.transfer(A, B, 10);
        world.time_ms += after_ms;
        assert_eq!(world.one(payment.as_body()), code);
    }
}

#[test]
fn an_identifier_is_free_again_when_nothing_signed_before_its_answer_can_come() {
    let mut world = World::new();
    let payment = world.transfer(A, B, 10);
    let refused = world.transfer(A, B, 10_000);
    world.run(&[*payment.as_body(), *refused.as_body()]);
    assert_eq!(world.ledger.live_id_count(), 2);
    world.wait_s(30);
    assert_eq!(world.one(payment.as_body()), Expired);
    world.wait_s(29);
    assert_eq!(world.ledger.live_id_count(), 2);
    world.wait_s(1);
    assert_eq!(world.ledger.live_id_count(), 0);
    let mut reused = world.transfer(A, B, 20);
    reused.id = payment.id;
    world.settle(reused.as_body());
}

/// Two envelopes with one identifier, both signed before either came: the second ends when MAX_TTL
/// allows, the first sooner, and the second comes when the first has ended.
#[test]
fn one_identifier_moves_money_once_whichever_of_its_envelopes_ends_first() {
    type Draft = fn(&mut World) -> Transfer;
    let rows: [(&str, Draft); 7] = [
        ("transfer", |world| world.transfer(A, B, 10)),
        ("hold", |world| world.hold(A, B, 10)),
        ("issue", |world| world.issue(B, 10)),
        ("redeem", |world| world.redeem(I, 10)),
        ("return", |world| {
            let payment = world.transfer(A, B, 100);
            world.settle(payment.as_body());
            world.give_back(&payment, 10)
        }),
        ("post", |world| {
            let hold = world.hold(A, B, 10);
            world.settle(hold.as_body());
            world.post(&hold, 10)
        }),
        ("void", |world| {
            let hold = world.hold(A, B, 10);
            world.settle(hold.as_body());
            world.void(&hold)
        }),
    ];
    for ((name, draft), life_s) in rows.into_iter().flat_map(|row| [(row, 1), (row, 30)]) {
        let mut genesis = genesis();
        // Shorter than MAX_TTL, so that no payment stays for its returns.
        genesis.rules.return_window_s = 1;
        let ttl_s = genesis.rules.ttl_s_max;
        let mut world = World::with(genesis);
        let mut first = draft(&mut world);
        let mut second = first;
        first.expires_at = U32::new(world.second() + life_s);
        second.expires_at = U32::new(world.second() + ttl_s);
        world.settle(first.as_body());
        let moved = [A, B, I].map(|account| (world.balance(account), world.pending(account)));
        for wait_s in [life_s, ttl_s - 1 - life_s] {
            world.wait_s(wait_s);
            let outcome = world.outcomes(&[*second.as_body()])[0];
            assert_eq!(outcome.code, IdConflict, "{name}, alive for {life_s} s");
            assert!(!is_transient(outcome), "it never outlives the first answer");
        }
        world.wait_s(1);
        assert_eq!(world.one(second.as_body()), Expired, "{name}");
        let after = [A, B, I].map(|account| (world.balance(account), world.pending(account)));
        if name != "hold" {
            assert_eq!(after, moved, "{name}");
        }
    }
}

/// A hold that has ended keeps its identifier by itself, and is as hard to take twice.
#[test]
fn an_ended_hold_is_not_taken_again_by_an_envelope_signed_before_its_end() {
    type End = fn(&mut World, &Transfer);
    let ends: [End; 3] = [
        |world, hold| {
            let post = world.post(hold, 10);
            world.settle(post.as_body());
        },
        |world, hold| {
            let void = world.void(hold);
            world.settle(void.as_body());
        },
        |world, _| world.wait_s(40),
    ];
    for (row, end) in ends.into_iter().enumerate() {
        let mut genesis = genesis();
        genesis.rules.return_window_s = 1;
        let ttl_s = genesis.rules.ttl_s_max;
        let mut world = World::with(genesis);
        let mut hold = world.hold(A, B, 10);
        hold.timeout_s = U32::new(100);
        world.settle(hold.as_body());
        // The HOLD's answer is forgotten meanwhile; only the hold itself keeps the name.
        world.wait_s(70);
        end(&mut world, &hold);
        let mut again = hold;
        again.expires_at = U32::new(world.second() + ttl_s);
        world.wait_s(ttl_s - 1);
        assert_eq!(world.one(again.as_body()), IdConflict, "row {row}");
        world.wait_s(1);
        assert_eq!(world.one(again.as_body()), Expired, "row {row}");
    }
}

#[test]
fn returns_of_a_payment_sum_to_at_most_the_payment() {
    let mut world = World::new();
    let payment = world.transfer(A, B, 100);
    world.settle(payment.as_body());
    for (amount, code) in [
        (60, Settled),
        (41, ReturnExceeded),
        (40, Settled),
        (1, ReturnExceeded),
    ] {
        let back = world.give_back(&payment, amount);
        assert_eq!(world.one(back.as_body()), code, "{amount}");
    }
    assert_eq!((world.balance(A), world.balance(B)), (1000, 1000));
}

#[test]
fn a_payment_is_returned_within_the_window_and_not_after() {
    for (wait_s, code) in [(59, Settled), (60, OriginalNotLive)] {
        let mut world = World::new();
        let payment = world.transfer(A, B, 100);
        world.settle(payment.as_body());
        world.wait_s(wait_s);
        let back = world.give_back(&payment, 100);
        assert_eq!(world.one(back.as_body()), code, "after {wait_s} s");
    }
    // Later give-backs are payments that name the original.
    let mut world = World::new();
    let payment = world.transfer(A, B, 100);
    let mut back = world.transfer(B, A, 100);
    back.reference = payment.id.0;
    world.settle(back.as_body());
}

#[test]
fn only_settled_payments_are_returned() {
    let mut world = World::new();
    let refused = world.transfer(A, B, 10_000);
    world.one(refused.as_body());
    let payment = world.transfer(A, B, 50);
    world.settle(payment.as_body());
    let back = world.give_back(&payment, 50);
    world.settle(back.as_body());
    let issue = world.issue(B, 5);
    world.settle(issue.as_body());
    let of_refused = world.give_back(&refused, 1);
    let of_return = world.give_back(&back, 1);
    let codes = world.run(&[*of_refused.as_body(), *of_return.as_body()]);
    assert_eq!(codes, [OriginalNotLive; 2]);
}

#[test]
fn a_member_that_fills_its_share_of_the_table_waits_and_others_do_not() {
    let mut genesis = genesis();
    // 16,384 participants leave each 1,464 identifiers.
    let first = genesis.participants[0].clone();
    let missing = 16_384 - genesis.participants.len();
    for number in 0..u32::try_from(missing).unwrap() {
        let mut participant = first.clone();
        participant.id.0 = 1000 + number;
        participant.public_key.0 = key(participant.id.0, 0).public_key();
        genesis.participants.push(participant);
    }
    let mut world = World::with(genesis);
    let line = world.credit_line(A, 10_000);
    world.settle(line.as_body());
    let share = clearway_types::limits::LIVE_IDS_MAX / 16_384;
    let bodies: Vec<Body> = (0..share)
        .map(|_| *world.transfer(A, B, 1).as_body())
        .collect();
    assert!(world.run(&bodies).iter().all(|code| *code == Settled));
    let mut one_more = world.transfer(A, B, 1);
    let outcome = world.outcomes(&[*one_more.as_body()])[0];
    assert_eq!(outcome.code, IdTableFull);
    assert!(is_transient(outcome));
    let chain = link(&[world.transfer(A, B, 1), world.transfer(A, B, 1)]);
    assert_eq!(world.run(&chain), [IdTableFull; 2]);
    let other = world.transfer(B, A, 1);
    world.settle(other.as_body());
    world.wait_s(60);
    one_more.expires_at = U32::new(world.second() + 10);
    world.settle(one_more.as_body());
}

#[test]
fn the_table_stays_bounded_in_a_run_longer_than_twice_the_longest_life() {
    let mut world = World::new();
    let mut counts = Vec::new();
    for _ in 0..130 {
        let bodies: Vec<Body> = (0..20)
            .map(|_| *world.transfer(A, B, 1).as_body())
            .collect();
        world.time_ms += 1000;
        let back = world.transfer(B, A, 20);
        world.execute(&[&bodies, &[*back.as_body()]]);
        counts.push(world.ledger.live_id_count());
    }
    // 21 a second are kept for the 60 s in which they can be returned.
    assert_eq!(counts[59..].iter().max(), Some(&(60 * 21)));
    assert_eq!(counts.last(), Some(&(60 * 21)));
}

#[test]
fn thousands_of_identifiers_of_one_second_are_all_found_again() {
    let mut world = World::new();
    let bodies: Vec<Body> = (0..9000)
        .map(|_| *world.transfer(A, B, 0).as_body())
        .collect();
    for again in [false, true] {
        for part in bodies.chunks(3000) {
            let block = world.next_block(&[part]);
            let block = world.ledger.execute(block);
            assert_eq!(block.duplicates.len(), if again { 3000 } else { 0 });
            assert!(
                block
                    .results
                    .iter()
                    .all(|outcome| outcome.code == AmountZero)
            );
        }
        assert_eq!(world.ledger.live_id_count(), 9000);
    }
    world.wait_s(60);
    assert_eq!(world.ledger.live_id_count(), 0);
}

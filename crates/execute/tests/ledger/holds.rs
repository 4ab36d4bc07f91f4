//! Holds: in part, in whole, by time; what is known of them afterwards; how many there may be.

use clearway_types::code::ResultCode::{self, *};
use clearway_types::envelope::Body;
use clearway_types::event::{Event, HoldExpired};
use clearway_types::limits::{EXPIRE_PER_BLOCK_MAX, HOLDS_PER_MEMBER_MAX};
use clearway_types::transfer::AMOUNT_REMAINING;
use clearway_types::units::{AccountId, LedgerId, ParticipantId};
use zerocopy::little_endian::{U32, U64};

use crate::support::*;

#[test]
fn a_hold_sets_aside_and_a_post_frees_the_rest() {
    for (posted, moved) in [(1, 1), (299, 299), (300, 300), (AMOUNT_REMAINING, 300)] {
        let mut world = World::new();
        let hold = world.hold(A, B, 300);
        world.settle(hold.as_body());
        assert_eq!((world.balance(A), world.pending(A)), (1000, 300));
        let beyond = world.transfer(A, B, 701);
        assert_eq!(
            world.one(beyond.as_body()),
            InsufficientFunds,
            "what is held is not spent"
        );
        let post = world.post(&hold, posted);
        world.settle(post.as_body());
        assert_eq!((world.balance(A), world.pending(A)), (1000 - moved, 0));
        assert_eq!(world.balance(B), 1000 + moved);
        let again = world.post(&hold, 1);
        assert_eq!(
            world.one(again.as_body()),
            HoldPosted,
            "a hold ends with its first POST"
        );
    }
}

#[test]
fn a_post_settles_what_was_set_aside_even_when_all_else_is_spent() {
    let mut world = World::new();
    let hold = world.hold(A, B, 300);
    let rest = world.transfer(A, B, 700);
    let post = world.post(&hold, 300);
    let bodies = [*hold.as_body(), *rest.as_body(), *post.as_body()];
    assert_eq!(world.run(&bodies), [Settled; 3]);
    assert_eq!(world.balance(A), 0);
}

#[test]
fn holds_expire_in_order_of_deadline_and_key_before_the_first_envelope() {
    let mut world = World::new();
    let timeouts = [7, 5, 5, 6, 20];
    let mut holds: Vec<_> = timeouts.iter().map(|_| world.hold(A, B, 10)).collect();
    for (hold, timeout_s) in holds.iter_mut().zip(timeouts) {
        hold.timeout_s = U32::new(timeout_s);
    }
    let bodies: Vec<Body> = holds.iter().map(|hold| *hold.as_body()).collect();
    assert_eq!(world.run(&bodies), [Settled; 5]);
    world.time_ms += 10_000;
    let whole = world.transfer(A, B, 990);
    let block = world.execute(&[&[*whole.as_body()]]);
    let expected = [1, 2, 3, 0].map(|at| {
        Event::HoldExpired(HoldExpired {
            signer: ParticipantId(ALICE),
            id: holds[at].id,
            debit: AccountId(A),
            credit: AccountId(B),
            ledger: LedgerId(EUR),
            amount: 10,
        })
    });
    assert_eq!(block.events, expected);
    assert_eq!(
        block.results[0].code, Settled,
        "the freed money can be spent in the same block"
    );
    assert_eq!((world.balance(A), world.pending(A)), (10, 10));
}

#[test]
fn one_block_expires_no_more_than_its_share_and_the_rest_counts_as_over() {
    let mut world = World::new();
    let count = EXPIRE_PER_BLOCK_MAX + 10;
    let line = world.credit_line(A, 1_000_000);
    world.settle(line.as_body());
    let holds: Vec<_> = (0..count).map(|_| world.hold(A, B, 1)).collect();
    let bodies: Vec<Body> = holds.iter().map(|hold| *hold.as_body()).collect();
    assert!(world.run(&bodies).iter().all(|code| *code == Settled));
    world.time_ms += 20_000;
    let post = world.post(&holds[count - 1], 1);
    let void = world.void(&holds[count - 2]);
    let block = world.execute(&[&[*post.as_body(), *void.as_body()]]);
    assert_eq!(block.events.len(), EXPIRE_PER_BLOCK_MAX);
    let codes: Vec<_> = block.results.iter().map(|outcome| outcome.code).collect();
    assert_eq!(
        codes,
        [HoldExpired, HoldExpired],
        "over by time, though not swept yet"
    );
    assert_eq!(world.ledger.hold_open_count(), 10);
    assert_eq!(world.execute(&[]).events.len(), 10);
}

#[test]
fn an_ended_hold_is_told_apart_until_its_envelopes_cannot_come_again() {
    type End = fn(&mut World, &clearway_types::transfer::Transfer) -> Option<Body>;
    let rows: [(End, ResultCode); 3] = [
        (|w, hold| Some(*w.post(hold, 5).as_body()), HoldPosted),
        (|w, hold| Some(*w.void(hold).as_body()), HoldVoided),
        (|_, _| None, HoldExpired),
    ];
    for (end, code) in rows {
        let mut world = World::new();
        let hold = world.hold(A, B, 10);
        world.settle(hold.as_body());
        match end(&mut world, &hold) {
            Some(body) => world.settle(&body),
            None => world.wait_s(20),
        }
        let late = world.post(&hold, 1);
        assert_eq!(world.one(late.as_body()), code);
        // The HOLD's own envelope lives 30 s, the return window and MAX_TTL are 60 s.
        world.wait_s(29 - (world.second() - START_S));
        let late = world.post(&hold, 1);
        assert_eq!(
            world.one(late.as_body()),
            code,
            "while the HOLD could come again"
        );
        world.wait_s(60);
        let late = world.post(&hold, 1);
        assert_eq!(world.one(late.as_body()), HoldUnknown);
        assert!(world.ledger.hold(ParticipantId(ALICE), hold.id).is_none());
        assert_eq!(world.ledger.holds().count(), 0);
    }
}

#[test]
fn an_open_hold_keeps_its_identifier_after_its_envelope_expired() {
    let mut world = World::new();
    let mut hold = world.hold(A, B, 10);
    hold.timeout_s = U32::new(3600);
    world.settle(hold.as_body());
    world.wait_s(100);
    assert_eq!(world.ledger.live_id_count(), 0);
    let mut second = world.hold(A, B, 20);
    second.id = hold.id;
    let mut payment = world.transfer(A, B, 20);
    payment.id = hold.id;
    assert_eq!(
        world.run(&[*second.as_body(), *payment.as_body()]),
        [IdConflict; 2]
    );
    let post = world.post(&hold, 10);
    world.settle(post.as_body());
}

#[test]
fn a_member_has_a_bounded_number_of_open_holds() {
    let mut world = World::new();
    let line = world.credit_line(A, u64::MAX);
    world.settle(line.as_body());
    let mut left = HOLDS_PER_MEMBER_MAX;
    let mut last = None;
    while left > 0 {
        let holds: Vec<_> = (0..left.min(8192)).map(|_| world.hold(A, B, 1)).collect();
        let bodies: Vec<Body> = holds.iter().map(|hold| *hold.as_body()).collect();
        let block = world.next_block(&[&bodies]);
        let block = world.ledger.execute(block);
        assert!(block.results.iter().all(|outcome| outcome.code == Settled));
        left -= bodies.len();
        last = holds.last().copied();
    }
    let one_more = world.hold(A, B, 1);
    let outcome = world.outcomes(&[*one_more.as_body()])[0];
    assert_eq!(outcome.code, HoldTableFull);
    assert!(is_transient(outcome));
    let other_member = world.hold(B, A, 1);
    world.settle(other_member.as_body());
    let void = world.void(&last.unwrap());
    world.settle(void.as_body());
    world.settle(one_more.as_body());
}

#[test]
fn a_posted_hold_is_returned_by_the_holds_identifier() {
    let mut world = World::new();
    let mut hold = world.hold(A, B, 300);
    hold.reference[..4].copy_from_slice(&CAROL.to_le_bytes());
    let mut post = world.post(&hold, 200);
    post.signer = U32::new(CAROL);
    world.settle(hold.as_body());
    let early = world.give_back(&hold, 1);
    assert_eq!(
        world.one(early.as_body()),
        OriginalNotLive,
        "nothing was settled yet"
    );
    world.settle(post.as_body());
    for (amount, code) in [
        (150, Settled),
        (51, ReturnExceeded),
        (50, Settled),
        (1, ReturnExceeded),
    ] {
        let back = world.give_back(&hold, amount);
        assert_eq!(world.one(back.as_body()), code, "{amount}");
    }
    assert_eq!((world.balance(A), world.balance(B)), (1000, 1000));
}

#[test]
fn the_longest_hold_lasts_to_its_last_second() {
    let mut world = World::new();
    let mut hold = world.hold(A, B, 1);
    hold.timeout_s = U32::new(clearway_types::limits::HOLD_TIMEOUT_S_MAX);
    hold.amount = U64::new(1000);
    world.settle(hold.as_body());
    world.wait_s(clearway_types::limits::HOLD_TIMEOUT_S_MAX - 1);
    assert_eq!(world.pending(A), 1000);
    world.wait_s(1);
    assert_eq!(world.pending(A), 0);
}

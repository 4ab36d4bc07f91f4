//! The authority table: for each kind, each participant who may not sign it is a row.

use std::collections::BTreeSet;

use clearway_types::code::ResultCode;
use clearway_types::envelope::Body;
use clearway_types::kind::Kind;
use zerocopy::little_endian::U32;

use crate::support::*;

const EVERYONE: [u32; 7] = [OPERATOR, OPERATOR_2, ALICE, BOB, CAROL, AUDITOR, ISSUER];

/// An envelope of the kind that settles, and who may sign it.
type Case = (Kind, fn(&mut World) -> Body, &'static [u32]);

const CASES: [Case; 18] = [
    (Kind::Transfer, |w| *w.transfer(A, B, 1).as_body(), &[ALICE]),
    (Kind::Hold, |w| *w.hold(A, B, 1).as_body(), &[ALICE]),
    (Kind::Post, |w| post(w, 0, 0), &[ALICE]),
    (Kind::Post, |w| post(w, BOB, CAROL), &[BOB]),
    (Kind::Post, |w| post(w, AUDITOR, 0), &[]),
    (Kind::Void, |w| void(w, 0, 0), &[ALICE]),
    (Kind::Void, |w| void(w, BOB, CAROL), &[CAROL]),
    (Kind::Return, back, &[BOB]),
    (Kind::Issue, |w| *w.issue(A, 1).as_body(), &[ISSUER]),
    (Kind::Redeem, |w| *w.redeem(I, 1).as_body(), &[ISSUER]),
    (Kind::Redeem, |w| *w.redeem(A, 1).as_body(), &[]),
    (
        Kind::AccountOpen,
        |w| *w.account_open(acct(BOB, 9)).as_body(),
        SPONSORED,
    ),
    (
        Kind::AccountOpen,
        |w| *w.account_open(acct(CAROL, 9)).as_body(),
        OPERATORS,
    ),
    (
        Kind::AccountSet,
        |w| *w.account_flags(B, 2).as_body(),
        SPONSORED,
    ),
    (
        Kind::LimitSet,
        |w| *w.limit_set(B, 0, 5).as_body(),
        SPONSORED,
    ),
    (
        Kind::ParticipantSet,
        |w| *w.participant_set(50).as_body(),
        OPERATORS,
    ),
    (
        Kind::LedgerDefine,
        |w| *w.ledger_define(826, b"GBP").as_body(),
        OPERATORS,
    ),
    (
        Kind::Transfer,
        |w| *w.transfer(acct(AUDITOR, 1), B, 1).as_body(),
        &[],
    ),
];
const OPERATORS: &[u32] = &[OPERATOR, OPERATOR_2];
/// Operators, and Bob's sponsor.
const SPONSORED: &[u32] = &[OPERATOR, OPERATOR_2, ALICE];

fn held(world: &mut World, post_by: u32, void_by: u32) -> clearway_types::transfer::Transfer {
    let mut hold = world.hold(A, B, 5);
    hold.reference[..4].copy_from_slice(&post_by.to_le_bytes());
    hold.reference[4..8].copy_from_slice(&void_by.to_le_bytes());
    world.settle(hold.as_body());
    hold
}

fn post(world: &mut World, post_by: u32, void_by: u32) -> Body {
    let hold = held(world, post_by, void_by);
    *world.post(&hold, 5).as_body()
}

fn void(world: &mut World, post_by: u32, void_by: u32) -> Body {
    let hold = held(world, post_by, void_by);
    *world.void(&hold).as_body()
}

fn back(world: &mut World) -> Body {
    let payment = world.transfer(A, B, 5);
    world.settle(payment.as_body());
    *world.give_back(&payment, 5).as_body()
}

#[test]
fn each_forbidden_pair_of_kind_and_signer_is_refused() {
    for (row, (kind, make, allowed)) in CASES.into_iter().enumerate() {
        for signer in EVERYONE {
            let mut world = World::new();
            let mut body = make(&mut world);
            body.signer = U32::new(signer);
            let expected = match allowed.contains(&signer) {
                true => ResultCode::Settled,
                false => ResultCode::NotAuthorised,
            };
            assert_eq!(
                world.one(&body),
                expected,
                "row {row}: {kind:?} by {signer}"
            );
        }
    }
}

#[test]
fn a_key_is_rotated_by_its_own_participant_only() {
    for signer in EVERYONE {
        let mut world = World::new();
        let mut rotate = *world.key_rotate(ALICE, 1, 1).as_body();
        rotate.signer = U32::new(signer);
        let expected = match signer == ALICE {
            true => ResultCode::Settled,
            // The proof names Alice, so nobody can take her key for his own.
            false => ResultCode::KeyProofInvalid,
        };
        assert_eq!(world.one(&rotate), expected, "by {signer}");
    }
    let mut world = World::new();
    let rotate = world.key_rotate(AUDITOR, 1, 1);
    world.settle(rotate.as_body());
}

#[test]
fn every_kind_that_others_could_sign_has_a_row() {
    let rows: BTreeSet<Kind> = CASES.iter().map(|(kind, ..)| *kind).collect();
    for &kind in Kind::ALL {
        let by_role = kind != Kind::KeyRotate;
        assert_eq!(rows.contains(&kind), by_role, "{kind:?}");
    }
}

#[test]
fn every_other_number_is_an_unknown_kind() {
    for number in (0..=u8::MAX).filter(|number| Kind::from_u8(*number).is_none()) {
        let mut world = World::new();
        let mut body = *world.transfer(A, B, 1).as_body();
        body.kind = number;
        assert_eq!(world.one(&body), ResultCode::KindUnknown, "{number:#04x}");
    }
}

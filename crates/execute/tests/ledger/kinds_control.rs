//! The control kinds: what each does, and the code of each refusal at its place in the order.

use clearway_types::account::{AccountFlags, Role};
use clearway_types::code::ResultCode::{self, *};
use clearway_types::control::{
    AccountOpen, FIELD_ALIAS, FIELD_CODE, FIELD_CREDIT_LINE, FIELD_FLAGS, KeyRotate, LedgerDefine,
    LimitSet, ParticipantSet,
};
use clearway_types::envelope::Body;
use clearway_types::units::{AccountId, LedgerId, ParticipantId};
use zerocopy::little_endian::{U16, U32, U64};

use crate::support::*;
use crate::table::{Edit, check};

/// The neutral element: everybody can sign for it.
const SMALL_ORDER: [u8; 32] = {
    let mut key = [0; 32];
    key[0] = 1;
    key
};

#[test]
fn account_open_answers_each_code_at_its_place() {
    let rows: [(Edit<AccountOpen>, ResultCode); 13] = [
        (|_, o| o.reserved_a[57] = 1, ReservedFieldSet),
        (|_, o| o.field_mask = U16::new(FIELD_CODE), ReservedFieldSet),
        (|_, o| o.flags = U16::new(1), LinkNotAllowed),
        (|_, o| o.ledger = U32::new(1), LedgerUnknown),
        (|_, o| o.account = U64::new(acct(99, 1)), ParticipantUnknown),
        (|_, o| o.account = U64::new(A), AccountExists),
        (|_, o| flag(o, AccountFlags::CLOSED), AccountInvalid),
        (|_, o| flag(o, AccountFlags::ISSUER), AccountInvalid),
        (|_, o| flag(o, 1 << 9), AccountInvalid),
        (
            |_, o| flag(o, AccountFlags::DUAL_CONTROL),
            DualControlNotActive,
        ),
        (|_, o| flag(o, AccountFlags::HISTORY), HistoryNotActive),
        (
            |_, o| flag(o, AccountFlags::MEMBER_SETTLEMENT),
            MemberSettlementNotActive,
        ),
        (|_, o| flag(o, AccountFlags::DEVICE), DeviceNotActive),
    ];
    check(
        "account_open",
        |w| w.account_open(acct(BOB, 9)),
        |o| o.as_body(),
        &rows,
    );
    let rows: [(Edit<AccountOpen>, ResultCode); 1] =
        [(|_, o| o.signer = U32::new(BOB), NotAuthorised)];
    check(
        "account_open",
        |w| w.account_open(acct(BOB, 9)),
        |o| o.as_body(),
        &rows,
    );
}

fn flag(body: &mut AccountOpen, bits: u16) {
    body.account_flags = U16::new(body.account_flags.get() | bits);
}

#[test]
fn an_opened_account_is_as_described() {
    let mut world = World::new();
    let mut open = world.account_open(acct(BOB, 9));
    open.credit_line = U64::new(70);
    open.code = U16::new(5);
    open.alias = [6; 16];
    open.account_flags = U16::new(AccountFlags::FROZEN_CREDIT);
    open.signer = U32::new(ALICE); // Bob's sponsor
    world.settle(open.as_body());
    let account = world.ledger.account(AccountId(acct(BOB, 9))).unwrap();
    assert_eq!((account.owner.get(), account.ledger.get()), (BOB, EUR));
    assert_eq!((account.credit_line.get(), account.code.get()), (70, 5));
    assert_eq!((account.alias, account.opened_at.get()), ([6; 16], 1));
    assert!(account.flags().has(AccountFlags::FROZEN_CREDIT));
}

#[test]
fn account_set_answers_each_code_at_its_place() {
    let rows: [(Edit<AccountOpen>, ResultCode); 15] = [
        (|_, o| o.reserved_a[0] = 1, ReservedFieldSet),
        (|_, o| o.code = U16::new(1), ReservedFieldSet),
        (|_, o| o.alias = [1; 16], ReservedFieldSet),
        (|_, o| o.ledger = U32::new(1), LedgerUnknown),
        (|_, o| o.account = U64::new(acct(ALICE, 99)), AccountUnknown),
        (|_, o| o.account = U64::new(ISSUER_EUR), AccountInvalid),
        (|_, o| flag(o, AccountFlags::ISSUER), AccountInvalid),
        (
            |_, o| flag(o, AccountFlags::DUAL_CONTROL),
            DualControlNotActive,
        ),
        (|_, o| flag(o, AccountFlags::HISTORY), HistoryNotActive),
        (
            |_, o| flag(o, AccountFlags::MEMBER_SETTLEMENT),
            MemberSettlementNotActive,
        ),
        (|_, o| flag(o, AccountFlags::DEVICE), DeviceNotActive),
        (
            |_, o| o.field_mask = U16::new(o.field_mask.get() | 16),
            FieldMaskInvalid,
        ),
        (|_, o| o.ledger = U32::new(USD), WrongCurrency),
        (|_, o| o.signer = U32::new(CAROL), NotAuthorised),
        (|_, o| flag(o, AccountFlags::CLOSED), AccountNotEmpty),
    ];
    let start = |world: &mut World| world.account_set(A, FIELD_CREDIT_LINE | FIELD_FLAGS);
    check("account_set", start, |o| o.as_body(), &rows);

    let mut world = World::new();
    let nothing = world.account_set(A, 0);
    assert_eq!(world.one(nothing.as_body()), FieldMaskInvalid);
    let payment = world.transfer(A_LINE, B, 30);
    world.settle(payment.as_body());
    let low = world.credit_line(A_LINE, 29);
    assert_eq!(world.one(low.as_body()), CreditLineInUse);
    let exact = world.credit_line(A_LINE, 30);
    world.settle(exact.as_body());
}

#[test]
fn a_closed_account_is_closed_for_good() {
    let mut world = World::new();
    let open = world.account_open(acct(BOB, 9));
    let close = world.account_flags(acct(BOB, 9), AccountFlags::CLOSED);
    let again = world.account_flags(acct(BOB, 9), 0);
    let limit = world.limit_set(acct(BOB, 9), 0, 5);
    let bodies = [
        *open.as_body(),
        *close.as_body(),
        *again.as_body(),
        *limit.as_body(),
    ];
    assert_eq!(
        world.run(&bodies),
        [Settled, Settled, AccountClosed, AccountClosed]
    );
}

#[test]
fn account_set_changes_what_the_mask_names_and_nothing_else() {
    let mut world = World::new();
    let mut set = world.account_set(A, FIELD_CODE | FIELD_ALIAS);
    (set.code, set.alias) = (U16::new(9), [3; 16]);
    world.settle(set.as_body());
    let account = *world.ledger.account(AccountId(A)).unwrap();
    assert_eq!((account.code.get(), account.alias), (9, [3; 16]));
    assert_eq!((account.flags.get(), account.credit_line.get()), (0, 0));
    let freeze = world.account_flags(ISSUER_EUR, AccountFlags::FROZEN_DEBIT);
    world.settle(freeze.as_body());
    let issue = world.issue(B, 1);
    assert_eq!(
        world.one(issue.as_body()),
        DebitFrozen,
        "the issuer account stays one"
    );
}

#[test]
fn limit_set_answers_each_code_at_its_place() {
    let rows: [(Edit<LimitSet>, ResultCode); 9] = [
        (|_, l| l.reserved_a = U32::new(1), ReservedFieldSet),
        (|_, l| l.reserved_b[71] = 1, ReservedFieldSet),
        (|_, l| l.flags = U16::new(1), LinkNotAllowed),
        (|_, l| l.ledger = U32::new(1), LedgerUnknown),
        (|_, l| l.counterparty = U32::new(99), ParticipantUnknown),
        (|_, l| l.account = U64::new(acct(ALICE, 99)), AccountUnknown),
        (|_, l| l.account = U64::new(ISSUER_EUR), AccountInvalid),
        (|_, l| l.ledger = U32::new(USD), WrongCurrency),
        (|_, l| l.signer = U32::new(CAROL), NotAuthorised),
    ];
    check(
        "limit_set",
        |w| w.limit_set(A, BOB, 5),
        |l| l.as_body(),
        &rows,
    );
}

#[test]
fn participant_set_answers_each_code_at_its_place() {
    let rows: [(Edit<ParticipantSet>, ResultCode); 16] = [
        (|_, p| p.reserved_a = 1, ReservedFieldSet),
        (|_, p| p.reserved_b[4] = 1, ReservedFieldSet),
        (|_, p| p.reserved_c = U64::new(1), ReservedFieldSet),
        (|_, p| p.ledger = U32::new(1), ReservedFieldSet),
        (|_, p| p.flags = U16::new(1), LinkNotAllowed),
        (|_, p| p.sponsor = U32::new(98), ParticipantUnknown),
        (|_, p| p.participant = U32::new(0), ParticipantInvalid),
        (|_, p| p.role = 3, ParticipantInvalid),
        (|_, p| p.status = 2, ParticipantInvalid),
        (|_, p| p.key_slot = 4, ParticipantInvalid),
        (|_, p| p.lei = *b"529900T8BM49AURSDOxx", ParticipantInvalid),
        (
            |_, p| p.bic[..9].copy_from_slice(b"CWAYDEFF\x01"),
            ParticipantInvalid,
        ),
        (|_, p| p.public_key = SMALL_ORDER, KeyInvalid),
        (
            |_, p| (p.participant, p.key_slot) = (U32::new(BOB), 0),
            KeySlotInUse,
        ),
        (|_, p| p.public_key = key(ALICE, 0).public_key(), KeyTaken),
        (|_, p| p.signer = U32::new(BOB), NotAuthorised),
    ];
    check(
        "participant_set",
        |w| w.participant_key(50, 0, 0),
        |p| p.as_body(),
        &rows,
    );

    let mut world = World::new();
    let mut no_key = world.participant_key(50, 0, 0);
    no_key.public_key = [0; 32];
    assert_eq!(
        world.one(no_key.as_body()),
        KeyInvalid,
        "there is no key that could end"
    );
    let mut keyless = world.participant_key(50, 0, 0);
    keyless.key_slot = clearway_types::control::KEY_SLOT_NONE;
    assert_eq!(
        world.one(keyless.as_body()),
        ReservedFieldSet,
        "a key without a slot"
    );
    let mut own_sponsor = world.participant_set(BOB);
    own_sponsor.sponsor = U32::new(BOB);
    assert_eq!(world.one(own_sponsor.as_body()), ParticipantInvalid);
}

#[test]
fn a_registered_participant_is_as_described_and_signs_at_once() {
    let mut world = World::new();
    let mut set = world.participant_key(50, 2, 2);
    (set.role, set.sponsor) = (0, U32::new(ALICE));
    set.lei = *b"529900T8BM49AURSDO55";
    set.bic[..8].copy_from_slice(b"CWAYDEFF");
    let open = world.account_open(acct(50, 1));
    assert_eq!(
        world.run(&[*set.as_body(), *open.as_body()]),
        [Settled, Settled]
    );
    let participant = world.ledger.participant(ParticipantId(50)).unwrap();
    assert_eq!(
        (participant.role, participant.sponsor),
        (Role::Member, ParticipantId(ALICE))
    );
    assert_eq!(&participant.lei, b"529900T8BM49AURSDO55");
    let mut payment = world.transfer(acct(50, 1), A, 1);
    payment.flags = U16::new(2 << 10);
    assert_eq!(
        world.one(payment.as_body()),
        InsufficientFunds,
        "the key was accepted"
    );
}

#[test]
fn key_rotate_answers_each_code_at_its_place() {
    let rows: [(Edit<KeyRotate>, ResultCode); 7] = [
        (|_, k| k.slot = 4, ReservedFieldSet),
        (|_, k| k.reserved[2] = 1, ReservedFieldSet),
        (|_, k| k.flags = U16::new(1), LinkNotAllowed),
        (|_, k| k.public_key = SMALL_ORDER, KeyInvalid),
        (|_, k| k.proof[0] ^= 1, KeyProofInvalid),
        (slot_in_use, KeySlotInUse),
        (key_of_another, KeyTaken),
    ];
    check(
        "key_rotate",
        |w| w.key_rotate(ALICE, 1, 1),
        |k| k.as_body(),
        &rows,
    );
}

fn key_of_another(world: &mut World, rotate: &mut KeyRotate) {
    let theirs = key(BOB, 0);
    rotate.public_key = theirs.public_key();
    rotate.proof = theirs.prove_possession(world.tag(), ParticipantId(ALICE), rotate.slot);
}

fn slot_in_use(world: &mut World, rotate: &mut KeyRotate) {
    let taken = world.key_rotate(ALICE, 1, 9);
    world.settle(taken.as_body());
    rotate.expires_at = world.key_rotate(ALICE, 1, 1).expires_at;
}

#[test]
fn ledger_define_answers_each_code_at_its_place() {
    let rows: [(Edit<LedgerDefine>, ResultCode); 14] = [
        (|_, l| l.reserved_a[0] = 1, ReservedFieldSet),
        (|_, l| l.reserved_b = U32::new(1), ReservedFieldSet),
        (|_, l| l.reserved_c[63] = 1, ReservedFieldSet),
        (|_, l| l.flags = U16::new(1), LinkNotAllowed),
        (|_, l| l.ledger = U32::new(EUR), LedgerExists),
        (|_, l| l.ledger = U32::new(0), LedgerInvalid),
        (|_, l| l.code = *b"gbp\0\0\0\0\0", LedgerInvalid),
        (|_, l| l.code = *b"GB\0P\0\0\0\0", LedgerInvalid),
        (|_, l| l.code = [0; 8], LedgerInvalid),
        (|_, l| l.exponent = 19, LedgerInvalid),
        (|_, l| l.issuer = U32::new(99), ParticipantUnknown),
        (|_, l| l.issuer_account = U64::new(I), AccountExists),
        (
            |_, l| l.issuer_account = U64::new(acct(BOB, 55)),
            AccountInvalid,
        ),
        (|_, l| l.signer = U32::new(BOB), NotAuthorised),
    ];
    check(
        "ledger_define",
        |w| w.ledger_define(826, b"GBP"),
        |l| l.as_body(),
        &rows,
    );

    let mut world = World::new();
    let define = world.ledger_define(826, b"GBP");
    world.settle(define.as_body());
    let ledger = world.ledger.currency(LedgerId(826)).unwrap();
    assert_eq!((ledger.exponent, ledger.issuer), (2, ParticipantId(ISSUER)));
    assert_eq!(world.ledger.currencies().count(), 3);
}

#[test]
fn operators_approve_together_and_only_while_they_are_live() {
    let mut genesis = genesis();
    genesis.rules.operator_threshold = 2;
    let mut world = World::with(genesis);
    let second = |mut body: Body, world: &mut World| {
        body.id = world.body(clearway_types::kind::Kind::LedgerDefine, 1).id;
        body.signer = U32::new(OPERATOR_2);
        body.expires_at = U32::new(world.second() + 40);
        body
    };
    let define = *world.ledger_define(826, b"GBP").as_body();
    assert_eq!(world.one(&define), AwaitingApproval);
    let mut again = define;
    again.id.0[0] ^= 1;
    assert_eq!(
        world.one(&again),
        AwaitingApproval,
        "one operator is one approval"
    );
    let approval = second(define, &mut world);
    assert_eq!(world.one(&approval), Settled);
    assert!(world.ledger.currency(LedgerId(826)).is_some());

    let other = *world.ledger_define(392, b"JPY").as_body();
    assert_eq!(world.one(&other), AwaitingApproval);
    world.wait_s(86_400);
    let late = second(other, &mut world);
    assert_eq!(
        world.one(&late),
        AwaitingApproval,
        "the first approval is a day old"
    );
}

#[test]
fn the_approval_of_a_suspended_operator_is_not_shown_as_one() {
    let mut genesis = genesis();
    genesis.rules.operator_threshold = 2;
    let auditor = genesis.participants.iter_mut();
    let mut auditor = auditor.filter(|one| one.id.0 == AUDITOR);
    auditor.next().expect("there is one").role = Role::Operator;
    let mut world = World::with(genesis);
    let mut define = *world.ledger_define(826, b"GBP").as_body();
    define.signer = U32::new(OPERATOR_2);
    assert_eq!(world.one(&define), AwaitingApproval);
    let shown = |world: &World| {
        let one = world.ledger.approvals().next().expect("it waits");
        (one.operator_count, one.operators)
    };
    assert_eq!(shown(&world), (1, vec![ParticipantId(OPERATOR_2)]));
    for signer in [OPERATOR, AUDITOR] {
        let mut suspend = world.participant_set(OPERATOR_2);
        (suspend.role, suspend.status) = (Role::Operator as u8, 1);
        suspend.signer = U32::new(signer);
        world.one(suspend.as_body());
    }
    assert_eq!(shown(&world), (0, vec![]));
}

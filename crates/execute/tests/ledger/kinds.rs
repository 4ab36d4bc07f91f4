//! The money kinds: what each does, and the code of each refusal at its place in the order.

use clearway_types::account::AccountFlags;
use clearway_types::code::ResultCode::{self, *};
use clearway_types::kind::Kind;
use clearway_types::limits::HOLD_TIMEOUT_S_MAX;
use clearway_types::transfer::{AMOUNT_REMAINING, Transfer};
use clearway_types::units::{AccountId, ParticipantId};
use zerocopy::little_endian::{U16, U32, U64};

use crate::support::*;
use crate::table::{Edit, check};

const NOWHERE: u64 = (ALICE as u64) << 32 | 99;

fn raise(transfer: &mut Transfer, bits: u16) {
    transfer.flags = U16::new(transfer.flags.get() | bits);
}

/// Another body under the same identifier was executed.
fn take_id(world: &mut World, transfer: &mut Transfer) {
    let signer = transfer.signer.get();
    let (debit, credit) = if signer == ALICE { (A, B) } else { (B, A) };
    let mut other = world.transfer(debit, credit, 1);
    other.id = transfer.id;
    other.signer = transfer.signer;
    world.one(other.as_body());
}

/// The account with these owner and currency, opened and closed.
fn closed_account(world: &mut World, owner: u32) -> u64 {
    let account = acct(owner, 77);
    let open = world.account_open(account);
    world.settle(open.as_body());
    let close = world.account_flags(account, AccountFlags::CLOSED);
    world.settle(close.as_body());
    account
}

fn freeze(world: &mut World, account: u64, flags: u16) {
    let set = world.account_flags(account, flags);
    world.settle(set.as_body());
}

/// What the bytes, the signer and the time are refused for, whatever the kind.
const COMMON: [(Edit<Transfer>, ResultCode); 25] = [
    (|_, t| t.version = 2, VersionUnknown),
    (|_, t| t.kind = 0xee, KindUnknown),
    (|_, t| t.kind = 0x14, KindUnknown),
    (|_, t| t.kind = 0x07, KindUnknown),
    (|_, t| raise(t, 1 << 12), ReservedFlagSet),
    (|_, t| raise(t, 1 << 1), BalancingDebitNotActive),
    (|_, t| raise(t, 1 << 2), BalancingCreditNotActive),
    (|_, t| raise(t, 1 << 3), QueueIfShortNotActive),
    (|_, t| raise(t, 1 << 4), ClosingNotActive),
    (|_, t| raise(t, 1 << 5), ImportedNotActive),
    (|_, t| raise(t, 1 << 6), ConfidentialNotActive),
    (|_, t| raise(t, 1 << 7), NoOffsetNotActive),
    (|_, t| raise(t, 1 << 8), PriorityNotActive),
    (|_, t| raise(t, 1 << 9), PriorityNotActive),
    (|_, t| t.timeout_s = U32::new(1), TimeoutNotAllowed),
    (|_, t| t.id.0 = [0xff; 16], IdReserved),
    (|_, t| t.id.0 = [0; 16], IdReserved),
    (|_, t| t.signer = U32::new(99), SignerUnknown),
    (|_, t| raise(t, 1 << 10), KeySlotEmpty),
    (|w, _| w.version = Some(u64::MAX), KeyNotValid),
    (suspend_signer, SignerSuspended),
    (|_, t| t.expires_at = U32::new(START_S), Expired),
    (|_, t| t.expires_at = U32::new(START_S + 61), TtlTooLong),
    (|_, t| t.id.0[15] = 1, ChainBroken),
    (take_id, IdConflict),
];

fn suspend_signer(world: &mut World, transfer: &mut Transfer) {
    let mut set = world.participant_set(transfer.signer.get());
    set.status = 1;
    let version = world.version.take();
    world.settle(set.as_body());
    world.version = version;
}

#[test]
fn transfer_moves_money() {
    let mut world = World::new();
    let mut transfer = world.transfer(A, B, 300);
    // Its reference is free, its other texts are recorded only.
    (transfer.reference, transfer.uetr, transfer.payload) = ([7; 16], [8; 16], [9; 32]);
    world.settle(transfer.as_body());
    assert_eq!((world.balance(A), world.balance(B)), (700, 1300));
    let account = world.ledger.account(AccountId(A)).unwrap();
    assert_eq!(
        u64::from(account.last_height.get()),
        world.ledger.height().0
    );
}

#[test]
fn transfer_answers_each_code_at_its_place() {
    let own: [(Edit<Transfer>, ResultCode); 13] = [
        (|_, t| t.ledger = U32::new(1), LedgerUnknown),
        (|_, t| t.debit = U64::new(NOWHERE), DebitAccountUnknown),
        (|_, t| t.credit = U64::new(NOWHERE), CreditAccountUnknown),
        (|_, t| t.credit = t.debit, SameAccount),
        (|_, t| t.ledger = U32::new(USD), WrongCurrency),
        (|_, t| t.amount = U64::new(0), AmountZero),
        (|_, t| t.signer = U32::new(CAROL), NotAuthorised),
        (|_, t| t.credit = U64::new(ISSUER_EUR), IssuerMismatch),
        (
            |w, t| t.credit = U64::new(closed_account(w, CAROL)),
            AccountClosed,
        ),
        (
            |w, t| freeze(w, t.debit.get(), AccountFlags::FROZEN_DEBIT),
            DebitFrozen,
        ),
        (
            |w, t| freeze(w, t.credit.get(), AccountFlags::FROZEN_CREDIT),
            CreditFrozen,
        ),
        (|_, t| t.amount = U64::new(1001), InsufficientFunds),
        (limit_everyone, LimitExceeded),
    ];
    let rows: Vec<_> = COMMON.iter().chain(&own).copied().collect();
    check(
        "transfer",
        |w| w.transfer(A, B, 300),
        |t| t.as_body(),
        &rows,
    );
}

fn limit_everyone(world: &mut World, transfer: &mut Transfer) {
    let set = world.limit_set(transfer.debit.get(), 0, 10);
    world.settle(set.as_body());
}

#[test]
fn a_credit_line_is_spent_to_its_end_and_not_beyond() {
    let mut world = World::new();
    let exact = world.transfer(A_LINE, B, 50);
    let beyond = world.transfer(A_LINE, B, 1);
    assert_eq!(
        world.run(&[*exact.as_body(), *beyond.as_body()]),
        [Settled, InsufficientFunds]
    );
    assert_eq!(world.balance(A_LINE), -50);
}

#[test]
fn a_frozen_account_still_does_the_other_side() {
    let mut world = World::new();
    freeze(&mut world, A, AccountFlags::FROZEN_DEBIT);
    freeze(&mut world, B, AccountFlags::FROZEN_CREDIT);
    let payment = world.transfer(B, A, 5);
    world.settle(payment.as_body());
}

#[test]
fn hold_answers_each_code_at_its_place() {
    let own: [(Edit<Transfer>, ResultCode); 18] = [
        (|_, t| t.reference[15] = 1, ReservedFieldSet),
        (|_, t| t.ledger = U32::new(1), LedgerUnknown),
        (|_, t| t.reference[0] = 99, ParticipantUnknown),
        (|_, t| t.reference[4] = 99, ParticipantUnknown),
        (|_, t| t.debit = U64::new(NOWHERE), DebitAccountUnknown),
        (|_, t| t.credit = U64::new(NOWHERE), CreditAccountUnknown),
        (|_, t| t.credit = t.debit, SameAccount),
        (|_, t| t.ledger = U32::new(USD), WrongCurrency),
        (|_, t| t.amount = U64::new(0), AmountZero),
        (|_, t| t.signer = U32::new(CAROL), NotAuthorised),
        (|_, t| t.credit = U64::new(ISSUER_EUR), IssuerMismatch),
        (|_, t| t.timeout_s = U32::new(0), HoldTimeoutInvalid),
        (
            |_, t| t.timeout_s = U32::new(HOLD_TIMEOUT_S_MAX + 1),
            HoldTimeoutInvalid,
        ),
        (
            |w, t| t.credit = U64::new(closed_account(w, CAROL)),
            AccountClosed,
        ),
        (
            |w, t| freeze(w, t.debit.get(), AccountFlags::FROZEN_DEBIT),
            DebitFrozen,
        ),
        (
            |w, t| freeze(w, t.credit.get(), AccountFlags::FROZEN_CREDIT),
            CreditFrozen,
        ),
        (|_, t| t.amount = U64::new(1001), InsufficientFunds),
        (limit_everyone, LimitExceeded),
    ];
    check("hold", |w| w.hold(A, B, 300), |t| t.as_body(), &own);
}

/// A POST of 300 held from A to B.
fn post_of_300(world: &mut World) -> Transfer {
    let hold = world.hold(A, B, 300);
    world.settle(hold.as_body());
    world.post(&hold, 300)
}

fn end_by_post(world: &mut World, transfer: &mut Transfer) {
    let mut post = world.money(Kind::Post, A, B, 1);
    post.reference = transfer.reference;
    world.settle(post.as_body());
}

fn end_by_void(world: &mut World, transfer: &mut Transfer) {
    let mut void = world.money(Kind::Void, A, B, 0);
    void.reference = transfer.reference;
    world.settle(void.as_body());
}

/// Another account of Bob's, so that a POST can name the wrong one.
fn other_credit(world: &mut World, transfer: &mut Transfer) {
    let open = world.account_open(acct(BOB, 9));
    world.settle(open.as_body());
    transfer.credit = U64::new(acct(BOB, 9));
}

#[test]
fn post_answers_each_code_at_its_place() {
    let rows: [(Edit<Transfer>, ResultCode); 14] = [
        (|_, t| t.timeout_s = U32::new(1), TimeoutNotAllowed),
        (|_, t| t.ledger = U32::new(1), LedgerUnknown),
        (|_, t| t.debit = U64::new(NOWHERE), DebitAccountUnknown),
        (|_, t| t.credit = U64::new(NOWHERE), CreditAccountUnknown),
        (|_, t| t.credit = t.debit, SameAccount),
        (|_, t| t.ledger = U32::new(USD), WrongCurrency),
        (|_, t| t.amount = U64::new(0), AmountZero),
        (|_, t| t.credit = U64::new(ISSUER_EUR), IssuerMismatch),
        (|_, t| t.reference = [9; 16], HoldUnknown),
        (other_credit, HoldMismatch),
        (|_, t| t.amount = U64::new(301), HoldExceeded),
        (
            |w, t| freeze(w, t.debit.get(), AccountFlags::FROZEN_DEBIT),
            DebitFrozen,
        ),
        (
            |w, t| freeze(w, t.credit.get(), AccountFlags::FROZEN_CREDIT),
            CreditFrozen,
        ),
        (limit_everyone, LimitExceeded),
    ];
    check("post", post_of_300, |t| t.as_body(), &rows);
    for (end, code) in [
        (end_by_post as Edit<Transfer>, HoldPosted),
        (end_by_void, HoldVoided),
        (|w, _| w.time_ms += 20_000, HoldExpired),
    ] {
        let rows: [(Edit<Transfer>, ResultCode); 3] = [
            (|_, t| t.ledger = U32::new(USD), WrongCurrency),
            (end, code),
            (|_, t| t.amount = U64::new(301), HoldExceeded),
        ];
        check("post of an ended hold", post_of_300, |t| t.as_body(), &rows);
    }
}

#[test]
fn void_answers_each_code_at_its_place() {
    let rows: [(Edit<Transfer>, ResultCode); 10] = [
        (|_, t| t.timeout_s = U32::new(1), TimeoutNotAllowed),
        (|_, t| t.amount = U64::new(1), ReservedFieldSet),
        (|_, t| t.ledger = U32::new(1), LedgerUnknown),
        (|_, t| t.debit = U64::new(NOWHERE), DebitAccountUnknown),
        (|_, t| t.credit = U64::new(NOWHERE), CreditAccountUnknown),
        (|_, t| t.credit = t.debit, SameAccount),
        (|_, t| t.ledger = U32::new(USD), WrongCurrency),
        (|_, t| t.credit = U64::new(ISSUER_EUR), IssuerMismatch),
        (|_, t| t.reference = [9; 16], HoldUnknown),
        (other_credit, HoldMismatch),
    ];
    let start = |world: &mut World| {
        let mut void = post_of_300(world);
        (void.kind, void.amount) = (Kind::Void as u8, U64::new(0));
        void
    };
    check("void", start, |t| t.as_body(), &rows);
    for (end, code) in [
        (end_by_post as Edit<Transfer>, HoldPosted),
        (end_by_void, HoldVoided),
        (|w, _| w.time_ms += 20_000, HoldExpired),
    ] {
        check(
            "void of an ended hold",
            start,
            |t| t.as_body(),
            &[(end, code)],
        );
    }
}

#[test]
fn return_answers_each_code_at_its_place() {
    let rows: [(Edit<Transfer>, ResultCode); 16] = [
        (|_, t| t.timeout_s = U32::new(1), TimeoutNotAllowed),
        (|_, t| t.ledger = U32::new(1), LedgerUnknown),
        (|_, t| t.debit = U64::new(NOWHERE), DebitAccountUnknown),
        (|_, t| t.credit = U64::new(NOWHERE), CreditAccountUnknown),
        (|_, t| t.credit = t.debit, SameAccount),
        (|_, t| t.ledger = U32::new(USD), WrongCurrency),
        (|_, t| t.amount = U64::new(0), AmountZero),
        (|_, t| t.signer = U32::new(ALICE), NotAuthorised),
        (|_, t| t.credit = U64::new(ISSUER_EUR), IssuerMismatch),
        (|_, t| t.reference = [9; 16], OriginalNotLive),
        (|_, t| t.credit = U64::new(A_LINE), ReturnMismatch),
        (|_, t| t.amount = U64::new(301), ReturnExceeded),
        (|_, t| t.amount = U64::new(AMOUNT_REMAINING), ReturnExceeded),
        (
            |w, t| freeze(w, t.debit.get(), AccountFlags::FROZEN_DEBIT),
            DebitFrozen,
        ),
        (
            |w, t| freeze(w, t.credit.get(), AccountFlags::FROZEN_CREDIT),
            CreditFrozen,
        ),
        (spend_all, InsufficientFunds),
    ];
    let start = |world: &mut World| {
        let payment = world.transfer(A, B, 300);
        world.settle(payment.as_body());
        world.give_back(&payment, 300)
    };
    check("return", start, |t| t.as_body(), &rows);
    let limited: [(Edit<Transfer>, ResultCode); 1] = [(limit_everyone, LimitExceeded)];
    check("return", start, |t| t.as_body(), &limited);
}

fn spend_all(world: &mut World, transfer: &mut Transfer) {
    let all = u64::try_from(world.balance(transfer.debit.get())).unwrap();
    let payment = world.transfer(transfer.debit.get(), C, all);
    world.settle(payment.as_body());
}

#[test]
fn issue_answers_each_code_at_its_place() {
    let rows: [(Edit<Transfer>, ResultCode); 14] = [
        (|_, t| t.timeout_s = U32::new(1), TimeoutNotAllowed),
        (|_, t| t.reference = [1; 16], RefNotAllowed),
        (|_, t| raise(t, 1), LinkNotAllowed),
        (|_, t| t.ledger = U32::new(1), LedgerUnknown),
        (|_, t| t.debit = U64::new(NOWHERE), DebitAccountUnknown),
        (|_, t| t.credit = U64::new(NOWHERE), CreditAccountUnknown),
        (|_, t| t.credit = t.debit, SameAccount),
        (|_, t| t.ledger = U32::new(USD), WrongCurrency),
        (|_, t| t.amount = U64::new(0), AmountZero),
        (|_, t| t.signer = U32::new(ALICE), NotAuthorised),
        (|_, t| t.debit = U64::new(I), IssuerMismatch),
        (
            |w, t| t.credit = U64::new(closed_account(w, CAROL)),
            AccountClosed,
        ),
        (
            |w, t| freeze(w, t.credit.get(), AccountFlags::FROZEN_CREDIT),
            CreditFrozen,
        ),
        (|_, t| t.amount = U64::new(u64::MAX), BalanceOverflow),
    ];
    check("issue", |w| w.issue(B, 300), |t| t.as_body(), &rows);
}

#[test]
fn redeem_answers_each_code_at_its_place() {
    let rows: [(Edit<Transfer>, ResultCode); 13] = [
        (|_, t| t.timeout_s = U32::new(1), TimeoutNotAllowed),
        (|_, t| t.reference = [1; 16], RefNotAllowed),
        (|_, t| t.ledger = U32::new(1), LedgerUnknown),
        (|_, t| t.debit = U64::new(NOWHERE), DebitAccountUnknown),
        (|_, t| t.credit = U64::new(NOWHERE), CreditAccountUnknown),
        (|_, t| t.credit = t.debit, SameAccount),
        (|_, t| t.ledger = U32::new(USD), WrongCurrency),
        (|_, t| t.amount = U64::new(0), AmountZero),
        (|_, t| t.signer = U32::new(ALICE), NotAuthorised),
        (|_, t| t.debit = U64::new(A), NotAuthorised),
        (
            |w, t| t.credit = U64::new(closed_account(w, CAROL)),
            IssuerMismatch,
        ),
        (
            |w, t| freeze(w, t.debit.get(), AccountFlags::FROZEN_DEBIT),
            DebitFrozen,
        ),
        (|_, t| t.amount = U64::new(301), InsufficientFunds),
    ];
    check("redeem", |w| w.redeem(I, 300), |t| t.as_body(), &rows);
}

#[test]
fn a_settled_kind_moves_no_other_participants_directory() {
    let mut world = World::new();
    let before = world.ledger.participant(ParticipantId(BOB)).cloned();
    let payment = world.transfer(A, B, 1);
    world.settle(payment.as_body());
    assert_eq!(
        world.ledger.participant(ParticipantId(BOB)).cloned(),
        before
    );
    assert_eq!(world.ledger.directory().height.0, 0);
}

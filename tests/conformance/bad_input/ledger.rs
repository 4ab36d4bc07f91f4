//! Payments, holds and returns that the rules of the ledger forbid.

use clearway_client::Draft;
use clearway_types::amount::Amount;
use clearway_types::code::ResultCode;
use clearway_types::envelope::Envelope;
use clearway_types::kind::Kind;
use clearway_types::units::{LedgerId, ParticipantId, TimeMs, TransferId};

use crate::bad_input::desk::{BALANCE, Desk, EUR, USD, account, pay};
use crate::bad_input::{Bad, Counter, Row, Told};

const fn after(
    name: &'static str,
    given: fn(&Desk) -> Vec<Envelope>,
    by: u32,
    draft: fn(TransferId) -> Draft,
    code: ResultCode,
    says: &'static str,
) -> Row {
    Row {
        name,
        bad: Bad::After { given, by, draft },
        told: Told::Code(code),
        counter: Counter::Executed,
        says,
    }
}

/// A payment between any two accounts.
fn transfer(from: (u32, u32), to: (u32, u32), minor: u64, ledger: LedgerId) -> Draft {
    Draft::transfer(
        account(from.0, from.1),
        account(to.0, to.1),
        Amount::new(minor, ledger),
    )
}

/// A hold of 100 from 2 to 3.
fn hold(timeout_s: u32) -> Draft {
    Draft::hold(
        account(2, 1),
        account(3, 1),
        Amount::new(100, EUR),
        timeout_s,
    )
}

fn post(id: TransferId, minor: u64) -> Draft {
    Draft::post(id, account(2, 1), account(3, 1), Amount::new(minor, EUR))
}

fn void(id: TransferId) -> Draft {
    Draft::void(id, account(2, 1), account(3, 1), EUR)
}

fn give_back(id: TransferId, from: u32, to: u32, minor: u64) -> Draft {
    Draft::give_back(
        id,
        account(from, 1),
        account(to, 1),
        Amount::new(minor, EUR),
    )
}

fn held(desk: &Desk) -> Vec<Envelope> {
    desk.settle(&[desk.sign(2, hold(60))])
}

fn posted(desk: &Desk) -> Vec<Envelope> {
    let held = held(desk);
    desk.settle(&[desk.sign(2, post(held[0].body.id, 40))]);
    held
}

fn voided(desk: &Desk) -> Vec<Envelope> {
    let held = held(desk);
    desk.settle(&[desk.sign(2, void(held[0].body.id))]);
    held
}

fn timed_out(desk: &Desk) -> Vec<Envelope> {
    let held = desk.settle(&[desk.sign(2, hold(1))]);
    desk.wait_until(TimeMs(desk.time().0 + 1000));
    held
}

fn paid(desk: &Desk) -> Vec<Envelope> {
    desk.settle(&[desk.sign(2, pay(2, 3, 100))])
}

fn paid_and_returned(desk: &Desk) -> Vec<Envelope> {
    let paid = paid(desk);
    desk.settle(&[desk.sign(3, give_back(paid[0].body.id, 3, 2, 70))]);
    paid
}

const NOBODY: TransferId = TransferId([0xab; 16]);

pub(crate) const ROWS: &[Row] = &[
    Row::refused(
        "an overdraft",
        2,
        || pay(2, 3, 2 * BALANCE),
        ResultCode::InsufficientFunds,
        "fund",
    ),
    Row::refused(
        "accounts of another currency",
        2,
        || transfer((2, 1), (3, 1), 1, USD),
        ResultCode::WrongCurrency,
        "use accounts of that one",
    ),
    Row::refused(
        "a payment from dollars to euro",
        2,
        || transfer((2, 2), (3, 1), 1, EUR),
        ResultCode::WrongCurrency,
        "use accounts of that one",
    ),
    Row::refused(
        "an unknown ledger",
        2,
        || transfer((2, 1), (3, 1), 1, LedgerId(999)),
        ResultCode::LedgerUnknown,
        "check its number",
    ),
    Row::refused(
        "an unknown payer",
        2,
        || transfer((2, 99), (3, 1), 1, EUR),
        ResultCode::DebitAccountUnknown,
        "check its number",
    ),
    Row::refused(
        "an unknown payee",
        2,
        || transfer((2, 1), (3, 99), 1, EUR),
        ResultCode::CreditAccountUnknown,
        "check its number",
    ),
    Row::refused(
        "a payee whose account is closed",
        2,
        || transfer((2, 1), (6, 2), 1, EUR),
        ResultCode::AccountClosed,
        "use another",
    ),
    Row::refused(
        "a payer whose account is frozen",
        7,
        || transfer((7, 2), (3, 1), 1, EUR),
        ResultCode::DebitFrozen,
        "ask its sponsor",
    ),
    Row::refused(
        "a payee whose account is frozen",
        2,
        || transfer((2, 1), (6, 3), 1, EUR),
        ResultCode::CreditFrozen,
        "ask its sponsor",
    ),
    Row::refused(
        "more than the limit",
        8,
        || pay(8, 3, 101),
        ResultCode::LimitExceeded,
        "pay less",
    ),
    Row::refused(
        "nothing",
        2,
        || pay(2, 3, 0),
        ResultCode::AmountZero,
        "at least one minor unit",
    ),
    Row::refused(
        "a payment to oneself",
        2,
        || pay(2, 2, 1),
        ResultCode::SameAccount,
        "name two",
    ),
    Row::refused(
        "a payment from a stranger's account",
        3,
        || pay(2, 3, 1),
        ResultCode::NotAuthorised,
        "names who may",
    ),
    Row::refused(
        "a payment to the issuer's own account",
        2,
        || pay(2, 1, 1),
        ResultCode::IssuerMismatch,
        "an account that fits the kind",
    ),
    Row::refused(
        "more money than fits a ledger",
        1,
        || Draft::issue(account(1, 1), account(2, 1), Amount::new(u64::MAX, EUR)),
        ResultCode::BalanceOverflow,
        "move less",
    ),
    Row::refused(
        "money made by a member",
        2,
        || Draft::issue(account(1, 1), account(2, 1), Amount::new(1, EUR)),
        ResultCode::NotAuthorised,
        "names who may",
    ),
    Row::refused(
        "money made with a reference",
        1,
        || {
            let issue = Draft::issue(account(1, 1), account(2, 1), Amount::new(1, EUR));
            issue.reference(NOBODY)
        },
        ResultCode::RefNotAllowed,
        "set it to zero",
    ),
    Row::refused(
        "money redeemed from a member's account",
        1,
        || Draft::redeem(account(2, 1), account(1, 1), Amount::new(1, EUR)),
        ResultCode::NotAuthorised,
        "names who may",
    ),
    Row::refused(
        "a hold without a time-out",
        2,
        || hold(0),
        ResultCode::HoldTimeoutInvalid,
        "give 1 to 2,592,000 seconds",
    ),
    Row::refused(
        "a hold for somebody unknown",
        2,
        || hold(60).hold_parties(ParticipantId(77), ParticipantId(2)),
        ResultCode::ParticipantUnknown,
        "register it first",
    ),
    Row::refused(
        "a hold beyond the funds",
        2,
        || {
            Draft::hold(
                account(2, 1),
                account(3, 1),
                Amount::new(2 * BALANCE, EUR),
                60,
            )
        },
        ResultCode::InsufficientFunds,
        "fund",
    ),
    Row::refused(
        "a post of no hold",
        2,
        || post(NOBODY, 1),
        ResultCode::HoldUnknown,
        "identifier",
    ),
    after(
        "a hold posted twice",
        posted,
        2,
        |hold| post(hold, 10),
        ResultCode::HoldPosted,
        "make a new payment",
    ),
    after(
        "a post of more than was held",
        held,
        2,
        |hold| post(hold, 101),
        ResultCode::HoldExceeded,
        "post at most",
    ),
    after(
        "a post to other accounts than the hold's",
        held,
        2,
        |hold| Draft::post(hold, account(2, 1), account(8, 1), Amount::new(1, EUR)),
        ResultCode::HoldMismatch,
        "name the hold's own",
    ),
    after(
        "a void by a stranger",
        held,
        3,
        void,
        ResultCode::NotAuthorised,
        "names who may",
    ),
    after(
        "a post after a void",
        voided,
        2,
        |hold| post(hold, 1),
        ResultCode::HoldVoided,
        "new one",
    ),
    after(
        "a post after the hold's time",
        timed_out,
        2,
        |hold| post(hold, 1),
        ResultCode::HoldExpired,
        "make a new one",
    ),
    Row {
        name: "a void of an amount",
        bad: Bad::Envelopes {
            given: held,
            // No constructor of drafts gives a VOID an amount.
            bad: |desk, given| {
                let mut body = desk.sign(2, post(given[0].body.id, 1)).body;
                body.kind = Kind::Void as u8;
                vec![desk.sign_body(2, body)]
            },
        },
        told: Told::Code(ResultCode::ReservedFieldSet),
        counter: Counter::Executed,
        says: "clear it",
    },
    Row::refused(
        "a return of nothing known",
        3,
        || give_back(NOBODY, 3, 2, 1),
        ResultCode::OriginalNotLive,
        "give back with a TRANSFER",
    ),
    after(
        "a return of more than is left",
        paid_and_returned,
        3,
        |paid| give_back(paid, 3, 2, 31),
        ResultCode::ReturnExceeded,
        "return at most that",
    ),
    after(
        "a return from another account",
        paid,
        8,
        |paid| give_back(paid, 8, 2, 1),
        ResultCode::ReturnMismatch,
        "pay back the way it came",
    ),
    after(
        "a return by the payer",
        paid,
        2,
        |paid| give_back(paid, 3, 2, 1),
        ResultCode::NotAuthorised,
        "names who may",
    ),
    after(
        "a return after its window",
        |desk| vec![desk.too_old()],
        7,
        |paid| give_back(paid, 7, 6, 1),
        ResultCode::OriginalNotLive,
        "give back with a TRANSFER",
    ),
];

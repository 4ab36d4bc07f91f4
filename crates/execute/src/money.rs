//! Moving money: the checks that all money kinds share, in the order of their codes, and the moves.

use clearway_types::account::{Account, AccountFlags};
use clearway_types::code::ResultCode;
use clearway_types::transfer::Transfer;
use clearway_types::units::LedgerId;

use crate::state::State;
use crate::tables::accounts::{self, covers, is_issuer};
use crate::tables::currencies::{self, CurrencyIndex};
use crate::tables::holds::{Hold, HoldState};
use crate::tables::slots::Slot;

/// The two accounts of a payment, found.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) ledger: CurrencyIndex,
    pub(crate) debit: Slot,
    pub(crate) credit: Slot,
}

/// Finds ledger and accounts: codes 70 to 91.
pub(crate) fn resolve(state: &State, transfer: &Transfer) -> Result<Pair, ResultCode> {
    let ledger = state.currencies.index(transfer.ledger());
    let ledger = ledger.ok_or(ResultCode::LedgerUnknown)?;
    let debit = state.accounts.slot(transfer.debit());
    let debit = debit.ok_or(ResultCode::DebitAccountUnknown)?;
    let credit = state.accounts.slot(transfer.credit());
    let credit = credit.ok_or(ResultCode::CreditAccountUnknown)?;
    if debit == credit {
        return Err(ResultCode::SameAccount);
    }
    let currency = |slot| state.accounts.get(slot).ledger();
    if currency(debit) != transfer.ledger() || currency(credit) != transfer.ledger() {
        return Err(ResultCode::WrongCurrency);
    }
    Ok(Pair {
        ledger,
        debit,
        credit,
    })
}

/// The accounts of a hold.
pub(crate) fn pair_of(state: &State, hold: &Hold) -> Pair {
    let (debit, credit) = hold.accounts();
    let ledger = LedgerId(hold.ledger.get());
    let slot = |id| {
        let slot = state.accounts.slot(id);
        slot.expect("accounts of a hold are never removed")
    };
    let ledger = state.currencies.index(ledger);
    Pair {
        ledger: ledger.expect("ledgers are never removed"),
        debit: slot(debit),
        credit: slot(credit),
    }
}

/// Code 92.
pub(crate) fn not_zero(transfer: &Transfer) -> Result<(), ResultCode> {
    match transfer.amount.get() {
        0 => Err(ResultCode::AmountZero),
        _ => Ok(()),
    }
}

/// Code 94 for kinds other than ISSUE and REDEEM.
pub(crate) fn no_issuer(state: &State, pair: Pair) -> Result<(), ResultCode> {
    let issuer = |slot| is_issuer(state.accounts.get(slot));
    match issuer(pair.debit) || issuer(pair.credit) {
        true => Err(ResultCode::IssuerMismatch),
        false => Ok(()),
    }
}

/// Codes 101 to 104: the hold is the one that is meant, and has not ended.
pub(crate) fn still_open(
    state: &State,
    transfer: &Transfer,
    hold: &Hold,
) -> Result<(), ResultCode> {
    let same = hold.accounts() == (transfer.debit(), transfer.credit());
    if !same || hold.ledger != transfer.ledger {
        return Err(ResultCode::HoldMismatch);
    }
    match hold.state() {
        Some(HoldState::Posted) => Err(ResultCode::HoldPosted),
        Some(HoldState::Voided) => Err(ResultCode::HoldVoided),
        Some(HoldState::Expired) => Err(ResultCode::HoldExpired),
        // Past its deadline it is over, swept or not.
        _ if state.clock.time.0 >= hold.deadline_ms.get() => Err(ResultCode::HoldExpired),
        _ => Ok(()),
    }
}

/// Codes 120 to 122.
pub(crate) fn usable(state: &State, pair: Pair) -> Result<(), ResultCode> {
    let debit = state.accounts.get(pair.debit).flags();
    let credit = state.accounts.get(pair.credit).flags();
    if debit.has(AccountFlags::CLOSED) || credit.has(AccountFlags::CLOSED) {
        return Err(ResultCode::AccountClosed);
    }
    if debit.has(AccountFlags::FROZEN_DEBIT) {
        return Err(ResultCode::DebitFrozen);
    }
    if credit.has(AccountFlags::FROZEN_CREDIT) {
        return Err(ResultCode::CreditFrozen);
    }
    Ok(())
}

/// Code 130: whether the debited account can spend `amount` more.
pub(crate) fn funded(state: &State, pair: Pair, amount: u64) -> Result<(), ResultCode> {
    match covers(state.accounts.get(pair.debit), amount) {
        Some(false) => Err(ResultCode::InsufficientFunds),
        // `None` is beyond 2^128, which `room` answers at its place in the order.
        Some(true) | None => Ok(()),
    }
}

/// Code 131: whether the net debit limits leave room for `amount`.
pub(crate) fn within_limits(state: &State, pair: Pair, amount: u64) -> Result<(), ResultCode> {
    let payer = state.accounts.get(pair.debit).id();
    let payee = state.accounts.get(pair.credit).id();
    state.debit_limits.check(payer, payee, amount, state.clock)
}

/// Code 132: whether the balances stay within their range, and the money in being within its own.
pub(crate) fn room(state: &State, pair: Pair, amount: u64) -> Result<(), ResultCode> {
    let debit = state.accounts.get(pair.debit);
    let credit = state.accounts.get(pair.credit);
    let fits = |posted: u128, pending: u128| {
        let sum = posted.checked_add(pending);
        sum.and_then(|sum| sum.checked_add(u128::from(amount)))
            .is_some()
    };
    match fits(debit.debits_posted.get(), debit.debits_pending.get())
        && fits(credit.credits_posted.get(), credit.credits_pending.get())
    {
        true => bounded(state, pair, amount),
        false => Err(ResultCode::BalanceOverflow),
    }
}

/// Code 132: whether the money in being stays below 2^64 minor units, as at genesis.
///
/// ISSUE brings money into being, and so does whatever a credit line pays: the payee holds it and
/// the payer had none to give.
pub(crate) fn bounded(state: &State, pair: Pair, amount: u64) -> Result<(), ResultCode> {
    let given = given(state.accounts.get(pair.debit), amount);
    if given == amount {
        return Ok(());
    }
    let gained = gained(state.accounts.get(pair.credit), amount);
    let in_being = state.currencies.in_being(pair.ledger);
    let after = in_being
        .saturating_sub(u128::from(given))
        .saturating_add(u128::from(gained));
    match after <= u128::from(u64::MAX) {
        true => Ok(()),
        false => Err(ResultCode::BalanceOverflow),
    }
}

/// How much of `amount` the debited account gives as money it holds; a credit line gives the rest.
fn given(debit: &Account, amount: u64) -> u64 {
    match u64::try_from(accounts::money(debit)) {
        Ok(held) => held.min(amount),
        Err(_) => amount,
    }
}

/// How much of `amount` the credited account holds as money then; what it owed takes the rest.
fn gained(credit: &Account, amount: u64) -> u64 {
    if is_issuer(credit) {
        return 0;
    }
    let (debits, credits) = (credit.debits_posted.get(), credit.credits_posted.get());
    match u64::try_from(debits.saturating_sub(credits)) {
        Ok(owed) => amount.saturating_sub(owed),
        Err(_) => 0,
    }
}

/// Code 130 of REDEEM: whether `amount` is there. What a credit line allows is not.
pub(crate) fn there(state: &State, pair: Pair, amount: u64) -> Result<(), ResultCode> {
    let debit = state.accounts.get(pair.debit);
    let free = accounts::money(debit).checked_sub(debit.debits_pending.get());
    match free.is_some_and(|free| free >= u128::from(amount)) {
        true => Ok(()),
        false => Err(ResultCode::InsufficientFunds),
    }
}

/// What an issuer account was debited more than credited: money issued and not redeemed.
pub(crate) fn issued(issuer: &Account) -> u128 {
    let issued = issuer
        .debits_posted
        .get()
        .checked_sub(issuer.credits_posted.get());
    issued.expect("REDEEM takes no more than was issued")
}

/// Moves `amount` from debit to credit, for good.
pub(crate) fn settle(state: &mut State, pair: Pair, amount: u64) {
    let clock = state.clock;
    let debit = state.accounts.write(pair.debit, clock);
    let given = given(debit, amount);
    accounts::add(&mut debit.debits_posted, amount);
    let credit = state.accounts.write(pair.credit, clock);
    let gained = gained(credit, amount);
    accounts::add(&mut credit.credits_posted, amount);
    let totals = state.currencies.totals(pair.ledger);
    currencies::add(&mut totals.debits_posted, amount);
    currencies::add(&mut totals.credits_posted, amount);
    if given != gained {
        currencies::take(&mut totals.in_being, given);
        currencies::add(&mut totals.in_being, gained);
    }
}

/// Notes a settled payment in the net debit limits of both sides.
pub(crate) fn count_to_limits(state: &mut State, pair: Pair, amount: u64) {
    let payer = state.accounts.get(pair.debit).id();
    let payee = state.accounts.get(pair.credit).id();
    state.debit_limits.note(payer, payee, amount, state.clock);
}

/// Sets `amount` aside on both accounts.
pub(crate) fn reserve(state: &mut State, pair: Pair, amount: u64) {
    let clock = state.clock;
    let debit = state.accounts.write(pair.debit, clock);
    accounts::add(&mut debit.debits_pending, amount);
    let credit = state.accounts.write(pair.credit, clock);
    accounts::add(&mut credit.credits_pending, amount);
    let totals = state.currencies.totals(pair.ledger);
    currencies::add(&mut totals.debits_pending, amount);
    currencies::add(&mut totals.credits_pending, amount);
}

/// Frees `amount` that was set aside.
pub(crate) fn release(state: &mut State, pair: Pair, amount: u64) {
    let clock = state.clock;
    let debit = state.accounts.write(pair.debit, clock);
    accounts::take(&mut debit.debits_pending, amount);
    let credit = state.accounts.write(pair.credit, clock);
    accounts::take(&mut credit.credits_pending, amount);
    let totals = state.currencies.totals(pair.ledger);
    currencies::take(&mut totals.debits_pending, amount);
    currencies::take(&mut totals.credits_pending, amount);
}

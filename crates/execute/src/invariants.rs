//! The full scan: every promise of the ledger checked against every record.

use std::collections::BTreeMap;

use clearway_types::account::Account;
use clearway_types::units::{AccountId, LedgerId};

use crate::accounts::{covers, is_issuer};
use crate::error::InvariantViolation;
use crate::holds::{Hold, HoldState};
use crate::ledgers::Totals;
use crate::state::State;

/// Checks conservation, cover, holds and returns over the whole state.
pub(crate) fn check(state: &State) -> Result<(), InvariantViolation> {
    check_sums(state)?;
    check_holds(state)?;
    for entry in state.ids.iter() {
        if entry.returned > entry.amount {
            return Err(InvariantViolation::Returned(entry.signer, entry.id));
        }
    }
    Ok(())
}

/// Invariants 1 and 2: both sides are equal, and no member spends what it has not.
fn check_sums(state: &State) -> Result<(), InvariantViolation> {
    let mut sums: BTreeMap<LedgerId, Totals> = BTreeMap::new();
    for entry in state.ledgers.iter() {
        sums.insert(entry.ledger.id, Totals::default());
    }
    for account in state.accounts.slots.iter() {
        let violation = InvariantViolation::Ledger(account.id());
        let sum = sums.get_mut(&account.ledger()).ok_or(violation)?;
        *sum = sum_with(*sum, account).ok_or(InvariantViolation::Totals(account.ledger()))?;
        if !is_issuer(account) && covers(account, 0) != Some(true) {
            return Err(InvariantViolation::Cover(account.id()));
        }
    }
    for entry in state.ledgers.iter() {
        let id = entry.ledger.id;
        if sums[&id] != entry.totals {
            return Err(InvariantViolation::Totals(id));
        }
        if !entry.totals.balanced() {
            return Err(InvariantViolation::Unbalanced(id));
        }
    }
    Ok(())
}

fn sum_with(sum: Totals, account: &Account) -> Option<Totals> {
    Some(Totals {
        debits_posted: sum.debits_posted.checked_add(account.debits_posted.get())?,
        credits_posted: sum
            .credits_posted
            .checked_add(account.credits_posted.get())?,
        debits_pending: sum
            .debits_pending
            .checked_add(account.debits_pending.get())?,
        credits_pending: sum
            .credits_pending
            .checked_add(account.credits_pending.get())?,
    })
}

/// Invariants 5 and 7: pending balances are the open holds, posted <= held, returned <= posted.
fn check_holds(state: &State) -> Result<(), InvariantViolation> {
    let mut pending: BTreeMap<AccountId, (u128, u128)> = BTreeMap::new();
    for hold in state.holds.iter() {
        let Some(hold_state) = hold.state() else {
            continue;
        };
        check_hold(state, hold)?;
        if hold_state == HoldState::Open {
            let (debit, credit) = hold.accounts();
            let amount = u128::from(hold.amount.get());
            let side = &mut pending.entry(debit).or_default().0;
            *side = side.saturating_add(amount);
            let side = &mut pending.entry(credit).or_default().1;
            *side = side.saturating_add(amount);
        }
    }
    for account in state.accounts.slots.iter() {
        let expected = pending.get(&account.id()).copied().unwrap_or_default();
        let found = (account.debits_pending.get(), account.credits_pending.get());
        if found != expected {
            return Err(InvariantViolation::Pending(account.id()));
        }
    }
    Ok(())
}

fn check_hold(state: &State, hold: &Hold) -> Result<(), InvariantViolation> {
    let (debit, credit) = hold.accounts();
    let on_ledger = |id| {
        let account = state.accounts.by_id(id);
        account.is_some_and(|account| account.ledger == hold.ledger)
    };
    let sound = hold.posted.get() <= hold.amount.get()
        && hold.returned.get() <= hold.posted.get()
        && on_ledger(debit)
        && on_ledger(credit);
    match sound {
        true => Ok(()),
        false => Err(InvariantViolation::Hold(hold.key().0, hold.id)),
    }
}

//! ISSUE: brings money into being, from the ledger's issuer account to any other of the ledger.

use clearway_types::code::ResultCode;
use clearway_types::transfer::Transfer;

use crate::accounts::is_issuer;
use crate::kinds::authorise;
use crate::money::{self, Pair};
use crate::state::State;

pub(crate) fn apply(state: &mut State, transfer: &Transfer) -> Result<(), ResultCode> {
    let pair = money::resolve(state, transfer)?;
    let amount = transfer.amount.get();
    money::not_zero(transfer)?;
    authorise(
        state,
        transfer.as_body(),
        state.ledgers.get(pair.ledger).issuer,
    )?;
    let issuer = |slot| is_issuer(state.accounts.get(slot));
    if !issuer(pair.debit) || issuer(pair.credit) {
        return Err(ResultCode::IssuerMismatch);
    }
    money::usable(state, pair)?;
    supply_room(state, pair, amount)?;
    money::room(state, pair, amount)?;
    money::settle(state, pair, amount);
    Ok(())
}

/// Code 132: the money in being stays below 2^64 minor units, as at genesis.
fn supply_room(state: &State, pair: Pair, amount: u64) -> Result<(), ResultCode> {
    let supply = money::supply(state.accounts.get(pair.debit));
    match supply.checked_add(u128::from(amount)) {
        Some(supply) if supply <= u128::from(u64::MAX) => Ok(()),
        _ => Err(ResultCode::BalanceOverflow),
    }
}

//! REDEEM: takes money out of being, from an account of the issuer's own to the issuer account.
//!
//! Members give their money back with a TRANSFER to the issuer first: nobody but its owner signs
//! for an account.

use clearway_types::code::ResultCode;
use clearway_types::transfer::Transfer;

use crate::accounts::is_issuer;
use crate::kinds::authorise;
use crate::money;
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
    authorise(state, transfer.as_body(), transfer.debit().owner())?;
    let issuer = |slot| is_issuer(state.accounts.get(slot));
    if issuer(pair.debit) || !issuer(pair.credit) {
        return Err(ResultCode::IssuerMismatch);
    }
    money::usable(state, pair)?;
    money::funded(state, pair, amount)?;
    // With a credit line the debited account could pay in more than there is in being.
    if u128::from(amount) > money::supply(state.accounts.get(pair.credit)) {
        return Err(ResultCode::BalanceOverflow);
    }
    money::room(state, pair, amount)?;
    money::settle(state, pair, amount);
    Ok(())
}

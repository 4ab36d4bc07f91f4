//! REDEEM: takes money out of being, from an account of the issuer's own to the issuer account.
//!
//! Members give their money back with a TRANSFER to the issuer first: nobody but its owner signs
//! for an account. Only money that is there is taken: a credit line is none.

use clearway_types::code::ResultCode;
use clearway_types::transfer::Transfer;

use crate::authority::authorise;
use crate::money;
use crate::state::State;
use crate::tables::accounts::is_issuer;

pub(crate) fn apply(state: &mut State, transfer: &Transfer) -> Result<(), ResultCode> {
    let pair = money::resolve(state, transfer)?;
    let amount = transfer.amount.get();
    money::not_zero(transfer)?;
    authorise(
        state,
        transfer.as_body(),
        state.currencies.get(pair.ledger).issuer,
    )?;
    authorise(state, transfer.as_body(), transfer.debit().owner())?;
    let issuer = |slot| is_issuer(state.accounts.get(slot));
    if issuer(pair.debit) || !issuer(pair.credit) {
        return Err(ResultCode::IssuerMismatch);
    }
    money::usable(state, pair)?;
    money::there(state, pair, amount)?;
    // Money that a credit line brought into being was never issued, so it is not redeemed.
    if u128::from(amount) > money::issued(state.accounts.get(pair.credit)) {
        return Err(ResultCode::BalanceOverflow);
    }
    money::room(state, pair, amount)?;
    money::settle(state, pair, amount);
    Ok(())
}

//! ISSUE: brings money into being, from the ledger's issuer account to any other of the ledger.

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
    let issuer = |slot| is_issuer(state.accounts.get(slot));
    if !issuer(pair.debit) || issuer(pair.credit) {
        return Err(ResultCode::IssuerMismatch);
    }
    money::usable(state, pair)?;
    money::room(state, pair, amount)?;
    money::settle(state, pair, amount);
    Ok(())
}

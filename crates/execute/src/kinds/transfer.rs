//! TRANSFER: moves money between two accounts of one ledger. Its reference is free.

use clearway_types::code::ResultCode;
use clearway_types::transfer::Transfer;

use crate::authority::authorise;
use crate::effect::{Effect, Paid};
use crate::money;
use crate::state::State;

pub(crate) fn apply(state: &mut State, transfer: &Transfer) -> Result<(), ResultCode> {
    let pair = money::resolve(state, transfer)?;
    let amount = transfer.amount.get();
    money::not_zero(transfer)?;
    authorise(state, transfer.as_body(), transfer.debit().owner())?;
    money::no_issuer(state, pair)?;
    money::usable(state, pair)?;
    money::funded(state, pair, amount)?;
    money::within_limits(state, pair, amount)?;
    money::room(state, pair, amount)?;
    money::settle(state, pair, amount);
    money::count_to_limits(state, pair, amount);
    Ok(())
}

/// The accounts and the amount stay with the identifier, for a RETURN.
pub(crate) fn effect(transfer: &Transfer) -> Effect {
    Effect::Paid(Paid {
        debit: transfer.debit(),
        credit: transfer.credit(),
        amount: transfer.amount.get(),
    })
}

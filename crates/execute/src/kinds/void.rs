//! VOID: frees a hold. Freezing an account never stops money from being freed.

use clearway_types::code::ResultCode;
use clearway_types::transfer::Transfer;
use clearway_types::units::ParticipantId;

use crate::authority::authorise;
use crate::money;
use crate::state::State;
use crate::tables::holds::HoldState;

pub(crate) fn apply(state: &mut State, transfer: &Transfer) -> Result<(), ResultCode> {
    let pair = money::resolve(state, transfer)?;
    let hold = state.hold_of(transfer.debit(), transfer.reference_id());
    if let Some(hold) = &hold {
        let named = ParticipantId(hold.void_by.get());
        authorise(state, transfer.as_body(), named)?;
    }
    money::no_issuer(state, pair)?;
    let hold = hold.ok_or(ResultCode::HoldUnknown)?;
    money::still_open(state, transfer, &hold)?;
    money::release(state, pair, hold.amount.get());
    let until = state.envelopes_end();
    state.holds.replace(hold.ended(HoldState::Voided, until));
    Ok(())
}

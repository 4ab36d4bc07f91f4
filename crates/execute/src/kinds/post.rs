//! POST: settles all or part of a hold and frees the rest. A hold ends with its first POST.

use clearway_types::code::ResultCode;
use clearway_types::transfer::{AMOUNT_REMAINING, Transfer};
use clearway_types::units::ParticipantId;
use zerocopy::little_endian::U64;

use crate::authority::authorise;
use crate::money;
use crate::state::State;
use crate::tables::holds::HoldState;

pub(crate) fn apply(state: &mut State, transfer: &Transfer) -> Result<(), ResultCode> {
    let pair = money::resolve(state, transfer)?;
    money::not_zero(transfer)?;
    let hold = state.hold_of(transfer.debit(), transfer.reference_id());
    if let Some(hold) = &hold {
        let named = ParticipantId(hold.post_by.get());
        authorise(state, transfer.as_body(), named)?;
    }
    money::no_issuer(state, pair)?;
    let hold = hold.ok_or(ResultCode::HoldUnknown)?;
    money::still_open(state, transfer, &hold)?;
    let held = hold.amount.get();
    let amount = match transfer.amount.get() {
        AMOUNT_REMAINING => held,
        amount => amount,
    };
    if amount > held {
        return Err(ResultCode::HoldExceeded);
    }
    money::usable(state, pair)?;
    // The money was set aside, so neither funds nor room on the accounts can be missing.
    money::within_limits(state, pair, amount)?;
    money::bounded(state, pair, amount)?;
    money::release(state, pair, held);
    money::settle(state, pair, amount);
    money::count_to_limits(state, pair, amount);
    let until = state.envelopes_end().max(state.return_window_ends());
    let mut ended = hold.ended(HoldState::Posted, until);
    ended.posted = U64::new(amount);
    state.holds.replace(ended);
    Ok(())
}

//! HOLD: sets money aside for a payment that is posted, voided or expires later.

use clearway_types::code::ResultCode;
use clearway_types::limits::{HOLD_TIMEOUT_S_MAX, HOLDS_PER_MEMBER_MAX};
use clearway_types::transfer::Transfer;
use clearway_types::units::ParticipantId;
use zerocopy::FromZeros;
use zerocopy::little_endian::{U32, U64};

use crate::authority::authorise;
use crate::clock::milliseconds;
use crate::money;
use crate::state::State;
use crate::tables::holds::{Hold, HoldState, state_number};

pub(crate) fn apply(state: &mut State, transfer: &Transfer) -> Result<(), ResultCode> {
    let (timeout_s, amount) = (transfer.timeout_s.get(), transfer.amount.get());
    if state.currencies.index(transfer.ledger()).is_none() {
        return Err(ResultCode::LedgerUnknown);
    }
    let parties = transfer.hold_parties();
    let post_by = party(state, transfer, parties.post_by)?;
    let void_by = party(state, transfer, parties.void_by)?;
    let pair = money::resolve(state, transfer)?;
    money::not_zero(transfer)?;
    authorise(state, transfer.as_body(), transfer.debit().owner())?;
    money::no_issuer(state, pair)?;
    if timeout_s == 0 || timeout_s > HOLD_TIMEOUT_S_MAX {
        return Err(ResultCode::HoldTimeoutInvalid);
    }
    if state.holds.open_count_of(transfer.signer()) >= HOLDS_PER_MEMBER_MAX {
        return Err(ResultCode::HoldTableFull);
    }
    money::usable(state, pair)?;
    money::funded(state, pair, amount)?;
    money::within_limits(state, pair, amount)?;
    money::room(state, pair, amount)?;
    money::reserve(state, pair, amount);
    let deadline_ms = state.clock.time.0.saturating_add(milliseconds(timeout_s));
    state.holds.open(Hold {
        id: transfer.id,
        signer: transfer.signer,
        ledger: transfer.ledger,
        debit: transfer.debit,
        credit: transfer.credit,
        amount: transfer.amount,
        deadline_ms: U64::new(deadline_ms),
        post_by: U32::new(post_by.0),
        void_by: U32::new(void_by.0),
        state: state_number(HoldState::Open),
        ..Hold::new_zeroed()
    });
    Ok(())
}

/// A party that the HOLD names, or its signer for 0; code 73 for one that is not registered.
fn party(state: &State, transfer: &Transfer, named: U32) -> Result<ParticipantId, ResultCode> {
    match ParticipantId(named.get()) {
        ParticipantId(0) => Ok(transfer.signer()),
        named if state.participants.get(named).is_some() => Ok(named),
        _ => Err(ResultCode::ParticipantUnknown),
    }
}

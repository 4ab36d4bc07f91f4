//! RETURN: gives back all or part of a settled payment, as a payment of its own.
//!
//! The original is named by its payer's identifier: that of a TRANSFER, or that of a HOLD which was
//! posted. So its key is (owner of the account that is paid back, reference) in both cases; who
//! signed the POST makes no difference. A RETURN itself is not returned.

use clearway_types::code::ResultCode;
use clearway_types::transfer::Transfer;
use clearway_types::units::AccountId;
use zerocopy::little_endian::U64;

use crate::authority::authorise;
use crate::effect::{Effect, GivesBack};
use crate::money;
use crate::state::State;
use crate::tables::holds::{Hold, HoldState};
use crate::tables::ids::EntryRef;

/// Where the original is kept.
enum Place {
    Transfer(EntryRef),
    Hold(Hold),
}

/// A payment that can be returned.
struct Original {
    debit: AccountId,
    credit: AccountId,
    amount: u64,
    returned: u64,
    place: Place,
}

pub(crate) fn apply(state: &mut State, transfer: &Transfer) -> Result<(), ResultCode> {
    let pair = money::resolve(state, transfer)?;
    let amount = transfer.amount.get();
    money::not_zero(transfer)?;
    authorise(state, transfer.as_body(), transfer.debit().owner())?;
    money::no_issuer(state, pair)?;
    let original = original(state, transfer).ok_or(ResultCode::OriginalNotLive)?;
    if (original.debit, original.credit) != (transfer.credit(), transfer.debit()) {
        return Err(ResultCode::ReturnMismatch);
    }
    let returned = original.returned.checked_add(amount);
    let returned = returned.filter(|&sum| sum <= original.amount);
    let returned = returned.ok_or(ResultCode::ReturnExceeded)?;
    money::usable(state, pair)?;
    money::funded(state, pair, amount)?;
    money::within_limits(state, pair, amount)?;
    money::room(state, pair, amount)?;
    money::settle(state, pair, amount);
    money::count_to_limits(state, pair, amount);
    match original.place {
        Place::Transfer(at) => state.ids.give_back(at, amount),
        Place::Hold(mut hold) => {
            hold.returned = U64::new(returned);
            state.holds.replace(hold);
        }
    }
    Ok(())
}

/// The sum stays with the identifier of a TRANSFER; a HOLD keeps its own, and has no such entry.
pub(crate) fn effect(transfer: &Transfer) -> Effect {
    Effect::GivesBack(GivesBack {
        payer: transfer.credit().owner(),
        id: transfer.reference_id(),
        amount: transfer.amount.get(),
    })
}

fn original(state: &State, transfer: &Transfer) -> Option<Original> {
    let (payer, id) = (transfer.credit().owner(), transfer.reference_id());
    if let Some(at) = state.ids.payment(payer, id) {
        let entry = state.ids.get(at);
        return Some(Original {
            debit: entry.debit,
            credit: entry.credit,
            amount: entry.amount,
            returned: entry.returned,
            place: Place::Transfer(at),
        });
    }
    let hold = state.hold_of(transfer.credit(), id)?;
    if hold.state() != Some(HoldState::Posted) {
        return None;
    }
    let (debit, credit) = hold.accounts();
    Some(Original {
        debit,
        credit,
        amount: hold.posted.get(),
        returned: hold.returned.get(),
        place: Place::Hold(hold),
    })
}

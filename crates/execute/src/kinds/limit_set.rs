//! LIMIT_SET: sets or lifts a net debit limit. A limit below what is paid already stops what comes.

use clearway_types::account::AccountFlags;
use clearway_types::code::ResultCode;
use clearway_types::control::{LIMIT_LIFT, LimitSet};
use clearway_types::units::{AccountId, LedgerId, ParticipantId};

use crate::authority::{authorise, sponsor_of};
use crate::state::State;
use crate::tables::accounts::is_issuer;
use crate::tables::debit_limits::new_limit;

pub(crate) fn apply(state: &mut State, body: &LimitSet) -> Result<(), ResultCode> {
    let id = AccountId(body.account.get());
    let (counterparty, limit) = (ParticipantId(body.counterparty.get()), body.limit.get());
    if state
        .currencies
        .index(LedgerId(body.ledger.get()))
        .is_none()
    {
        return Err(ResultCode::LedgerUnknown);
    }
    if counterparty != ParticipantId(0) && state.participants.get(counterparty).is_none() {
        return Err(ResultCode::ParticipantUnknown);
    }
    let account = state.accounts.by_id(id).ok_or(ResultCode::AccountUnknown)?;
    // An issuer account pays nobody, so a limit would mean nothing.
    if is_issuer(account) || !state.debit_limits.has_room(id, counterparty) {
        return Err(ResultCode::AccountInvalid);
    }
    if account.ledger != body.ledger {
        return Err(ResultCode::WrongCurrency);
    }
    authorise(state, body.as_body(), sponsor_of(state, id))?;
    if account.flags().has(AccountFlags::CLOSED) {
        return Err(ResultCode::AccountClosed);
    }
    match limit {
        LIMIT_LIFT => state.debit_limits.lift(id, counterparty),
        limit => {
            let new = new_limit(id, counterparty, body.ledger.get(), limit);
            state.debit_limits.set(new, state.clock);
        }
    }
    Ok(())
}

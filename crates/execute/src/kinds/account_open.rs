//! ACCOUNT_OPEN: opens an account for a registered participant, by its sponsor or an operator.

use clearway_types::account::AccountFlags;
use clearway_types::code::ResultCode;
use clearway_types::control::AccountOpen;
use clearway_types::limits::ACCOUNTS_MAX;
use clearway_types::units::{AccountId, LedgerId};

use crate::authority::{authorise, sponsor_of};
use crate::state::State;
use crate::tables::accounts::NewAccount;

pub(crate) fn apply(state: &mut State, body: &AccountOpen) -> Result<(), ResultCode> {
    let id = AccountId(body.account.get());
    if state
        .currencies
        .index(LedgerId(body.ledger.get()))
        .is_none()
    {
        return Err(ResultCode::LedgerUnknown);
    }
    if state.participants.get(id.owner()).is_none() {
        return Err(ResultCode::ParticipantUnknown);
    }
    if state.accounts.slot(id).is_some() {
        return Err(ResultCode::AccountExists);
    }
    let flags = AccountFlags(body.account_flags.get());
    let full = state.accounts.slots.len() >= ACCOUNTS_MAX;
    if full || flags.has(AccountFlags::CLOSED) {
        return Err(ResultCode::AccountInvalid);
    }
    if let Some(code) = flags.refusal() {
        return Err(code);
    }
    authorise(state, body.as_body(), sponsor_of(state, id))?;
    let new = NewAccount {
        id,
        ledger: body.ledger.get(),
        credit_line: body.credit_line.get(),
        alias: body.alias,
        code: body.code.get(),
        flags: flags.0,
    };
    state.accounts.open(&new, state.clock);
    Ok(())
}

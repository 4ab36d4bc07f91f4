//! ACCOUNT_SET: changes what its field mask names. A closed account is never changed again.

use clearway_types::account::{Account, AccountFlags};
use clearway_types::code::ResultCode;
use clearway_types::control::{
    AccountOpen, FIELD_ALIAS, FIELD_CODE, FIELD_CREDIT_LINE, FIELD_FLAGS,
};
use clearway_types::units::{AccountId, LedgerId};
use zerocopy::little_endian::U16;

use crate::authority::{authorise, sponsor_of};
use crate::state::State;
use crate::tables::accounts::{covers, is_issuer};

const FIELDS_ALL: u16 = FIELD_CREDIT_LINE | FIELD_CODE | FIELD_FLAGS | FIELD_ALIAS;

pub(crate) fn apply(state: &mut State, body: &AccountOpen) -> Result<(), ResultCode> {
    let id = AccountId(body.account.get());
    let (mask, flags) = (
        body.field_mask.get(),
        AccountFlags(body.account_flags.get()),
    );
    if state
        .currencies
        .index(LedgerId(body.ledger.get()))
        .is_none()
    {
        return Err(ResultCode::LedgerUnknown);
    }
    let slot = state.accounts.slot(id).ok_or(ResultCode::AccountUnknown)?;
    let account = *state.accounts.get(slot);
    // An issuer account's debits have no bound, so a credit line would mean nothing.
    if mask & FIELD_CREDIT_LINE != 0 && is_issuer(&account) {
        return Err(ResultCode::AccountInvalid);
    }
    if let Some(code) = flags.refusal() {
        return Err(code);
    }
    if mask == 0 || mask & !FIELDS_ALL != 0 {
        return Err(ResultCode::FieldMaskInvalid);
    }
    if account.ledger != body.ledger {
        return Err(ResultCode::WrongCurrency);
    }
    authorise(state, body.as_body(), sponsor_of(state, id))?;
    if account.flags().has(AccountFlags::CLOSED) {
        return Err(ResultCode::AccountClosed);
    }
    if flags.has(AccountFlags::CLOSED) && !is_empty(&account) {
        return Err(ResultCode::AccountNotEmpty);
    }
    let changed = changed(account, body);
    if mask & FIELD_CREDIT_LINE != 0 && covers(&changed, 0) != Some(true) {
        return Err(ResultCode::CreditLineInUse);
    }
    let height = state.clock;
    let kept = state.accounts.write(slot, height);
    *kept = Account {
        last_height: kept.last_height,
        ..changed
    };
    Ok(())
}

/// The account with the fields that the mask names.
fn changed(mut account: Account, body: &AccountOpen) -> Account {
    let mask = body.field_mask.get();
    if mask & FIELD_CREDIT_LINE != 0 {
        account.credit_line = body.credit_line;
    }
    if mask & FIELD_CODE != 0 {
        account.code = body.code;
    }
    if mask & FIELD_FLAGS != 0 {
        let issuer = account.flags.get() & AccountFlags::ISSUER;
        account.flags = U16::new(issuer | body.account_flags.get());
    }
    if mask & FIELD_ALIAS != 0 {
        account.alias = body.alias;
    }
    account
}

/// Whether nothing is on the account or set aside.
fn is_empty(account: &Account) -> bool {
    account.debits_posted == account.credits_posted
        && account.debits_pending.get() == 0
        && account.credits_pending.get() == 0
}

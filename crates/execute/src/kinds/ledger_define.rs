//! LEDGER_DEFINE: a currency or asset with its issuer account, by m of n operators.

use clearway_types::account::{AccountFlags, Currency};
use clearway_types::code::ResultCode;
use clearway_types::control::LedgerDefine;
use clearway_types::genesis::ledger_code_shape;
use clearway_types::limits::{ACCOUNTS_MAX, EXPONENT_MAX, LEDGERS_MAX};
use clearway_types::units::{AccountId, LedgerId, ParticipantId};

use crate::authority::{approved, authorise};
use crate::state::State;
use crate::tables::accounts::NewAccount;
use crate::tables::currencies::{CurrencyEntry, Totals};

pub(crate) fn apply(state: &mut State, body: &LedgerDefine) -> Result<(), ResultCode> {
    let id = LedgerId(body.ledger.get());
    let issuer = ParticipantId(body.issuer.get());
    let issuer_account = AccountId(body.issuer_account.get());
    if state.currencies.index(id).is_some() {
        return Err(ResultCode::LedgerExists);
    }
    let full = state.currencies.len() >= LEDGERS_MAX;
    if id == LedgerId(0) || full || !code_valid(&body.code) || body.exponent > EXPONENT_MAX {
        return Err(ResultCode::LedgerInvalid);
    }
    if state.participants.get(issuer).is_none() {
        return Err(ResultCode::ParticipantUnknown);
    }
    if state.accounts.slot(issuer_account).is_some() {
        return Err(ResultCode::AccountExists);
    }
    let full = state.accounts.slots.len() >= ACCOUNTS_MAX;
    if issuer_account.owner() != issuer || full {
        return Err(ResultCode::AccountInvalid);
    }
    authorise(state, body.as_body(), ParticipantId(0))?;
    approved(state, body.as_body())?;
    define(
        state,
        Currency {
            id,
            code: body.code,
            exponent: body.exponent,
            issuer,
            issuer_account,
        },
    );
    Ok(())
}

/// Adds a currency and opens its issuer account.
pub(crate) fn define(state: &mut State, currency: Currency) {
    let new = NewAccount {
        id: currency.issuer_account,
        ledger: currency.id.0,
        credit_line: 0,
        alias: [0; 16],
        code: 0,
        flags: AccountFlags::ISSUER,
    };
    state.accounts.open(&new, state.clock);
    let totals = Totals::default();
    state.currencies.define(CurrencyEntry { currency, totals });
}

fn code_valid(code: &[u8; 8]) -> bool {
    let end = code
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(code.len());
    let (text, padding) = code.split_at(end);
    ledger_code_shape(text) && padding.iter().all(|&byte| byte == 0)
}

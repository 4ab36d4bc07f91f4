//! Control records by who may not sign them, or with what they may not say.

use clearway_client::Draft;
use clearway_crypto::keys::SigningKey;
use clearway_types::account::{AccountFlags, Role};
use clearway_types::code::ResultCode;
use clearway_types::domain::DomainTag;
use clearway_types::units::{Height, LedgerId, ParticipantId};

use crate::bad_input::Row;
use crate::bad_input::desk::{EUR, USD, account};

const fn stranger(name: &'static str, draft: fn() -> Draft) -> Row {
    Row::refused(name, 2, draft, ResultCode::NotAuthorised, "names who may")
}

/// An account that nobody has opened, in euro.
fn open(owner: u32) -> Draft {
    Draft::account_open(account(owner, 9), EUR)
}

fn set(owner: u32, number: u32) -> Draft {
    Draft::account_set(account(owner, number), EUR)
}

fn member(number: u32) -> Draft {
    Draft::participant_set(ParticipantId(number), Role::Member, false)
}

fn new_key() -> SigningKey {
    SigningKey::from_seed(&[66; 32])
}

pub(crate) const ROWS: &[Row] = &[
    stranger("an account opened by who is not its sponsor", || open(3)),
    stranger("a participant registered by a member", || member(10)),
    stranger("a participant suspended by a member", || {
        Draft::participant_set(ParticipantId(3), Role::Member, true)
    }),
    stranger("a ledger defined by a member", || {
        Draft::ledger_define(LedgerId(5), "ABC", 2, account(2, 7))
    }),
    stranger("a limit lifted by the member", || {
        Draft::limit_set(account(2, 1), EUR, None, u64::MAX)
    }),
    stranger("a credit line granted by the member", || {
        set(2, 1).credit_line(1)
    }),
    Row::refused(
        "an account opened twice",
        1,
        || Draft::account_open(account(2, 1), EUR),
        ResultCode::AccountExists,
        "choose another",
    ),
    Row::refused(
        "an account of nobody",
        1,
        || open(77),
        ResultCode::ParticipantUnknown,
        "register it first",
    ),
    Row::refused(
        "an account opened as an issuer's",
        1,
        || open(3).account_flags(AccountFlags::ISSUER),
        ResultCode::AccountInvalid,
        "without `issuer`",
    ),
    Row::refused(
        "dual control",
        1,
        || open(3).account_flags(AccountFlags::DUAL_CONTROL),
        ResultCode::DualControlNotActive,
        "clear it",
    ),
    Row::refused(
        "history",
        1,
        || open(3).account_flags(AccountFlags::HISTORY),
        ResultCode::HistoryNotActive,
        "clear it",
    ),
    Row::refused(
        "member settlement",
        1,
        || open(3).account_flags(AccountFlags::MEMBER_SETTLEMENT),
        ResultCode::MemberSettlementNotActive,
        "clear it",
    ),
    Row::refused(
        "a device's account",
        1,
        || open(3).account_flags(AccountFlags::DEVICE),
        ResultCode::DeviceNotActive,
        "clear it",
    ),
    Row::refused(
        "settings of no account",
        1,
        || set(2, 99).account_code(1),
        ResultCode::AccountUnknown,
        "open it first",
    ),
    Row::refused(
        "settings that change nothing",
        1,
        || set(2, 1),
        ResultCode::FieldMaskInvalid,
        "name what changes",
    ),
    Row::refused(
        "an account closed with money in it",
        1,
        || set(2, 1).account_flags(AccountFlags::CLOSED),
        ResultCode::AccountNotEmpty,
        "empty it first",
    ),
    Row::refused(
        "a credit line below its use",
        1,
        || set(3, 2).credit_line(100),
        ResultCode::CreditLineInUse,
        "fund the account first",
    ),
    Row::refused(
        "a limit in another currency",
        1,
        || Draft::limit_set(account(2, 1), USD, None, 5),
        ResultCode::WrongCurrency,
        "use accounts of that one",
    ),
    Row::refused(
        "a participant who sponsors itself",
        1,
        || member(3).sponsor(ParticipantId(3)),
        ResultCode::ParticipantInvalid,
        "correct the record",
    ),
    Row::refused(
        "the last operator suspended",
        1,
        || Draft::participant_set(ParticipantId(1), Role::Operator, true),
        ResultCode::ParticipantInvalid,
        "correct the record",
    ),
    Row::refused(
        "a key of small order",
        1,
        || {
            let mut identity_point = [0; 32];
            identity_point[0] = 1;
            member(10).participant_key(0, identity_point, Height(0))
        },
        ResultCode::KeyInvalid,
        "make a new key pair",
    ),
    Row::refused(
        "a key for a slot in use",
        1,
        || {
            let key = new_key().public_key();
            member(3)
                .sponsor(ParticipantId(1))
                .participant_key(0, key, Height(0))
        },
        ResultCode::KeySlotInUse,
        "wait until its old key has ended",
    ),
    Row::refused(
        "a new key proved for another cluster",
        2,
        || Draft::key_rotate(ParticipantId(2), 1, &new_key(), DomainTag([7; 16])),
        ResultCode::KeyProofInvalid,
        "sign the proof",
    ),
    Row::refused(
        "a ledger defined twice",
        1,
        || Draft::ledger_define(EUR, "EUR", 2, account(1, 7)),
        ResultCode::LedgerExists,
        "choose another",
    ),
    Row::refused(
        "a ledger with nineteen decimals",
        1,
        || Draft::ledger_define(LedgerId(5), "ABC", 19, account(1, 7)),
        ResultCode::LedgerInvalid,
        "at most 18 places",
    ),
];

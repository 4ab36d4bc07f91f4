//! The records of the ledger's state: accounts, limits, participants, holds.

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::code::ResultCode;
use crate::units::{AccountId, Height, LedgerId, ParticipantId};

/// One account, 128 bytes; balances in minor units of its ledger.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Account {
    /// Offset 0: [`AccountId`].
    pub id: U64,
    /// Offset 8: owner's participant number.
    pub owner: U32,
    /// Offset 12: currency or asset.
    pub ledger: U32,
    /// Offset 16: settled debits.
    pub debits_posted: U128,
    /// Offset 32: settled credits.
    pub credits_posted: U128,
    /// Offset 48: held debits.
    pub debits_pending: U128,
    /// Offset 64: held credits.
    pub credits_pending: U128,
    /// Offset 80: how far debits may exceed credits.
    pub credit_line: U64,
    /// Offset 88: kept for the urgent queue; zero until queues are active.
    pub reserve: U64,
    /// Offset 96: short hash of an IBAN or proxy.
    pub alias: [u8; 16],
    /// Offset 112: height at which it was opened.
    pub opened_at: U64,
    /// Offset 120: low 32 bits of the height that changed it last.
    pub last_height: U32,
    /// Offset 124: the owner's own classification.
    pub code: U16,
    /// Offset 126: see [`AccountFlags`].
    pub flags: U16,
}

const _: () = assert!(size_of::<Account>() == 128);
const _: () = assert!(std::mem::offset_of!(Account, credit_line) == 80);
const _: () = assert!(std::mem::offset_of!(Account, alias) == 96);
const _: () = assert!(std::mem::offset_of!(Account, flags) == 126);

impl Account {
    /// The account's number.
    #[must_use]
    pub fn id(&self) -> AccountId {
        AccountId(self.id.get())
    }

    /// The account's currency or asset.
    #[must_use]
    pub fn ledger(&self) -> LedgerId {
        LedgerId(self.ledger.get())
    }

    /// The account's settings.
    #[must_use]
    pub fn flags(&self) -> AccountFlags {
        AccountFlags(self.flags.get())
    }
}

/// Settings of an account, offset 126.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccountFlags(pub u16);

impl AccountFlags {
    /// Set by LEDGER_DEFINE alone: the account that ISSUE debits.
    pub const ISSUER: u16 = 1;
    /// No new debits.
    pub const FROZEN_DEBIT: u16 = 1 << 1;
    /// No new credits.
    pub const FROZEN_CREDIT: u16 = 1 << 2;
    /// Nothing any more.
    pub const CLOSED: u16 = 1 << 3;
    /// Not honoured yet: large payments need two keys.
    pub const DUAL_CONTROL: u16 = 1 << 4;
    /// Not honoured yet: keep every balance.
    pub const HISTORY: u16 = 1 << 5;
    /// Not honoured yet: settles netting cycles.
    pub const MEMBER_SETTLEMENT: u16 = 1 << 6;
    /// Not honoured yet: belongs to a device.
    pub const DEVICE: u16 = 1 << 7;

    /// Each setting that a control record may not ask for, with its refusal.
    pub const REFUSED: [(u16, ResultCode); 6] = [
        (Self::ISSUER, ResultCode::AccountInvalid),
        (0xff00, ResultCode::AccountInvalid),
        (Self::DUAL_CONTROL, ResultCode::DualControlNotActive),
        (Self::HISTORY, ResultCode::HistoryNotActive),
        (
            Self::MEMBER_SETTLEMENT,
            ResultCode::MemberSettlementNotActive,
        ),
        (Self::DEVICE, ResultCode::DeviceNotActive),
    ];

    /// Whether all bits of `mask` are set.
    #[must_use]
    pub fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }

    /// The refusal of the first setting that a control record may not ask for.
    #[must_use]
    pub fn refusal(self) -> Option<ResultCode> {
        Self::REFUSED
            .iter()
            .find(|(bits, _)| self.0 & bits != 0)
            .map(|(_, code)| *code)
    }
}

/// One net debit limit, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Limit {
    /// Offset 0: account whose payments are limited.
    pub from: U64,
    /// Offset 8: the paid participant; 0 for everyone.
    pub counterparty: U32,
    /// Offset 12: currency or asset.
    pub ledger: U32,
    /// Offset 16: minor units a day.
    pub limit: U64,
    /// Offset 24: the day that `net` belongs to.
    pub day: U16,
    /// Offset 26: zero.
    pub flags: U16,
    /// Offset 28: low 32 bits of the height that changed it last.
    pub last_height: U32,
    /// Offset 32: paid minus received on `day`, two's complement.
    pub net: U128,
    /// Offset 48: zero.
    pub reserved: [u8; 16],
}

const _: () = assert!(size_of::<Limit>() == 64);

/// What a participant may do.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Role {
    /// Owns accounts and signs payments.
    Member = 0,
    /// Runs the cluster: registers participants, ledgers and accounts.
    Operator = 1,
    /// Reads everything, moves nothing.
    Auditor = 2,
}

impl Role {
    /// The role with number `value`, if there is one.
    #[must_use]
    pub fn from_u8(value: u8) -> Option<Self> {
        [Self::Member, Self::Operator, Self::Auditor]
            .into_iter()
            .find(|role| *role as u8 == value)
    }
}

/// One key of a participant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyEntry {
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// First height at which a signature by it is honoured.
    pub valid_from: Height,
    /// First height at which it is not honoured any more; `u64::MAX` for "no end".
    pub valid_to: Height,
}

impl KeyEntry {
    /// Whether a signature by this key is honoured at `height`.
    #[must_use]
    pub fn valid_at(&self, height: Height) -> bool {
        self.valid_from <= height && height < self.valid_to
    }
}

/// A registered participant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Participant {
    /// Its number.
    pub id: ParticipantId,
    /// What it may do.
    pub role: Role,
    /// Suspended participants sign nothing.
    pub suspended: bool,
    /// Who may open accounts for it, besides operators; 0 for nobody.
    pub sponsor: ParticipantId,
    /// ISO 17442 identifier, ASCII; zeros for none.
    pub lei: [u8; 20],
    /// ISO 9362 identifier, ASCII, zero-padded; zeros for none.
    pub bic: [u8; 11],
    /// Four key slots.
    pub keys: [Option<KeyEntry>; 4],
}

impl Participant {
    /// A participant of this number and role, with no sponsor, no identifiers and no keys.
    #[must_use]
    pub fn new(id: ParticipantId, role: Role) -> Self {
        Self {
            id,
            role,
            suspended: false,
            sponsor: ParticipantId(0),
            lei: [0; 20],
            bic: [0; 11],
            keys: [None; 4],
        }
    }
}

/// A currency or asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Currency {
    /// Its number.
    pub id: LedgerId,
    /// ISO 4217 code or asset name, ASCII, zero-padded.
    pub code: [u8; 8],
    /// Decimal places of the minor unit.
    pub exponent: u8,
    /// Participant who may ISSUE and REDEEM.
    pub issuer: ParticipantId,
    /// Account whose net debit is the supply.
    pub issuer_account: AccountId,
}

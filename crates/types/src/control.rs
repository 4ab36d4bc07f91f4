//! The bodies of the control kinds, each 128 bytes with the header slots of every body.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::envelope::{BODY_BYTES, Body};
use crate::units::TransferId;

macro_rules! layout {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $ty,)+
        }

        const _: () = assert!(size_of::<$name>() == BODY_BYTES);
        const _: () = assert!(std::mem::offset_of!($name, signer) == 112);
        const _: () = assert!(std::mem::offset_of!($name, kind) == 124);

        impl $name {
            /// This view of a body; the caller has looked at the kind's layout.
            #[must_use]
            pub fn of(body: &Body) -> &Self {
                zerocopy::transmute_ref!(body)
            }

            /// The same bytes as a body.
            #[must_use]
            pub fn as_body(&self) -> &Body {
                zerocopy::transmute_ref!(self)
            }
        }
    };
}

layout! {
    /// LEDGER_DEFINE: a currency or asset under the number in `ledger`.
    LedgerDefine {
        /// Offset 0.
        id: TransferId,
        /// Offset 16: ISO 4217 code or asset name, upper-case ASCII, zero-padded.
        code: [u8; 8],
        /// Offset 24: decimal places of the minor unit, 0..=18.
        exponent: u8,
        /// Offset 25: must be zero.
        reserved_a: [u8; 7],
        /// Offset 32: participant who may ISSUE and REDEEM.
        issuer: U32,
        /// Offset 36: must be zero.
        reserved_b: U32,
        /// Offset 40: account that ISSUE debits; opened by this record, owned by the issuer.
        issuer_account: U64,
        /// Offset 48: must be zero.
        reserved_c: [u8; 64],
        /// Offset 112.
        signer: U32,
        /// Offset 116.
        expires_at: U32,
        /// Offset 120: the new ledger's number.
        ledger: U32,
        /// Offset 124.
        kind: u8,
        /// Offset 125.
        version: u8,
        /// Offset 126.
        flags: U16,
    }
}

layout! {
    /// PARTICIPANT_SET: registers or changes a participant; brings one key with it.
    ParticipantSet {
        /// Offset 0.
        id: TransferId,
        /// Offset 16: the participant's number.
        participant: U32,
        /// Offset 20: 0 member, 1 operator, 2 auditor.
        role: u8,
        /// Offset 21: 0 active, 1 suspended.
        status: u8,
        /// Offset 22: slot of `public_key`, 0..=3; 255 leaves all keys as they are.
        key_slot: u8,
        /// Offset 23: must be zero.
        reserved_a: u8,
        /// Offset 24: participant who sponsors this one; 0 for none.
        sponsor: U32,
        /// Offset 28: ISO 17442 identifier, ASCII.
        lei: [u8; 20],
        /// Offset 48: ISO 9362 identifier, ASCII, zero-padded from 8 to 11.
        bic: [u8; 11],
        /// Offset 59: must be zero.
        reserved_b: [u8; 5],
        /// Offset 64: first height at which the key is valid; 0 for "as soon as the rules allow".
        key_valid_from: U64,
        /// Offset 72: must be zero.
        reserved_c: U64,
        /// Offset 80: Ed25519 public key for `key_slot`.
        public_key: [u8; 32],
        /// Offset 112.
        signer: U32,
        /// Offset 116.
        expires_at: U32,
        /// Offset 120: must be zero.
        ledger: U32,
        /// Offset 124.
        kind: u8,
        /// Offset 125.
        version: u8,
        /// Offset 126.
        flags: U16,
    }
}

layout! {
    /// KEY_ROTATE: a new key for one of the signer's slots, with a proof of possession.
    KeyRotate {
        /// Offset 0.
        id: TransferId,
        /// Offset 16: the new Ed25519 public key.
        public_key: [u8; 32],
        /// Offset 48: the new key's signature over [`crate::domain::key_proof_message`].
        proof: [u8; 64],
        /// Offset 112.
        signer: U32,
        /// Offset 116.
        expires_at: U32,
        /// Offset 120: slot to fill, 0..=3.
        slot: u8,
        /// Offset 121: must be zero.
        reserved: [u8; 3],
        /// Offset 124.
        kind: u8,
        /// Offset 125.
        version: u8,
        /// Offset 126.
        flags: U16,
    }
}

layout! {
    /// ACCOUNT_OPEN and ACCOUNT_SET.
    AccountOpen {
        /// Offset 0.
        id: TransferId,
        /// Offset 16: account number; its high half names the owner.
        account: U64,
        /// Offset 24: how far debits may exceed credits, minor units.
        credit_line: U64,
        /// Offset 32: the owner's own classification; recorded, not interpreted.
        code: U16,
        /// Offset 34: see [`crate::account::AccountFlags`].
        account_flags: U16,
        /// Offset 36: ACCOUNT_SET only: which of credit_line (1), code (2), flags (4), alias (8).
        field_mask: U16,
        /// Offset 38: must be zero.
        reserved_a: [u8; 58],
        /// Offset 96: short hash of an IBAN or proxy.
        alias: [u8; 16],
        /// Offset 112.
        signer: U32,
        /// Offset 116.
        expires_at: U32,
        /// Offset 120: currency or asset of the account.
        ledger: U32,
        /// Offset 124.
        kind: u8,
        /// Offset 125.
        version: u8,
        /// Offset 126.
        flags: U16,
    }
}

layout! {
    /// LIMIT_SET: how much an account may pay net, a day, to one counterparty or to all.
    LimitSet {
        /// Offset 0.
        id: TransferId,
        /// Offset 16: account whose payments are limited.
        account: U64,
        /// Offset 24: the paid participant; 0 for everyone.
        counterparty: U32,
        /// Offset 28: must be zero.
        reserved_a: U32,
        /// Offset 32: minor units; `u64::MAX` lifts the limit.
        limit: U64,
        /// Offset 40: must be zero.
        reserved_b: [u8; 72],
        /// Offset 112.
        signer: U32,
        /// Offset 116.
        expires_at: U32,
        /// Offset 120: ledger of the account.
        ledger: U32,
        /// Offset 124.
        kind: u8,
        /// Offset 125.
        version: u8,
        /// Offset 126.
        flags: U16,
    }
}

/// LIMIT_SET: a limit of this many minor units lifts the limit.
pub const LIMIT_LIFT: u64 = u64::MAX;
/// PARTICIPANT_SET: leave all keys as they are.
pub const KEY_SLOT_NONE: u8 = 255;
/// ACCOUNT_SET mask bit: change the credit line.
pub const FIELD_CREDIT_LINE: u16 = 1;
/// ACCOUNT_SET mask bit: change the code.
pub const FIELD_CODE: u16 = 2;
/// ACCOUNT_SET mask bit: change the flags.
pub const FIELD_FLAGS: u16 = 4;
/// ACCOUNT_SET mask bit: change the alias.
pub const FIELD_ALIAS: u16 = 8;

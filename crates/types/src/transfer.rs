//! The body of the money kinds: TRANSFER, HOLD, POST, VOID, RETURN, ISSUE, REDEEM.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::envelope::{BODY_BYTES, Body};
use crate::flags::Flags;
use crate::units::{AccountId, LedgerId, ParticipantId, TransferId, UnixSeconds};

/// POST: all that is still held.
pub const AMOUNT_REMAINING: u64 = u64::MAX;

/// Money body, 128 bytes; amounts in minor units of `ledger`.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Transfer {
    /// Offset 0.
    pub id: TransferId,
    /// Offset 16: account that pays.
    pub debit: U64,
    /// Offset 24: account that is paid.
    pub credit: U64,
    /// Offset 32: minor units; [`AMOUNT_REMAINING`] for POST means "all that is held".
    pub amount: U64,
    /// Offset 40: HOLD only, seconds of cluster time.
    pub timeout_s: U32,
    /// Offset 44: value date, days since 1970-01-01; recorded, not interpreted.
    pub value_day: U16,
    /// Offset 46: purpose or reason; recorded, not interpreted.
    pub code: U16,
    /// Offset 48: HOLD [`HoldParties`]; POST, VOID the hold; RETURN the original; TRANSFER free.
    pub reference: [u8; 16],
    /// Offset 64: end-to-end reference; recorded, not interpreted.
    pub uetr: [u8; 16],
    /// Offset 80: BLAKE3 of the message or ciphertext; zero for none.
    pub payload: [u8; 32],
    /// Offset 112.
    pub signer: U32,
    /// Offset 116.
    pub expires_at: U32,
    /// Offset 120.
    pub ledger: U32,
    /// Offset 124.
    pub kind: u8,
    /// Offset 125.
    pub version: u8,
    /// Offset 126.
    pub flags: U16,
}

const _: () = assert!(size_of::<Transfer>() == BODY_BYTES);
const _: () = assert!(std::mem::offset_of!(Transfer, amount) == 32);
const _: () = assert!(std::mem::offset_of!(Transfer, reference) == 48);
const _: () = assert!(std::mem::offset_of!(Transfer, payload) == 80);
const _: () = assert!(std::mem::offset_of!(Transfer, signer) == 112);

/// Who may end a hold; lies in the HOLD's `reference`. Zero means the signer of the hold.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct HoldParties {
    /// May POST.
    pub post_by: U32,
    /// May VOID before the time is over.
    pub void_by: U32,
    /// Must be zero.
    pub reserved: [u8; 8],
}

impl Transfer {
    /// The money view of a body; the caller has looked at the kind's layout.
    #[must_use]
    pub fn of(body: &Body) -> &Self {
        zerocopy::transmute_ref!(body)
    }

    /// The same bytes as a body.
    #[must_use]
    pub fn as_body(&self) -> &Body {
        zerocopy::transmute_ref!(self)
    }

    /// Account that pays.
    #[must_use]
    pub fn debit(&self) -> AccountId {
        AccountId(self.debit.get())
    }

    /// Account that is paid.
    #[must_use]
    pub fn credit(&self) -> AccountId {
        AccountId(self.credit.get())
    }

    /// Currency or asset of the amount.
    #[must_use]
    pub fn ledger(&self) -> LedgerId {
        LedgerId(self.ledger.get())
    }

    /// The signer's participant number.
    #[must_use]
    pub fn signer(&self) -> ParticipantId {
        ParticipantId(self.signer.get())
    }

    /// When the envelope stops being valid.
    #[must_use]
    pub fn expires_at(&self) -> UnixSeconds {
        UnixSeconds(self.expires_at.get())
    }

    /// The flag bits.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags(self.flags.get())
    }

    /// `reference` read as a transfer identifier.
    #[must_use]
    pub fn reference_id(&self) -> TransferId {
        TransferId(self.reference)
    }

    /// `reference` of a HOLD read as the parties who may end it.
    #[must_use]
    pub fn hold_parties(&self) -> HoldParties {
        zerocopy::transmute!(self.reference)
    }
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Transfer {{ id {}, {:#x} -> {:#x}, amount {}, ledger {}, kind {:#04x} }}",
            self.id,
            self.debit.get(),
            self.credit.get(),
            self.amount,
            self.ledger,
            self.kind
        )
    }
}

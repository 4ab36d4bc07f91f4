//! The 192-byte envelope: a 128-byte body and the Ed25519 signature over domain tag and body.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::code::ResultCode;
use crate::flags::Flags;
use crate::kind::Kind;
use crate::units::{ParticipantId, TransferId, UnixSeconds};

/// Bytes of a body.
pub const BODY_BYTES: usize = 128;
/// Bytes of an envelope.
pub const ENVELOPE_BYTES: usize = 192;
/// The only schema version.
pub const VERSION: u8 = 1;

/// The header slots that every body has at the same offsets, whatever its kind.
///
/// Bytes 16..112 and 120..124 belong to the kind's own layout.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Body {
    /// Offset 0: client-made identifier.
    pub id: TransferId,
    /// Offset 16: the kind's own fields.
    pub fields: [u8; 96],
    /// Offset 112: participant number of the signer.
    pub signer: U32,
    /// Offset 116: unix seconds; the envelope is invalid from then on.
    pub expires_at: U32,
    /// Offset 120: ledger number, or the kind's own use.
    pub ledger: U32,
    /// Offset 124: see [`Kind`].
    pub kind: u8,
    /// Offset 125: schema version, 1.
    pub version: u8,
    /// Offset 126: see [`Flags`].
    pub flags: U16,
}

/// One signed instruction, the same bytes on the wire, in memory and on disk.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Envelope {
    /// What is signed, after the domain tag.
    pub body: Body,
    /// Ed25519 signature: R, then S.
    pub signature: [u8; 64],
}

const _: () = assert!(size_of::<Body>() == BODY_BYTES);
const _: () = assert!(size_of::<Envelope>() == ENVELOPE_BYTES);
const _: () = assert!(std::mem::offset_of!(Body, signer) == 112);
const _: () = assert!(std::mem::offset_of!(Body, kind) == 124);

impl Body {
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

    /// The checks that need no state, in precedence order: version, kind, flags, identifier.
    ///
    /// # Errors
    /// The code that ingest and execution both answer.
    pub fn check_header(&self) -> Result<Kind, ResultCode> {
        if self.version != VERSION {
            return Err(ResultCode::VersionUnknown);
        }
        let kind = Kind::from_u8(self.kind).ok_or(ResultCode::KindUnknown)?;
        if let Some(code) = self.flags().refusal() {
            return Err(code);
        }
        if self.flags().linked() && !kind.may_link() {
            return Err(ResultCode::LinkNotAllowed);
        }
        if self.id == TransferId::ZERO || self.id == TransferId::MAX {
            return Err(ResultCode::IdReserved);
        }
        Ok(kind)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Body {{ id {}, kind {:#04x}, signer {} }}",
            self.id, self.kind, self.signer
        )
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.body.fmt(f)
    }
}

/// The envelopes of a slab, in place.
///
/// # Panics
/// When the length is not a multiple of 192: slabs are cut to whole envelopes when they are filled.
#[must_use]
pub fn envelopes(slab: &[u8]) -> &[Envelope] {
    <[Envelope]>::ref_from_bytes(slab).expect("a slab holds whole envelopes")
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    fn body(edit: impl Fn(&mut Body)) -> Body {
        let mut body = Body::new_zeroed();
        body.id = TransferId([1; 16]);
        body.kind = Kind::Transfer as u8;
        body.version = VERSION;
        edit(&mut body);
        body
    }

    #[test]
    fn header_checks_answer_in_precedence_order() {
        type Edit = fn(&mut Body);
        let rows: [(Edit, Result<Kind, ResultCode>); 8] = [
            (|_| {}, Ok(Kind::Transfer)),
            (|b| b.version = 2, Err(ResultCode::VersionUnknown)),
            (
                |b| (b.version, b.kind) = (2, 0),
                Err(ResultCode::VersionUnknown),
            ),
            (|b| b.kind = 0xee, Err(ResultCode::KindUnknown)),
            (|b| b.kind = 0x14, Err(ResultCode::KindUnknown)),
            (
                |b| b.flags = U16::new(1 << 13),
                Err(ResultCode::ReservedFlagSet),
            ),
            (|b| b.id = TransferId::MAX, Err(ResultCode::IdReserved)),
            (
                |b| (b.kind, b.flags) = (Kind::AccountOpen as u8, U16::new(1)),
                Err(ResultCode::LinkNotAllowed),
            ),
        ];
        for (row, (edit, expected)) in rows.into_iter().enumerate() {
            assert_eq!(body(edit).check_header(), expected, "row {row}");
        }
    }
}

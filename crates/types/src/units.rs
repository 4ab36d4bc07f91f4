//! Domain numbers: one newtype for each kind of number, so that two of them cannot be swapped.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        number!($(#[$doc])* $name, $inner, without Display);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $inner:ty, without Display) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
    };
}

number!(
    /// Position of a block in the final order; genesis is 0.
    Height, u64
);
number!(
    /// A member, operator, auditor or device; 0 means "nobody" and is never registered.
    ParticipantId, u32
);
number!(
    /// A currency or asset; 0 is never defined.
    LedgerId, u32
);
number!(
    /// A validator, from 1; no other one ever gets the number, so it names lanes and leaders.
    ValidatorNumber, u32
);
number!(
    /// Which of its lanes a validator fills, from 1: the rules allow a later one after a lost disk.
    Incarnation, u32
);
number!(
    /// Place of a validator in its set, in the order of numbers, from 0: its bit in certificates.
    ValidatorIndex, u32
);
number!(
    /// Cluster time in milliseconds since 1970-01-01 UTC, as the manifests carry it.
    TimeMs, u64
);
number!(
    /// Whole seconds since 1970-01-01 UTC.
    UnixSeconds, u32
);
number!(
    /// Days since 1970-01-01; good until 2149.
    Day, u16
);
number!(
    /// An account: the high 32 bits are its owner's participant number. People write it
    /// owner.number, and so does `Display`.
    AccountId, u64, without Display
);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.owner(), self.0 & u64::from(u32::MAX))
    }
}

impl Height {
    /// The height after this one.
    ///
    /// # Panics
    /// At `u64::MAX`, which no chain reaches.
    #[must_use]
    pub fn next(self) -> Self {
        Self(
            self.0
                .checked_add(1)
                .expect("a chain never reaches the last height"),
        )
    }
}

impl AccountId {
    /// The account number `number` of participant `owner`.
    #[must_use]
    pub fn new(owner: ParticipantId, number: u32) -> Self {
        Self((u64::from(owner.0) << 32) | u64::from(number))
    }

    /// The participant who owns this account and signs for its debits.
    #[must_use]
    pub fn owner(self) -> ParticipantId {
        ParticipantId(u32::try_from(self.0 >> 32).expect("32 bits are left"))
    }
}

impl TimeMs {
    /// Whole seconds, rounded down; times past 2106 saturate.
    #[must_use]
    pub fn seconds(self) -> UnixSeconds {
        UnixSeconds(u32::try_from(self.0 / 1000).unwrap_or(u32::MAX))
    }

    /// The calendar day in UTC; days past 2149 saturate.
    #[must_use]
    pub fn day(self) -> Day {
        Day(u16::try_from(self.0 / 86_400_000).unwrap_or(u16::MAX))
    }
}

/// Client-made identifier of an envelope, unique for its signer.
///
/// Bytes 0..15 are time-ordered (big-endian milliseconds first is recommended); byte 15 is the
/// position in a linked chain, 0 for an envelope that stands alone or leads its chain.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
    zerocopy::Unaligned,
)]
#[repr(transparent)]
pub struct TransferId(pub [u8; 16]);

impl TransferId {
    /// Never used by an envelope.
    pub const ZERO: Self = Self([0; 16]);
    /// Never used by an envelope.
    pub const MAX: Self = Self([0xff; 16]);

    /// An identifier from a time-ordered prefix, a per-client counter and a chain position.
    #[must_use]
    pub fn new(time: TimeMs, counter: u64, chain_position: u8) -> Self {
        let mut id = [0; 16];
        id[..6].copy_from_slice(&time.0.to_be_bytes()[2..]);
        id[6..14].copy_from_slice(&counter.to_be_bytes());
        id[15] = chain_position;
        Self(id)
    }

    /// Position in a linked chain: 0 for the head and for an envelope on its own.
    #[must_use]
    pub fn chain_position(self) -> u8 {
        self.0[15]
    }

    /// The identifier that the next member of the same chain must have, if there is room for one.
    #[must_use]
    pub fn chain_next(self) -> Option<Self> {
        let mut id = self.0;
        id[15] = id[15].checked_add(1)?;
        Some(Self(id))
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hex::encode(&self.0))
    }
}

/// A 32-byte hash value; what was hashed is said where it is used.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
    zerocopy::Unaligned,
)]
#[repr(transparent)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// No digest: fields that do not apply hold it.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hex::encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_id_keeps_its_owner_in_the_high_half() {
        let id = AccountId::new(ParticipantId(7), 9);
        assert_eq!(id.0, (7 << 32) | 9);
        assert_eq!(id.owner(), ParticipantId(7));
        assert_eq!(id.to_string(), "7.9");
    }

    #[test]
    fn chain_ids_are_consecutive_in_the_last_byte_and_end_at_255() {
        let head = TransferId::new(TimeMs(1), 2, 0);
        assert_eq!(head.chain_next().map(TransferId::chain_position), Some(1));
        assert_eq!(TransferId::new(TimeMs(1), 2, 255).chain_next(), None);
    }

    #[test]
    fn ids_made_later_sort_later() {
        assert!(TransferId::new(TimeMs(1), 9, 0) < TransferId::new(TimeMs(2), 0, 0));
    }
}

//! The 16 flag bits of an envelope: their places, and which of them are honoured today.

use crate::code::ResultCode;

/// Flag bits of an envelope body, offset 126.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// This envelope and the next one settle together or not at all.
    pub const LINKED: u16 = 1;
    /// Not honoured yet: debit at most what is there.
    pub const BALANCING_DEBIT: u16 = 1 << 1;
    /// Not honoured yet: credit at most what is owed.
    pub const BALANCING_CREDIT: u16 = 1 << 2;
    /// Not honoured yet: wait in the queue when short.
    pub const QUEUE_IF_SHORT: u16 = 1 << 3;
    /// Not honoured yet: close the account with this transfer.
    pub const CLOSING: u16 = 1 << 4;
    /// Not honoured yet: carried over from another system.
    pub const IMPORTED: u16 = 1 << 5;
    /// Not honoured yet: the payload is ciphertext.
    pub const CONFIDENTIAL: u16 = 1 << 6;
    /// Not honoured yet: keep out of offsetting.
    pub const NO_OFFSET: u16 = 1 << 7;
    /// Not honoured yet: two bits of queue priority.
    pub const PRIORITY: u16 = 3 << 8;
    /// Two bits: which of the signer's four keys signed.
    pub const KEY_SLOT: u16 = 3 << 10;
    /// Bits without a meaning; they must be zero.
    pub const RESERVED: u16 = 0xf000;

    /// Each flag that is refused by name until it is honoured.
    pub const NOT_HONOURED: [(u16, ResultCode); 9] = [
        (Self::RESERVED, ResultCode::ReservedFlagSet),
        (Self::BALANCING_DEBIT, ResultCode::BalancingDebitNotActive),
        (Self::BALANCING_CREDIT, ResultCode::BalancingCreditNotActive),
        (Self::QUEUE_IF_SHORT, ResultCode::QueueIfShortNotActive),
        (Self::CLOSING, ResultCode::ClosingNotActive),
        (Self::IMPORTED, ResultCode::ImportedNotActive),
        (Self::CONFIDENTIAL, ResultCode::ConfidentialNotActive),
        (Self::NO_OFFSET, ResultCode::NoOffsetNotActive),
        (Self::PRIORITY, ResultCode::PriorityNotActive),
    ];

    /// Flags that name key slot `slot` (0..=3) and, if `linked`, tie the next envelope to this one.
    #[must_use]
    pub fn new(slot: u8, linked: bool) -> Self {
        Self((u16::from(slot & 3) << 10) | u16::from(linked))
    }

    /// Whether the next envelope belongs to the same chain.
    #[must_use]
    pub fn linked(self) -> bool {
        self.0 & Self::LINKED != 0
    }

    /// The signer's key slot, 0..=3.
    #[must_use]
    pub fn key_slot(self) -> usize {
        usize::from((self.0 & Self::KEY_SLOT) >> 10)
    }

    /// The code of the first flag set that is not honoured, in precedence order.
    #[must_use]
    pub fn refusal(self) -> Option<ResultCode> {
        Self::NOT_HONOURED
            .iter()
            .find(|(bits, _)| self.0 & bits != 0)
            .map(|(_, code)| *code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_is_honoured_or_refused_by_name() {
        for bit in 0..16 {
            let flags = Flags(1 << bit);
            let honoured = flags.0 & (Flags::LINKED | Flags::KEY_SLOT) != 0;
            assert_eq!(flags.refusal().is_none(), honoured, "bit {bit}");
        }
    }

    #[test]
    fn refusals_follow_the_precedence_of_codes() {
        let codes = Flags::NOT_HONOURED.map(|(_, code)| code);
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

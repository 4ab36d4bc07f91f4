//! The kinds of envelope and the authority table: layout, who may sign, what may be chained.
//!
//! A kind stands here once its rules run; any other number is answered `KindUnknown`. A number that
//! was given is never given to anything else, so these stay reserved:
//!
//! * money 0x01 to 0x0f: 0x06 QUEUE_CTL; 0x07 was a hold's expiry, which is no envelope;
//! * clearing 0x10 to 0x1f: 0x10 OBLIGATION, 0x11 CYCLE_OPEN, 0x12 CYCLE_CLOSE, 0x14 LEG; 0x13 and
//!   0x15 were a cycle's settlement and an offset, which are no envelopes;
//! * control 0x20 to 0x3f: 0x28 CALENDAR_SET, 0x29 DAY_ROLL, 0x2a RATE_SET, 0x2b RULE_DEPLOY, 0x2c
//!   REGISTRY_SET, 0x2d ROLE_SET, 0x2e UPLOAD, 0x2f CORRIDOR_SET, 0x30 PORTFOLIO_SET, 0x31 to 0x33
//!   the validator set, 0x34 PROTOCOL_ACTIVATE, 0x35 LINK_SET;
//! * objects 0x40 to 0x4f: 0x40 CREATE, 0x41 EVENT, 0x42 CUSTODY, 0x43 LINK, 0x44 CLOSE, 0x45
//!   GRANT, 0x46 REVOKE, 0x47 PURGE_MARK, 0x48 ACCESS_LOG;
//! * contracts 0x50 to 0x5f: 0x50 CALL;
//! * links to other ledgers 0x60 to 0x6f: 0x60 CLAIM, 0x61 LINK_UPDATE, 0x62 REFUND.

/// The layout of an envelope's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// [`crate::transfer::Transfer`].
    Transfer,
    /// [`crate::control::LedgerDefine`].
    LedgerDefine,
    /// [`crate::control::ParticipantSet`].
    ParticipantSet,
    /// [`crate::control::KeyRotate`].
    KeyRotate,
    /// [`crate::control::AccountOpen`], also for ACCOUNT_SET.
    AccountOpen,
    /// [`crate::control::LimitSet`].
    LimitSet,
}

/// Who may sign an envelope of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authority {
    /// m of n operators, each with an envelope of its own over the same content.
    Operators,
    /// The issuer of the envelope's ledger.
    LedgerIssuer,
    /// The sponsor of the account's owner, or an operator.
    SponsorOrOperator,
    /// The participant itself, with a live key.
    Participant,
    /// The owner of the debited account.
    DebitOwner,
    /// The owner of the original's credited account.
    OriginalCreditOwner,
    /// Whom the hold names for this.
    NamedByHold,
}

/// Whether a kind may be a member of a linked chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chain {
    /// It may.
    Linked,
    /// It stands by itself.
    Alone,
}

macro_rules! kinds {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $value:literal $layout:ident $who:ident $chain:ident;
    )+) => {
        /// Operation of an envelope, body offset 124.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name = $value,)+
        }

        impl Kind {
            /// Every kind with a number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The kind with number `value`, if there is one.
            #[must_use]
            pub fn from_u8(value: u8) -> Option<Self> {
                match value {
                    $($value => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The kind's row in the authority table.
            #[must_use]
            pub fn row(self) -> KindRow {
                match self {
                    $(Self::$name => KindRow {
                        layout: Layout::$layout,
                        authority: Authority::$who,
                        chain: Chain::$chain,
                    },)+
                }
            }
        }
    };
}

/// One row of the authority table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindRow {
    /// Shape of the body.
    pub layout: Layout,
    /// Who may sign.
    pub authority: Authority,
    /// Whether it may be a member of a linked chain.
    pub chain: Chain,
}

kinds! {
    /// Moves money between two accounts of one ledger.
    Transfer = 0x01 Transfer DebitOwner Linked;
    /// Reserves money until it is posted, voided or expires.
    Hold = 0x02 Transfer DebitOwner Linked;
    /// Settles all or part of a hold; the rest is freed.
    Post = 0x03 Transfer NamedByHold Linked;
    /// Frees a hold.
    Void = 0x04 Transfer NamedByHold Linked;
    /// Gives back all or part of a settled transfer.
    Return = 0x05 Transfer OriginalCreditOwner Linked;

    /// Opens an account.
    AccountOpen = 0x20 AccountOpen SponsorOrOperator Alone;
    /// Changes an account's settings.
    AccountSet = 0x21 AccountOpen SponsorOrOperator Alone;
    /// Sets or lifts a net debit limit.
    LimitSet = 0x22 LimitSet SponsorOrOperator Alone;
    /// Registers or changes a participant.
    ParticipantSet = 0x23 ParticipantSet Operators Alone;
    /// Puts a new key into one of the signer's slots.
    KeyRotate = 0x24 KeyRotate Participant Alone;
    /// Defines a currency or asset.
    LedgerDefine = 0x25 LedgerDefine Operators Alone;
    /// Issues money of a ledger.
    Issue = 0x26 Transfer LedgerIssuer Alone;
    /// Redeems money of a ledger.
    Redeem = 0x27 Transfer LedgerIssuer Alone;
}

impl Kind {
    /// Whether it may be a member of a linked chain.
    #[must_use]
    pub fn may_link(self) -> bool {
        self.row().chain == Chain::Linked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_decodes_to_its_kind() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::from_u8(kind as u8), Some(kind));
        }
        assert_eq!(Kind::from_u8(0), None);
        assert_eq!(Kind::from_u8(0xff), None);
    }

    #[test]
    fn chains_are_made_of_money_kinds() {
        let linked: Vec<_> = Kind::ALL.iter().filter(|kind| kind.may_link()).collect();
        assert_eq!(
            linked,
            [
                &Kind::Transfer,
                &Kind::Hold,
                &Kind::Post,
                &Kind::Void,
                &Kind::Return
            ]
        );
    }

    #[test]
    fn numbers_that_were_never_an_envelopes_are_not_given_to_one() {
        for number in [0x07, 0x13, 0x15] {
            assert_eq!(Kind::from_u8(number), None, "{number:#04x}");
        }
    }

    #[test]
    fn a_number_that_is_only_reserved_is_no_kind() {
        let live = [0x01..=0x05, 0x20..=0x27];
        for number in 0..=u8::MAX {
            let is_live = live.iter().any(|range| range.contains(&number));
            assert_eq!(Kind::from_u8(number).is_some(), is_live, "{number:#04x}");
        }
    }
}

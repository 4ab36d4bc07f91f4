//! The kinds of envelope and the authority table: layout, who may sign, how a stranger is refused.

use crate::code::ResultCode;

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
    /// Nobody: execution makes these itself.
    Execution,
}

/// Whether a kind can be used today.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Members may submit it.
    Live,
    /// Its number is taken, its rules are not active on this cluster.
    NotActive,
    /// Only execution produces it.
    ExecutionOnly,
}

macro_rules! kinds {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $value:literal $status:ident $layout:ident $who:ident;
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
                        status: Status::$status,
                        layout: Layout::$layout,
                        authority: Authority::$who,
                        refusal: ResultCode::NotAuthorised,
                    },)+
                }
            }
        }
    };
}

/// One row of the authority table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindRow {
    /// Whether the kind can be used today.
    pub status: Status,
    /// Shape of the body.
    pub layout: Layout,
    /// Who may sign.
    pub authority: Authority,
    /// What anybody else is answered.
    pub refusal: ResultCode,
}

kinds! {
    /// Moves money between two accounts of one ledger.
    Transfer = 0x01 Live Transfer DebitOwner;
    /// Reserves money until it is posted, voided or expires.
    Hold = 0x02 Live Transfer DebitOwner;
    /// Settles all or part of a hold; the rest is freed.
    Post = 0x03 Live Transfer NamedByHold;
    /// Frees a hold.
    Void = 0x04 Live Transfer NamedByHold;
    /// Gives back all or part of a settled transfer.
    Return = 0x05 Live Transfer OriginalCreditOwner;
    /// Reprioritises or cancels a queued payment.
    QueueCtl = 0x06 NotActive Transfer DebitOwner;
    /// Frees a hold whose time is over.
    Expire = 0x07 ExecutionOnly Transfer Execution;

    /// Adds an obligation to a netting cycle.
    Obligation = 0x10 NotActive Transfer DebitOwner;
    /// Opens a netting cycle.
    CycleOpen = 0x11 NotActive Transfer Operators;
    /// Closes a netting cycle.
    CycleClose = 0x12 NotActive Transfer Operators;
    /// Settles a closed cycle.
    CycleSettle = 0x13 ExecutionOnly Transfer Execution;
    /// One leg of a payment-versus-payment or delivery-versus-payment deal.
    Leg = 0x14 NotActive Transfer DebitOwner;
    /// Settles queued payments against each other.
    Offset = 0x15 ExecutionOnly Transfer Execution;

    /// Opens an account.
    AccountOpen = 0x20 Live AccountOpen SponsorOrOperator;
    /// Changes an account's settings.
    AccountSet = 0x21 Live AccountOpen SponsorOrOperator;
    /// Sets or lifts a net debit limit.
    LimitSet = 0x22 Live LimitSet SponsorOrOperator;
    /// Registers or changes a participant.
    ParticipantSet = 0x23 Live ParticipantSet Operators;
    /// Puts a new key into one of the signer's slots.
    KeyRotate = 0x24 Live KeyRotate Participant;
    /// Defines a currency or asset.
    LedgerDefine = 0x25 Live LedgerDefine Operators;
    /// Brings money into being.
    Issue = 0x26 Live Transfer LedgerIssuer;
    /// Takes money out of being.
    Redeem = 0x27 Live Transfer LedgerIssuer;
    /// Sets the business calendar.
    CalendarSet = 0x28 NotActive LimitSet Operators;
    /// Rolls the business day.
    DayRoll = 0x29 NotActive LimitSet Operators;
    /// Sets an exchange or haircut rate.
    RateSet = 0x2a NotActive LimitSet Operators;
    /// Deploys a rule.
    RuleDeploy = 0x2b NotActive LimitSet Operators;

    /// Creates an object.
    ObjectCreate = 0x40 NotActive Transfer Participant;
    /// Records an event of an object.
    ObjectEvent = 0x41 NotActive Transfer Participant;
    /// Hands an object over.
    ObjectCustody = 0x42 NotActive Transfer Participant;
    /// Links objects.
    ObjectLink = 0x43 NotActive Transfer Participant;
    /// Closes an object.
    ObjectClose = 0x44 NotActive Transfer Participant;
    /// Grants access.
    Grant = 0x45 NotActive Transfer Participant;
    /// Revokes access.
    Revoke = 0x46 NotActive Transfer Participant;
    /// Marks a payload as purged.
    PurgeMark = 0x47 NotActive Transfer Participant;
    /// Logs an access.
    AccessLog = 0x48 NotActive Transfer Participant;
    /// Calls a contract.
    Call = 0x50 NotActive Transfer Participant;
}

impl Kind {
    /// Whether the kind moves money and so may be a member of a linked chain.
    #[must_use]
    pub fn money(self) -> bool {
        (self as u8) < 0x10
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
    fn only_execution_signs_what_only_execution_makes() {
        for &kind in Kind::ALL {
            let row = kind.row();
            assert_eq!(
                row.status == Status::ExecutionOnly,
                row.authority == Authority::Execution,
                "{kind:?}"
            );
        }
    }
}

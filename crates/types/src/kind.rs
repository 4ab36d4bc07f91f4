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

/// What a kind is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Moves money between accounts, or sets it aside.
    Money,
    /// Nets and settles what members owe each other.
    Clearing,
    /// Changes who takes part, with what, and how much money there is.
    Control,
    /// Follows things that are not money.
    Object,
    /// Calls a contract.
    Contract,
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
        $name:ident = $value:literal $status:ident $layout:ident $who:ident $class:ident
            $chain:ident;
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
                        class: Class::$class,
                        chain: Chain::$chain,
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
    /// What it is about.
    pub class: Class,
    /// Whether it may be a member of a linked chain.
    pub chain: Chain,
    /// What anybody else is answered.
    pub refusal: ResultCode,
}

kinds! {
    /// Moves money between two accounts of one ledger.
    Transfer = 0x01 Live Transfer DebitOwner Money Linked;
    /// Reserves money until it is posted, voided or expires.
    Hold = 0x02 Live Transfer DebitOwner Money Linked;
    /// Settles all or part of a hold; the rest is freed.
    Post = 0x03 Live Transfer NamedByHold Money Linked;
    /// Frees a hold.
    Void = 0x04 Live Transfer NamedByHold Money Linked;
    /// Gives back all or part of a settled transfer.
    Return = 0x05 Live Transfer OriginalCreditOwner Money Linked;
    /// Reprioritises or cancels a queued payment.
    QueueCtl = 0x06 NotActive Transfer DebitOwner Money Alone;
    /// Frees a hold whose time is over.
    Expire = 0x07 ExecutionOnly Transfer Execution Money Alone;

    /// Adds an obligation to a netting cycle.
    Obligation = 0x10 NotActive Transfer DebitOwner Clearing Alone;
    /// Opens a netting cycle.
    CycleOpen = 0x11 NotActive Transfer Operators Clearing Alone;
    /// Closes a netting cycle.
    CycleClose = 0x12 NotActive Transfer Operators Clearing Alone;
    /// Settles a closed cycle.
    CycleSettle = 0x13 ExecutionOnly Transfer Execution Clearing Alone;
    /// One leg of a payment-versus-payment or delivery-versus-payment deal.
    Leg = 0x14 NotActive Transfer DebitOwner Clearing Alone;
    /// Settles queued payments against each other.
    Offset = 0x15 ExecutionOnly Transfer Execution Clearing Alone;

    /// Opens an account.
    AccountOpen = 0x20 Live AccountOpen SponsorOrOperator Control Alone;
    /// Changes an account's settings.
    AccountSet = 0x21 Live AccountOpen SponsorOrOperator Control Alone;
    /// Sets or lifts a net debit limit.
    LimitSet = 0x22 Live LimitSet SponsorOrOperator Control Alone;
    /// Registers or changes a participant.
    ParticipantSet = 0x23 Live ParticipantSet Operators Control Alone;
    /// Puts a new key into one of the signer's slots.
    KeyRotate = 0x24 Live KeyRotate Participant Control Alone;
    /// Defines a currency or asset.
    LedgerDefine = 0x25 Live LedgerDefine Operators Control Alone;
    /// Brings money into being.
    Issue = 0x26 Live Transfer LedgerIssuer Control Alone;
    /// Takes money out of being.
    Redeem = 0x27 Live Transfer LedgerIssuer Control Alone;
    /// Sets the business calendar.
    CalendarSet = 0x28 NotActive LimitSet Operators Control Alone;
    /// Rolls the business day.
    DayRoll = 0x29 NotActive LimitSet Operators Control Alone;
    /// Sets an exchange or haircut rate.
    RateSet = 0x2a NotActive LimitSet Operators Control Alone;
    /// Deploys a rule.
    RuleDeploy = 0x2b NotActive LimitSet Operators Control Alone;

    /// Creates an object.
    ObjectCreate = 0x40 NotActive Transfer Participant Object Alone;
    /// Records an event of an object.
    ObjectEvent = 0x41 NotActive Transfer Participant Object Alone;
    /// Hands an object over.
    ObjectCustody = 0x42 NotActive Transfer Participant Object Alone;
    /// Links objects.
    ObjectLink = 0x43 NotActive Transfer Participant Object Alone;
    /// Closes an object.
    ObjectClose = 0x44 NotActive Transfer Participant Object Alone;
    /// Grants access.
    Grant = 0x45 NotActive Transfer Participant Object Alone;
    /// Revokes access.
    Revoke = 0x46 NotActive Transfer Participant Object Alone;
    /// Marks a payload as purged.
    PurgeMark = 0x47 NotActive Transfer Participant Object Alone;
    /// Logs an access.
    AccessLog = 0x48 NotActive Transfer Participant Object Alone;
    /// Calls a contract.
    Call = 0x50 NotActive Transfer Participant Contract Alone;
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
        assert!(linked.iter().all(|kind| kind.row().class == Class::Money));
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

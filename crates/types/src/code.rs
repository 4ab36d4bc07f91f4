//! The one ordered list of result codes: earlier codes take precedence over later ones.
//!
//! The number of a code that ended is not given again: 22 and 23, for kinds that had a number and
//! no rules yet, and for kinds that only execution made.

use std::fmt;

/// What a result leaves behind: whether the same envelope is answered with it from then on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trace {
    /// It is remembered for MAX_TTL: until whatever was signed before it has ended.
    Remembered,
    /// Nothing: the refusal is of this copy, and stands whenever the same comes again.
    Forgotten,
    /// Nothing, and its cause may pass while the envelope lives.
    MayPass,
    /// Nothing: the same envelope may succeed a moment later, and the answer always says so.
    Transient,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $value:literal, $trace:ident;)+) => {
        /// What became of an envelope. Ordered: when several apply, the smallest is answered.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum ResultCode {
            $($(#[doc = $doc])+ $name = $value,)+
        }

        impl ResultCode {
            /// Every code, in precedence order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code with number `value`, if there is one.
            #[must_use]
            pub fn from_u16(value: u16) -> Option<Self> {
                match value {
                    $($value => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// What the code means and what to do about it, as documented.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// Where the page of all codes has it, from the root of the repository.
            #[must_use]
            pub fn help_page(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("deploy/CODES.md#", stringify!($name)),)+
                }
            }

            /// What the result leaves behind.
            #[must_use]
            pub fn trace(self) -> Trace {
                match self {
                    $(Self::$name => Trace::$trace,)+
                }
            }
        }
    };
}

codes! {
    /// Applied to the ledger.
    Settled = 0, Remembered;
    /// An operator's approval was recorded: the record applies once enough operators sign it.
    AwaitingApproval = 1, Remembered;

    /// The frame or its envelope does not have the documented shape: send 192-byte envelopes.
    Malformed = 10, Forgotten;
    /// More envelopes on one stream than `STREAM_ENVELOPES_MAX`: open another stream.
    Oversize = 11, Transient;
    /// The member sends faster than its contracted rate: wait, then send again the same bytes.
    RateLimited = 12, Transient;
    /// The node is stopping or cannot take work: send the same bytes again, here or to another
    /// validator.
    Unavailable = 13, Transient;

    /// `version` is not 1: build the envelope with a current client.
    VersionUnknown = 20, Forgotten;
    /// `kind` has no meaning on this cluster: use one of those in `deploy/README.md`, "Who may sign
    /// what".
    KindUnknown = 21, Forgotten;
    /// A reserved flag bit is set: clear bits 12 to 15.
    ReservedFlagSet = 30, Forgotten;
    /// The flag `balancing_debit` is not honoured yet: clear it.
    BalancingDebitNotActive = 31, Forgotten;
    /// The flag `balancing_credit` is not honoured yet: clear it.
    BalancingCreditNotActive = 32, Forgotten;
    /// The flag `queue_if_short` is not honoured yet: clear it.
    QueueIfShortNotActive = 33, Forgotten;
    /// The flag `closing` is not honoured yet: clear it.
    ClosingNotActive = 34, Forgotten;
    /// The flag `imported` is not honoured yet: clear it.
    ImportedNotActive = 35, Forgotten;
    /// The flag `confidential` is not honoured yet: clear it.
    ConfidentialNotActive = 36, Forgotten;
    /// The flag `no_offset` is not honoured yet: clear it.
    NoOffsetNotActive = 37, Forgotten;
    /// The `priority` bits are not honoured yet: clear them.
    PriorityNotActive = 38, Forgotten;
    /// `timeout_s` has a meaning for HOLD only: set it to zero.
    TimeoutNotAllowed = 40, Forgotten;
    /// `ref` has no meaning for this kind: set it to zero.
    RefNotAllowed = 41, Forgotten;
    /// A reserved field of the record is not zero: clear it.
    ReservedFieldSet = 42, Forgotten;
    /// `linked` is allowed for money kinds only: clear it, send the record by itself.
    LinkNotAllowed = 43, Forgotten;
    /// The identifier is all zeros or all ones: make a unique, time-ordered one.
    IdReserved = 44, Forgotten;

    /// The signer is not a registered participant: have an operator register it.
    SignerUnknown = 50, MayPass;
    /// The key slot named by the flags holds no key: name the slot of the key that signs.
    KeySlotEmpty = 51, MayPass;
    /// The signature does not verify under the signer's key and this cluster's domain tag: sign the
    /// body as sent, with the key of its slot and this cluster's genesis hash.
    BadSignature = 52, Forgotten;
    /// The key was not valid at the height of execution: sign with a live key.
    KeyNotValid = 53, MayPass;
    /// The participant is suspended: ask an operator why.
    SignerSuspended = 54, MayPass;

    /// Cluster time has passed `expires_at`, so this copy moved nothing: look up whether an
    /// earlier copy was executed, and sign a new envelope only when none was.
    Expired = 60, Forgotten;
    /// `expires_at` is further away than the cluster's MAX_TTL: send the same bytes again later, or
    /// sign with an earlier end; but never both.
    TtlTooLong = 61, MayPass;
    /// The chain starts in the middle, has a gap, mixes signers, is too long or ends open: send it
    /// whole on one stream, with consecutive identifiers and its last member not linked.
    ChainBroken = 62, MayPass;
    /// The same signer used this identifier for another body: look it up, and make a fresh
    /// identifier only for another payment.
    IdConflict = 63, MayPass;
    /// The member has too many live identifiers: wait until some expire.
    IdTableFull = 64, Transient;
    /// Another member of the linked chain failed, so none of it applies: see the other codes.
    LinkedFailed = 65, Remembered;

    /// The ledger is not defined: check its number.
    LedgerUnknown = 70, Remembered;
    /// The ledger number is in use already: choose another.
    LedgerExists = 71, Remembered;
    /// The ledger's code or exponent is not acceptable: give 1 to 8 capitals or digits, and
    /// at most 18 places. Or the cluster's table of ledgers is full: use one that is defined.
    LedgerInvalid = 72, Remembered;
    /// The participant is not registered: check its number, or register it first.
    ParticipantUnknown = 73, Remembered;
    /// Role, status, sponsor, LEI or BIC of the participant is not acceptable, or too few operators
    /// would keep a live key at some height: correct the record. Or the cluster's table of
    /// participants is full: nobody more can be registered.
    ParticipantInvalid = 74, Remembered;
    /// The public key is small-order, non-canonical or not on the curve: make a new key pair.
    KeyInvalid = 75, Remembered;
    /// The new key did not prove that its holder has the secret: sign the proof for this slot.
    KeyProofInvalid = 76, Remembered;
    /// The key slot may not be reused yet: wait until its old key has ended.
    KeySlotInUse = 77, Remembered;
    /// Another participant has this public key: make a new key pair.
    KeyTaken = 78, Remembered;
    /// The debited account does not exist: check its number.
    DebitAccountUnknown = 80, Remembered;
    /// The credited account does not exist: check its number.
    CreditAccountUnknown = 81, Remembered;
    /// The account named by the control record does not exist: check its number, or open it first.
    AccountUnknown = 82, Remembered;
    /// The account number is in use already: choose another.
    AccountExists = 83, Remembered;
    /// The account cannot be so: open it live, under its owner's number, without reserved bits and
    /// without `issuer`; an issuer's own account takes no limit and no credit line. Or the
    /// cluster's table of accounts or of limits is full: ask an operator.
    AccountInvalid = 84, Remembered;
    /// The account setting `dual_control` is not honoured yet: clear it.
    DualControlNotActive = 85, Remembered;
    /// The account setting `history` is not honoured yet: clear it.
    HistoryNotActive = 86, Remembered;
    /// The account setting `member_settlement` is not honoured yet: clear it.
    MemberSettlementNotActive = 87, Remembered;
    /// The account setting `device` is not honoured yet: clear it.
    DeviceNotActive = 88, Remembered;
    /// The field mask of an ACCOUNT_SET names nothing or something unknown: name what changes.
    FieldMaskInvalid = 89, Remembered;
    /// Debit and credit are the same account: name two.
    SameAccount = 90, Remembered;
    /// An account is kept in another currency than the envelope's ledger: use accounts of that one.
    WrongCurrency = 91, Remembered;
    /// The amount is zero: give at least one minor unit.
    AmountZero = 92, Remembered;
    /// The signer may not do this: `deploy/README.md`, "Who may sign what", names who may.
    NotAuthorised = 93, Remembered;
    /// ISSUE debits and REDEEM credits the ledger's issuer account, other kinds never do: use an
    /// account that fits the kind.
    IssuerMismatch = 94, Remembered;

    /// The owner of the debit account has no hold of this identifier, or it ended too long ago to
    /// be known: name the hold's accounts in its own order, and check the identifier.
    HoldUnknown = 100, Remembered;
    /// Accounts or ledger differ from the hold's: name the hold's own.
    HoldMismatch = 101, Remembered;
    /// The hold was posted already: look up first whether an earlier POST of yours did it, and has
    /// moved the money; make a new payment only for what it did not move, or RETURN what was
    /// posted.
    HoldPosted = 102, Remembered;
    /// The hold was voided already: make a new one.
    HoldVoided = 103, Remembered;
    /// The hold's time is over: make a new one.
    HoldExpired = 104, Remembered;
    /// More than was held: post at most the amount of the hold.
    HoldExceeded = 105, Remembered;
    /// `timeout_s` is zero or beyond HOLD_TIMEOUT_S_MAX: give 1 to 2,592,000 seconds.
    HoldTimeoutInvalid = 106, Remembered;
    /// The member has too many open holds: post or void some.
    HoldTableFull = 107, Transient;
    /// The owner of the credit account made no such payment within the return window: check that
    /// the accounts are the original's, exchanged, and look up whether an earlier RETURN of yours
    /// gave it back; only if none did, give back with a TRANSFER that names it in `ref`, by
    /// `clearway pay --reference`.
    OriginalNotLive = 108, Remembered;
    /// Accounts or ledger are not the original's, exchanged: pay back the way it came.
    ReturnMismatch = 109, Remembered;
    /// More than what is left of the original: return at most that.
    ReturnExceeded = 110, Remembered;

    /// The account is closed: use another.
    AccountClosed = 120, Remembered;
    /// The debited account is frozen for debits: ask its sponsor or an operator.
    DebitFrozen = 121, Remembered;
    /// The credited account is frozen for credits: ask its sponsor or an operator.
    CreditFrozen = 122, Remembered;
    /// The account still has a balance or holds and cannot be closed: empty it first.
    AccountNotEmpty = 123, Remembered;
    /// The new credit line is below what is already used: fund the account first.
    CreditLineInUse = 124, Remembered;
    /// Debits would exceed credits plus the credit line: fund the account.
    InsufficientFunds = 130, Remembered;
    /// The net debit limit towards this counterparty, or towards everyone, would be exceeded: pay
    /// less, wait for the next day, or have the limit raised.
    LimitExceeded = 131, Remembered;
    /// A balance, or the money that members hold, would leave its range: move less.
    BalanceOverflow = 132, Remembered;
}

impl ResultCode {
    /// The number on the wire.
    #[must_use]
    pub fn as_u16(self) -> u16 {
        self as u16
    }

    /// Whether the answer always says that the same envelope may succeed later.
    #[must_use]
    pub fn transient(self) -> bool {
        self.trace() == Trace::Transient
    }

    /// Whether the envelope changed money or the directory.
    #[must_use]
    pub fn applied(self) -> bool {
        self == Self::Settled
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Result flag bits of an answer, beside the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutcomeFlags(pub u16);

impl OutcomeFlags {
    /// The same bytes were executed before: code and height are the first execution's.
    pub const DUPLICATE: u16 = 1;
    /// The same envelope may succeed later.
    pub const TRANSIENT: u16 = 2;
}

/// Code and flags of one envelope, 4 bytes on the wire and on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What became of the envelope.
    pub code: ResultCode,
    /// See [`OutcomeFlags`].
    pub flags: OutcomeFlags,
}

impl Outcome {
    /// An outcome whose flags follow from the code.
    #[must_use]
    pub fn new(code: ResultCode) -> Self {
        let flags = if code.transient() {
            OutcomeFlags::TRANSIENT
        } else {
            0
        };
        Self {
            code,
            flags: OutcomeFlags(flags),
        }
    }

    /// A refusal by execution itself, which says so where its cause may pass while the envelope
    /// lives: who then signs another in its place must wait for the expiry of this one.
    #[must_use]
    pub fn refused(code: ResultCode) -> Self {
        let mut outcome = Self::new(code);
        if code.trace() == Trace::MayPass {
            outcome.flags.0 |= OutcomeFlags::TRANSIENT;
        }
        outcome
    }

    /// The outcome of an earlier execution, answered again.
    #[must_use]
    pub fn duplicate_of(code: ResultCode) -> Self {
        Self {
            code,
            flags: OutcomeFlags(OutcomeFlags::DUPLICATE),
        }
    }

    /// Whether an execution with this outcome uses up the identifier, so that the same envelope is
    /// answered with it from then on. Any other outcome speaks of one copy alone: another copy may
    /// have been executed before it, or may be executed after it.
    #[must_use]
    pub fn remembered(self) -> bool {
        let passing = OutcomeFlags::DUPLICATE | OutcomeFlags::TRANSIENT;
        self.flags.0 & passing == 0 && self.code.trace() == Trace::Remembered
    }

    /// Whether the identifier is used up, by this execution or by the earlier one that it repeats:
    /// no other copy of the envelope can have, or get, another result.
    #[must_use]
    pub fn spends_id(self) -> bool {
        self.remembered() || self.duplicate()
    }

    /// What it counts among several envelopes with one name, of which a look-up tells the newest
    /// that used the name up (2), else the newest that repeats such a one (1), else the oldest of
    /// the others (0), which speak of themselves alone.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self.remembered() {
            true => 2,
            false => u8::from(self.duplicate()),
        }
    }

    /// Whether it repeats the result of an earlier copy.
    #[must_use]
    pub fn duplicate(self) -> bool {
        self.flags.0 & OutcomeFlags::DUPLICATE != 0
    }

    /// `{code u16, flags u16}`, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        let code = self.code.as_u16().to_le_bytes();
        let flags = self.flags.0.to_le_bytes();
        [code[0], code[1], flags[0], flags[1]]
    }

    /// The inverse of [`Outcome::to_bytes`]; `None` for a code that does not exist.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        let code = ResultCode::from_u16(u16::from_le_bytes([bytes[0], bytes[1]]))?;
        Some(Self {
            code,
            flags: OutcomeFlags(u16::from_le_bytes([bytes[2], bytes[3]])),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_codes_that_ended_are_not_given_again() {
        for number in [22, 23] {
            assert_eq!(ResultCode::from_u16(number), None, "{number}");
        }
    }

    #[test]
    fn every_code_but_success_says_what_to_do() {
        for &code in &ResultCode::ALL[1..] {
            let (_, remedy) = code.help().split_once(": ").unwrap_or_default();
            assert!(!remedy.is_empty(), "{code}: {}", code.help());
        }
    }

    #[test]
    fn what_the_door_and_the_signature_decide_is_not_remembered_and_all_else_is() {
        for &code in ResultCode::ALL {
            let before_identity = (10..=64).contains(&code.as_u16());
            let remembered = !before_identity && code != ResultCode::HoldTableFull;
            assert_eq!(Outcome::new(code).remembered(), remembered, "{code}");
            let ranks = [Outcome::new(code), Outcome::duplicate_of(code)].map(Outcome::rank);
            assert_eq!(ranks, [2 * u8::from(remembered), 1], "{code}");
            let says_so = Outcome::refused(code).flags.0 & OutcomeFlags::TRANSIENT != 0;
            let may_pass = matches!(code.trace(), Trace::MayPass | Trace::Transient);
            assert_eq!(says_so, may_pass, "{code}");
            assert!(!(remembered && may_pass), "{code}");
        }
        let may_pass = |code: &&ResultCode| code.trace() == Trace::MayPass;
        let found: Vec<_> = ResultCode::ALL.iter().filter(may_pass).collect();
        let numbers: Vec<_> = found.iter().map(|code| code.as_u16()).collect();
        assert_eq!(numbers, [50, 51, 53, 54, 61, 62, 63]);
    }

    #[test]
    fn numbers_rise_in_precedence_order_and_decode_to_themselves() {
        assert!(
            ResultCode::ALL
                .windows(2)
                .all(|pair| pair[0].as_u16() < pair[1].as_u16())
        );
        for &code in ResultCode::ALL {
            assert_eq!(ResultCode::from_u16(code.as_u16()), Some(code));
            assert_eq!(
                Outcome::from_bytes(Outcome::new(code).to_bytes()),
                Some(Outcome::new(code))
            );
            assert!(code.help().ends_with('.'), "{code}: {}", code.help());
        }
        assert_eq!(ResultCode::from_u16(u16::MAX), None);
    }
}

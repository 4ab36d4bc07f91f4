//! Unsigned instructions: one constructor a kind, then the optional fields.

use clearway_crypto::keys::SigningKey;
use clearway_types::account::Role;
use clearway_types::amount::Amount;
use clearway_types::control::{
    AccountOpen, FIELD_ALIAS, FIELD_CODE, FIELD_CREDIT_LINE, FIELD_FLAGS, KEY_SLOT_NONE, KeyRotate,
    LedgerDefine, LimitSet, ParticipantSet,
};
use clearway_types::domain::DomainTag;
use clearway_types::envelope::{Body, VERSION};
use clearway_types::kind::Kind;
use clearway_types::transfer::{AMOUNT_REMAINING, HoldParties, Transfer};
use clearway_types::units::{AccountId, Day, Height, LedgerId, ParticipantId, TransferId};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, transmute};

/// An instruction without identifier, signer, expiry and signature; [`crate::Signer`] adds them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draft(Body);

impl Draft {
    /// TRANSFER: moves `amount` from `debit` to `credit`.
    #[must_use]
    pub fn transfer(debit: AccountId, credit: AccountId, amount: Amount) -> Self {
        Self::money(Kind::Transfer, debit, credit, amount)
    }

    /// HOLD: reserves `amount` for `timeout_s` seconds of cluster time; the signer may end it.
    #[must_use]
    pub fn hold(debit: AccountId, credit: AccountId, amount: Amount, timeout_s: u32) -> Self {
        Self::money(Kind::Hold, debit, credit, amount).edit(|t| t.timeout_s = U32::new(timeout_s))
    }

    /// HOLD: who may POST and who may VOID it, instead of its signer.
    #[must_use]
    pub fn hold_parties(self, post_by: ParticipantId, void_by: ParticipantId) -> Self {
        self.edit(|t| {
            t.reference = transmute!(HoldParties {
                post_by: U32::new(post_by.0),
                void_by: U32::new(void_by.0),
                reserved: [0; 8],
            });
        })
    }

    /// POST: settles `amount` of the hold `hold`, which was made with these accounts.
    #[must_use]
    pub fn post(hold: TransferId, debit: AccountId, credit: AccountId, amount: Amount) -> Self {
        Self::money(Kind::Post, debit, credit, amount).reference(hold)
    }

    /// POST: settles all of the hold `hold`.
    #[must_use]
    pub fn post_all(
        hold: TransferId,
        debit: AccountId,
        credit: AccountId,
        ledger: LedgerId,
    ) -> Self {
        Self::post(hold, debit, credit, Amount::new(AMOUNT_REMAINING, ledger))
    }

    /// VOID: frees the hold `hold`, which was made with these accounts.
    #[must_use]
    pub fn void(hold: TransferId, debit: AccountId, credit: AccountId, ledger: LedgerId) -> Self {
        Self::money(Kind::Void, debit, credit, Amount::new(0, ledger)).reference(hold)
    }

    /// RETURN: gives back `amount` of `original`, a payment from `credit` to `debit`.
    #[must_use]
    pub fn give_back(
        original: TransferId,
        debit: AccountId,
        credit: AccountId,
        amount: Amount,
    ) -> Self {
        Self::money(Kind::Return, debit, credit, amount).reference(original)
    }

    /// ISSUE: brings money into being; `issuer` is the ledger's issuer account.
    #[must_use]
    pub fn issue(issuer: AccountId, credit: AccountId, amount: Amount) -> Self {
        Self::money(Kind::Issue, issuer, credit, amount)
    }

    /// REDEEM: takes money out of being; `issuer` is the ledger's issuer account.
    #[must_use]
    pub fn redeem(debit: AccountId, issuer: AccountId, amount: Amount) -> Self {
        Self::money(Kind::Redeem, debit, issuer, amount)
    }

    /// ACCOUNT_OPEN: opens `account` in `ledger`.
    #[must_use]
    pub fn account_open(account: AccountId, ledger: LedgerId) -> Self {
        let mut body = AccountOpen::new_zeroed();
        body.account = U64::new(account.0);
        body.ledger = U32::new(ledger.0);
        Self::control(Kind::AccountOpen, *body.as_body())
    }

    /// ACCOUNT_SET: changes nothing until one of the account fields is set.
    #[must_use]
    pub fn account_set(account: AccountId, ledger: LedgerId) -> Self {
        let Self(mut body) = Self::account_open(account, ledger);
        body.kind = Kind::AccountSet as u8;
        Self(body)
    }

    /// ACCOUNT_OPEN, ACCOUNT_SET: how far debits may exceed credits, minor units.
    #[must_use]
    pub fn credit_line(self, credit_line: u64) -> Self {
        self.edit_account(FIELD_CREDIT_LINE, |a| {
            a.credit_line = U64::new(credit_line);
        })
    }

    /// ACCOUNT_OPEN, ACCOUNT_SET: the owner's own classification.
    #[must_use]
    pub fn account_code(self, code: u16) -> Self {
        self.edit_account(FIELD_CODE, |a| a.code = U16::new(code))
    }

    /// ACCOUNT_OPEN, ACCOUNT_SET: see [`clearway_types::account::AccountFlags`].
    #[must_use]
    pub fn account_flags(self, flags: u16) -> Self {
        self.edit_account(FIELD_FLAGS, |a| a.account_flags = U16::new(flags))
    }

    /// ACCOUNT_OPEN, ACCOUNT_SET: short hash of an IBAN or proxy.
    #[must_use]
    pub fn alias(self, alias: [u8; 16]) -> Self {
        self.edit_account(FIELD_ALIAS, |a| a.alias = alias)
    }

    /// LIMIT_SET: at most `limit` minor units net a day to `counterparty`; `None` means everyone.
    /// `u64::MAX` lifts the limit.
    #[must_use]
    pub fn limit_set(
        account: AccountId,
        ledger: LedgerId,
        counterparty: Option<ParticipantId>,
        limit: u64,
    ) -> Self {
        let mut body = LimitSet::new_zeroed();
        body.account = U64::new(account.0);
        body.counterparty = U32::new(counterparty.unwrap_or_default().0);
        body.limit = U64::new(limit);
        body.ledger = U32::new(ledger.0);
        Self::control(Kind::LimitSet, *body.as_body())
    }

    /// PARTICIPANT_SET: registers or changes a participant, keys left as they are.
    #[must_use]
    pub fn participant_set(participant: ParticipantId, role: Role, suspended: bool) -> Self {
        let mut body = ParticipantSet::new_zeroed();
        body.participant = U32::new(participant.0);
        body.role = role as u8;
        body.status = u8::from(suspended);
        body.key_slot = KEY_SLOT_NONE;
        Self::control(Kind::ParticipantSet, *body.as_body())
    }

    /// PARTICIPANT_SET: brings a key for `slot`, valid from a height (0: as soon as possible).
    #[must_use]
    pub fn participant_key(self, slot: u8, public_key: [u8; 32], valid_from: Height) -> Self {
        self.edit_participant(|p| {
            p.key_slot = slot;
            p.public_key = public_key;
            p.key_valid_from = U64::new(valid_from.0);
        })
    }

    /// PARTICIPANT_SET: who may open accounts for it besides operators.
    #[must_use]
    pub fn sponsor(self, sponsor: ParticipantId) -> Self {
        self.edit_participant(|p| p.sponsor = U32::new(sponsor.0))
    }

    /// PARTICIPANT_SET: ISO 17442 and ISO 9362 identifiers, ASCII, zeros for none.
    #[must_use]
    pub fn lei_bic(self, lei: [u8; 20], bic: [u8; 11]) -> Self {
        self.edit_participant(|p| (p.lei, p.bic) = (lei, bic))
    }

    /// KEY_ROTATE: puts `key` into the signer's `slot`, with the proof that its holder wants it.
    #[must_use]
    pub fn key_rotate(
        participant: ParticipantId,
        slot: u8,
        key: &SigningKey,
        tag: DomainTag,
    ) -> Self {
        let mut body = KeyRotate::new_zeroed();
        body.public_key = key.public_key();
        body.proof = key.prove_possession(tag, participant, slot);
        body.slot = slot;
        Self::control(Kind::KeyRotate, *body.as_body())
    }

    /// LEDGER_DEFINE: a currency or asset; `code` is at most 8 upper-case letters and digits.
    ///
    /// # Panics
    /// For a longer code.
    #[must_use]
    pub fn ledger_define(
        ledger: LedgerId,
        code: &str,
        exponent: u8,
        issuer_account: AccountId,
    ) -> Self {
        assert!(code.len() <= 8, "a ledger's code has at most 8 characters");
        let mut body = LedgerDefine::new_zeroed();
        body.code[..code.len()].copy_from_slice(code.as_bytes());
        body.exponent = exponent;
        body.issuer = U32::new(issuer_account.owner().0);
        body.issuer_account = U64::new(issuer_account.0);
        body.ledger = U32::new(ledger.0);
        Self::control(Kind::LedgerDefine, *body.as_body())
    }

    /// Money kinds: purpose or reason; recorded, not interpreted.
    #[must_use]
    pub fn code(self, code: u16) -> Self {
        self.edit(|t| t.code = U16::new(code))
    }

    /// Money kinds: the end-to-end reference; recorded, not interpreted.
    #[must_use]
    pub fn uetr(self, uetr: [u8; 16]) -> Self {
        self.edit(|t| t.uetr = uetr)
    }

    /// Money kinds: BLAKE3 of the message or ciphertext that goes with it.
    #[must_use]
    pub fn payload(self, payload: [u8; 32]) -> Self {
        self.edit(|t| t.payload = payload)
    }

    /// Money kinds: the value date; recorded, not interpreted.
    #[must_use]
    pub fn value_day(self, day: Day) -> Self {
        self.edit(|t| t.value_day = U16::new(day.0))
    }

    /// TRANSFER: another envelope that this one refers to.
    #[must_use]
    pub fn reference(self, id: TransferId) -> Self {
        self.edit(|t| t.reference = id.0)
    }

    /// The body so far.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.0
    }

    fn money(kind: Kind, debit: AccountId, credit: AccountId, amount: Amount) -> Self {
        let mut body = Transfer::new_zeroed();
        body.debit = U64::new(debit.0);
        body.credit = U64::new(credit.0);
        body.amount = U64::new(amount.minor);
        body.ledger = U32::new(amount.ledger.0);
        Self::control(kind, *body.as_body())
    }

    fn control(kind: Kind, mut body: Body) -> Self {
        body.kind = kind as u8;
        body.version = VERSION;
        Self(body)
    }

    /// Changes a money body; the fields that are named here exist for money kinds alone.
    fn edit(self, change: impl FnOnce(&mut Transfer)) -> Self {
        let kind = Kind::from_u8(self.0.kind).expect("drafts are made with a known kind");
        let layout = kind.row().layout;
        assert!(
            layout == clearway_types::kind::Layout::Transfer,
            "{kind:?} has no such field"
        );
        let mut transfer = *Transfer::of(&self.0);
        change(&mut transfer);
        Self(*transfer.as_body())
    }

    fn edit_account(self, field: u16, change: impl FnOnce(&mut AccountOpen)) -> Self {
        let set = self.0.kind == Kind::AccountSet as u8;
        assert!(
            set || self.0.kind == Kind::AccountOpen as u8,
            "only ACCOUNT_OPEN and ACCOUNT_SET have account fields"
        );
        let mut account = *AccountOpen::of(&self.0);
        change(&mut account);
        if set {
            account.field_mask = U16::new(account.field_mask.get() | field);
        }
        Self(*account.as_body())
    }

    fn edit_participant(self, change: impl FnOnce(&mut ParticipantSet)) -> Self {
        assert!(
            self.0.kind == Kind::ParticipantSet as u8,
            "only PARTICIPANT_SET has participant fields"
        );
        let mut participant = *ParticipantSet::of(&self.0);
        change(&mut participant);
        Self(*participant.as_body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EUR: LedgerId = LedgerId(1);

    fn accounts() -> (AccountId, AccountId) {
        (
            AccountId::new(ParticipantId(1), 2),
            AccountId::new(ParticipantId(3), 4),
        )
    }

    #[test]
    fn each_constructor_makes_its_kind_and_passes_the_header_checks() {
        let ((a, b), amount, id) = (accounts(), Amount::new(5, EUR), TransferId([1; 16]));
        let key = SigningKey::from_seed(&[1; 32]);
        let (member, tag) = (ParticipantId(9), DomainTag([0; 16]));
        let rows = [
            (Draft::transfer(a, b, amount), Kind::Transfer),
            (Draft::hold(a, b, amount, 60), Kind::Hold),
            (Draft::post(id, a, b, amount), Kind::Post),
            (Draft::post_all(id, a, b, EUR), Kind::Post),
            (Draft::void(id, a, b, EUR), Kind::Void),
            (Draft::give_back(id, b, a, amount), Kind::Return),
            (Draft::issue(a, b, amount), Kind::Issue),
            (Draft::redeem(b, a, amount), Kind::Redeem),
            (Draft::account_open(a, EUR), Kind::AccountOpen),
            (Draft::account_set(a, EUR).account_code(3), Kind::AccountSet),
            (Draft::limit_set(a, EUR, None, 5), Kind::LimitSet),
            (
                Draft::participant_set(member, Role::Member, false),
                Kind::ParticipantSet,
            ),
            (Draft::key_rotate(member, 1, &key, tag), Kind::KeyRotate),
            (Draft::ledger_define(EUR, "EUR", 2, a), Kind::LedgerDefine),
        ];
        for (draft, kind) in rows {
            let mut body = *draft.body();
            body.id = id;
            assert_eq!(body.check_header(), Ok(kind));
        }
    }

    #[test]
    fn fields_land_where_the_layout_has_them() {
        let (a, b) = accounts();
        let draft = Draft::hold(a, b, Amount::new(5, EUR), 60)
            .hold_parties(ParticipantId(7), ParticipantId(8))
            .uetr([9; 16])
            .code(10)
            .value_day(Day(11))
            .payload([12; 32]);
        let hold = Transfer::of(draft.body());
        assert_eq!((hold.debit(), hold.credit(), hold.ledger()), (a, b, EUR));
        assert_eq!((hold.amount.get(), hold.timeout_s.get()), (5, 60));
        let parties = hold.hold_parties();
        assert_eq!((parties.post_by.get(), parties.void_by.get()), (7, 8));
        assert_eq!((hold.uetr, hold.payload), ([9; 16], [12; 32]));
        assert_eq!((hold.code.get(), hold.value_day.get()), (10, 11));
    }

    #[test]
    fn account_set_names_the_fields_that_it_changes_and_account_open_none() {
        let (a, _) = accounts();
        let set = Draft::account_set(a, EUR).credit_line(5).alias([1; 16]);
        let mask = AccountOpen::of(set.body()).field_mask.get();
        assert_eq!(mask, FIELD_CREDIT_LINE | FIELD_ALIAS);
        let open = Draft::account_open(a, EUR).credit_line(5);
        assert_eq!(AccountOpen::of(open.body()).field_mask.get(), 0);
    }

    #[test]
    #[should_panic(expected = "AccountOpen has no such field")]
    fn a_field_of_another_kind_is_a_bug() {
        let _ = Draft::account_open(accounts().0, EUR).uetr([1; 16]);
    }
}

//! What a body holds, field by field: the one description that every command shows it by.

use clearway_types::account::{AccountFlags, Role};
use clearway_types::amount::Decimal;
use clearway_types::control::{
    AccountOpen, FIELD_ALIAS, FIELD_CODE, FIELD_CREDIT_LINE, FIELD_FLAGS, KEY_SLOT_NONE, KeyRotate,
    LedgerDefine, LimitSet, ParticipantSet,
};
use clearway_types::envelope::Body;
use clearway_types::flags::Flags;
use clearway_types::genesis::GenesisLedger;
use clearway_types::hex;
use clearway_types::kind::{Kind, Layout};
use clearway_types::transfer::{AMOUNT_REMAINING, HoldParties, Transfer};
use clearway_types::units::{AccountId, TransferId};
use serde_json::Value;

use crate::notation::text;

/// A field of a body.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) json: Value,
    /// Whether it says something that stands nowhere else: a zero mostly says nothing.
    pub(crate) shown: bool,
}

impl Field {
    /// Its name for scripts.
    pub(crate) fn key(&self) -> String {
        self.name.to_lowercase().replace(' ', "_")
    }
}

/// Every field of this body but identifier, signer and end, at a cluster with these ledgers.
pub(crate) fn fields(body: &Body, ledgers: &[GenesisLedger]) -> Vec<Field> {
    let number = body.ledger.get();
    let mut fields = Fields {
        ledger: ledgers.iter().find(|ledger| ledger.id.0 == number),
        number,
        all: Vec::new(),
    };
    let Some(kind) = Kind::from_u8(body.kind) else {
        fields.bytes("fields", &body.fields);
        fields.some("ledger", number);
        fields.header(body);
        return fields.all;
    };
    match kind.row().layout {
        Layout::Transfer => fields.transfer(kind, Transfer::of(body)),
        Layout::LedgerDefine => fields.ledger_define(LedgerDefine::of(body)),
        Layout::ParticipantSet => fields.participant_set(ParticipantSet::of(body)),
        Layout::KeyRotate => fields.key_rotate(KeyRotate::of(body)),
        Layout::AccountOpen => fields.account_open(kind, AccountOpen::of(body)),
        Layout::LimitSet => fields.limit_set(LimitSet::of(body)),
    }
    fields.header(body);
    fields.all
}

/// Names of the fields in which two bodies differ, whenever they end.
pub(crate) fn differing(one: &Body, other: &Body) -> Vec<&'static str> {
    if one.kind != other.kind {
        return vec!["kind"];
    }
    let (one, other) = (fields(one, &[]), fields(other, &[]));
    let pairs = one.iter().zip(&other);
    let differing = pairs.filter(|(one, other)| one.text != other.text);
    differing.map(|(one, _)| one.name).collect()
}

/// An amount of a ledger with its decimals, where that is one of the genesis.
pub(crate) fn amount(minor: u64, ledger: Option<&GenesisLedger>) -> String {
    match ledger {
        None => minor.to_string(),
        Some(ledger) => {
            let (minor, exponent) = (minor.into(), ledger.exponent);
            Decimal { minor, exponent }.to_string()
        }
    }
}

/// Minor units that a transfer asks for; `None` for a POST of all that its hold has left.
pub(crate) fn asked(kind: Kind, minor: u64) -> Option<u64> {
    (kind != Kind::Post || minor != AMOUNT_REMAINING).then_some(minor)
}

/// The same in words.
pub(crate) fn asked_text(asked: Option<u64>, ledger: Option<&GenesisLedger>) -> String {
    asked.map_or_else(|| "all".to_owned(), |minor| amount(minor, ledger))
}

/// The ledger's code; `minor units of ledger N` for one that is not in the genesis.
pub(crate) fn currency(number: u32, ledger: Option<&GenesisLedger>) -> String {
    match ledger {
        Some(ledger) => ledger.code.clone(),
        None => format!("minor units of ledger {number}"),
    }
}

/// Text that is padded with zeros, or the digits of what is none.
fn padded(field: &[u8]) -> String {
    let value = text(field);
    let is_text = value.bytes().all(|byte| byte.is_ascii_graphic());
    let rest = field.get(value.len()..).unwrap_or_default();
    match is_text && rest.iter().all(|byte| *byte == 0) {
        true => value,
        false => hex::encode(field),
    }
}

/// The settings of an account that are on.
pub(crate) fn settings(flags: u16) -> Vec<&'static str> {
    let words = [
        (AccountFlags::ISSUER, "issuer's account"),
        (AccountFlags::FROZEN_DEBIT, "frozen for debits"),
        (AccountFlags::FROZEN_CREDIT, "frozen for credits"),
        (AccountFlags::CLOSED, "closed"),
        (AccountFlags::DUAL_CONTROL, "dual control"),
        (AccountFlags::HISTORY, "history"),
        (AccountFlags::MEMBER_SETTLEMENT, "member settlement"),
        (AccountFlags::DEVICE, "device"),
    ];
    let on = words
        .into_iter()
        .filter(|(mask, _)| AccountFlags(flags).has(*mask));
    on.map(|(_, word)| word).collect()
}

/// The fields that have been read of a body.
struct Fields<'a> {
    ledger: Option<&'a GenesisLedger>,
    number: u32,
    all: Vec<Field>,
}

// Each layout is taken apart by name, so that a field that is added to it asks for its row here.
impl Fields<'_> {
    fn transfer(&mut self, kind: Kind, transfer: &Transfer) {
        let Transfer {
            id: _,
            debit,
            credit,
            amount: minor,
            timeout_s,
            value_day,
            code,
            reference,
            uetr,
            payload,
            signer: _,
            expires_at: _,
            ledger: _,
            kind: _,
            version: _,
            flags: _,
        } = transfer;
        // Who pays whom how much stands before these.
        self.account("from", debit.get(), false);
        self.account("to", credit.get(), false);
        self.words(
            "amount",
            asked_text(asked(kind, minor.get()), self.ledger),
            false,
        );
        self.words("ledger", currency(self.number, self.ledger), false);
        self.number("seconds held", timeout_s.get());
        self.number("value day", value_day.get().into());
        self.number("purpose", code.get().into());
        let named = TransferId(*reference);
        match kind {
            Kind::Hold => {
                let HoldParties {
                    post_by,
                    void_by,
                    reserved,
                } = transfer.hold_parties();
                self.number("post by", post_by.get());
                self.number("void by", void_by.get());
                self.bytes("reserved", &reserved);
            }
            Kind::Post | Kind::Void => self.words("hold", named, true),
            Kind::Return => self.words("original", named, true),
            Kind::Transfer
            | Kind::Issue
            | Kind::Redeem
            | Kind::AccountOpen
            | Kind::AccountSet
            | Kind::LimitSet
            | Kind::ParticipantSet
            | Kind::KeyRotate
            | Kind::LedgerDefine => self.bytes("reference", reference),
        }
        self.bytes("UETR", uetr);
        self.bytes("payload hash", payload);
    }

    fn ledger_define(&mut self, define: &LedgerDefine) {
        let LedgerDefine {
            id: _,
            code,
            exponent,
            reserved_a,
            issuer,
            reserved_b,
            issuer_account,
            reserved_c,
            signer: _,
            expires_at: _,
            ledger,
            kind: _,
            version: _,
            flags: _,
        } = define;
        self.some("ledger", ledger.get());
        self.words("ledger code", padded(code), true);
        self.some("decimals", (*exponent).into());
        self.some("issuer", issuer.get());
        self.account("issuer account", issuer_account.get(), true);
        let reserved_b = reserved_b.get().to_le_bytes();
        self.bytes(
            "reserved",
            &[&reserved_a[..], &reserved_b, reserved_c].concat(),
        );
    }

    fn participant_set(&mut self, set: &ParticipantSet) {
        let ParticipantSet {
            id: _,
            participant,
            role,
            status,
            key_slot,
            reserved_a,
            sponsor,
            lei,
            bic,
            reserved_b,
            key_valid_from,
            reserved_c,
            public_key,
            signer: _,
            expires_at: _,
            ledger,
            kind: _,
            version: _,
            flags: _,
        } = set;
        self.some("participant", participant.get());
        let role = match Role::from_u8(*role) {
            Some(role) => format!("{role:?}").to_lowercase(),
            None => format!("{role}, which is none"),
        };
        self.words("role", role, true);
        let suspended = match status {
            0 => "no".to_owned(),
            1 => "yes".to_owned(),
            other => format!("{other}, which is neither"),
        };
        self.words("suspended", suspended, true);
        self.some("sponsor", sponsor.get());
        for (name, field) in [("LEI", &lei[..]), ("BIC", &bic[..])] {
            let value = padded(field);
            let is_set = !value.is_empty();
            self.words(name, value, is_set);
        }
        let changes = *key_slot != KEY_SLOT_NONE;
        let has_key = *public_key != [0; 32];
        let key = match (changes, has_key) {
            (false, false) => "none".to_owned(),
            (false, true) => format!("none gets {}", hex::encode(public_key)),
            (true, false) => format!("{key_slot} ends"),
            (true, true) => format!("{key_slot} gets {}", hex::encode(public_key)),
        };
        self.words("key slot", key, changes || has_key);
        let from = key_valid_from.get();
        self.words("key valid from", from, from != 0);
        let (reserved_c, ledger) = (reserved_c.get().to_le_bytes(), ledger.get().to_le_bytes());
        let reserved = [&[*reserved_a][..], reserved_b, &reserved_c, &ledger].concat();
        self.bytes("reserved", &reserved);
    }

    fn key_rotate(&mut self, rotate: &KeyRotate) {
        let KeyRotate {
            id: _,
            public_key,
            proof,
            signer: _,
            expires_at: _,
            slot,
            reserved,
            kind: _,
            version: _,
            flags: _,
        } = rotate;
        self.some("key slot", (*slot).into());
        self.words("public key", hex::encode(public_key), true);
        // It says nothing to people.
        self.words("proof of possession", hex::encode(proof), false);
        self.bytes("reserved", reserved);
    }

    fn account_open(&mut self, kind: Kind, open: &AccountOpen) {
        let AccountOpen {
            id: _,
            account,
            credit_line,
            code,
            account_flags,
            field_mask,
            reserved_a,
            alias,
            signer: _,
            expires_at: _,
            ledger: _,
            kind: _,
            version: _,
            flags: _,
        } = open;
        self.account("account", account.get(), true);
        self.words("ledger", self.ledger_name(), kind == Kind::AccountOpen);
        // A field that is named is changed, also to nothing.
        let mask = field_mask.get();
        let named = |bit: u16| mask & bit != 0;
        let line = credit_line.get();
        let money = self.money(line);
        self.words("credit line", money, line != 0 || named(FIELD_CREDIT_LINE));
        let code = code.get();
        self.words("account code", code, code != 0 || named(FIELD_CODE));
        let flags = account_flags.get();
        let words = match (flags, settings(flags).join(" and ")) {
            (0, _) => "none".to_owned(),
            (_, words) if words.is_empty() => format!("{flags:#06x}"),
            (_, words) => words,
        };
        self.words("settings", words, flags != 0 || named(FIELD_FLAGS));
        let is_named = *alias != [0; 16] || named(FIELD_ALIAS);
        self.words("alias", hex::encode(alias), is_named);
        self.words("fields named", format!("{mask:#06x}"), false);
        self.words("settings as bits", format!("{flags:#06x}"), false);
        self.bytes("reserved", reserved_a);
    }

    fn limit_set(&mut self, set: &LimitSet) {
        let LimitSet {
            id: _,
            account,
            counterparty,
            reserved_a,
            limit,
            reserved_b,
            signer: _,
            expires_at: _,
            ledger: _,
            kind: _,
            version: _,
            flags: _,
        } = set;
        self.account("account", account.get(), true);
        let towards = match counterparty.get() {
            0 => "everyone".to_owned(),
            number => number.to_string(),
        };
        self.push("towards", towards, counterparty.get().into(), true);
        let most = match limit.get() {
            u64::MAX => "none".to_owned(),
            minor => self.money(minor),
        };
        self.words("limit", most, true);
        self.words("ledger", self.ledger_name(), false);
        let reserved_a = reserved_a.get().to_le_bytes();
        self.bytes("reserved", &[&reserved_a[..], reserved_b].concat());
    }

    /// What every body has, whatever its kind.
    fn header(&mut self, body: &Body) {
        let flags = body.flags();
        let linked = if flags.linked() { "yes" } else { "no" };
        self.words("linked", linked, flags.linked());
        // Whose it is, and not what is asked for.
        self.words("signer's key slot", flags.key_slot(), false);
        let others = flags.0 & !(Flags::LINKED | Flags::KEY_SLOT);
        self.words("flags", format!("{others:#06x}"), others != 0);
        self.words("version", body.version, false);
    }

    fn push(&mut self, name: &'static str, text: String, json: Value, shown: bool) {
        self.all.push(Field {
            name,
            text,
            json,
            shown,
        });
    }

    fn words(&mut self, name: &'static str, value: impl ToString, shown: bool) {
        let text = value.to_string();
        self.push(name, text.clone(), text.into(), shown);
    }

    fn account(&mut self, name: &'static str, id: u64, shown: bool) {
        self.words(name, AccountId(id), shown);
    }

    /// A number that says something in any case.
    fn some(&mut self, name: &'static str, value: u32) {
        self.push(name, value.to_string(), value.into(), true);
    }

    /// A number of which 0 says nothing.
    fn number(&mut self, name: &'static str, value: u32) {
        self.push(name, value.to_string(), value.into(), value != 0);
    }

    /// Bytes of which zeros say nothing.
    fn bytes(&mut self, name: &'static str, value: &[u8]) {
        let shown = value.iter().any(|byte| *byte != 0);
        self.words(name, hex::encode(value), shown);
    }

    fn money(&self, minor: u64) -> String {
        let currency = currency(self.number, self.ledger);
        format!("{} {currency}", amount(minor, self.ledger))
    }

    fn ledger_name(&self) -> String {
        match self.ledger {
            Some(ledger) => ledger.code.clone(),
            None => self.number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clearway_client::Draft;
    use clearway_types::amount::Amount;
    use clearway_types::units::{LedgerId, ParticipantId};
    use zerocopy::IntoBytes as _;

    use super::*;

    /// Drafts of every layout.
    fn samples() -> Vec<Body> {
        let account = |owner| AccountId::new(ParticipantId(owner), 1);
        let (from, to, eur) = (account(2), account(3), LedgerId(978));
        let drafts = [
            Draft::transfer(from, to, Amount::new(5, eur)),
            Draft::hold(from, to, Amount::new(5, eur), 60),
            Draft::post_all(TransferId([1; 16]), from, to, eur),
            Draft::void(TransferId([1; 16]), from, to, eur),
            Draft::give_back(TransferId([1; 16]), from, to, Amount::new(5, eur)),
            Draft::account_open(from, eur),
            Draft::account_set(from, eur).credit_line(7),
            Draft::limit_set(from, eur, None, 5),
            Draft::participant_set(ParticipantId(2), Role::Member, false),
            Draft::ledger_define(eur, "EUR", 2, from),
        ];
        let mut bodies = drafts.map(|draft| *draft.body()).to_vec();
        let mut rotate = bodies[0];
        rotate.kind = Kind::KeyRotate as u8;
        let mut unknown = bodies[0];
        unknown.kind = 0xee;
        bodies.extend([rotate, unknown]);
        bodies
    }

    /// Whatever byte changes of what is asked for, a field is named that has changed.
    #[test]
    fn no_byte_of_a_body_changes_without_a_field_that_says_so() {
        for body in samples() {
            // Identifier, signer and end are told apart from what is asked for.
            for place in (16..112).chain(120..128) {
                let mut other = body;
                other.as_mut_bytes()[place] ^= 2;
                assert!(
                    !differing(&body, &other).is_empty(),
                    "{body:?} at byte {place}"
                );
            }
            assert_eq!(differing(&body, &body), [""; 0]);
        }
    }

    #[test]
    fn names_are_there_once_and_no_word_of_an_answer_that_they_stand_in() {
        let taken = [
            "height", "index", "kind", "id", "signer", "code", "currency",
        ];
        for body in samples() {
            let mut keys: Vec<String> = fields(&body, &[]).iter().map(Field::key).collect();
            assert!(!keys.iter().any(|key| taken.contains(&key.as_str())));
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), count, "{body:?}");
        }
    }
}

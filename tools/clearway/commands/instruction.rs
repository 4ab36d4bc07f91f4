//! What an envelope asks for, as people and scripts read it.

use clearway_types::envelope::Body;
use clearway_types::genesis::GenesisLedger;
use clearway_types::kind::{Authority, Kind, Layout};
use clearway_types::transfer::Transfer;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::commands::content::{self, Field, fields};

/// An instruction; amounts in JSON are text.
#[derive(Serialize, Debug)]
pub(crate) struct Instruction {
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// With the decimals of its ledger, where that is one of the genesis; or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount: Option<String>,
    /// Minor units, where it is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_minor: Option<String>,
    /// The ledger's code; `minor units of ledger N` for one that is not in the genesis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) currency: Option<String>,
    /// What else it says: of a record all, of a payment what is beside who pays whom how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) what: Option<String>,
    /// What `what` says, field by field.
    #[serde(skip)]
    said: Vec<Field>,
}

impl Instruction {
    /// What this body asks for, at a cluster with these ledgers.
    pub(crate) fn of(body: &Body, ledgers: &[GenesisLedger]) -> Self {
        let kind = Kind::from_u8(body.kind);
        let money = kind.is_some_and(|kind| kind.row().layout == Layout::Transfer);
        let transfer = money.then(|| Transfer::of(body));
        // A VOID frees what is held, and names no amount.
        let moves = transfer.zip(kind.filter(|kind| *kind != Kind::Void));
        let asked = moves.map(|(transfer, kind)| content::asked(kind, transfer.amount.get()));
        let number = body.ledger.get();
        let ledger = ledgers.iter().find(|ledger| ledger.id.0 == number);
        let amount = asked.filter(|minor| ledger.is_some() || minor.is_none());
        let amount = amount.map(|minor| content::asked_text(minor, ledger));
        let mut said = fields(body, ledgers);
        said.retain(|field| field.shown);
        let words = said
            .iter()
            .map(|field| format!("{} {}", field.name, field.text));
        let words: Vec<String> = words.collect();
        Self {
            kind: kind_name(body),
            from: transfer.map(|transfer| transfer.debit().to_string()),
            to: transfer.map(|transfer| transfer.credit().to_string()),
            currency: asked.map(|_| content::currency(number, ledger)),
            amount,
            amount_minor: asked.flatten().map(|minor| minor.to_string()),
            what: (!words.is_empty()).then(|| words.join(", ")),
            said,
        }
    }

    /// On one line.
    pub(crate) fn text(&self) -> String {
        let Self {
            kind,
            currency,
            what,
            ..
        } = self;
        let sides = self.sides();
        let words = [sides.as_deref(), self.amount_text(), currency.as_deref()];
        let words = words.into_iter().flatten();
        let words: Vec<&str> = [kind.as_str()].into_iter().chain(words).collect();
        let line = words.join(" ");
        match what {
            None => line,
            Some(what) if sides.is_some() => format!("{line}, {what}"),
            Some(what) => format!("{line} {what}"),
        }
    }

    /// The amount in decimals, or in the minor units that the currency then names.
    pub(crate) fn amount_text(&self) -> Option<&str> {
        let amount = self.amount.as_ref().or(self.amount_minor.as_ref());
        amount.map(String::as_str)
    }

    /// Who pays whom.
    pub(crate) fn sides(&self) -> Option<String> {
        let (from, to) = (self.from.as_ref()?, self.to.as_ref()?);
        Some(format!("{from} -> {to}"))
    }

    /// Who pays whom and what else it says, field by field, for scripts.
    pub(crate) fn map(&self) -> Map<String, Value> {
        let sides = [("from", &self.from), ("to", &self.to)];
        let sides = sides.into_iter().filter_map(|(name, account)| {
            let account = account.clone()?;
            Some((name.to_owned(), account.into()))
        });
        let said = self.said.iter();
        let said = said.map(|field| (field.key(), field.json.clone()));
        sides.chain(said).collect()
    }
}

/// The name of a body's kind.
pub(crate) fn kind_name(body: &Body) -> String {
    match Kind::from_u8(body.kind) {
        // The names of kinds are those of the protocol.
        Some(kind) => format!("{kind:?}"),
        None => format!("kind {}", body.kind),
    }
}

/// Who signs records of this kind; an auditor signs none.
pub(crate) fn signed_by(kind: Kind) -> &'static str {
    match kind.row().authority {
        Authority::Operators => "as many operators as the genesis asks for",
        Authority::LedgerIssuer => "the issuer of the ledger",
        Authority::SponsorOrOperator => "the sponsor of the account's owner, or an operator",
        Authority::Participant => "the participant itself",
        Authority::DebitOwner => "the owner of the debited account",
        Authority::OriginalCreditOwner => "the owner of the account that the original credited",
        Authority::NamedByHold => "whom the hold names for it",
    }
}

#[cfg(test)]
mod tests {
    use clearway_client::Draft;
    use clearway_types::account::{AccountFlags, Role};
    use clearway_types::amount::Amount;
    use clearway_types::units::{AccountId, LedgerId, ParticipantId, TransferId};

    use super::*;

    const EUR: LedgerId = LedgerId(978);

    #[test]
    fn the_page_for_operators_says_who_may_sign_each_kind() {
        let page = include_str!("../../../deploy/README.md");
        for &kind in Kind::ALL {
            let row = format!("| `{kind:?}` | {} |", signed_by(kind));
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn an_instruction_names_who_pays_whom_how_much_or_what_it_changes() {
        let account = |owner| AccountId::new(ParticipantId(owner), 1);
        let (from, to) = (account(2), account(3));
        let amount = |ledger| Amount::new(1050, ledger);
        let (hold, by_signer) = (TransferId([1; 16]), ParticipantId(0));
        let rows = [
            (
                Draft::transfer(from, to, amount(EUR)),
                "Transfer 2.1 -> 3.1 10.50 EUR",
            ),
            (
                Draft::transfer(from, to, amount(LedgerId(7))),
                "Transfer 2.1 -> 3.1 1050 minor units of ledger 7",
            ),
            (
                Draft::transfer(from, to, amount(EUR)).reference(hold),
                "Transfer 2.1 -> 3.1 10.50 EUR, reference 01010101010101010101010101010101",
            ),
            (
                Draft::hold(from, to, amount(EUR), 60).hold_parties(ParticipantId(3), by_signer),
                "Hold 2.1 -> 3.1 10.50 EUR, seconds held 60, post by 3",
            ),
            (
                Draft::post(hold, from, to, amount(EUR)),
                "Post 2.1 -> 3.1 10.50 EUR, hold 01010101010101010101010101010101",
            ),
            (
                Draft::post_all(hold, from, to, EUR),
                "Post 2.1 -> 3.1 all EUR, hold 01010101010101010101010101010101",
            ),
            (
                Draft::void(hold, from, to, EUR),
                "Void 2.1 -> 3.1, hold 01010101010101010101010101010101",
            ),
            (
                Draft::account_open(from, EUR).credit_line(500),
                "AccountOpen account 2.1, ledger EUR, credit line 5.00 EUR",
            ),
            (
                Draft::account_set(from, EUR).account_flags(AccountFlags::FROZEN_DEBIT),
                "AccountSet account 2.1, settings frozen for debits",
            ),
            (
                Draft::account_set(from, EUR).account_flags(0),
                "AccountSet account 2.1, settings none",
            ),
            (
                Draft::limit_set(from, EUR, Some(ParticipantId(3)), 500),
                "LimitSet account 2.1, towards 3, limit 5.00 EUR",
            ),
            (
                Draft::limit_set(from, EUR, None, u64::MAX),
                "LimitSet account 2.1, towards everyone, limit none",
            ),
            (
                Draft::participant_set(ParticipantId(2), Role::Member, true),
                "ParticipantSet participant 2, role member, suspended yes, sponsor 0",
            ),
            (
                Draft::ledger_define(EUR, "EUR", 2, from),
                "LedgerDefine ledger 978, ledger code EUR, decimals 2, issuer 2, \
                 issuer account 2.1",
            ),
        ];
        let euro = GenesisLedger {
            id: EUR,
            code: "EUR".to_owned(),
            exponent: 2,
            issuer: ParticipantId(1),
            issuer_account: account(1),
        };
        for (draft, expected) in rows {
            let instruction = Instruction::of(draft.body(), std::slice::from_ref(&euro));
            assert_eq!(instruction.text(), expected);
        }
        // For scripts: decimals where they are known, minor units always.
        for (draft, decimals, minor) in [
            (
                Draft::transfer(from, to, amount(EUR)),
                Some("10.50"),
                Some("1050"),
            ),
            (
                Draft::transfer(from, to, amount(LedgerId(7))),
                None,
                Some("1050"),
            ),
            (Draft::post_all(hold, from, to, EUR), Some("all"), None),
            (
                Draft::post_all(hold, from, to, LedgerId(7)),
                Some("all"),
                None,
            ),
            (Draft::void(hold, from, to, EUR), None, None),
        ] {
            let instruction = Instruction::of(draft.body(), std::slice::from_ref(&euro));
            assert_eq!(instruction.amount.as_deref(), decimals, "{instruction:?}");
            assert_eq!(instruction.amount_minor.as_deref(), minor);
        }
    }
}

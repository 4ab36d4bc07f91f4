//! What an envelope asks for, as people and scripts read it.

use clearway_types::account::Role;
use clearway_types::amount::Decimal;
use clearway_types::control::{
    AccountOpen, KEY_SLOT_NONE, KeyRotate, LedgerDefine, LimitSet, ParticipantSet,
};
use clearway_types::envelope::Body;
use clearway_types::genesis::GenesisLedger;
use clearway_types::hex;
use clearway_types::kind::{Authority, Kind, Layout};
use clearway_types::transfer::{AMOUNT_REMAINING, Transfer};
use clearway_types::units::AccountId;
use serde::Serialize;

use crate::written::{show_account, text};

/// An instruction; amounts in JSON are text.
#[derive(Serialize, Debug)]
pub(crate) struct Instruction {
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// With the decimals of its ledger, where that is one of the genesis.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    /// The ledger's code, or its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// What a record says that moves no money.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
}

impl Instruction {
    /// What this body asks for, at a cluster with these ledgers.
    pub(crate) fn of(body: &Body, ledgers: &[GenesisLedger]) -> Self {
        let kind = Kind::from_u8(body.kind);
        let money = kind.is_some_and(|kind| kind.row().layout == Layout::Transfer);
        let transfer = money.then(|| Transfer::of(body));
        // A VOID frees what is held, and names no amount.
        let minor = transfer.filter(|_| kind != Some(Kind::Void));
        let minor = minor.map(|transfer| transfer.amount.get());
        let number = body.ledger.get();
        let ledger = ledgers.iter().find(|ledger| ledger.id.0 == number);
        let amount = minor.map(|minor| match (minor, ledger) {
            (AMOUNT_REMAINING, _) if kind == Some(Kind::Post) => "all".to_owned(),
            (_, None) => minor.to_string(),
            (_, Some(ledger)) => {
                let (minor, exponent) = (minor.into(), ledger.exponent);
                Decimal { minor, exponent }.to_string()
            }
        });
        let currency = || match ledger {
            Some(ledger) => ledger.code.clone(),
            None => format!("minor units of ledger {number}"),
        };
        Self {
            kind: kind_name(body),
            from: transfer.map(|transfer| show_account(transfer.debit())),
            to: transfer.map(|transfer| show_account(transfer.credit())),
            currency: amount.is_some().then(currency),
            amount,
            what: kind.filter(|_| !money).map(|kind| record(kind, body)),
        }
    }

    /// On one line.
    pub(crate) fn text(&self) -> String {
        let arrow = self.to.as_ref().map(|_| "->".to_owned());
        let Self {
            from,
            to,
            amount,
            currency,
            what,
            ..
        } = self;
        let words = [from, &arrow, to, amount, currency, what];
        let words = words.into_iter().flatten().map(String::as_str);
        let words: Vec<&str> = [self.kind.as_str()].into_iter().chain(words).collect();
        words.join(" ")
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

fn record(kind: Kind, body: &Body) -> String {
    let account = |id: u64| format!("account {}", show_account(AccountId(id)));
    match kind.row().layout {
        Layout::AccountOpen => account(AccountOpen::of(body).account.get()),
        Layout::LimitSet => account(LimitSet::of(body).account.get()),
        Layout::KeyRotate => format!("key slot {}", KeyRotate::of(body).slot),
        _ => described(body),
    }
}

/// Everything that the record says, so that a second operator knows what it approves.
pub(super) fn described(body: &Body) -> String {
    match Kind::from_u8(body.kind).map(|kind| kind.row().layout) {
        Some(Layout::ParticipantSet) => participant(ParticipantSet::of(body)),
        Some(Layout::LedgerDefine) => ledger(LedgerDefine::of(body)),
        _ => String::new(),
    }
}

fn participant(set: &ParticipantSet) -> String {
    let role = Role::from_u8(set.role).map_or("?".into(), |role| format!("{role:?}"));
    let mut words = vec![
        format!("participant {}", set.participant),
        format!("role {}", role.to_lowercase()),
        format!("suspended {}", if set.status == 0 { "no" } else { "yes" }),
        format!("sponsor {}", set.sponsor),
    ];
    for (name, field) in [("LEI", &set.lei[..]), ("BIC", &set.bic[..])] {
        let value = text(field);
        if !value.is_empty() {
            words.push(format!("{name} {value}"));
        }
    }
    if set.key_slot != KEY_SLOT_NONE {
        words.push(match set.public_key == [0; 32] {
            true => format!("the key in slot {} ends", set.key_slot),
            false => format!(
                "slot {} gets {}",
                set.key_slot,
                hex::encode(&set.public_key)
            ),
        });
    }
    words.join(", ")
}

fn ledger(define: &LedgerDefine) -> String {
    format!(
        "ledger {}, code {}, {} decimals, issuer account {}",
        define.ledger,
        text(&define.code),
        define.exponent,
        show_account(AccountId(define.issuer_account.get()))
    )
}

#[cfg(test)]
mod tests {
    use clearway_client::Draft;
    use clearway_types::amount::Amount;
    use clearway_types::units::{LedgerId, ParticipantId, TransferId};

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
        let hold = TransferId([1; 16]);
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
                Draft::post(hold, from, to, amount(EUR)),
                "Post 2.1 -> 3.1 10.50 EUR",
            ),
            (
                Draft::post_all(hold, from, to, EUR),
                "Post 2.1 -> 3.1 all EUR",
            ),
            (Draft::void(hold, from, to, EUR), "Void 2.1 -> 3.1"),
            (Draft::account_open(from, EUR), "AccountOpen account 2.1"),
            (
                Draft::participant_set(ParticipantId(2), Role::Member, true),
                "ParticipantSet participant 2, role member, suspended yes, sponsor 0",
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
    }
}

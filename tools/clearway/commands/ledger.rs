//! `clearway ledger list|define`, `clearway issue` and `clearway redeem`: currencies and the money
//! in being.

use clearway_client::Draft;
use clearway_types::amount::Decimal;
use clearway_types::genesis::ledger_code_shape;
use clearway_types::limits::EXPONENT_MAX;
use clearway_types::units::{AccountId, LedgerId};
use clearway_types::wire::roster::{LedgerView, RosterView};
use serde::Serialize;

use crate::commands::connect::Connect;
use crate::commands::roster::Known as _;
use crate::commands::send::{Order, Signed};
use crate::failure::{Failure, Kind};
use crate::notation::{parse_account, text};
use crate::ui::{self, Output};

/// Currencies and assets
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// List the ledgers, those defined later too
    List(List),
    /// Define a currency or asset (signed by operators)
    Define(Define),
}

#[derive(clap::Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Define {
    /// Number of the new ledger
    number: u32,
    /// ISO 4217 code or asset name: 1 to 8 capitals or digits
    code: String,
    /// Account that will be debited for all money in being, as owner.number; its owner issues and
    /// redeems. It is opened with the ledger
    #[arg(long, value_parser = parse_account)]
    issuer_account: AccountId,
    /// Decimal places
    #[arg(long, default_value_t = 2)]
    exponent: u8,
    #[command(flatten)]
    signed: Signed,
}

/// Money that comes into being or goes out of it.
#[derive(clap::Args, Debug)]
pub(crate) struct Supply {
    /// Account that gets the money, or that gives it back, as owner.number
    #[arg(value_parser = parse_account)]
    account: AccountId,
    /// Amount with its decimals, for example 103.55
    amount: String,
    /// Ledger number, where the cluster has several
    #[arg(long)]
    ledger: Option<u32>,
    /// Also fetch and check the proof: certificate, chain of results, Merkle path
    #[arg(long)]
    prove: bool,
    #[command(flatten)]
    signed: Signed,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(args),
        Command::Define(args) => define(args),
    }
}

/// A ledger as people and scripts see it.
#[derive(Serialize)]
struct Shown {
    id: u32,
    code: String,
    exponent: u8,
    issuer: u32,
    issuer_account: String,
    /// What members hold; for its issuer, operators and auditors.
    #[serde(skip_serializing_if = "Option::is_none")]
    supply: Option<String>,
}

/// What `ledger list` tells.
#[derive(Serialize)]
struct Listed {
    height: u64,
    ledgers: Vec<Shown>,
}

fn list(args: &List) -> Result<(), Failure> {
    let roster = args.connect.open()?.roster()?;
    let ledgers = roster.ledgers.iter().map(|known| {
        let ledger = &known.currency;
        let exponent = ledger.exponent;
        let supply = known.supply.map(|minor| Decimal { minor, exponent });
        Shown {
            id: ledger.id.0,
            code: text(&ledger.code),
            exponent,
            issuer: ledger.issuer.0,
            issuer_account: ledger.issuer_account.to_string(),
            supply: supply.map(|supply| supply.to_string()),
        }
    });
    let listed = Listed {
        height: roster.height.0,
        ledgers: ledgers.collect(),
    };
    args.output.result("ledgers", &listed, || {
        let rows = listed.ledgers.iter().map(|shown| {
            vec![
                shown.id.to_string(),
                shown.code.clone(),
                shown.exponent.to_string(),
                shown.issuer.to_string(),
                shown.issuer_account.clone(),
                shown.supply.clone().unwrap_or_else(|| "not shown".into()),
            ]
        });
        let head = [
            "id#",
            "code",
            "decimals#",
            "issuer#",
            "issuer account",
            "supply#",
        ];
        format!("as of height {}\n{}", listed.height, ui::table(&head, rows))
    })
}

fn define(args: &Define) -> Result<(), Failure> {
    if !ledger_code_shape(args.code.as_bytes()) {
        return Err(Failure::usage(format!(
            "`{}` is no ledger code: write 1 to 8 capitals or digits",
            args.code
        )));
    }
    if args.exponent > EXPONENT_MAX {
        let message = format!("--exponent is at most {EXPONENT_MAX}");
        return Err(Failure::usage(message));
    }
    args.signed.send(false, |session| {
        let roster = session.roster()?;
        let id = LedgerId(args.number);
        roster.known(args.issuer_account.owner().0)?;
        let draft = Draft::ledger_define(id, &args.code, args.exponent, args.issuer_account);
        Ok(Order::unless(draft, taken(&roster, id, &args.code)))
    })
}

/// Why a ledger cannot be defined: its number is taken, or people know another by its code.
fn taken(roster: &RosterView, id: LedgerId, code: &str) -> Option<Failure> {
    let coded = |known: &&LedgerView| text(&known.currency.code) == code;
    let (message, remedy) = match roster.ledger(id) {
        Some(_) => (
            format!("ledger {id} is defined already"),
            "choose another number",
        ),
        None => {
            let other = roster.ledgers.iter().find(coded)?.currency.id;
            (
                format!("{code} is the code of ledger {other} already"),
                "use that ledger, or choose another code",
            )
        }
    };
    Some(Failure::new(Kind::Failed, message).remedy(remedy))
}

/// ISSUE: to the account, out of the ledger's issuer account.
pub(crate) fn issue(args: &Supply) -> Result<(), Failure> {
    args.signed.send(args.prove, |session| {
        let ledger = session.ledger(args.ledger)?;
        let amount = session.amount(&args.amount, &ledger)?;
        Ok(Draft::issue(ledger.issuer_account, args.account, amount))
    })
}

/// REDEEM: from the account, into the ledger's issuer account.
pub(crate) fn redeem(args: &Supply) -> Result<(), Failure> {
    args.signed.send(args.prove, |session| {
        let ledger = session.ledger(args.ledger)?;
        let amount = session.amount(&args.amount, &ledger)?;
        Ok(Draft::redeem(args.account, ledger.issuer_account, amount))
    })
}

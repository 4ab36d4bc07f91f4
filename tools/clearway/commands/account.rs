//! `clearway account open|show|freeze|limit|follow`: accounts of a running cluster.

use clearway_client::Draft;
use clearway_types::account::{Account, AccountFlags};
use clearway_types::amount::Decimal;
use clearway_types::genesis::GenesisLedger;
use clearway_types::units::{AccountId, Height, ParticipantId};
use serde::Serialize;

use crate::commands::connect::{Connect, Session};
use crate::commands::roster::Known as _;
use crate::commands::send::Sending;
use crate::failure::{Failure, Kind};
use crate::ui::{self, Output};
use crate::written::{parse_account, show_account};

mod follow;

/// Accounts
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Open an account (signed by the owner's sponsor or an operator)
    Open(Open),
    /// Show balances and settings
    Show(Show),
    /// Freeze, unfreeze or close an account
    Freeze(Freeze),
    /// Limit what an account may pay net, a day
    Limit(LimitArgs),
    /// Print everything that touches an account, from a height on, until interrupted
    Follow(follow::Args),
}

#[derive(clap::Args, Debug)]
struct Target {
    /// Account, as owner.number
    #[arg(value_parser = parse_account)]
    account: AccountId,
    /// Ledger number, where the cluster has several
    #[arg(long)]
    ledger: Option<u32>,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Open {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    sending: Sending,
    /// How far debits may exceed credits
    #[arg(long, default_value = "0")]
    credit_line: String,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Show {
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Freeze {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    sending: Sending,
    /// What the account may still do
    #[arg(long, value_enum)]
    state: Frozen,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Frozen {
    /// Everything
    None,
    /// No new debits
    Debit,
    /// No new credits
    Credit,
    /// Neither
    Both,
    /// Nothing any more
    Closed,
}

#[derive(clap::Args, Debug)]
pub(crate) struct LimitArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    sending: Sending,
    /// Most that may be paid net in a day; without it the limit is lifted
    #[arg(long)]
    amount: Option<String>,
    /// Towards this participant only
    #[arg(long)]
    towards: Option<u32>,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Open(args) => open(args),
        Command::Show(args) => show(&args.target),
        Command::Freeze(args) => freeze(args),
        Command::Limit(args) => limit(args),
        Command::Follow(args) => follow::run(args),
    }
}

impl Target {
    fn send(
        &self,
        sending: &Sending,
        draft: impl FnOnce(&Session) -> Result<Draft, Failure>,
    ) -> Result<(), Failure> {
        sending.send(&self.connect, self.output, false, draft)
    }
}

fn open(args: &Open) -> Result<(), Failure> {
    let Target {
        account, ledger, ..
    } = args.target;
    args.target.send(&args.sending, |session| {
        let ledger = session.ledger(ledger)?;
        let credit_line = session.amount(&args.credit_line, &ledger)?.minor;
        session.roster()?.known(account.owner().0)?;
        Ok(Draft::account_open(account, ledger.id).credit_line(credit_line))
    })
}

fn freeze(args: &Freeze) -> Result<(), Failure> {
    let flags = match args.state {
        Frozen::None => 0,
        Frozen::Debit => AccountFlags::FROZEN_DEBIT,
        Frozen::Credit => AccountFlags::FROZEN_CREDIT,
        Frozen::Both => AccountFlags::FROZEN_DEBIT | AccountFlags::FROZEN_CREDIT,
        Frozen::Closed => AccountFlags::CLOSED,
    };
    args.target.send(&args.sending, |session| {
        let ledger = session.ledger(args.target.ledger)?.id;
        Ok(Draft::account_set(args.target.account, ledger).account_flags(flags))
    })
}

fn limit(args: &LimitArgs) -> Result<(), Failure> {
    args.target.send(&args.sending, |session| {
        let ledger = session.ledger(args.target.ledger)?;
        let most = match &args.amount {
            // The largest number would say "no limit".
            Some(text) => match session.amount(text, &ledger)?.minor {
                u64::MAX => return Err(Failure::usage("this --amount is as good as no limit")),
                minor => minor,
            },
            None => u64::MAX,
        };
        let towards = args.towards.map(ParticipantId);
        let account = args.target.account;
        Ok(Draft::limit_set(account, ledger.id, towards, most))
    })
}

/// An account as people and scripts see it; amounts in JSON are text.
#[derive(Serialize)]
struct View {
    id: String,
    owner: u32,
    ledger: u32,
    balance: String,
    debits_posted: String,
    credits_posted: String,
    debits_pending: String,
    credits_pending: String,
    credit_line: String,
    flags: u16,
    /// The same in words; none for an account that may do everything.
    settings: Vec<&'static str>,
    height: u64,
}

impl View {
    fn of(ledger: &GenesisLedger, account: &Account, height: Height) -> Self {
        let exponent = ledger.exponent;
        let decimal = |minor: u128| Decimal { minor, exponent }.to_string();
        let (debits, credits) = (account.debits_posted.get(), account.credits_posted.get());
        let balance = match credits.checked_sub(debits) {
            Some(minor) => decimal(minor),
            None => format!("-{}", decimal(debits - credits)),
        };
        Self {
            id: show_account(account.id()),
            owner: account.owner.get(),
            ledger: account.ledger.get(),
            balance,
            debits_posted: decimal(debits),
            credits_posted: decimal(credits),
            debits_pending: decimal(account.debits_pending.get()),
            credits_pending: decimal(account.credits_pending.get()),
            credit_line: decimal(account.credit_line.get().into()),
            flags: account.flags.get(),
            settings: settings(account.flags.get()),
            height: height.0,
        }
    }
}

/// The settings of an account that are on.
fn settings(flags: u16) -> Vec<&'static str> {
    let words = [
        (AccountFlags::ISSUER, "issuer's account"),
        (AccountFlags::FROZEN_DEBIT, "frozen for debits"),
        (AccountFlags::FROZEN_CREDIT, "frozen for credits"),
        (AccountFlags::CLOSED, "closed"),
    ];
    let on = words
        .into_iter()
        .filter(|(mask, _)| AccountFlags(flags).has(*mask));
    on.map(|(_, word)| word).collect()
}

fn show(target: &Target) -> Result<(), Failure> {
    let session = target.connect.open()?;
    let found = session.ask(async |client| client.account(target.account).await)?;
    let Some(found) = found else {
        let name = show_account(target.account);
        return Err(Failure::new(
            Kind::NotFound,
            format!("account {name} does not exist"),
        ));
    };
    let ledger = session.ledger(Some(found.account.ledger.get()))?;
    let view = View::of(&ledger, &found.account, found.height);
    target.output.result("account", &view, || {
        ui::rows([
            ("account", view.id.clone()),
            ("ledger", view.ledger.to_string()),
            ("balance", view.balance.clone()),
            ("held for debits", view.debits_pending.clone()),
            ("held for credits", view.credits_pending.clone()),
            ("credit line", view.credit_line.clone()),
            (
                "settings",
                match view.settings.is_empty() {
                    true => {
                        "none: it pays and is paid, up to a debit limit if it has one".to_owned()
                    }
                    false => view.settings.join(", "),
                },
            ),
            ("height", view.height.to_string()),
        ])
    })
}

//! `clearway account open|show|freeze|limit|follow`: accounts of a running cluster.

use clearway_client::{ClientError, Draft};
use clearway_types::account::AccountFlags;
use clearway_types::amount::Decimal;
use clearway_types::genesis::GenesisLedger;
use clearway_types::units::{AccountId, ParticipantId};
use clearway_types::wire::AnswerStatus;
use clearway_types::wire::query::{AccountView, LimitView};
use serde::Serialize;

use crate::commands::answer::Telling;
use crate::commands::confirm::{Change, Confirm};
use crate::commands::connect::{Connect, Session};
use crate::commands::content::{amount, settings};
use crate::commands::roster::Known as _;
use crate::commands::send::Order;
use crate::commands::sending::Sending;
use crate::failure::{Failure, Kind};
use crate::notation::parse_account;
use crate::ui::{self, Output};

mod follow;

/// A limit of this many minor units lifts the limit.
const NO_LIMIT: u64 = u64::MAX;

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
    /// Print everything that touches an account, from a height on, until interrupted: what was
    /// applied and names it, and what its owner was refused
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
    /// Most that may be paid net in a day
    #[arg(long, required_unless_present = "lift")]
    amount: Option<String>,
    /// Lift the limit, once that is confirmed
    #[arg(long, conflicts_with = "amount")]
    lift: bool,
    /// Towards this participant only
    #[arg(long)]
    towards: Option<u32>,
    #[command(flatten)]
    confirm: Confirm,
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
    fn send<T: Into<Order>>(
        &self,
        sending: &Sending,
        order: impl FnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<(), Failure> {
        let telling = Telling {
            prove: false,
            output: self.output,
        };
        sending.send(&self.connect, telling, order)
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
        let (account, towards) = (args.target.account, args.towards.map(ParticipantId));
        let (most, refused) = match &args.amount {
            None => (NO_LIMIT, lift(session, args, &ledger)?),
            Some(text) => match session.amount(text, &ledger)?.minor {
                NO_LIMIT => {
                    let message = "this --amount is as good as no limit: give --lift";
                    return Err(Failure::usage(message));
                }
                minor => (minor, None),
            },
        };
        let draft = Draft::limit_set(account, ledger.id, towards, most);
        Ok(Order::unless(draft, refused))
    })
}

/// Shows the limit that is to be lifted and asks; why it need not be, where there is none.
fn lift(
    session: &Session,
    args: &LimitArgs,
    ledger: &GenesisLedger,
) -> Result<Option<Failure>, Failure> {
    let account = args.target.account;
    let towards = args.towards.unwrap_or(0);
    let found = session.ask(async |client| match client.account(account).await {
        // A sponsor may lift what it is not shown.
        Err(ClientError::Status(AnswerStatus::NotAllowed)) => Ok(None),
        found => Ok(Some(found?.ok_or_else(|| unknown(account)))),
    })?;
    let limit = |found: &AccountView| {
        let mut limits = found.limits.iter();
        limits.find(|limit| limit.towards.0 == towards).copied()
    };
    let before = match &found.transpose()? {
        None => "not shown to this key".to_owned(),
        Some(found) => match limit(found) {
            Some(limit) => {
                let most = amount(limit.limit, Some(ledger));
                format!("{most} {} a day", ledger.code)
            }
            None if found.limit_count as usize > found.limits.len() => "not shown".to_owned(),
            None => {
                let message = format!("account {account} has no debit limit {}", to(towards));
                return Ok(Some(Failure::new(Kind::Failed, message)));
            }
        },
    };
    let change = Change {
        field: "debit limit",
        before,
        after: "none".to_owned(),
    };
    let what = format!("Account {account}, what it pays net {}:", to(towards));
    args.confirm.ask(&what, &[change])?;
    Ok(None)
}

/// Whom a limit is for.
fn to(towards: u32) -> String {
    match towards {
        0 => "to everyone".to_owned(),
        number => format!("to participant {number}"),
    }
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
    /// Net debit limits, by participant; at most VIEW_LIMITS_MAX.
    limits: Vec<LimitShown>,
    limit_count: u32,
    height: u64,
}

/// A net debit limit as people and scripts see it.
#[derive(Serialize)]
struct LimitShown {
    /// 0 for everyone.
    towards: u32,
    /// A day.
    limit: String,
    /// On the day of the height; on the day on which the limit was made, since then.
    paid_net: String,
}

impl LimitShown {
    fn of(limit: &LimitView, ledger: &GenesisLedger) -> Self {
        Self {
            towards: limit.towards.0,
            limit: amount(limit.limit, Some(ledger)),
            paid_net: signed(limit.net.is_negative(), limit.net.unsigned_abs(), ledger),
        }
    }

    fn text(&self) -> String {
        let Self {
            limit, paid_net, ..
        } = self;
        format!(
            "{limit} a day {}, {paid_net} paid net today (on its first day: since it was set)",
            to(self.towards)
        )
    }
}

fn signed(negative: bool, minor: u128, ledger: &GenesisLedger) -> String {
    let exponent = ledger.exponent;
    let sign = if negative { "-" } else { "" };
    format!("{sign}{}", Decimal { minor, exponent })
}

impl View {
    fn of(ledger: &GenesisLedger, found: &AccountView) -> Self {
        let account = &found.account;
        let decimal = |minor: u128| signed(false, minor, ledger);
        let (debits, credits) = (account.debits_posted.get(), account.credits_posted.get());
        let balance = signed(debits > credits, credits.abs_diff(debits), ledger);
        let limits = found.limits.iter();
        Self {
            id: account.id().to_string(),
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
            limits: limits.map(|limit| LimitShown::of(limit, ledger)).collect(),
            limit_count: found.limit_count,
            height: found.height.0,
        }
    }
}

impl Target {
    /// The account and its ledger, which is the one that was asked for.
    fn find(&self, session: &Session) -> Result<(AccountView, GenesisLedger), Failure> {
        let account = self.account;
        let found = session.ask(async |client| client.account(account).await)?;
        let found = found.ok_or_else(|| unknown(account))?;
        let kept_in = found.account.ledger.get();
        if let Some(asked) = self.ledger.filter(|asked| *asked != kept_in) {
            let message =
                format!("account {account} is kept in ledger {kept_in}, and not in {asked}");
            return Err(Failure::new(Kind::NotFound, message));
        }
        let ledger = session.ledger(Some(kept_in))?;
        Ok((found, ledger))
    }
}

fn show(target: &Target) -> Result<(), Failure> {
    let session = target.connect.open()?;
    let (found, ledger) = target.find(&session)?;
    let view = View::of(&ledger, &found);
    target.output.result("account", &view, || shown(&view))
}

fn unknown(account: AccountId) -> Failure {
    let message = format!("account {account} does not exist");
    Failure::new(Kind::NotFound, message)
}

fn shown(view: &View) -> String {
    let settings = match view.settings.is_empty() {
        true => "none: it pays and is paid, up to a debit limit if it has one".to_owned(),
        false => view.settings.join(", "),
    };
    let mut rows = vec![
        ("account", view.id.clone()),
        ("ledger", view.ledger.to_string()),
        ("balance", view.balance.clone()),
        ("held for debits", view.debits_pending.clone()),
        ("held for credits", view.credits_pending.clone()),
        ("credit line", view.credit_line.clone()),
        ("settings", settings),
    ];
    if view.limits.is_empty() {
        rows.push(("debit limit", "none".to_owned()));
    }
    rows.extend(
        view.limits
            .iter()
            .map(|limit| ("debit limit", limit.text())),
    );
    let more = view.limit_count as usize - view.limits.len();
    if more > 0 {
        rows.push(("debit limits", format!("and {more} more")));
    }
    rows.push(("height", view.height.to_string()));
    ui::rows(rows)
}

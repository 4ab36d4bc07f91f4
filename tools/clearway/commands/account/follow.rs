//! `clearway account follow`: everything that touches an account, line by line, in its currency.

use std::collections::BTreeMap;

use clearway_client::{Client, ClientError};
use clearway_types::amount::Decimal;
use clearway_types::control::{AccountOpen, LedgerDefine, LimitSet};
use clearway_types::envelope::Envelope;
use clearway_types::genesis::GenesisLedger;
use clearway_types::kind::{Kind, Layout};
use clearway_types::transfer::{AMOUNT_REMAINING, Transfer};
use clearway_types::units::{AccountId, Height, ParticipantId, TransferId};
use clearway_types::wire::query::FollowItem;
use serde::Serialize;

use super::Target;
use crate::cli::show_account;
use crate::commands::connect::client_failure;
use crate::failure::{Failure, Kind as Fault};
use crate::ui;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// First height
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Last height: stop when it is complete, instead of waiting for more
    #[arg(long)]
    to: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.to.is_some_and(|to| to < args.from) {
        return Err(Failure::usage("--to lies before --from"));
    }
    let session = args.target.connect.open()?;
    let account = args.target.account;
    let found = session.ask(async |client| client.account(account).await)?;
    let found = found.ok_or_else(|| {
        let message = format!("account {} does not exist", show_account(account));
        Failure::new(Fault::NotFound, message)
    })?;
    let ledger = session.ledger(Some(found.account.ledger.get()))?;
    let (json, to) = (args.target.output.json, args.to.unwrap_or(u64::MAX));
    session.drive(async |client| {
        let mut feed = client.follow(account, Height(args.from));
        let mut holds = Holds::default();
        loop {
            let item = feed.next().await.map_err(client_failure)?;
            match &item {
                FollowItem::Through { height } if height.0 >= to => return Ok(()),
                FollowItem::Through { .. } => continue,
                FollowItem::Entry { height, .. } | FollowItem::HoldExpired { height, .. }
                    if height.0 > to =>
                {
                    return Ok(());
                }
                _ => {}
            }
            let moved = holds.moved(client, &item).await.map_err(client_failure)?;
            let line = Line::of(&item, &ledger, moved);
            let text = match json {
                true => serde_json::to_string(&line)?,
                false => line.text(),
            };
            ui::say(&text)?;
        }
    })
}

/// Amounts of holds: a POST of all and a VOID do not say how much they settle or free.
#[derive(Default)]
struct Holds(BTreeMap<(ParticipantId, TransferId), u64>);

impl Holds {
    /// Minor units that an item moves, sets aside or frees; `None` for what has no amount.
    async fn moved(
        &mut self,
        client: &Client,
        item: &FollowItem,
    ) -> Result<Option<u64>, ClientError> {
        let (envelope, outcome) = match item {
            FollowItem::HoldExpired { amount, .. } => return Ok(Some(*amount)),
            FollowItem::Entry {
                envelope, outcome, ..
            } => (envelope, outcome),
            _ => return Ok(None),
        };
        let body = &envelope.body;
        let Some(kind) = Kind::from_u8(body.kind) else {
            return Ok(None);
        };
        if kind.row().layout != Layout::Transfer {
            return Ok(None);
        }
        let transfer = Transfer::of(body);
        let amount = transfer.amount.get();
        if kind == Kind::Hold {
            self.0.insert((body.signer(), body.id), amount);
        }
        let all = kind == Kind::Post && amount == AMOUNT_REMAINING;
        if !(all || kind == Kind::Void) {
            return Ok(Some(amount));
        }
        if !outcome.code.applied() {
            return Ok(None);
        }
        let hold = (transfer.debit().owner(), transfer.reference_id());
        if let Some(amount) = self.0.get(&hold) {
            return Ok(Some(*amount));
        }
        // Made before the feed began: the node has the HOLD itself.
        let proof = client.proof(hold.0, hold.1).await?;
        let amount = proof.map(|proof| Transfer::of(&proof.envelope.body).amount.get());
        self.0.extend(amount.map(|amount| (hold, amount)));
        Ok(amount)
    }
}

/// One thing that touched the account; amounts in JSON are text.
#[derive(Serialize)]
struct Line {
    height: u64,
    index: u32,
    kind: String,
    id: String,
    signer: u32,
    /// What it did, by the kind.
    #[serde(flatten)]
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_minor: Option<String>,
    currency: String,
    code: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What {
    Money {
        from: String,
        to: String,
    },
    Expired {
        expired_hold_of: u32,
    },
    Limit {
        account: String,
        /// 0 for everyone.
        towards: u32,
        /// `none` when it is lifted.
        limit: String,
    },
    Account {
        account: String,
    },
}

impl Line {
    fn of(item: &FollowItem, ledger: &GenesisLedger, moved: Option<u64>) -> Self {
        let mut line = Self {
            height: 0,
            index: 0,
            kind: String::new(),
            id: String::new(),
            signer: 0,
            what: What::Account {
                account: String::new(),
            },
            amount: moved.map(|minor| decimal(minor, ledger)),
            amount_minor: moved.map(|minor| minor.to_string()),
            currency: ledger.code.clone(),
            code: String::new(),
        };
        match item {
            FollowItem::Entry {
                height,
                index,
                outcome,
                envelope,
            } => {
                let body = &envelope.body;
                (line.height, line.index) = (height.0, *index);
                line.kind = Kind::from_u8(body.kind).map_or("unknown".into(), |k| format!("{k:?}"));
                (line.id, line.signer) = (body.id.to_string(), body.signer().0);
                line.what = what(envelope, ledger);
                line.code = outcome.code.to_string();
                let foreign = body.ledger.get() != ledger.id.0;
                if foreign && line.amount.take().is_some() {
                    line.currency = format!("minor units of ledger {}", body.ledger);
                    line.amount.clone_from(&line.amount_minor);
                }
            }
            FollowItem::HoldExpired {
                height,
                index,
                signer,
                id,
                ..
            } => {
                (line.height, line.index) = (height.0, *index);
                line.kind = "HoldExpired".into();
                (line.id, line.signer) = (id.to_string(), signer.0);
                line.what = What::Expired {
                    expired_hold_of: signer.0,
                };
                line.code = "Expired".into();
            }
            _ => unreachable!("marks are no lines"),
        }
        line
    }

    fn text(&self) -> String {
        let amount = self.amount.as_deref();
        let amount = amount.map(|amount| format!(" {amount} {}", self.currency));
        let amount = amount.unwrap_or_default();
        let what = match &self.what {
            What::Money { from, to } => format!("{from} -> {to}{amount}"),
            What::Expired { expired_hold_of } => {
                format!("hold of {expired_hold_of} expired,{amount} freed")
            }
            What::Limit {
                account,
                towards: 0,
                limit,
            } => format!("{account} a day to everyone: {limit}"),
            What::Limit {
                account,
                towards,
                limit,
            } => format!("{account} a day to {towards}: {limit}"),
            What::Account { account } => account.clone(),
        };
        let Self {
            height,
            index,
            kind,
            id,
            code,
            ..
        } = self;
        format!("{height}/{index} {kind} {id} {what} {code}")
    }
}

fn what(envelope: &Envelope, ledger: &GenesisLedger) -> What {
    let body = &envelope.body;
    let account = |id: u64| show_account(AccountId(id));
    match Kind::from_u8(body.kind).map(|kind| kind.row().layout) {
        Some(Layout::Transfer) => {
            let transfer = Transfer::of(body);
            What::Money {
                from: show_account(transfer.debit()),
                to: show_account(transfer.credit()),
            }
        }
        Some(Layout::LimitSet) => {
            let set = LimitSet::of(body);
            What::Limit {
                account: account(set.account.get()),
                towards: set.counterparty.get(),
                limit: match set.limit.get() {
                    u64::MAX => "none".to_owned(),
                    minor => format!("{} {}", decimal(minor, ledger), ledger.code),
                },
            }
        }
        Some(Layout::LedgerDefine) => What::Account {
            account: account(LedgerDefine::of(body).issuer_account.get()),
        },
        _ => What::Account {
            account: account(AccountOpen::of(body).account.get()),
        },
    }
}

fn decimal(minor: u64, ledger: &GenesisLedger) -> String {
    let (minor, exponent) = (minor.into(), ledger.exponent);
    Decimal { minor, exponent }.to_string()
}

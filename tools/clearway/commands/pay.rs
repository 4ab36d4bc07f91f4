//! `clearway pay|hold|post|void|return`: one signed money instruction to a running node.

use clearway_client::Draft;
use clearway_types::amount::Amount;
use clearway_types::limits::RETURN_WINDOW_S_DEFAULT;
use clearway_types::transfer::AMOUNT_REMAINING;
use clearway_types::units::{AccountId, ParticipantId, TransferId};

use crate::commands::connect::Session;
use crate::commands::send::Signed;
use crate::failure::Failure;
use crate::notation::{parse_account, parse_id};

/// What all five have in common.
#[derive(clap::Args, Debug)]
struct Common {
    /// Ledger number, where the cluster has several
    #[arg(long)]
    ledger: Option<u32>,
    /// Also fetch and check the proof: certificate, chain of results, Merkle path
    #[arg(long)]
    prove: bool,
    #[command(flatten)]
    signed: Signed,
}

/// Both ends of a payment.
#[derive(clap::Args, Clone, Copy, Debug)]
struct Ends {
    /// Account that pays, as owner.number
    #[arg(value_parser = parse_account)]
    from: AccountId,
    /// Account that is paid
    #[arg(value_parser = parse_account)]
    to: AccountId,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Pay {
    #[command(flatten)]
    ends: Ends,
    /// Amount with its decimals, for example 103.55
    amount: String,
    /// Identifier of an earlier payment that this one refers to
    #[arg(long, value_parser = parse_id)]
    reference: Option<TransferId>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Hold {
    #[command(flatten)]
    ends: Ends,
    /// Amount to reserve
    amount: String,
    /// Seconds of cluster time after which the hold ends by itself
    #[arg(long, default_value_t = 3600)]
    hold_s: u32,
    /// Participant who may post; the signer without it
    #[arg(long, default_value_t = 0)]
    post_by: u32,
    /// Participant who may void; the signer without it
    #[arg(long, default_value_t = 0)]
    void_by: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Post {
    /// Identifier of the hold
    #[arg(value_parser = parse_id)]
    hold: TransferId,
    #[command(flatten)]
    ends: Ends,
    /// Amount to settle; all that is held without it
    amount: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Void {
    /// Identifier of the hold
    #[arg(value_parser = parse_id)]
    hold: TransferId,
    #[command(flatten)]
    ends: Ends,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Return {
    /// Identifier of the payment that is given back
    #[arg(value_parser = parse_id)]
    original: TransferId,
    #[command(flatten)]
    ends: Ends,
    /// Amount to give back
    amount: String,
    #[command(flatten)]
    common: Common,
}

impl Common {
    /// Connects, makes the draft, sends it.
    fn send(&self, draft: impl FnOnce(&Session) -> Result<Draft, Failure>) -> Result<(), Failure> {
        self.signed.send(self.prove, draft)
    }

    fn amount(&self, session: &Session, text: &str) -> Result<Amount, Failure> {
        session.amount(text, session.ledger(self.ledger)?)
    }
}

pub(crate) fn pay(args: &Pay) -> Result<(), Failure> {
    args.common.send(|session| {
        let amount = args.common.amount(session, &args.amount)?;
        let draft = Draft::transfer(args.ends.from, args.ends.to, amount);
        Ok(match args.reference {
            Some(reference) => draft.reference(reference),
            None => draft,
        })
    })
}

pub(crate) fn hold(args: &Hold) -> Result<(), Failure> {
    args.common.send(|session| {
        let amount = args.common.amount(session, &args.amount)?;
        let draft = Draft::hold(args.ends.from, args.ends.to, amount, args.hold_s);
        Ok(draft.hold_parties(ParticipantId(args.post_by), ParticipantId(args.void_by)))
    })
}

pub(crate) fn post(args: &Post) -> Result<(), Failure> {
    args.common.send(|session| {
        let ledger = session.ledger(args.common.ledger)?;
        Ok(match &args.amount {
            Some(text) => {
                let amount = session.amount(text, ledger)?;
                if amount.minor == AMOUNT_REMAINING {
                    let message = "on the wire this amount means all that is held: leave it out \
                                   to settle all";
                    return Err(Failure::usage(message));
                }
                Draft::post(args.hold, args.ends.from, args.ends.to, amount)
            }
            None => Draft::post_all(args.hold, args.ends.from, args.ends.to, ledger.id),
        })
    })
}

pub(crate) fn void(args: &Void) -> Result<(), Failure> {
    args.common.send(|session| {
        let ledger = session.ledger(args.common.ledger)?.id;
        let Ends { from, to } = args.ends;
        Ok(Draft::void(args.hold, from, to, ledger))
    })
}

pub(crate) fn give_back(args: &Return) -> Result<(), Failure> {
    args.common.send(|session| {
        let amount = args.common.amount(session, &args.amount)?;
        let Ends { from, to } = args.ends;
        Ok(Draft::give_back(args.original, from, to, amount))
    })
}

/// What the list of commands says of `return`.
pub(crate) fn about_return() -> String {
    format!(
        "Give back all or part of a payment received, within the return window: \
         {RETURN_WINDOW_S_DEFAULT} s of cluster time after it settled, where the genesis says \
         nothing else; later, `pay --reference` does it"
    )
}

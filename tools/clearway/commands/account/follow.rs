//! `clearway account follow`: everything that touches an account, line by line, in its currency.

use std::collections::BTreeMap;

use clearway_client::{Client, ClientError};
use clearway_types::event::Event;
use clearway_types::genesis::GenesisLedger;
use clearway_types::kind::{Kind, Layout};
use clearway_types::transfer::{AMOUNT_REMAINING, Transfer};
use clearway_types::units::{Height, ParticipantId, TransferId};
use clearway_types::wire::AnswerStatus;
use clearway_types::wire::query::{FollowItem, Lookup};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Target;
use crate::commands::connect::client_failure;
use crate::commands::content;
use crate::commands::instruction::Instruction;
use crate::failure::Failure;
use crate::{signals, streams, ui};

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
    let (_, ledger) = args.target.find(&session)?;
    let notice = signals::notice()?;
    let signal = session.drive(async |client| {
        tokio::select! {
            told = tell(client, args, &ledger) => told.map(|()| None),
            signal = notice => Ok(signal.ok()),
            // Who reads the lines has seen enough, also of an account that is quiet now.
            () = streams::until_reader_gone() => Ok(None),
        }
    });
    // Closes the connection, which the node would miss only after a while.
    drop(session);
    match signal? {
        Some(kind) => signals::end(kind),
        None => Ok(()),
    }
}

/// Tells item after item, up to the last height that is asked for.
async fn tell(client: &Client, args: &Args, ledger: &GenesisLedger) -> Result<(), Failure> {
    let (json, to) = (args.target.output.json, args.to.unwrap_or(u64::MAX));
    let mut feed = client.follow(args.target.account, Height(args.from));
    let mut holds = Holds::default();
    loop {
        let item = feed.next().await.map_err(client_failure)?;
        match &item {
            FollowItem::Through { height } if height.0 >= to => return Ok(()),
            FollowItem::Through { .. } => continue,
            FollowItem::Entry { height, .. } | FollowItem::Event { height, .. }
                if height.0 > to =>
            {
                return Ok(());
            }
            _ => {}
        }
        let moved = holds.moved(client, &item).await.map_err(client_failure)?;
        let line = Line::of(&item, ledger, moved);
        let text = match json {
            true => ui::to_json("account-entry", &line)?,
            false => line.text(),
        };
        ui::say(&text)?;
    }
}

/// Amounts of the holds that live: a POST of all and a VOID do not say how much they settle or
/// free. One that has ended is not asked about again, so a feed may run for years.
#[derive(Default)]
struct Holds(BTreeMap<(ParticipantId, TransferId), u64>);

/// What an item moves, sets aside or frees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moved {
    /// Nothing, or what has no amount.
    Nothing,
    /// Minor units.
    Minor(u64),
    /// As much as this hold, which was made before the feed began.
    Hold(Lookup),
}

impl Holds {
    /// Minor units that an item moves, sets aside or frees; `None` for what has no amount.
    async fn moved(
        &mut self,
        client: &Client,
        item: &FollowItem,
    ) -> Result<Option<u64>, ClientError> {
        let hold = match self.take_in(item) {
            Moved::Nothing => return Ok(None),
            Moved::Minor(minor) => return Ok(Some(minor)),
            Moved::Hold(hold) => hold,
        };
        // The node has the HOLD itself. A feed waits for what comes as long as it takes.
        let proof = loop {
            match client.proof_when_ready(hold).await {
                Err(ClientError::Status(AnswerStatus::NotReady)) => {}
                proof => break proof?,
            }
        };
        Ok(proof.map(|proof| Transfer::of(&proof.envelope.body).amount.get()))
    }

    /// Notes a hold that begins or ends.
    fn take_in(&mut self, item: &FollowItem) -> Moved {
        let (envelope, outcome) = match item {
            FollowItem::Event {
                event: Event::HoldExpired(hold),
                ..
            } => {
                self.0.remove(&(hold.signer, hold.id));
                return Moved::Minor(hold.amount);
            }
            FollowItem::Entry {
                envelope, outcome, ..
            } => (envelope, outcome),
            FollowItem::Through { .. } | FollowItem::Broken { .. } => return Moved::Nothing,
        };
        let body = &envelope.body;
        let kind = Kind::from_u8(body.kind).filter(|kind| kind.row().layout == Layout::Transfer);
        let Some(kind) = kind else {
            return Moved::Nothing;
        };
        let transfer = Transfer::of(body);
        let amount = transfer.amount.get();
        let all = amount == AMOUNT_REMAINING;
        // A further copy changes nothing, and may come after the hold has ended.
        let applied = outcome.code.applied() && !outcome.duplicate();
        if kind == Kind::Hold && applied {
            self.0.insert((body.signer(), body.id), amount);
        }
        if !matches!(kind, Kind::Post | Kind::Void) {
            return Moved::Minor(amount);
        }
        let (signer, id) = (transfer.debit().owner(), transfer.reference_id());
        let held = match applied {
            true => self.0.remove(&(signer, id)),
            false => None,
        };
        match (kind, held) {
            (Kind::Post, _) if !all => Moved::Minor(amount),
            _ if !outcome.code.applied() => Moved::Nothing,
            (_, Some(amount)) => Moved::Minor(amount),
            (_, None) => Moved::Hold(Lookup { signer, id }),
        }
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
    /// What it says beside its amount, by the kind.
    #[serde(flatten)]
    fields: Map<String, Value>,
    /// The same for people.
    #[serde(skip)]
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_minor: Option<String>,
    currency: String,
    code: String,
}

impl Line {
    fn of(item: &FollowItem, ledger: &GenesisLedger, moved: Option<u64>) -> Self {
        let mut line = Self {
            height: 0,
            index: 0,
            kind: String::new(),
            id: String::new(),
            signer: 0,
            fields: Map::new(),
            what: String::new(),
            amount: moved.map(|minor| content::amount(minor, Some(ledger))),
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
                (line.id, line.signer) = (body.id.to_string(), body.signer().0);
                line.code = outcome.code.to_string();
                let foreign = body.ledger.get() != ledger.id.0;
                // Its decimals are not known here.
                if foreign && line.amount.take().is_some() {
                    line.currency = content::currency(body.ledger.get(), None);
                }
                let instruction = Instruction::of(body, std::slice::from_ref(ledger));
                line.what = line.told(&instruction);
                (line.fields, line.kind) = (instruction.map(), instruction.kind);
            }
            FollowItem::Event {
                height,
                index,
                event,
            } => {
                (line.height, line.index) = (height.0, *index);
                line.kind = event.name().into();
                match event {
                    Event::HoldExpired(hold) => {
                        (line.id, line.signer) = (hold.id.to_string(), hold.signer.0);
                        let signer = hold.signer.0;
                        line.fields = Map::from_iter([("expired_hold_of".into(), signer.into())]);
                        let amount = line.amount_text();
                        line.what = format!("hold of {signer} expired,{amount} freed");
                        line.code = "Expired".into();
                    }
                }
            }
            FollowItem::Through { .. } | FollowItem::Broken { .. } => {
                unreachable!("marks are no lines")
            }
        }
        line
    }

    /// The amount that was moved with a blank before it, if there is one.
    fn amount_text(&self) -> String {
        let amount = self.amount.as_ref().or(self.amount_minor.as_ref());
        let amount = amount.map(|amount| format!(" {amount} {}", self.currency));
        amount.unwrap_or_default()
    }

    /// Who pays whom how much, and what else an instruction says.
    fn told(&self, instruction: &Instruction) -> String {
        let amount = self.amount_text();
        let sides = instruction.sides().map(|sides| format!("{sides}{amount}"));
        let words = [sides, instruction.what.clone()];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn text(&self) -> String {
        let Self {
            height,
            index,
            kind,
            id,
            what,
            code,
            ..
        } = self;
        format!("{height}/{index} {kind} {id} {what} {code}")
    }
}

#[cfg(test)]
mod tests {
    use clearway_client::Draft;
    use clearway_types::amount::Amount;
    use clearway_types::code::{Outcome, ResultCode};
    use clearway_types::envelope::Envelope;
    use clearway_types::event::HoldExpired;
    use clearway_types::units::{AccountId, LedgerId};

    use super::*;

    const EUR: LedgerId = LedgerId(978);

    fn account(owner: u32) -> AccountId {
        AccountId::new(ParticipantId(owner), 1)
    }

    /// An executed draft of member 2 with this number as its identifier.
    fn entry(number: u8, draft: Draft, outcome: Outcome) -> FollowItem {
        let mut body = *draft.body();
        body.id = TransferId([number; 16]);
        body.signer = 2.into();
        FollowItem::Entry {
            height: Height(1),
            index: 0,
            outcome,
            envelope: Envelope {
                body,
                signature: [0; 64],
            },
        }
    }

    fn hold(number: u8, outcome: Outcome) -> FollowItem {
        let amount = Amount::new(50, EUR);
        entry(
            number,
            Draft::hold(account(2), account(3), amount, 60),
            outcome,
        )
    }

    #[test]
    fn a_hold_is_kept_while_it_lives_and_no_longer() {
        let settled = Outcome::new(ResultCode::Settled);
        let poor = Outcome::new(ResultCode::InsufficientFunds);
        let again = Outcome::duplicate_of(ResultCode::Settled);
        let id = |number| TransferId([number; 16]);
        let post = |minor| {
            let amount = Amount::new(minor, EUR);
            Draft::post(id(1), account(2), account(3), amount)
        };
        let post_all = || Draft::post_all(id(1), account(2), account(3), EUR);
        let void = || Draft::void(id(1), account(2), account(3), EUR);
        let expired = FollowItem::Event {
            height: Height(2),
            index: 0,
            event: Event::HoldExpired(HoldExpired {
                signer: ParticipantId(2),
                id: id(1),
                debit: account(2),
                credit: account(3),
                ledger: EUR,
                amount: 50,
            }),
        };
        let before = Moved::Hold(Lookup {
            signer: ParticipantId(2),
            id: id(1),
        });
        // What comes after a hold, what it moves, and whether the hold lives on.
        let rows = [
            (entry(9, post(20), settled), Moved::Minor(20), false),
            (entry(9, post_all(), settled), Moved::Minor(50), false),
            (entry(9, void(), settled), Moved::Minor(50), false),
            (expired, Moved::Minor(50), false),
            (entry(9, post(99), poor), Moved::Minor(99), true),
            (entry(9, post_all(), poor), Moved::Nothing, true),
            (entry(9, void(), poor), Moved::Nothing, true),
            (hold(1, again), Moved::Minor(50), true),
        ];
        for (item, moved, lives) in rows {
            let mut holds = Holds::default();
            assert_eq!(holds.take_in(&hold(1, settled)), Moved::Minor(50));
            assert_eq!(holds.take_in(&item), moved, "{item:?}");
            assert_eq!(holds.0.len(), usize::from(lives), "{item:?}");
        }
        // One that was refused or repeated is none, and one of before the feed is asked for.
        let mut holds = Holds::default();
        for outcome in [poor, again] {
            assert_eq!(holds.take_in(&hold(1, outcome)), Moved::Minor(50));
        }
        for draft in [post_all(), void()] {
            for outcome in [settled, again] {
                assert_eq!(holds.take_in(&entry(9, draft, outcome)), before);
            }
        }
        assert!(holds.0.is_empty());
    }
}

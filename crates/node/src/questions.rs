//! Answers to members' questions, from the log and the ledger.

use std::sync::Arc;
use std::time::Duration;

use clearway_execute::{ExecuteMetrics, Ledger};
use clearway_flow::{Latest, LinkSender};
use clearway_ingest::{Asker, FollowPage, QueryError, QueryService};
use clearway_order::Clock;
use clearway_store::Reader;
use clearway_types::account::Role;
use clearway_types::directory::KeyDirectory;
use clearway_types::genesis::Genesis;
use clearway_types::units::{AccountId, Digest, Height, ParticipantId};
use clearway_types::wire::proof::SettlementProof;
use clearway_types::wire::query::{
    AccountView, FollowRequest, Found, LimitView, Lookup, StatusView, VIEW_LIMITS_MAX,
};
use clearway_types::wire::roster::RosterView;

use crate::feed;
use crate::log_index::LogIndex;
use crate::lookups::{Lookups, Place};
use crate::query::{LedgerQuery, ask};
use crate::roster::Roster;
use crate::touches::accounts;

/// How long an answer about the ledger waits for its state to be durable, before it is `NotReady`.
const DURABLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The node's side of [`QueryService`].
pub(crate) struct Questions {
    pub(crate) genesis: Digest,
    pub(crate) reader: Reader,
    pub(crate) index: Arc<LogIndex>,
    pub(crate) ledger: LinkSender<LedgerQuery>,
    pub(crate) directory: Arc<Latest<KeyDirectory>>,
    pub(crate) execute: Arc<ExecuteMetrics>,
    pub(crate) clock: Clock,
}

impl Questions {
    pub(crate) fn new(
        genesis: &Genesis,
        reader: &Reader,
        index: &Arc<LogIndex>,
        (ledger, clock): (&LinkSender<LedgerQuery>, &Clock),
        (directory, execute): (&Arc<Latest<KeyDirectory>>, &Arc<ExecuteMetrics>),
    ) -> Self {
        Self {
            genesis: genesis.hash(),
            reader: reader.clone(),
            index: Arc::clone(index),
            ledger: ledger.clone(),
            directory: Arc::clone(directory),
            execute: Arc::clone(execute),
            clock: Arc::clone(clock),
        }
    }

    /// Asks the ledger, and keeps its answer back until the height that it speaks of is durable:
    /// what a power cut could take back is told to nobody.
    fn ask_durable<R: Send + 'static>(
        &self,
        asker: &Asker,
        question: impl FnOnce(&mut Ledger) -> R + Send + 'static,
    ) -> Result<(Height, R), QueryError> {
        let asked = ask(&self.ledger, move |ledger| {
            (ledger.height(), question(ledger))
        });
        let (height, answer) = asked.ok_or(QueryError::Failed)?;
        let wanted = || !asker.is_gone();
        match self.index.wait_durable(height, DURABLE_TIMEOUT, &wanted) {
            true => Ok((height, answer)),
            false => Err(QueryError::NotReady),
        }
    }

    fn lookups<'a>(&'a self, asker: &'a Asker) -> Lookups<'a> {
        Lookups::new(&self.reader, &self.index, asker)
    }

    /// Both sides see a payment, operators and auditors see everything. Their role is asked for
    /// before any batch is read, and each batch is read once.
    fn check_sight(
        &self,
        lookups: &mut Lookups<'_>,
        asker: &Asker,
        places: &[(ParticipantId, Option<Place>)],
    ) -> Result<(), QueryError> {
        let others = places.iter().filter(|(signer, _)| *signer != asker.member);
        let mut others: Vec<Place> = others.filter_map(|(_, place)| *place).collect();
        if others.is_empty() || self.oversees(asker.member)? {
            return Ok(());
        }
        others.sort_unstable_by_key(Place::location);
        for place in &others {
            let envelope = lookups.envelope(place)?;
            let sides = accounts(&envelope.body);
            if !sides.iter().flatten().any(|id| id.owner() == asker.member) {
                return Err(QueryError::NotAllowed);
            }
        }
        Ok(())
    }

    fn oversees(&self, asker: ParticipantId) -> Result<bool, QueryError> {
        let role = move |ledger: &mut Ledger| {
            ledger
                .participant(asker)
                .map(|participant| participant.role)
        };
        let role = ask(&self.ledger, role).ok_or(QueryError::Failed)?;
        Ok(matches!(role, Some(Role::Operator | Role::Auditor)))
    }
}

impl QueryService for Questions {
    fn lookup(&self, asker: &Asker, names: &[Lookup]) -> Result<Vec<Option<Found>>, QueryError> {
        let mut lookups = self.lookups(asker);
        let places = lookups.places(names)?;
        let signers = names.iter().map(|name| name.signer);
        let of_signers: Vec<_> = signers.zip(places.iter().copied()).collect();
        self.check_sight(&mut lookups, asker, &of_signers)?;
        let found = |place: &Option<Place>| place.as_ref().map(Place::found);
        Ok(places.iter().map(found).collect())
    }

    fn proof(&self, asker: &Asker, name: Lookup) -> Result<SettlementProof, QueryError> {
        let mut lookups = self.lookups(asker);
        let place = lookups.places(&[name])?[0].ok_or(QueryError::NotFound)?;
        self.check_sight(&mut lookups, asker, &[(name.signer, Some(place))])?;
        lookups.prove(&place, self.genesis)
    }

    fn account(&self, asker: &Asker, id: AccountId) -> Result<AccountView, QueryError> {
        if id.owner() != asker.member && !self.oversees(asker.member)? {
            return Err(QueryError::NotAllowed);
        }
        let question = move |ledger: &mut Ledger| (ledger.account(id).copied(), limits(ledger, id));
        let (height, (account, (limit_count, limits))) = self.ask_durable(asker, question)?;
        Ok(AccountView {
            height,
            account: account.ok_or(QueryError::NotFound)?,
            limit_count,
            limits,
        })
    }

    fn follow(
        &self,
        asker: &Asker,
        request: FollowRequest,
        items_max: usize,
    ) -> Result<FollowPage, QueryError> {
        if request.account.owner() != asker.member && !self.oversees(asker.member)? {
            return Err(QueryError::NotAllowed);
        }
        feed::page(&self.index, asker, request, items_max)
    }

    fn roster(&self, asker: &Asker, first: ParticipantId) -> Result<RosterView, QueryError> {
        let member = asker.member;
        let roster = move |ledger: &mut Ledger| Roster::of(ledger, member, first);
        let (_, roster) = self.ask_durable(asker, roster)?;
        Ok(roster.page(first))
    }

    fn status(&self) -> Result<StatusView, QueryError> {
        let tip = self.index.tip();
        let executed = Height(self.execute.height.value()).max(tip.height);
        Ok(StatusView {
            genesis: self.genesis,
            height: tip.height,
            exec_head: tip.exec_head,
            time: tip.time,
            clock: (self.clock)().time,
            executed,
            directory_height: self.directory.load().height,
        })
    }
}

/// How many net debit limits an account has, and those that a view shows.
fn limits(ledger: &Ledger, id: AccountId) -> (u32, Vec<LimitView>) {
    let count = ledger.limit_count_of(id);
    let shown = ledger.limits_of(id).take(VIEW_LIMITS_MAX);
    let shown = shown.map(|(limit, net)| LimitView {
        towards: ParticipantId(limit.counterparty.get()),
        limit: limit.limit.get(),
        net,
    });
    let count = u32::try_from(count).expect("a participant each, and everyone");
    (count, shown.collect())
}

#[cfg(test)]
mod tests;

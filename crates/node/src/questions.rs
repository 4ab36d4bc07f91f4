//! Answers to members' questions, from the log and the ledger.

use std::sync::Arc;

use clearway_crypto::{hash, merkle};
use clearway_execute::is_remembered;
use clearway_flow::LinkSender;
use clearway_ingest::{FollowPage, QueryError, QueryService};
use clearway_store::history::{History, StoredBlock};
use clearway_store::{Location, Reader};
use clearway_types::account::Role;
use clearway_types::code::{Outcome, OutcomeFlags};
use clearway_types::envelope::{Envelope, envelopes};
use clearway_types::genesis::Genesis;
use clearway_types::kind::{Kind, Layout};
use clearway_types::limits::{PROOF_LINKS_MAX, PROOF_MANIFESTS_MAX};
use clearway_types::transfer::Transfer;
use clearway_types::units::{AccountId, Digest, Height, ParticipantId};
use clearway_types::wire::proof::{ExecLink, SettlementProof};
use clearway_types::wire::query::{
    AccountView, FollowCursor, FollowItem, FollowRequest, Found, Lookup, StatusView,
};

use crate::keeper::EnvelopeIds;
use crate::log_index::LogIndex;
use crate::query::{LedgerQuery, ask};

/// Blocks that are read for one page of a feed; a quiet account must not hold a thread for long.
const FOLLOW_BLOCKS_MAX: usize = 512;

/// The node's side of [`QueryService`].
pub(crate) struct Questions {
    genesis: Digest,
    reader: Reader,
    index: Arc<LogIndex>,
    ledger: LinkSender<LedgerQuery>,
}

/// An executed envelope in its block.
struct Place {
    block: StoredBlock,
    index: u32,
}

impl Questions {
    pub(crate) fn new(
        genesis: &Genesis,
        reader: &Reader,
        index: &Arc<LogIndex>,
        ledger: LinkSender<LedgerQuery>,
    ) -> Self {
        let (genesis, index) = (genesis.hash(), Arc::clone(index));
        Self {
            genesis,
            reader: reader.clone(),
            index,
            ledger,
        }
    }

    /// Blocks from `height` on.
    fn blocks(&self, height: Height) -> impl Iterator<Item = Result<StoredBlock, QueryError>> {
        History::new(&self.reader, self.index.scan_start(height), height).map(|block| {
            block.map_err(|error| {
                tracing::error!(%error, "a question cannot be answered from the log");
                QueryError::Failed
            })
        })
    }

    /// Where an envelope got its result. The same bytes can be in the log several times: a copy
    /// that was executed after them, or came too late, only counts when nothing else is left.
    fn place(&self, name: Lookup) -> Result<Option<Place>, QueryError> {
        let found = self.reader.find(name.id.0, name.signer.0, &EnvelopeIds);
        let locations = found.map_err(|error| {
            tracing::error!(%error, "a look-up cannot be answered from the log");
            QueryError::Failed
        })?;
        let mut left: Option<Place> = None;
        for location in locations {
            let Some(place) = self.executed(location)? else {
                continue;
            };
            if is_remembered(place.outcome()) {
                return Ok(Some(place));
            }
            // A doubled one repeats the result; a late one says nothing about the others.
            if left.as_ref().is_none_or(|left| !left.doubled()) {
                left = Some(place);
            }
        }
        Ok(left)
    }

    /// The block that ordered the batch at this location, if one has.
    fn executed(&self, location: Location) -> Result<Option<Place>, QueryError> {
        let Some(height) = self.index.first_after(location.sequence) else {
            return Ok(None);
        };
        for block in self.blocks(height) {
            let block = block?;
            let mut before = 0;
            for batch in &block.batches {
                if batch.sequence == location.sequence {
                    let index = before + location.index;
                    return Ok(Some(Place { block, index }));
                }
                before += batch.header.count;
            }
        }
        Ok(None)
    }

    /// Both sides see a payment, operators and auditors see everything.
    fn may_see(&self, asker: ParticipantId, envelope: &Envelope) -> Result<bool, QueryError> {
        let body = &envelope.body;
        if asker == body.signer() {
            return Ok(true);
        }
        let side = accounts(envelope)
            .into_iter()
            .flatten()
            .any(|id| id.owner() == asker);
        Ok(side || self.oversees(asker)?)
    }

    fn oversees(&self, asker: ParticipantId) -> Result<bool, QueryError> {
        let role = move |ledger: &mut clearway_execute::Ledger| {
            ledger
                .participant(asker)
                .map(|participant| participant.role)
        };
        let role = ask(&self.ledger, role).ok_or(QueryError::Failed)?;
        Ok(matches!(role, Some(Role::Operator | Role::Auditor)))
    }

    /// Execution heads from the block on until a manifest names one, then manifests until a
    /// certificate covers them.
    fn prove(&self, place: &Place) -> Result<SettlementProof, QueryError> {
        let height = place.block.record.height;
        let previous_exec_head = self.head_before(height)?;
        let mut links: Vec<ExecLink> = Vec::new();
        let mut manifests: Vec<Vec<u8>> = Vec::new();
        for block in self.blocks(height) {
            let block = block?;
            let named = block.manifest.manifest.state_height;
            if manifests.is_empty() && named >= height {
                let count = usize::try_from(named.0 - height.0 + 1).unwrap_or(usize::MAX);
                links.truncate(count);
            }
            if !manifests.is_empty() || named >= height {
                manifests.push(block.manifest.bytes.to_vec());
                if let Some(certificate) = block.record.certificate.clone() {
                    return Ok(place.proof(previous_exec_head, links, manifests, certificate));
                }
            } else {
                let receipts_root = block.record.receipts_root;
                links.push(ExecLink {
                    receipts_root,
                    state_root: block.record.state_root,
                });
            }
            if links.len() > PROOF_LINKS_MAX || manifests.len() >= PROOF_MANIFESTS_MAX {
                return Err(QueryError::Failed);
            }
        }
        Err(QueryError::NotReady)
    }

    /// Holds on an account that ended by time in a block; the HOLD in the log names its accounts.
    fn ended_holds(
        &self,
        block: &StoredBlock,
        account: AccountId,
    ) -> Result<Vec<FollowItem>, QueryError> {
        let (height, mut items) = (block.record.height, Vec::new());
        let first = u32::try_from(block.record.results.len()).expect("a block is bounded");
        for (index, hold) in (first..).zip(&block.record.expired) {
            let (signer, id, amount) = (hold.signer, hold.id, hold.amount);
            let place = self
                .place(Lookup { signer, id })?
                .ok_or(QueryError::Failed)?;
            if accounts(&place.envelope()).contains(&Some(account)) {
                items.push(FollowItem::HoldExpired {
                    height,
                    index,
                    signer,
                    id,
                    amount,
                });
            }
        }
        Ok(items)
    }

    fn head_before(&self, height: Height) -> Result<Digest, QueryError> {
        if height == Height(1) {
            return Ok(self.genesis);
        }
        let before = self
            .blocks(Height(height.0 - 1))
            .next()
            .ok_or(QueryError::Failed)??;
        Ok(before.record.exec_head)
    }
}

impl Place {
    fn outcome(&self) -> Outcome {
        self.block.record.results[self.index as usize]
    }

    fn doubled(&self) -> bool {
        self.outcome().flags.0 & OutcomeFlags::DUPLICATE != 0
    }

    fn envelope(&self) -> Envelope {
        let mut index = self.index as usize;
        for batch in &self.block.batches {
            let all = envelopes(batch.envelopes());
            match all.get(index) {
                Some(envelope) => return *envelope,
                None => index -= all.len(),
            }
        }
        unreachable!("places are made from a batch of the block")
    }

    fn found(&self) -> Found {
        Found {
            height: self.block.record.height,
            index: self.index,
            outcome: self.outcome(),
        }
    }

    fn proof(
        &self,
        previous_exec_head: Digest,
        links: Vec<ExecLink>,
        manifests: Vec<Vec<u8>>,
        certificate: clearway_types::certificate::Certificate,
    ) -> SettlementProof {
        let leaves = receipt_leaves(&self.block);
        let found = self.found();
        SettlementProof {
            envelope: self.envelope(),
            height: found.height,
            index: found.index,
            outcome: found.outcome,
            receipt_count: leaves.len() as u64,
            receipt_path: merkle::path(&leaves, self.index as usize),
            previous_exec_head,
            links,
            manifests,
            certificate,
        }
    }
}

/// The leaves of a block's receipts tree, as execution makes them.
fn receipt_leaves(block: &StoredBlock) -> Vec<Digest> {
    let (height, record) = (block.record.height, &block.record);
    let digests = block
        .batches
        .iter()
        .flat_map(|b| hash::envelope_digests_all(b.envelopes()));
    let mut leaves: Vec<Digest> = (0u32..)
        .zip(digests.zip(&record.results))
        .map(|(index, (digests, outcome))| {
            hash::receipt_leaf(&digests.leaf, height, index, *outcome)
        })
        .collect();
    let first = u32::try_from(leaves.len()).expect("a block is bounded");
    let expired = (first..).zip(&record.expired);
    leaves.extend(expired.map(|(index, hold)| hash::expired_leaf(height, index, hold)));
    leaves
}

/// Debit and credit of the kinds that have them.
fn accounts(envelope: &Envelope) -> [Option<AccountId>; 2] {
    let body = &envelope.body;
    match Kind::from_u8(body.kind).map(|kind| kind.row().layout) {
        Some(Layout::Transfer) => {
            let transfer = Transfer::of(body);
            [Some(transfer.debit()), Some(transfer.credit())]
        }
        Some(Layout::AccountOpen) => {
            let record = clearway_types::control::AccountOpen::of(body);
            [Some(AccountId(record.account.get())), None]
        }
        _ => [None, None],
    }
}

impl QueryService for Questions {
    fn lookup(&self, asker: ParticipantId, name: Lookup) -> Result<Option<Found>, QueryError> {
        let Some(place) = self.place(name)? else {
            return Ok(None);
        };
        if !self.may_see(asker, &place.envelope())? {
            return Err(QueryError::NotAllowed);
        }
        Ok(Some(place.found()))
    }

    fn proof(&self, asker: ParticipantId, name: Lookup) -> Result<SettlementProof, QueryError> {
        let place = self.place(name)?.ok_or(QueryError::NotFound)?;
        if !self.may_see(asker, &place.envelope())? {
            return Err(QueryError::NotAllowed);
        }
        self.prove(&place)
    }

    fn account(&self, asker: ParticipantId, id: AccountId) -> Result<AccountView, QueryError> {
        if id.owner() != asker && !self.oversees(asker)? {
            return Err(QueryError::NotAllowed);
        }
        let view = ask(&self.ledger, move |ledger| {
            let height = ledger.height();
            ledger.account(id).map(|account| AccountView {
                height,
                account: *account,
            })
        });
        view.ok_or(QueryError::Failed)?.ok_or(QueryError::NotFound)
    }

    fn follow(
        &self,
        asker: ParticipantId,
        request: FollowRequest,
        items_max: usize,
    ) -> Result<FollowPage, QueryError> {
        let account = request.account;
        if account.owner() != asker && !self.oversees(asker)? {
            return Err(QueryError::NotAllowed);
        }
        let from = request.from.max(FollowCursor::at(Height(1)));
        let mut page = FollowPage {
            items: Vec::new(),
            next: from,
        };
        if from.height > self.index.durable_height() {
            return Ok(page);
        }
        for block in self.blocks(from.height).take(FOLLOW_BLOCKS_MAX) {
            let block = block?;
            for item in items(&block, account).chain(self.ended_holds(&block, account)?) {
                if item.next_cursor() <= from {
                    continue;
                }
                if page.items.len() == items_max {
                    return Ok(page);
                }
                page.next = item.next_cursor();
                page.items.push(item);
            }
            page.next = FollowCursor::at(block.record.height.next());
        }
        Ok(page)
    }

    fn status(&self) -> Result<StatusView, QueryError> {
        let genesis = self.genesis;
        ask(&self.ledger, move |ledger| StatusView {
            genesis,
            height: ledger.height(),
            exec_head: ledger.exec_head(),
            time: ledger.time(),
            directory_height: ledger.directory().height,
        })
        .ok_or(QueryError::Failed)
    }
}

/// What happened to an account in a block.
fn items(block: &StoredBlock, account: AccountId) -> impl Iterator<Item = FollowItem> {
    let (height, record) = (block.record.height, &block.record);
    let all = block
        .batches
        .iter()
        .flat_map(|batch| envelopes(batch.envelopes()));
    (0u32..)
        .zip(all.zip(&record.results))
        .filter_map(move |(index, (envelope, outcome))| {
            let named = accounts(envelope).contains(&Some(account));
            let (outcome, envelope) = (*outcome, *envelope);
            named.then_some(FollowItem::Entry {
                height,
                index,
                outcome,
                envelope,
            })
        })
}

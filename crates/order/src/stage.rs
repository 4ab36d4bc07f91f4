//! Ordering without an engine, thread or clock: lanes in, manifests and final blocks out.
//!
//! The engine asks ([`OrderStage::poll_proposal`], [`OrderStage::verify`],
//! [`OrderStage::is_certifiable`]) and tells ([`OrderStage::on_final`]); the links tell
//! (`on_verified`, `on_persisted`, `on_executed`). Whatever leaves is collected in order and
//! fetched with [`OrderStage::take_outgoing`].
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clearway_crypto::hash;
use clearway_types::batch::Batch;
use clearway_types::certificate::Certificate;
use clearway_types::codec::DecodeError;
use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::limits::{
    BATCH_ENVELOPES_MAX, BLOCK_BYTES_MAX, EXEC_LAG_MAX, LANE_STEP_MAX, LANE_WINDOW,
};
use clearway_types::manifest::{BatchRef, Manifest};
use clearway_types::messages::{ExecHead, OrderedBlock, Persist, Persisted, VerifiedBatch};
use clearway_types::units::{Digest, Height, TimeMs, ValidatorNumber};

use crate::batches::Batches;
use crate::chain::{Chain, Entry, Head, Lanes, Walk, tip_of};
use crate::config::OrderConfig;
use crate::error::OrderError;
use crate::lane::OwnLane;
use crate::metrics::OrderMetrics;
use crate::now::Now;
use crate::recovery::{FinalPoint, LaneTip, Recovery};
use crate::rules::{Context, Heads, VoteDecision, check, lane_order};

/// Manifests that may wait for the store at once; more views than that have failed in a row.
const MANIFESTS_UNSYNCED_MAX: usize = 8;
/// Most messages that can be in `order_store` at one time.
pub const PERSIST_IN_FLIGHT_MAX: usize = LANE_WINDOW + MANIFESTS_UNSYNCED_MAX;
/// Most blocks that can be between ordering and the end of their execution.
pub const BLOCKS_IN_FLIGHT_MAX: usize = 65;
const _: () = assert!(BLOCKS_IN_FLIGHT_MAX as u64 == EXEC_LAG_MAX + 1);

/// What leaves the stage.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// For `order_store`.
    Persist(Persist),
    /// For `order_execute`.
    Block(OrderedBlock),
}

/// Answer to "propose on this parent".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proposal {
    /// Propose the manifest with this digest.
    Ready(Digest),
    /// Nothing to propose yet.
    Wait {
        /// Uptime at which asking again makes sense by itself.
        until: Option<Duration>,
    },
}

/// The whole state of ordering on one validator.
pub struct OrderStage {
    config: OrderConfig,
    metrics: Arc<OrderMetrics>,
    chain: Chain,
    batches: Batches,
    lane: OwnLane,
    heads: Heads,
    /// Index of the own lane's last batch that a manifest built here names.
    proposed_index: u64,
    /// Own batches handed to the store and not yet durable.
    batches_unsynced: usize,
    /// Newest certificate whose blocks cannot be delivered yet.
    pending_final: Option<Certificate>,
    /// Delivered blocks that name results not yet computed here: height, state height, head.
    unchecked: VecDeque<(Height, Height, Digest)>,
    last_proposal: Option<Duration>,
    /// The engine has asked for a proposal and not got one.
    proposal_waits: bool,
    outgoing: Vec<Outgoing>,
}

impl OrderStage {
    /// Goes on where `recovery` says.
    #[must_use]
    pub fn new(config: OrderConfig, recovery: Recovery, metrics: Arc<OrderMetrics>) -> Self {
        let mut owners = recovery.tip.lanes.keys();
        let known = owners.all(|owner| config.validators.contains(owner));
        assert!(known, "the scan of the log refuses lanes of others");
        let mut heads = Heads::default();
        recovery.heads.iter().for_each(|head| heads.insert(*head));
        let mut batches = Batches::new(config.propose_unsynced);
        for batch in recovery.batches {
            batches.insert(batch, true);
        }
        let final_tip = tip_of(&recovery.tip.lanes, config.me);
        let durable_tip = durable_tip(&batches, config.me, final_tip);
        let lane = OwnLane::new(config.me, durable_tip, final_tip);
        let mut chain = Chain::new(recovery.tip);
        for (digest, manifest) in recovery.manifests {
            let (durable, built) = (true, None);
            let entry = Entry {
                manifest,
                durable,
                built,
            };
            chain.insert(digest, entry);
        }
        metrics.height.set(chain.tip().height.0);
        metrics.time.set(chain.tip().time.0);
        metrics.view.set(chain.tip().view);
        Self {
            proposed_index: lane.final_index(),
            lane,
            config,
            metrics,
            chain,
            batches,
            heads,
            batches_unsynced: 0,
            pending_final: None,
            unchecked: VecDeque::new(),
            last_proposal: None,
            proposal_waits: false,
            outgoing: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn config(&self) -> &OrderConfig {
        &self.config
    }

    /// The last final block.
    #[must_use]
    pub fn tip(&self) -> &FinalPoint {
        self.chain.tip()
    }

    /// Takes verified envelopes into the lane.
    ///
    /// # Errors
    /// The batch itself, when the lane window is full: offer it again after a block became final.
    pub fn on_verified(&mut self, batch: VerifiedBatch, now: Now) -> Result<(), VerifiedBatch> {
        if !self.lane.fits(&batch) {
            self.seal(now);
        }
        if !self.lane.fits(&batch) {
            self.metrics.lane_full.add(1);
            return Err(batch);
        }
        self.metrics.envelopes.add_count(batch.digests.len());
        self.lane.push(batch, now);
        self.seal_if_due(now);
        Ok(())
    }

    /// Notes what the store has made durable.
    ///
    /// # Errors
    /// As [`OrderStage::on_final`]: blocks that waited for it are delivered now.
    pub fn on_persisted(&mut self, persisted: Persisted, now: Now) -> Result<(), OrderError> {
        match persisted {
            Persisted::Batch(digest) => {
                let own = self.batches.batch(digest);
                if own.is_some_and(|batch| batch.header.lane == self.lane.id()) {
                    self.batches_unsynced = self.batches_unsynced.saturating_sub(1);
                }
                self.batches.mark_durable(digest);
            }
            Persisted::Manifest(digest) => self.chain.mark_durable(digest),
        }
        self.deliver(now)?;
        self.seal_if_due(now);
        Ok(())
    }

    /// Notes a result computed here; manifests may name it from now on.
    ///
    /// # Errors
    /// A final block names another result for that height.
    pub fn on_executed(&mut self, head: ExecHead) -> Result<(), OrderError> {
        self.heads.insert(head);
        while let Some(&(height, state_height, named)) = self.unchecked.front() {
            if state_height > self.heads.newest().height {
                break;
            }
            self.unchecked.pop_front();
            self.check_named(height, state_height, named)?;
        }
        Ok(())
    }

    /// Takes a manifest of another validator: it is stored, and judged when the engine asks.
    ///
    /// # Errors
    /// Bytes that are no manifest.
    pub fn on_manifest(&mut self, bytes: Bytes) -> Result<Digest, DecodeError> {
        let manifest = Arc::new(Manifest::decode(&bytes)?);
        let digest = hash::manifest_digest(&bytes);
        if self.chain.entry(digest).is_none() {
            self.insert_manifest(digest, manifest, bytes, None);
        }
        Ok(digest)
    }

    /// Takes a batch of another validator's lane whose signatures have been verified here.
    pub fn on_batch(&mut self, batch: Arc<Batch>) {
        if self.batches.batch(batch.digest).is_none() {
            self.batches.insert(Arc::clone(&batch), false);
            self.outgoing.push(Outgoing::Persist(Persist::Batch(batch)));
        }
    }

    /// Does what only the clock makes due.
    pub fn on_tick(&mut self, now: Now) {
        self.seal_if_due(now);
    }

    /// Takes a finalization certificate, whose signatures the engine has checked. Delivers, in
    /// height order, every block up to it; blocks whose data is not durable here wait for it.
    ///
    /// # Errors
    /// The block contradicts what is final here, or names a result that was not computed here.
    pub fn on_final(&mut self, certificate: Certificate, now: Now) -> Result<(), OrderError> {
        let known = self
            .pending_final
            .as_ref()
            .map_or(0, |pending| pending.view);
        if certificate.view <= self.chain.tip().view.max(known) {
            return Ok(());
        }
        self.metrics.view.set(certificate.view);
        self.pending_final = Some(certificate);
        self.deliver(now)
    }

    /// Fetches what has to leave, oldest first.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    /// Whether the manifest and every batch it names are durable here: then, and only then, this
    /// validator may vote to finalize it.
    #[must_use]
    pub fn is_certifiable(&self, digest: Digest) -> bool {
        if self.chain.is_final(digest) {
            return true;
        }
        let Some(entry) = self.chain.entry(digest) else {
            return false;
        };
        let mut batches = entry.manifest.batches.iter();
        entry.durable && batches.all(|batch| self.batches.is_durable(batch.digest))
    }

    /// Judges the manifest `digest` that `leader` proposes on `parent`.
    pub fn verify(
        &self,
        leader: ValidatorNumber,
        parent: Digest,
        digest: Digest,
        now: Now,
    ) -> VoteDecision {
        if self.chain.is_final(digest) {
            return VoteDecision::Accept;
        }
        let (entry, head) = (self.chain.entry(digest), self.chain.head(parent));
        let lanes = self.chain.lanes_at(parent);
        let (Some(entry), Some(head), Some(lanes)) = (entry, head, lanes) else {
            return VoteDecision::Wait { until: None };
        };
        let context = Context {
            epoch: self.config.epoch,
            validators: &self.config.validators,
            leader,
            parent_digest: parent,
            parent: head,
            lanes,
            batches: &self.batches,
            heads: &self.heads,
        };
        let decision = check(&entry.manifest, &context, now);
        if matches!(decision, VoteDecision::Refuse(_)) {
            self.metrics.proposals_refused.add(1);
        }
        decision
    }

    /// Checks that the engine's parent is known here. On a single validator nobody else can supply
    /// it, so a parent that is not held means that the store lost it.
    ///
    /// # Errors
    /// [`OrderError::StoreBehind`] on a single validator.
    pub fn check_parent(&self, digest: Digest) -> Result<(), OrderError> {
        let held = self.chain.head(digest).is_some() || self.chain.final_child(digest).is_some();
        match held || !self.is_alone() {
            true => Ok(()),
            false => Err(OrderError::StoreBehind { digest }),
        }
    }

    fn is_alone(&self) -> bool {
        self.config.validators.len() == 1
    }

    /// Builds a manifest on `parent` when there is a reason to: batches, results that no manifest
    /// names yet, or the heartbeat; never before the pace allows it.
    pub fn poll_proposal(&mut self, parent: Digest, now: Now) -> Proposal {
        self.proposal_waits = true;
        if let Some(pace_over) = self.pace_over()
            && now.uptime < pace_over
        {
            self.seal_if_due(now);
            return Proposal::Wait {
                until: Some(pace_over),
            };
        }
        self.seal_if_due(now);
        let again = self
            .chain
            .final_child(parent)
            .or_else(|| self.chain.child_of(parent, self.config.me));
        let digest = match again {
            Some(digest) => {
                self.metrics.proposals_again.add(1);
                digest
            }
            None => match self
                .sealed_for(parent, now)
                .and_then(|()| self.build(parent, now))
            {
                Ok((manifest, bytes, digest)) => {
                    self.metrics.proposals.add(1);
                    if manifest.batches.is_empty() {
                        self.metrics.proposals_empty.add(1);
                    }
                    self.insert_manifest(digest, manifest, bytes, Some(now.uptime));
                    digest
                }
                Err(until) => return Proposal::Wait { until },
            },
        };
        self.note_proposed(digest);
        self.last_proposal = Some(now.uptime);
        self.proposal_waits = false;
        Proposal::Ready(digest)
    }

    /// Uptime before which nothing is proposed: the pace after the last proposal.
    #[must_use]
    pub fn pace_over(&self) -> Option<Duration> {
        self.last_proposal.map(|at| at + self.config.view_pace)
    }

    /// Batches up to the last one named need not be waited for again.
    fn note_proposed(&mut self, digest: Digest) {
        let entry = self
            .chain
            .entry(digest)
            .expect("proposed manifests are held");
        let batches = entry.manifest.batches.iter();
        let own = batches.filter(|batch| batch.lane == self.lane.id());
        let last = own.map(|batch| batch.index).max().unwrap_or(0);
        self.proposed_index = self.proposed_index.max(last);
    }

    /// What is open goes into the next manifest on `parent`, where it may name what is not durable
    /// and can be built now: else it gathers on.
    fn sealed_for(&mut self, parent: Digest, now: Now) -> Result<(), Option<Duration>> {
        let head = self.chain.head(parent).ok_or(None)?;
        let is_early = self.config.propose_unsynced && self.may_seal_partial();
        if is_early && self.may_build_on(&head) {
            self.seal(now);
        }
        Ok(())
    }

    /// Whether execution and the store keep up with a child of `head`.
    fn may_build_on(&self, head: &Head) -> bool {
        let lag = head.height.next().0 - self.newest_result(head).0.0;
        lag <= EXEC_LAG_MAX && self.chain.undurable_count() < MANIFESTS_UNSYNCED_MAX
    }

    /// The next manifest on `parent`, or when to ask again.
    fn build(
        &self,
        parent: Digest,
        now: Now,
    ) -> Result<(Arc<Manifest>, Bytes, Digest), Option<Duration>> {
        let head = self.chain.head(parent).ok_or(None)?;
        let lanes = self.chain.lanes_at(parent).ok_or(None)?;
        let height = head.height.next();
        let (state_height, exec_head) = self.newest_result(&head);
        if !self.may_build_on(&head) {
            return Err(None);
        }
        let batches = self.choose_batches(height, &lanes);
        let data_height = self.chain.data_height_at(parent);
        let uncertified = data_height > head.state_height && data_height <= state_height;
        let beat = self.last_proposal.map(|at| at + self.config.heartbeat);
        let beat_due = beat.is_none_or(|beat| now.uptime >= beat);
        if batches.is_empty() && !uncertified && !beat_due {
            return Err(beat);
        }
        let manifest = Manifest {
            epoch: self.config.epoch,
            height,
            parent,
            time: TimeMs(now.time.0.max(head.time.0)),
            leader: self.config.me,
            state_height,
            exec_head,
            batches,
        };
        let bytes = Bytes::from(manifest.encode());
        let digest = hash::manifest_digest(&bytes);
        Ok((Arc::new(manifest), bytes, digest))
    }

    /// The newest result that a child of `head` may name: computed here, not above the parent. When
    /// this node lags behind its parent's claim, the parent's own claim is repeated.
    fn newest_result(&self, head: &Head) -> (Height, Digest) {
        let newest = self.heads.newest().height.min(head.height);
        match self.heads.at(newest) {
            Some(own) if newest >= head.state_height => (newest, own),
            _ => (head.state_height, head.exec_head),
        }
    }

    /// Batches that may be named and extend the lanes, lane by lane in rotating order.
    fn choose_batches(&self, height: Height, lanes: &Lanes) -> Vec<BatchRef> {
        let mut chosen = Vec::new();
        let mut room = BLOCK_BYTES_MAX / ENVELOPE_BYTES;
        for owner in lane_order(height, &self.config.validators) {
            let mut tip = tip_of(lanes, owner);
            for _ in 0..LANE_STEP_MAX {
                let Some(batch) = self.batches.next_nameable(owner, tip) else {
                    break;
                };
                let count = batch.header.count;
                if count as usize > room {
                    break;
                }
                room -= count as usize;
                let named = BatchRef::of(&batch.header, batch.digest);
                tip = LaneTip::of(&named);
                chosen.push(named);
            }
        }
        chosen
    }

    fn insert_manifest(
        &mut self,
        digest: Digest,
        manifest: Arc<Manifest>,
        bytes: Bytes,
        built: Option<Duration>,
    ) {
        let height = manifest.height;
        let durable = false;
        let entry = Entry {
            manifest,
            durable,
            built,
        };
        self.chain.insert(digest, entry);
        self.outgoing.push(Outgoing::Persist(Persist::Manifest {
            height,
            digest,
            bytes,
        }));
    }

    /// When the stage should be ticked by itself: the open batch's time is over.
    #[must_use]
    pub fn tick_due(&self) -> Option<Duration> {
        let since = self.lane.open_since()?;
        let is_early = self.config.propose_unsynced;
        let is_due = !is_early && self.may_seal_partial() && self.lane.has_room();
        is_due.then(|| since + self.config.seal_linger)
    }

    /// A part-filled batch is worth sealing only if the next block could still name it.
    fn may_seal_partial(&self) -> bool {
        self.lane.sealed_index() - self.proposed_index.min(self.lane.sealed_index())
            < LANE_STEP_MAX as u64
    }

    fn seal_if_due(&mut self, now: Now) {
        let full = self.lane.open_count() == BATCH_ENVELOPES_MAX;
        let linger_over = self.tick_due().is_some_and(|due| now.uptime >= due);
        let pace_over = self.pace_over().is_none_or(|over| now.uptime >= over);
        let is_idle = !self.config.propose_unsynced && self.batches_unsynced == 0;
        let wanted = self.proposal_waits && pace_over && is_idle;
        if full || (self.may_seal_partial() && (linger_over || wanted)) {
            self.seal(now);
        }
    }

    fn seal(&mut self, now: Now) {
        let Some(batch) = self.lane.seal(now) else {
            return;
        };
        self.metrics.batches_sealed.add(1);
        self.metrics.batch_bytes.add_count(batch.envelope_bytes());
        self.metrics.lane_window_used.set(self.lane.window_used());
        self.batches_unsynced += 1;
        let batch = Arc::new(batch);
        self.batches.insert(Arc::clone(&batch), false);
        self.outgoing.push(Outgoing::Persist(Persist::Batch(batch)));
    }

    /// Delivers the blocks of the pending certificate as far as their data is durable here.
    fn deliver(&mut self, now: Now) -> Result<(), OrderError> {
        let Some(certificate) = self.pending_final.clone() else {
            return Ok(());
        };
        let digest = certificate.payload;
        let path = match self.chain.walk(digest) {
            Walk::Path(path) => path,
            Walk::Missing(digest) if self.is_alone() => {
                return Err(OrderError::StoreBehind { digest });
            }
            Walk::Missing(_) => return Ok(()),
            // An engine whose journal was lost walks through final blocks once more.
            Walk::Conflict if self.chain.is_final(digest) => {
                self.pending_final = None;
                return Ok(());
            }
            Walk::Conflict => {
                let height = self.chain.tip().height;
                return Err(OrderError::Conflict { height, digest });
            }
        };
        for digest in path {
            if !self.is_certifiable(digest) {
                return Ok(());
            }
            let own = (digest == certificate.payload).then(|| certificate.clone());
            self.deliver_block(digest, own, now)?;
        }
        self.chain.certify_tip(certificate.view);
        self.pending_final = None;
        Ok(())
    }

    fn deliver_block(
        &mut self,
        digest: Digest,
        certificate: Option<Certificate>,
        now: Now,
    ) -> Result<(), OrderError> {
        let entry = self.chain.finalize(digest);
        let (manifest, built) = (Arc::clone(&entry.manifest), entry.built);
        let mut batches = Vec::with_capacity(manifest.batches.len());
        for named in &manifest.batches {
            let batch = self.batches.take_final(named);
            batches.push(batch.expect("a certifiable manifest's batches are held"));
            if named.lane == self.lane.id() {
                self.lane.on_final(named.index);
            }
        }
        let (height, state_height) = (manifest.height, manifest.state_height);
        self.metrics.time.set(manifest.time.0);
        let finality = built.map(|built| now.uptime.saturating_sub(built));
        self.count_block(height, certificate.is_some(), finality);
        let named = manifest.exec_head;
        self.outgoing.push(Outgoing::Block(OrderedBlock {
            manifest,
            digest,
            batches,
            certificate,
        }));
        if state_height > self.heads.newest().height {
            self.unchecked.push_back((height, state_height, named));
            return Ok(());
        }
        self.check_named(height, state_height, named)
    }

    fn count_block(&self, height: Height, certified: bool, finality: Option<Duration>) {
        self.metrics.blocks.add(1);
        self.metrics.height.set(height.0);
        self.metrics.lane_window_used.set(self.lane.window_used());
        if !certified {
            self.metrics.blocks_uncertified.add(1);
        }
        if let Some(finality) = finality {
            self.metrics.finality.record(finality);
        }
    }

    fn check_named(
        &self,
        height: Height,
        state_height: Height,
        named: Digest,
    ) -> Result<(), OrderError> {
        match self.heads.at(state_height) {
            Some(own) if own != named => Err(OrderError::Diverged {
                height,
                state_height,
                named,
                own,
            }),
            _ => Ok(()),
        }
    }

    /// Batches held past the final tips, of all lanes.
    #[must_use]
    pub fn batches_held(&self) -> usize {
        self.batches.len()
    }
}

/// The end of the durable batches that follow `tip` without a gap.
fn durable_tip(batches: &Batches, owner: ValidatorNumber, mut tip: LaneTip) -> LaneTip {
    while let Some(next) = batches.next_nameable(owner, tip) {
        tip = LaneTip::of(&BatchRef::of(&next.header, next.digest));
    }
    tip
}

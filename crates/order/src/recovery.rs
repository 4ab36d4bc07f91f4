//! From the stored records back to the point where ordering stopped.
//!
//! The node feeds every record of the log, in log order, to a [`RecoveryScan`]; what is left at the
//! end is the final tip, the manifests above it and the batches of this validator's lane that no
//! final block has named.
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use clearway_crypto::validators::genesis_epoch;
use clearway_crypto::{hash, merkle};
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::certificate::Certificate;
use clearway_types::final_record::FinalRecord;
use clearway_types::genesis::Genesis;
use clearway_types::limits::EXEC_LAG_MAX;
use clearway_types::manifest::{BatchRef, EpochId, Manifest};
use clearway_types::messages::ExecHead;
use clearway_types::units::{Digest, Height, Incarnation, TimeMs, ValidatorNumber};

use crate::chain::{advance, tip_of};
use crate::error::RecoveryError;

/// The last batch of a validator's lanes up to some block; all zero before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LaneTip {
    /// Which of the validator's lanes it is.
    pub incarnation: Incarnation,
    /// Position in the lane.
    pub index: u64,
    /// Digest of the batch.
    pub digest: Digest,
}

impl LaneTip {
    /// The tip that a batch makes.
    pub(crate) fn of(batch: &BatchRef) -> Self {
        Self {
            incarnation: batch.lane.incarnation,
            index: batch.index,
            digest: batch.digest,
        }
    }

    /// Position of the next batch in the lane of this incarnation, and the digest that it links to.
    /// A later lane begins anew; `None` for an earlier one, which has ended.
    pub(crate) fn next(&self, incarnation: Incarnation) -> Option<(u64, Digest)> {
        match incarnation.cmp(&self.incarnation) {
            Ordering::Less => None,
            Ordering::Equal => Some((self.index + 1, self.digest)),
            Ordering::Greater => Some((1, Digest::ZERO)),
        }
    }

    /// Whether a place lies past it.
    pub(crate) fn is_before(&self, lane: LaneId, index: u64) -> bool {
        (self.incarnation, self.index) < (lane.incarnation, index)
    }
}

/// A final block and all that a child of it must respect. A checkpoint may keep one, so that the
/// scan need not begin at the first record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinalPoint {
    /// Height of the block; 0 is the genesis.
    pub height: Height,
    /// Digest of its manifest, or the genesis hash.
    pub digest: Digest,
    /// Its time.
    pub time: TimeMs,
    /// Height whose result it names.
    pub state_height: Height,
    /// The result that it names.
    pub named_head: Digest,
    /// Last height at or below it with batches.
    pub data_height: Height,
    /// View of the newest certificate known at that time; 0 without one.
    pub view: u64,
    /// Where each validator's lanes end; one without a final batch is not there.
    pub lanes: BTreeMap<ValidatorNumber, LaneTip>,
}

impl FinalPoint {
    /// The genesis.
    #[must_use]
    pub fn genesis(genesis: &Genesis) -> Self {
        Self {
            height: Height(0),
            digest: genesis.hash(),
            time: genesis.time,
            state_height: Height(0),
            named_head: genesis.hash(),
            data_height: Height(0),
            view: 0,
            lanes: BTreeMap::new(),
        }
    }

    /// Moves on to the child with this digest, certified by itself or by a descendant.
    pub fn advance(
        &mut self,
        digest: Digest,
        manifest: &Manifest,
        certificate: Option<&Certificate>,
    ) {
        advance(&mut self.lanes, &manifest.batches);
        if !manifest.batches.is_empty() {
            self.data_height = manifest.height;
        }
        self.height = manifest.height;
        self.digest = digest;
        self.time = manifest.time;
        self.state_height = manifest.state_height;
        self.named_head = manifest.exec_head;
        if let Some(certificate) = certificate {
            self.view = certificate.view;
        }
    }
}

/// Where ordering goes on.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The last final block.
    pub tip: FinalPoint,
    /// The newest stored certificate.
    pub certificate: Option<Certificate>,
    /// Execution heads up to the tip, ascending, at least the newest.
    pub heads: Vec<ExecHead>,
    /// Durable manifests above the block of the newest certificate, final ones among them.
    pub manifests: Vec<(Digest, Arc<Manifest>)>,
    /// Durable batches that no final block names.
    pub batches: Vec<Arc<Batch>>,
}

impl Recovery {
    /// A node that starts for the first time.
    #[must_use]
    pub fn genesis(genesis: &Genesis) -> Self {
        let tip = FinalPoint::genesis(genesis);
        let head = ExecHead {
            height: Height(0),
            head: tip.digest,
        };
        Self {
            tip,
            certificate: None,
            heads: vec![head],
            manifests: Vec::new(),
            batches: Vec::new(),
        }
    }
}

/// Reads the log once, keeping only what ordering still needs.
pub struct RecoveryScan {
    epoch: EpochId,
    validators: BTreeSet<ValidatorNumber>,
    tip: FinalPoint,
    /// Height and certificate of the newest certified block.
    certified: (Height, Option<Certificate>),
    heads: VecDeque<ExecHead>,
    manifests: BTreeMap<Digest, Arc<Manifest>>,
    batches: BTreeMap<Digest, (BatchHeader, Bytes)>,
}

impl RecoveryScan {
    /// Starts at `point`, whose result is `head`. Every batch that is not final at `point` and
    /// every manifest above it must be among the records that follow.
    ///
    /// # Errors
    /// A lane of a validator that the genesis does not have.
    pub fn new(genesis: &Genesis, point: FinalPoint, head: Digest) -> Result<Self, RecoveryError> {
        let scan = Self::at(genesis, point, head);
        scan.tip
            .lanes
            .keys()
            .try_for_each(|&owner| scan.check_owner(owner))?;
        Ok(scan)
    }

    fn at(genesis: &Genesis, point: FinalPoint, head: Digest) -> Self {
        let head = ExecHead {
            height: point.height,
            head,
        };
        Self {
            epoch: genesis_epoch(genesis),
            validators: genesis.validators.iter().map(|one| one.number).collect(),
            // The newest one may lie below the starting point, if the records do.
            certified: (Height(0), None),
            tip: point,
            heads: VecDeque::from([head]),
            manifests: BTreeMap::new(),
            batches: BTreeMap::new(),
        }
    }

    /// Starts at the genesis.
    #[must_use]
    pub fn from_genesis(genesis: &Genesis) -> Self {
        let point = FinalPoint::genesis(genesis);
        let head = point.digest;
        Self::at(genesis, point, head)
    }

    fn check_owner(&self, owner: ValidatorNumber) -> Result<(), RecoveryError> {
        match self.validators.contains(&owner) {
            true => Ok(()),
            false => Err(RecoveryError::LaneOwner { owner }),
        }
    }

    /// Takes a batch record: header, then envelopes. The envelopes are not read until the end.
    ///
    /// # Errors
    /// A damaged header or length, or a lane of a validator that the genesis does not have.
    pub fn on_batch(&mut self, payload: &Bytes) -> Result<(), RecoveryError> {
        let (header, envelopes) = Batch::decode_parts(payload)?;
        self.check_owner(header.lane.owner)?;
        if is_open(&self.tip, header.lane, header.index) {
            let digest = hash::batch_digest(&header);
            self.batches.insert(digest, (header, envelopes));
        }
        Ok(())
    }

    /// Takes a manifest record.
    ///
    /// # Errors
    /// A damaged manifest, one of another epoch, or a lane of a validator that the genesis does not
    /// have.
    pub fn on_manifest(&mut self, payload: &[u8]) -> Result<(), RecoveryError> {
        let manifest = Manifest::decode(payload)?;
        if manifest.epoch != self.epoch {
            return Err(RecoveryError::Epoch {
                height: manifest.height,
                found: manifest.epoch,
                expected: self.epoch,
            });
        }
        for batch in &manifest.batches {
            self.check_owner(batch.lane.owner)?;
        }
        if manifest.height > self.certified.0 {
            let digest = hash::manifest_digest(payload);
            self.manifests.insert(digest, Arc::new(manifest));
        }
        Ok(())
    }

    /// Takes a final record; of one at or below the starting point the certificate alone counts.
    ///
    /// # Errors
    /// A record that does not extend the one before, or whose manifest is not stored.
    pub fn on_final(&mut self, record: &FinalRecord) -> Result<(), RecoveryError> {
        let (last, height) = (self.tip.height, record.height);
        if height <= last {
            self.note_certificate(height, record.certificate.as_ref());
            return Ok(());
        }
        let digest = record.manifest;
        let manifest = self.manifests.get(&digest);
        let manifest = manifest.ok_or(RecoveryError::ManifestMissing { height, digest })?;
        if height != last.next() || manifest.height != height || manifest.parent != self.tip.digest
        {
            return Err(RecoveryError::Gap {
                last,
                found: height,
            });
        }
        let manifest = Arc::clone(manifest);
        self.advance_tip(digest, &manifest, record.certificate.as_ref());
        self.heads.push_back(ExecHead {
            height,
            head: record.exec_head,
        });
        while self.heads.len() as u64 > 2 * EXEC_LAG_MAX {
            self.heads.pop_front();
        }
        self.note_certificate(height, record.certificate.as_ref());
        Ok(())
    }

    /// Nothing at or below the block of the newest certificate is needed any more.
    fn note_certificate(&mut self, height: Height, certificate: Option<&Certificate>) {
        if let Some(certificate) = certificate {
            self.certified = (height, Some(certificate.clone()));
            self.manifests
                .retain(|_, manifest| manifest.height > height);
        }
    }

    fn advance_tip(
        &mut self,
        digest: Digest,
        manifest: &Manifest,
        certificate: Option<&Certificate>,
    ) {
        for batch in &manifest.batches {
            self.batches.remove(&batch.digest);
        }
        self.tip.advance(digest, manifest, certificate);
    }

    /// Ends the scan.
    ///
    /// # Errors
    /// A batch that is damaged, or named by a manifest and not stored.
    pub fn finish(mut self) -> Result<Recovery, RecoveryError> {
        self.drop_losers();
        for manifest in self.manifests.values() {
            if manifest.height <= self.tip.height {
                continue;
            }
            for batch in &manifest.batches {
                let is_open = is_open(&self.tip, batch.lane, batch.index);
                if is_open && !self.batches.contains_key(&batch.digest) {
                    let (height, digest) = (manifest.height, batch.digest);
                    return Err(RecoveryError::BatchMissing { height, digest });
                }
            }
        }
        let open = self
            .batches
            .into_values()
            .filter(|(header, _)| is_open(&self.tip, header.lane, header.index));
        let batches: Result<Vec<_>, _> = open
            .map(|(header, envelopes)| build_batch(header, envelopes))
            .collect();
        Ok(Recovery {
            tip: self.tip,
            certificate: self.certified.1,
            heads: self.heads.into(),
            manifests: self.manifests.into_iter().collect(),
            batches: batches?,
        })
    }

    /// Drops manifests at final heights that are not on the final chain.
    fn drop_losers(&mut self) {
        let mut chain = Vec::new();
        let mut at = self.tip.digest;
        while let Some(manifest) = self.manifests.get(&at) {
            chain.push(at);
            at = manifest.parent;
        }
        let tip = self.tip.height;
        self.manifests
            .retain(|digest, manifest| manifest.height > tip || chain.contains(digest));
    }
}

/// Whether no final block has gone past this place.
fn is_open(tip: &FinalPoint, lane: LaneId, index: u64) -> bool {
    tip_of(&tip.lanes, lane.owner).is_before(lane, index)
}

/// A batch from its stored record, with the hashes of its envelopes, checked against its header.
///
/// # Errors
/// Bytes that do not decode, or envelopes that are not the header's.
pub fn recover_batch(payload: &Bytes) -> Result<Arc<Batch>, RecoveryError> {
    let (header, envelopes) = Batch::decode_parts(payload)?;
    build_batch(header, envelopes)
}

fn build_batch(header: BatchHeader, envelopes: Bytes) -> Result<Arc<Batch>, RecoveryError> {
    let digests = hash::envelope_digests_all(&envelopes);
    let root = merkle::root_of(digests.iter().map(|digests| digests.leaf));
    if root != header.envelopes_root {
        let (lane, index) = (header.lane, header.index);
        return Err(RecoveryError::BatchRoot { lane, index });
    }
    Ok(Arc::new(Batch {
        header,
        digest: hash::batch_digest(&header),
        slabs: vec![envelopes],
        hints: Vec::new(),
        digests,
        origins: Vec::new(),
    }))
}

//! From the stored records back to the point where ordering stopped.
//!
//! The node feeds every record of the log, in log order, to a [`RecoveryScan`]; what is left at the
//! end is the final tip, the manifests above it and the batches of this validator's lane that no
//! final block has named.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use clearway_crypto::{hash, merkle};
use clearway_types::batch::{Batch, BatchHeader};
use clearway_types::certificate::Certificate;
use clearway_types::final_record::FinalRecord;
use clearway_types::genesis::Genesis;
use clearway_types::limits::EXEC_LAG_MAX;
use clearway_types::manifest::Manifest;
use clearway_types::messages::ExecHead;
use clearway_types::units::{Digest, Height, TimeMs};

use crate::chain::advance;
use crate::error::RecoveryError;

/// The last batch of a lane up to some block; index 0 and no digest before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LaneTip {
    /// Position in the lane.
    pub index: u64,
    /// Digest of the batch.
    pub digest: Digest,
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
    /// Tips of all lanes.
    pub lanes: Vec<LaneTip>,
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
            lanes: vec![LaneTip::default(); genesis.validators.len()],
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
    #[must_use]
    pub fn new(point: FinalPoint, head: Digest) -> Self {
        let head = ExecHead {
            height: point.height,
            head,
        };
        Self {
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
        Self::new(FinalPoint::genesis(genesis), genesis.hash())
    }

    /// Takes a batch record: header, then envelopes. The envelopes are not read until the end.
    ///
    /// # Errors
    /// A damaged header or length.
    pub fn on_batch(&mut self, payload: &Bytes) -> Result<(), RecoveryError> {
        let (header, envelopes) = Batch::decode_parts(payload)?;
        let tip = self.tip.lanes.get(header.lane.0 as usize);
        if tip.is_some_and(|tip| header.index > tip.index) {
            let digest = hash::batch_digest(&header);
            self.batches.insert(digest, (header, envelopes));
        }
        Ok(())
    }

    /// Takes a manifest record.
    ///
    /// # Errors
    /// A damaged manifest.
    pub fn on_manifest(&mut self, payload: &[u8]) -> Result<(), RecoveryError> {
        let manifest = Manifest::decode(payload)?;
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
                let tip = self.tip.lanes[batch.lane.0 as usize];
                if batch.index > tip.index && !self.batches.contains_key(&batch.digest) {
                    let (height, digest) = (manifest.height, batch.digest);
                    return Err(RecoveryError::BatchMissing { height, digest });
                }
            }
        }
        let lanes = &self.tip.lanes;
        let open = self
            .batches
            .into_values()
            .filter(|(header, _)| header.index > lanes[header.lane.0 as usize].index);
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
        let (lane, index) = (header.lane.0, header.index);
        return Err(RecoveryError::BatchRoot { lane, index });
    }
    Ok(Arc::new(Batch {
        header,
        digest: hash::batch_digest(&header),
        slabs: vec![envelopes],
        digests,
        origins: Vec::new(),
    }))
}

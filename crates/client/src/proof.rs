//! Checks proofs of settlement: certificate, chain of results, Merkle path. No node is believed.

use clearway_crypto::certificate::{self, ValidatorSet, vote_namespace};
use clearway_crypto::{hash, merkle};
use clearway_types::code::Outcome;
use clearway_types::envelope::Envelope;
use clearway_types::genesis::Genesis;
use clearway_types::limits::PROOF_LINKS_MAX;
use clearway_types::manifest::Manifest;
use clearway_types::units::{Digest, Height};
use clearway_types::wire::proof::SettlementProof;

use crate::error::ProofError;

/// The keys by which a cluster's certificates are checked.
#[derive(Clone, Debug)]
pub struct ClusterKeys {
    validators: ValidatorSet,
    namespace: Vec<u8>,
}

impl ClusterKeys {
    /// The keys of the cluster with this genesis, each with its proof of possession.
    ///
    /// # Errors
    /// The first key that cannot be used.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, ProofError> {
        let validators = ValidatorSet::from_genesis(genesis)?;
        Ok(Self::new(validators, genesis.hash()))
    }

    /// A checked set of validators and the hash of their cluster's genesis.
    #[must_use]
    pub fn new(validators: ValidatorSet, genesis: Digest) -> Self {
        Self {
            validators,
            namespace: vote_namespace(genesis),
        }
    }

    /// Checks that a quorum made the outcome in `proof` final for `envelope`.
    ///
    /// # Errors
    /// The first step that does not hold; cheap steps first.
    pub fn check(
        &self,
        envelope: &Envelope,
        proof: &SettlementProof,
    ) -> Result<Proven, ProofError> {
        if proof.envelope != *envelope {
            return Err(ProofError::OtherEnvelope);
        }
        check_path(proof)?;
        let last = check_manifests(proof)?;
        if proof.certificate.payload != last {
            return Err(ProofError::OtherManifest);
        }
        certificate::check(&proof.certificate, &self.validators, &self.namespace)?;
        Ok(Proven {
            height: proof.height,
            index: proof.index,
            outcome: proof.outcome,
        })
    }
}

/// An outcome that a quorum's signature stands behind; only [`ClusterKeys::check`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Proven {
    /// Height of the block that executed the envelope.
    pub height: Height,
    /// Position in the block's results.
    pub index: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// The receipt is a leaf of the tree under the first link's receipts root.
fn check_path(proof: &SettlementProof) -> Result<(), ProofError> {
    let count = proof.links.len();
    let first = proof.links.first().ok_or(ProofError::Links { count })?;
    let envelope_leaf = hash::envelope_digests(&proof.envelope).leaf;
    let leaf = hash::receipt_leaf(&envelope_leaf, proof.height, proof.index, proof.outcome);
    let (count, index) = (proof.receipt_count, u64::from(proof.index));
    match merkle::verify_path(
        &first.receipts_root,
        count,
        index,
        &leaf,
        &proof.receipt_path,
    ) {
        true => Ok(()),
        false => Err(ProofError::Path),
    }
}

/// The links lead to the result that the first manifest names, and each further manifest is a child
/// of the one before it. Returns the last one's digest.
fn check_manifests(proof: &SettlementProof) -> Result<Digest, ProofError> {
    let (state_height, exec_head) = follow_links(proof)?;
    let mut parent = None;
    for (position, bytes) in proof.manifests.iter().enumerate() {
        let decoded = Manifest::decode(bytes);
        let manifest = decoded.map_err(|_| ProofError::Manifest { position })?;
        match parent {
            None if (manifest.state_height, manifest.exec_head) != (state_height, exec_head) => {
                let height = manifest.height;
                return Err(ProofError::ExecHead { height });
            }
            Some(digest) if manifest.parent != digest => {
                return Err(ProofError::Parent { position });
            }
            _ => parent = Some(hash::manifest_digest(bytes)),
        }
    }
    parent.ok_or(ProofError::Manifest { position: 0 })
}

/// The last height that the links reach, and the execution head there.
fn follow_links(proof: &SettlementProof) -> Result<(Height, Digest), ProofError> {
    let count = proof.links.len();
    let last = u64::try_from(count).ok().and_then(|count| {
        let past = proof.height.0.checked_add(count)?;
        past.checked_sub(1)
    });
    let last = last.filter(|_| (1..=PROOF_LINKS_MAX).contains(&count));
    let last = last.ok_or(ProofError::Links { count })?;
    let heights = proof.height.0..=last;
    let head =
        heights
            .zip(&proof.links)
            .fold(proof.previous_exec_head, |previous, (height, link)| {
                let root = link.state_root.as_ref();
                hash::exec_head(&previous, Height(height), &link.receipts_root, root)
            });
    Ok((Height(last), head))
}

//! Checks proofs of settlement: certificate, chain of results, Merkle path. No node is believed.

use clearway_crypto::certificate::{self, vote_namespace};
use clearway_crypto::hash::{self, ReceiptOf};
use clearway_crypto::merkle;
use clearway_crypto::validators::ValidatorSet;
use clearway_types::code::Outcome;
use clearway_types::codec::DecodeError;
use clearway_types::envelope::Envelope;
use clearway_types::genesis::Genesis;
use clearway_types::limits::PROOF_LINKS_MAX;
use clearway_types::manifest::{EpochId, Manifest};
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
    ) -> Result<Receipt, ProofError> {
        if proof.envelope != *envelope {
            return Err(ProofError::OtherEnvelope);
        }
        check_path(proof)?;
        let last = check_manifests(proof, self.validators.epoch())?;
        if proof.certificate.payload != last {
            return Err(ProofError::OtherManifest);
        }
        certificate::check(&proof.certificate, &self.validators, &self.namespace)?;
        Ok(Receipt {
            height: proof.height,
            index: proof.index,
            outcome: proof.outcome,
        })
    }
}

/// An outcome that a quorum's signature stands behind; only [`ClusterKeys::check`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Receipt {
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
    let receipt = ReceiptOf::Envelope(&envelope_leaf, proof.outcome);
    let leaf = hash::receipt_leaf(proof.height, proof.index, receipt);
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
/// of the one before it, all of the validators' epoch. Returns the last one's digest.
fn check_manifests(proof: &SettlementProof, expected: EpochId) -> Result<Digest, ProofError> {
    let (state_height, exec_head) = follow_links(proof)?;
    let mut parent = None;
    for (position, bytes) in proof.manifests.iter().enumerate() {
        let manifest = Manifest::decode(bytes).map_err(|error| match error {
            DecodeError::Protocol { found, supported } => ProofError::Protocol { found, supported },
            _ => ProofError::Manifest { position },
        })?;
        if manifest.epoch != expected {
            return Err(ProofError::Epoch {
                height: manifest.height,
                found: manifest.epoch,
                expected,
            });
        }
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

#[cfg(test)]
mod tests {
    use clearway_crypto::certificate::CertificateError;
    use clearway_crypto::validators::ValidatorSecret;
    use clearway_types::certificate::Certificate;
    use clearway_types::code::ResultCode;
    use clearway_types::genesis::GenesisValidator;
    use clearway_types::units::{TimeMs, ValidatorNumber};
    use clearway_types::wire::proof::ExecLink;
    use zerocopy::FromZeros;

    use super::*;

    const GENESIS: Digest = Digest([5; 32]);

    /// A set of one validator.
    fn set() -> ValidatorSet {
        let mut scalar = [0; 32];
        scalar[31] = 7;
        let secret = ValidatorSecret::from_bytes(&scalar).expect("a small scalar");
        let (key, proof) = (secret.public_key(), secret.prove_possession());
        let address = "127.0.0.1:1".into();
        let number = ValidatorNumber(1);
        let one = GenesisValidator::new(number, "v".into(), address, [8; 32], key, proof);
        ValidatorSet::new(0, &[one]).expect("an honest key")
    }

    fn keys() -> ClusterKeys {
        ClusterKeys::new(set(), GENESIS)
    }

    fn manifest(height: u64, parent: Digest, state: (u64, Digest)) -> Vec<u8> {
        let manifest = Manifest {
            epoch: set().epoch(),
            height: Height(height),
            parent,
            time: TimeMs(1),
            leader: ValidatorNumber(1),
            state_height: Height(state.0),
            exec_head: state.1,
            batches: Vec::new(),
        };
        manifest.encode()
    }

    /// A proof in which every step holds but the signature, which needs a validator.
    fn unsigned() -> SettlementProof {
        let (envelope, height, index) = (Envelope::new_zeroed(), Height(9), 1);
        let outcome = Outcome::new(ResultCode::Settled);
        let leaf = hash::envelope_digests(&envelope).leaf;
        let receipt = hash::receipt_leaf(height, index, ReceiptOf::Envelope(&leaf, outcome));
        let leaves = [Digest([1; 32]), receipt, Digest([2; 32])];
        let links = [
            (merkle::root(&leaves), None),
            (Digest([3; 32]), Some(Digest([4; 32]))),
        ];
        let previous_exec_head = Digest([6; 32]);
        let head = hash::exec_head(&previous_exec_head, Height(9), &links[0].0, None);
        let head = hash::exec_head(&head, Height(10), &links[1].0, links[1].1.as_ref());
        let first = manifest(11, Digest([8; 32]), (10, head));
        let second = manifest(12, hash::manifest_digest(&first), (11, Digest([9; 32])));
        SettlementProof {
            envelope,
            height,
            index,
            outcome,
            receipt_count: 3,
            receipt_path: merkle::path(&leaves, 1),
            previous_exec_head,
            links: links
                .map(|(receipts_root, state_root)| ExecLink {
                    receipts_root,
                    state_root,
                })
                .to_vec(),
            certificate: Certificate {
                epoch: 0,
                view: 12,
                parent_view: 11,
                payload: hash::manifest_digest(&second),
                validator_count: 1,
                signers: vec![1],
                signature: [0; 48],
            },
            manifests: vec![first, second],
        }
    }

    #[test]
    fn each_step_is_checked_and_the_signature_last() {
        use ProofError as E;
        type Edit = fn(&mut SettlementProof);
        let epoch = set().epoch();
        let no_signature = E::Certificate(CertificateError::SignatureEncoding);
        let quorum = E::Certificate(CertificateError::Quorum {
            required: 1,
            found: 0,
        });
        let rows: [(Edit, ProofError); 22] = [
            (|_| {}, no_signature),
            (|p| p.envelope.signature[0] ^= 1, E::OtherEnvelope),
            (|p| p.height = Height(8), E::Path),
            (|p| p.index = 0, E::Path),
            (
                |p| p.outcome = Outcome::new(ResultCode::LinkedFailed),
                E::Path,
            ),
            (
                |p| p.outcome = Outcome::duplicate_of(ResultCode::Settled),
                E::Path,
            ),
            (|p| p.receipt_count = 4, E::Path),
            (|p| p.receipt_path[0].0[0] ^= 1, E::Path),
            (|p| p.receipt_path.push(Digest::ZERO), E::Path),
            (|p| p.links[0].receipts_root.0[0] ^= 1, E::Path),
            (|p| p.links.clear(), E::Links { count: 0 }),
            (
                |p| p.links = vec![p.links[0]; PROOF_LINKS_MAX + 1],
                E::Links {
                    count: PROOF_LINKS_MAX + 1,
                },
            ),
            (
                |p| p.links[1].state_root = None,
                E::ExecHead { height: Height(11) },
            ),
            (
                |p| p.previous_exec_head.0[0] ^= 1,
                E::ExecHead { height: Height(11) },
            ),
            (|p| p.links.truncate(1), E::ExecHead { height: Height(11) }),
            (|p| p.manifests.clear(), E::Manifest { position: 0 }),
            (|p| p.manifests[1].truncate(60), E::Manifest { position: 1 }),
            (
                |p| p.manifests[1][0] ^= 3,
                E::Protocol {
                    found: 1,
                    supported: 2,
                },
            ),
            (
                |p| p.manifests[0][4] = 1,
                E::Epoch {
                    height: Height(11),
                    found: EpochId { number: 1, ..epoch },
                    expected: epoch,
                },
            ),
            (
                |p| p.manifests[1][12..44].fill(8),
                E::Epoch {
                    height: Height(12),
                    found: EpochId {
                        validators: Digest([8; 32]),
                        ..epoch
                    },
                    expected: epoch,
                },
            ),
            (|p| p.manifests[1][52] ^= 1, E::Parent { position: 1 }),
            (|p| p.certificate.signers = vec![0], quorum),
        ];
        for (row, (edit, expected)) in rows.into_iter().enumerate() {
            let mut proof = unsigned();
            edit(&mut proof);
            let found = keys().check(&Envelope::new_zeroed(), &proof);
            assert_eq!(found, Err(expected), "row {row}");
        }
    }

    #[test]
    fn a_certificate_of_another_manifest_is_refused() {
        let mut proof = unsigned();
        proof.manifests.pop();
        let found = keys().check(&Envelope::new_zeroed(), &proof);
        assert_eq!(found, Err(ProofError::OtherManifest));
    }
}

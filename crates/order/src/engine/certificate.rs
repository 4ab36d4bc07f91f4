//! Between the engine's finalizations and the certificates that Clearway stores and hands out.
//!
//! `crypto::certificate` writes down which bytes are signed and checks them without the engine. The
//! signer bitmap is not among the signed bytes, so it can be turned from the engine's numbering
//! (by identity) to the order of the validators' numbers.
use bytes::Bytes;
use clearway_types::certificate::Certificate;
use clearway_types::units::Digest;
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::simplex::types::{Finalization, Proposal};
use commonware_consensus::types::{Epoch, Round, View};
use commonware_cryptography::bls12381::certificate::multisig;
use commonware_cryptography::bls12381::primitives::ops::aggregate;
use commonware_cryptography::bls12381::primitives::variant::MinSig;
use commonware_cryptography::certificate::Signers;
use commonware_cryptography::sha256;
use commonware_utils::Participant;

use super::scheme::{Keys, Scheme};

/// The certificate as Clearway keeps it. `None` when the engine's signature bytes are malformed,
/// which it has excluded by verifying them.
pub(crate) fn from_engine(
    finalization: &Finalization<Scheme, sha256::Digest>,
    keys: &Keys,
) -> Option<Certificate> {
    let signature = finalization.certificate.signature.get()?.encode();
    let indexes: Vec<_> = keys.indexes().collect();
    let mut signers = vec![0; keys.validator_count().div_ceil(8)];
    for participant in finalization.certificate.signers.iter() {
        let index = indexes.get(usize::from(participant))?.0 as usize;
        signers[index / 8] |= 1 << (index % 8);
    }
    let proposal = &finalization.proposal;
    Some(Certificate {
        epoch: proposal.round.epoch().get(),
        view: proposal.round.view().get(),
        parent_view: proposal.parent.get(),
        payload: Digest(proposal.payload.0),
        validator_count: u16::try_from(keys.validator_count()).ok()?,
        signers,
        signature: signature.as_ref().try_into().ok()?,
    })
}

/// A stored certificate as the engine wants it. `None` when it is of another validator set or its
/// signature is no point; whether it proves anything is for the engine to check.
pub(crate) fn to_engine(
    certificate: &Certificate,
    keys: &Keys,
) -> Option<Finalization<Scheme, sha256::Digest>> {
    let count = u32::from(certificate.validator_count);
    if usize::from(certificate.validator_count) != keys.validator_count() {
        return None;
    }
    let bits: Vec<usize> = certificate.signer_indexes().collect();
    let participants = (0..).zip(keys.indexes());
    let signers = participants
        .filter(|(_, index)| bits.contains(&(index.0 as usize)))
        .map(|(participant, _)| Participant::new(participant));
    let signature = Bytes::copy_from_slice(&certificate.signature);
    let signature = aggregate::Signature::<MinSig>::decode(signature).ok()?;
    let proposal = Proposal::new(
        Round::new(Epoch::new(certificate.epoch), View::new(certificate.view)),
        View::new(certificate.parent_view),
        sha256::Digest(certificate.payload.0),
    );
    let certificate = multisig::Certificate {
        signers: Signers::new(count, signers).ok()?,
        signature: signature.into(),
    };
    Some(Finalization {
        proposal,
        certificate,
    })
}

//! Finality certificates, checked with blst alone: no engine is needed to audit. The keys that sign
//! them are in [`crate::validators`].
//!
//! # What a finality certificate signs
//! Every signer signs the same bytes, so one aggregate signature and the sum of the signers' keys
//! prove the quorum:
//!
//! ```text
//! varint(len(N)) || N          N = namespace || "_FINALIZE"
//! varint(epoch)                LEB128, least significant group first
//! varint(view)
//! varint(parent view)
//! payload                      32 bytes, the manifest's digest
//! ```
//!
//! Signatures lie in G1 (48 bytes, compressed), keys in G2 (96 bytes, compressed), hashed to the
//! curve under [`SIGNATURE_DST`] (draft-irtf-cfrg-bls-signature-05, proof-of-possession scheme).
use blst::BLST_ERROR;
use blst::min_sig::{PublicKey, Signature};
use clearway_types::certificate::Certificate;
use clearway_types::units::Digest;

use crate::validators::{ValidatorSet, put_varint};

/// Domain separation of votes, the proof-of-possession scheme's signature tag.
pub const SIGNATURE_DST: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// What finalize votes append to the cluster's namespace.
const FINALIZE_SUFFIX: &[u8] = b"_FINALIZE";

/// Why a certificate proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// It belongs to another validator set.
    #[error(
        "certificate is of epoch {found}, the validator set of epoch {expected}; use the set \
             of the certificate's epoch"
    )]
    Epoch {
        /// Epoch of the validator set.
        expected: u64,
        /// Epoch in the certificate.
        found: u64,
    },
    /// Its bitmap is not one bit a validator.
    #[error(
        "certificate has a bitmap for {found} validators, the set has {expected}; it was made \
             by another set or is damaged"
    )]
    Bitmap {
        /// Validators in the set.
        expected: usize,
        /// Validators in the certificate.
        found: usize,
    },
    /// Too few validators signed.
    #[error(
        "certificate has {found} signers, a quorum is {required}; ask another validator for it"
    )]
    Quorum {
        /// Signers that are enough.
        required: usize,
        /// Signers there are.
        found: usize,
    },
    /// The signature bytes are no point of the group, or the point at infinity.
    #[error(
        "certificate's signature is not a valid G1 point; the certificate is damaged or forged"
    )]
    SignatureEncoding,
    /// The signature does not belong to these signers and this content.
    #[error(
        "certificate's signature does not match its signers and content; it is damaged or \
             forged"
    )]
    Rejected,
}

/// The namespace of a cluster's votes: binds them to its genesis.
#[must_use]
pub fn vote_namespace(genesis: Digest) -> Vec<u8> {
    [b"clearway/1 vote ".as_slice(), &genesis.0].concat()
}

/// Checks that a quorum of `validators` signed `certificate` in `namespace`
/// ([`vote_namespace`]).
///
/// # Errors
/// What is wrong, cheap checks first.
pub fn check(
    certificate: &Certificate,
    validators: &ValidatorSet,
    namespace: &[u8],
) -> Result<(), CertificateError> {
    if certificate.epoch != validators.epoch().number {
        let (expected, found) = (validators.epoch().number, certificate.epoch);
        return Err(CertificateError::Epoch { expected, found });
    }
    check_bitmap(certificate, validators.keys().len())?;
    let signers: Vec<&PublicKey> = certificate
        .signer_indexes()
        .filter_map(|index| validators.keys().get(index))
        .collect();
    let (required, found) = (validators.quorum(), signers.len());
    if found < required {
        return Err(CertificateError::Quorum { required, found });
    }
    let signature = Signature::sig_validate(&certificate.signature, true)
        .map_err(|_| CertificateError::SignatureEncoding)?;
    let message = finalize_message(
        namespace,
        certificate.epoch,
        certificate.view,
        certificate.parent_view,
        certificate.payload,
    );
    // The group was checked just above, and keys when the set was made.
    match signature.fast_aggregate_verify(false, &message, SIGNATURE_DST, &signers) {
        BLST_ERROR::BLST_SUCCESS => Ok(()),
        _ => Err(CertificateError::Rejected),
    }
}

/// One bit a validator, none beyond: a second spelling of the same signers is refused.
fn check_bitmap(certificate: &Certificate, validator_count: usize) -> Result<(), CertificateError> {
    let found = usize::from(certificate.validator_count);
    let used_bits = found % 8;
    let last = certificate.signers.last().copied().unwrap_or(0);
    if found == validator_count
        && certificate.signers.len() == found.div_ceil(8)
        && (used_bits == 0 || last >> used_bits == 0)
    {
        return Ok(());
    }
    Err(CertificateError::Bitmap {
        expected: validator_count,
        found,
    })
}

/// The bytes that a finalize vote signs; see the head of this file.
#[must_use]
pub fn finalize_message(
    namespace: &[u8],
    epoch: u64,
    view: u64,
    parent_view: u64,
    payload: Digest,
) -> Vec<u8> {
    let mut message = Vec::with_capacity(namespace.len() + 80);
    let namespace_len = namespace.len() + FINALIZE_SUFFIX.len();
    put_varint(&mut message, namespace_len as u64);
    message.extend_from_slice(namespace);
    message.extend_from_slice(FINALIZE_SUFFIX);
    put_varint(&mut message, epoch);
    put_varint(&mut message, view);
    put_varint(&mut message, parent_view);
    message.extend_from_slice(&payload.0);
    message
}

#[cfg(test)]
mod tests {
    use blst::min_sig::AggregateSignature;

    use super::*;
    use crate::validators::tests::{infinity, secret, set, validator};

    const NAMESPACE: &[u8] = b"test namespace";

    fn certificate(validator_count: u8, signers: &[u8]) -> Certificate {
        let payload = Digest([7; 32]);
        let message = finalize_message(NAMESPACE, 0, 300, 299, payload);
        let votes: Vec<Signature> = signers
            .iter()
            .map(|s| secret(*s).sign(&message, SIGNATURE_DST))
            .collect();
        let votes: Vec<&Signature> = votes.iter().collect();
        let sum = AggregateSignature::aggregate(&votes, true).expect("at least one vote");
        let mut bitmap = vec![0; usize::from(validator_count).div_ceil(8)];
        for signer in signers {
            bitmap[usize::from(signer / 8)] |= 1 << (signer % 8);
        }
        Certificate {
            epoch: 0,
            view: 300,
            parent_view: 299,
            payload,
            validator_count: u16::from(validator_count),
            signers: bitmap,
            signature: sum.to_signature().compress(),
        }
    }

    #[test]
    fn every_quorum_of_four_is_accepted_and_every_smaller_set_refused() {
        let validators = set(4);
        for signers in [
            &[0u8, 1, 2][..],
            &[0, 1, 3],
            &[0, 2, 3],
            &[1, 2, 3],
            &[0, 1, 2, 3],
        ] {
            assert_eq!(
                check(&certificate(4, signers), &validators, NAMESPACE),
                Ok(())
            );
        }
        for signers in [&[0u8][..], &[1, 2], &[0, 3]] {
            let found = signers.len();
            assert_eq!(
                check(&certificate(4, signers), &validators, NAMESPACE),
                Err(CertificateError::Quorum { required: 3, found })
            );
        }
    }

    #[test]
    fn each_altered_field_is_refused() {
        type Edit = fn(&mut Certificate);
        use CertificateError as E;
        let rows: [(Edit, CertificateError); 13] = [
            (
                |c| c.epoch = 1,
                E::Epoch {
                    expected: 0,
                    found: 1,
                },
            ),
            (|c| c.view += 1, E::Rejected),
            (|c| c.view -= 172, E::Rejected),
            (|c| c.parent_view -= 1, E::Rejected),
            (|c| c.payload.0[31] ^= 1, E::Rejected),
            (
                |c| c.validator_count = 5,
                E::Bitmap {
                    expected: 4,
                    found: 5,
                },
            ),
            (
                |c| c.signers = vec![],
                E::Bitmap {
                    expected: 4,
                    found: 4,
                },
            ),
            (
                |c| c.signers.push(0),
                E::Bitmap {
                    expected: 4,
                    found: 4,
                },
            ),
            (
                |c| c.signers[0] |= 0x10,
                E::Bitmap {
                    expected: 4,
                    found: 4,
                },
            ),
            (|c| c.signers[0] = 0b1111, E::Rejected),
            (|c| c.signers[0] = 0b1011, E::Rejected),
            (|c| c.signature[47] ^= 1, E::SignatureEncoding),
            (|c| c.signature = infinity(), E::SignatureEncoding),
        ];
        for (row, (edit, expected)) in rows.into_iter().enumerate() {
            let mut certificate = certificate(4, &[0, 1, 2]);
            edit(&mut certificate);
            let verdict = check(&certificate, &set(4), NAMESPACE).expect_err("altered");
            assert_eq!(verdict, expected, "row {row}");
        }
    }

    #[test]
    fn another_namespace_or_another_set_is_refused() {
        let good = certificate(4, &[0, 1, 2]);
        for namespace in [&b"other namespace"[..], b"", b"test namespace_FINALIZE"] {
            assert_eq!(
                check(&good, &set(4), namespace),
                Err(CertificateError::Rejected)
            );
        }
        let strangers: Vec<_> = (10..14).map(validator).collect();
        let strangers = ValidatorSet::new(0, &strangers).expect("honest keys");
        assert_eq!(
            check(&good, &strangers, NAMESPACE),
            Err(CertificateError::Rejected)
        );
    }
}

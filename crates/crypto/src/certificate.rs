//! Finality certificates and validator keys, checked with blst alone: no engine is needed to audit.
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
//!
//! # Proof of possession
//! Aggregation is sound only when every key's owner has proved to hold its secret; otherwise a
//! key made as the difference of others forges a quorum. The proof signs
//! `varint(len(P)) || P || key` with `P` = [`POSSESSION_NAMESPACE`] under [`POSSESSION_DST`].
use std::collections::BTreeSet;
use std::fmt;

use blst::BLST_ERROR;
use blst::min_sig::{PublicKey, SecretKey, Signature};
use clearway_types::certificate::Certificate;
use clearway_types::genesis::Genesis;
use clearway_types::limits::VALIDATORS_MAX;
use clearway_types::manifest::EpochId;
use clearway_types::units::Digest;
use zeroize::Zeroizing;

use crate::hash;

/// Domain separation of votes, the proof-of-possession scheme's signature tag.
pub const SIGNATURE_DST: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// Domain separation of proofs of possession.
pub const POSSESSION_DST: &[u8] = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// Namespace of proofs of possession: they stand in the genesis, so they cannot bind its hash.
pub const POSSESSION_NAMESPACE: &[u8] = b"clearway/1 validator key";
/// Bytes of a compressed BLS public key.
pub const PUBLIC_KEY_BYTES: usize = 96;
/// Bytes of a compressed BLS signature.
pub const SIGNATURE_BYTES: usize = 48;
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

/// Why a set of validator keys cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValidatorSetError {
    /// No validators or too many.
    #[error("{count} validators; give between 1 and {VALIDATORS_MAX}")]
    Count {
        /// How many were given.
        count: usize,
    },
    /// A key that is no point of the group, or the point at infinity.
    #[error("validator {index}: its BLS key is not a valid G2 point; make a new key pair")]
    Key {
        /// Position in the genesis list.
        index: usize,
    },
    /// A key that was given before.
    #[error("validator {index}: its BLS key is used by another validator; each needs its own")]
    Twice {
        /// Position in the genesis list.
        index: usize,
    },
    /// A key whose owner has not proved to hold the secret.
    #[error(
        "validator {index}: its proof of possession does not match its BLS key; make the \
             proof again with the validator's own secret"
    )]
    Possession {
        /// Position in the genesis list.
        index: usize,
    },
}

/// The keys that may sign certificates of one epoch, in the order of the validators' numbers.
/// Every key is a valid point of the right subgroup, stands once, and came with a proof of
/// possession.
#[derive(Clone, Debug)]
pub struct ValidatorSet {
    epoch: EpochId,
    keys: Vec<PublicKey>,
}

impl ValidatorSet {
    /// Checks keys and their proofs of possession, in the order of the validators' numbers.
    ///
    /// # Errors
    /// The first key that is malformed, doubled or not proved.
    pub fn new(
        epoch: EpochId,
        validators: impl IntoIterator<Item = ([u8; PUBLIC_KEY_BYTES], [u8; SIGNATURE_BYTES])>,
    ) -> Result<Self, ValidatorSetError> {
        let mut keys = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, (key, proof)) in validators.into_iter().enumerate() {
            let parsed = parse_key(&key).ok_or(ValidatorSetError::Key { index })?;
            if !seen.insert(key) {
                return Err(ValidatorSetError::Twice { index });
            }
            if !check_possession(&key, &proof) {
                return Err(ValidatorSetError::Possession { index });
            }
            keys.push(parsed);
        }
        match keys.len() {
            1..=VALIDATORS_MAX => Ok(Self { epoch, keys }),
            count => Err(ValidatorSetError::Count { count }),
        }
    }

    /// The validators of a genesis, which begin epoch 0.
    ///
    /// # Errors
    /// As [`ValidatorSet::new`].
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, ValidatorSetError> {
        let keys = genesis.validators.iter();
        Self::new(
            hash::genesis_epoch(genesis),
            keys.map(|validator| (validator.bls_public_key.0, validator.bls_proof.0)),
        )
    }

    /// Epoch whose certificates these keys sign.
    #[must_use]
    pub fn epoch(&self) -> EpochId {
        self.epoch
    }

    /// Number of validators.
    #[must_use]
    pub fn validator_count(&self) -> usize {
        self.keys.len()
    }

    /// Signers that make a certificate: n - f with f = (n - 1) / 3, so 2f + 1 of 3f + 1.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.keys.len() - (self.keys.len() - 1) / 3
    }
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
    if certificate.epoch != validators.epoch.number {
        let (expected, found) = (validators.epoch.number, certificate.epoch);
        return Err(CertificateError::Epoch { expected, found });
    }
    check_bitmap(certificate, validators.keys.len())?;
    let signers: Vec<&PublicKey> = certificate
        .signer_indexes()
        .filter_map(|index| validators.keys.get(index))
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

/// Whether `proof` shows that somebody held the secret of `key`; malformed bytes show nothing.
#[must_use]
pub fn check_possession(key: &[u8; PUBLIC_KEY_BYTES], proof: &[u8; SIGNATURE_BYTES]) -> bool {
    let Some(parsed) = parse_key(key) else {
        return false;
    };
    let Ok(proof) = Signature::sig_validate(proof, true) else {
        return false;
    };
    let message = possession_message(key);
    let verdict = proof.verify(false, &message, POSSESSION_DST, &[], &parsed, false);
    verdict == BLST_ERROR::BLST_SUCCESS
}

fn possession_message(key: &[u8; PUBLIC_KEY_BYTES]) -> Vec<u8> {
    let mut message = Vec::with_capacity(POSSESSION_NAMESPACE.len() + PUBLIC_KEY_BYTES + 1);
    put_varint(&mut message, POSSESSION_NAMESPACE.len() as u64);
    message.extend_from_slice(POSSESSION_NAMESPACE);
    message.extend_from_slice(key);
    message
}

/// A key that is canonical, on the curve, in the subgroup and not infinity.
fn parse_key(key: &[u8; PUBLIC_KEY_BYTES]) -> Option<PublicKey> {
    let parsed = PublicKey::uncompress(key).ok()?;
    parsed.validate().ok()?;
    Some(parsed)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let group = u8::try_from(value & 0x7f).expect("seven bits fit a byte");
        value >>= 7;
        if value == 0 {
            out.push(group);
            return;
        }
        out.push(group | 0x80);
    }
}

/// The secret with which a validator votes. Its memory is wiped when it is dropped.
pub struct ValidatorSecret(SecretKey);

/// The bytes are no scalar between 1 and the group's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("validator secret is not a valid BLS12-381 scalar; restore the key file from backup")]
pub struct ValidatorSecretError;

impl ValidatorSecret {
    /// A new secret from the operating system's or another strong generator.
    #[must_use]
    pub fn generate(random: &mut impl rand_core::CryptoRng) -> Self {
        let mut material = Zeroizing::new([0; 32]);
        random.fill_bytes(material.as_mut());
        let secret = SecretKey::key_gen(material.as_ref(), &[]);
        Self(secret.expect("32 bytes of material are enough for key_gen"))
    }

    /// Reads what [`ValidatorSecret::to_bytes`] wrote.
    ///
    /// # Errors
    /// Zero, or a number not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, ValidatorSecretError> {
        SecretKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| ValidatorSecretError)
    }

    /// The scalar, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The key that checks this validator's votes, G2 compressed.
    #[must_use]
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.0.sk_to_pk().compress()
    }

    /// The proof of possession that goes into the genesis.
    #[must_use]
    pub fn prove_possession(&self) -> [u8; SIGNATURE_BYTES] {
        let message = possession_message(&self.public_key());
        self.0.sign(&message, POSSESSION_DST, &[]).compress()
    }
}

impl fmt::Debug for ValidatorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValidatorSecret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blst::min_sig::{AggregatePublicKey, AggregateSignature};

    const NAMESPACE: &[u8] = b"test namespace";

    fn secret(number: u8) -> ValidatorSecret {
        ValidatorSecret(SecretKey::key_gen(&[number; 32], &[]).expect("32 bytes"))
    }

    fn set(count: u8) -> ValidatorSet {
        let members = (0..count).map(secret);
        ValidatorSet::new(
            EpochId::default(),
            members.map(|s| (s.public_key(), s.prove_possession())),
        )
        .expect("honest keys")
    }

    fn certificate(validator_count: u8, signers: &[u8]) -> Certificate {
        let payload = Digest([7; 32]);
        let message = finalize_message(NAMESPACE, 0, 300, 299, payload);
        let votes: Vec<Signature> = signers
            .iter()
            .map(|s| secret(*s).0.sign(&message, SIGNATURE_DST, &[]))
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
    fn quorum_is_all_but_a_third() {
        for (count, quorum) in [
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 3),
            (5, 4),
            (6, 5),
            (7, 5),
            (10, 7),
        ] {
            assert_eq!(set(count).quorum(), quorum, "{count} validators");
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

    fn infinity() -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes[0] = 0xc0;
        bytes
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
        let strangers = ValidatorSet::new(
            EpochId::default(),
            (10..14)
                .map(secret)
                .map(|s| (s.public_key(), s.prove_possession())),
        );
        let strangers = strangers.expect("honest keys");
        assert_eq!(
            check(&good, &strangers, NAMESPACE),
            Err(CertificateError::Rejected)
        );
    }

    #[test]
    fn a_rogue_key_never_enters_the_set() {
        // key = own - victim: its owner could sign for both without the victim.
        let (own, victim) = (secret(1), secret(2));
        let mut sum = AggregatePublicKey::from_public_key(&own.0.sk_to_pk());
        sum.sub_aggregate(&AggregatePublicKey::from_public_key(&victim.0.sk_to_pk()));
        let rogue = sum.to_public_key().compress();
        for proof in [
            own.prove_possession(),
            victim.prove_possession(),
            infinity(),
        ] {
            let verdict = ValidatorSet::new(
                EpochId::default(),
                [
                    (victim.public_key(), victim.prove_possession()),
                    (rogue, proof),
                ],
            );
            assert_eq!(
                verdict.err(),
                Some(ValidatorSetError::Possession { index: 1 })
            );
        }
    }

    #[test]
    fn malformed_doubled_and_missing_keys_are_refused() {
        let honest = (secret(1).public_key(), secret(1).prove_possession());
        let mut infinite = [0; PUBLIC_KEY_BYTES];
        infinite[0] = 0xc0;
        let rows = [
            (vec![], ValidatorSetError::Count { count: 0 }),
            (
                vec![(infinite, infinity())],
                ValidatorSetError::Key { index: 0 },
            ),
            (
                vec![([0; PUBLIC_KEY_BYTES], honest.1)],
                ValidatorSetError::Key { index: 0 },
            ),
            (vec![honest, honest], ValidatorSetError::Twice { index: 1 }),
            (
                vec![(honest.0, secret(2).prove_possession())],
                possession(0),
            ),
            (
                vec![honest, (secret(2).public_key(), honest.1)],
                possession(1),
            ),
        ];
        for (members, expected) in rows {
            assert_eq!(
                ValidatorSet::new(EpochId::default(), members).err(),
                Some(expected)
            );
        }
    }

    fn possession(index: usize) -> ValidatorSetError {
        ValidatorSetError::Possession { index }
    }

    #[test]
    fn a_vote_is_no_proof_of_possession_and_a_proof_no_vote() {
        let key = secret(3);
        let message = possession_message(&key.public_key());
        let vote = key.0.sign(&message, SIGNATURE_DST, &[]).compress();
        assert!(check_possession(&key.public_key(), &key.prove_possession()));
        assert!(!check_possession(&key.public_key(), &vote));
    }

    #[test]
    fn secrets_survive_their_bytes_and_reject_what_is_no_scalar() {
        let key = secret(5);
        let again = ValidatorSecret::from_bytes(&key.to_bytes()).expect("own bytes");
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(format!("{again:?}"), "ValidatorSecret(hidden)");
        for bytes in [[0; 32], [0xff; 32]] {
            assert_eq!(
                ValidatorSecret::from_bytes(&bytes).err(),
                Some(ValidatorSecretError)
            );
        }
    }

    #[test]
    fn varints_are_little_endian_base_128() {
        for (value, bytes) in [
            (0, &[0u8][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (
                u64::MAX,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            ),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }
}

//! The validators of an epoch: their vote keys, proofs of possession, and the digest of the set.
//!
//! # Proof of possession
//! Aggregation is sound only when every key's owner has proved to hold its secret; otherwise a
//! key made as the difference of others forges a quorum. The proof signs
//! `varint(len(P)) || P || key` with `P` = [`POSSESSION_NAMESPACE`] under [`POSSESSION_DST`].
use std::collections::BTreeSet;
use std::fmt;

use blst::BLST_ERROR;
use blst::min_sig::{PublicKey, SecretKey, Signature};
use clearway_types::codec::Writer;
use clearway_types::domain::prefix;
use clearway_types::genesis::{Genesis, GenesisValidator};
use clearway_types::limits::VALIDATORS_MAX;
use clearway_types::manifest::EpochId;
use clearway_types::units::ValidatorNumber;
use zeroize::Zeroizing;

use crate::hash;

/// Domain separation of proofs of possession.
pub const POSSESSION_DST: &[u8] = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// Namespace of proofs of possession: they stand in the genesis, so they cannot bind its hash.
pub const POSSESSION_NAMESPACE: &[u8] = b"clearway/1 validator key";
/// Bytes of a compressed BLS public key.
pub const PUBLIC_KEY_BYTES: usize = 96;
/// Bytes of a compressed BLS signature.
pub const SIGNATURE_BYTES: usize = 48;
/// The epoch that a genesis begins.
const GENESIS_EPOCH: u64 = 0;

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
    #[error("validator {number}: its BLS key is not a valid G2 point; make a new key pair")]
    Key {
        /// Its number.
        number: ValidatorNumber,
    },
    /// A key that was given before.
    #[error("validator {number}: its BLS key is used by another validator; each needs its own")]
    Twice {
        /// Its number.
        number: ValidatorNumber,
    },
    /// A key whose owner has not proved to hold the secret.
    #[error(
        "validator {number}: its proof of possession does not match its BLS key; make the \
             proof again with the validator's own secret"
    )]
    Possession {
        /// Its number.
        number: ValidatorNumber,
    },
}

/// The keys that may sign certificates of one epoch, in the order of the validators' numbers.
/// Every key is a valid point of the right subgroup, stands once, and came with a proof of
/// possession; the epoch's digest is that of these validators.
#[derive(Clone, Debug)]
pub struct ValidatorSet {
    epoch: EpochId,
    keys: Vec<PublicKey>,
}

impl ValidatorSet {
    /// Checks keys and their proofs of possession, in the order of the validators' numbers.
    ///
    /// # Errors
    /// The first key that is malformed, repeated or not proved.
    pub fn new(
        epoch_number: u64,
        validators: &[GenesisValidator],
    ) -> Result<Self, ValidatorSetError> {
        let mut keys = Vec::new();
        let mut seen = BTreeSet::new();
        for validator in validators {
            let number = validator.number;
            let (key, proof) = (validator.bls_public_key.0, validator.bls_proof.0);
            let parsed = parse_key(&key).ok_or(ValidatorSetError::Key { number })?;
            if !seen.insert(key) {
                return Err(ValidatorSetError::Twice { number });
            }
            if !check_possession(&key, &proof) {
                return Err(ValidatorSetError::Possession { number });
            }
            keys.push(parsed);
        }
        let epoch = epoch_of(epoch_number, validators);
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
        Self::new(GENESIS_EPOCH, &genesis.validators)
    }

    /// Epoch whose certificates these keys sign.
    #[must_use]
    pub fn epoch(&self) -> EpochId {
        self.epoch
    }

    pub(crate) fn keys(&self) -> &[PublicKey] {
        &self.keys
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

/// The epoch that a genesis begins.
#[must_use]
pub fn genesis_epoch(genesis: &Genesis) -> EpochId {
    epoch_of(GENESIS_EPOCH, &genesis.validators)
}

/// An epoch's digest covers number and keys of each of its validators.
fn epoch_of(number: u64, validators: &[GenesisValidator]) -> EpochId {
    let mut out = vec![prefix::VALIDATOR_SET];
    for validator in validators {
        out.u32(validator.number.0);
        out.bytes(&validator.public_key.0);
        out.bytes(&validator.bls_public_key.0);
    }
    EpochId {
        number,
        validators: hash::sha256(&[&out]),
    }
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

/// LEB128, least significant group first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
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

#[cfg(test)]
pub(crate) mod tests {
    use blst::min_sig::AggregatePublicKey;
    use clearway_types::genesis::Rules;
    use clearway_types::units::{Digest, TimeMs};
    use sha2::Digest as _;

    use super::*;
    use crate::certificate::SIGNATURE_DST;

    impl ValidatorSecret {
        pub(crate) fn sign(&self, message: &[u8], domain: &[u8]) -> Signature {
            self.0.sign(message, domain, &[])
        }
    }

    pub(crate) fn secret(number: u8) -> ValidatorSecret {
        ValidatorSecret(SecretKey::key_gen(&[number; 32], &[]).expect("32 bytes"))
    }

    fn with_keys(
        number: u8,
        key: [u8; PUBLIC_KEY_BYTES],
        proof: [u8; SIGNATURE_BYTES],
    ) -> GenesisValidator {
        let number_of = ValidatorNumber(u32::from(number) + 1);
        let address = "127.0.0.1:1".into();
        GenesisValidator::new(number_of, "v".into(), address, [number; 32], key, proof)
    }

    /// An honest validator with this secret.
    pub(crate) fn validator(number: u8) -> GenesisValidator {
        let secret = secret(number);
        with_keys(number, secret.public_key(), secret.prove_possession())
    }

    pub(crate) fn set(count: u8) -> ValidatorSet {
        let validators: Vec<_> = (0..count).map(validator).collect();
        ValidatorSet::new(0, &validators).expect("honest keys")
    }

    pub(crate) fn infinity() -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes[0] = 0xc0;
        bytes
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
            let verdict = ValidatorSet::new(0, &[validator(2), with_keys(9, rogue, proof)]);
            let number = ValidatorNumber(10);
            assert_eq!(
                verdict.err(),
                Some(ValidatorSetError::Possession { number })
            );
        }
    }

    #[test]
    fn malformed_doubled_and_missing_keys_are_refused() {
        use ValidatorSetError as E;
        let (key, proof) = (secret(1).public_key(), secret(1).prove_possession());
        let honest = with_keys(1, key, proof);
        let mut infinite = [0; PUBLIC_KEY_BYTES];
        infinite[0] = 0xc0;
        let (two, three) = (ValidatorNumber(2), ValidatorNumber(3));
        let rows = [
            (vec![], E::Count { count: 0 }),
            (
                vec![with_keys(1, infinite, infinity())],
                E::Key { number: two },
            ),
            (
                vec![with_keys(1, [0; PUBLIC_KEY_BYTES], proof)],
                E::Key { number: two },
            ),
            (
                vec![honest.clone(), with_keys(2, key, proof)],
                E::Twice { number: three },
            ),
            (
                vec![with_keys(1, key, secret(2).prove_possession())],
                E::Possession { number: two },
            ),
            (
                vec![honest, with_keys(2, secret(2).public_key(), proof)],
                E::Possession { number: three },
            ),
        ];
        for (validators, expected) in rows {
            let found = ValidatorSet::new(0, &validators).err();
            assert_eq!(found, Some(expected));
        }
    }

    #[test]
    fn the_epoch_of_a_set_is_its_number_and_the_numbers_and_keys_of_all_its_validators() {
        let plain = |rows: &[GenesisValidator]| {
            let row = |one: &GenesisValidator| {
                let number = one.number.0.to_le_bytes();
                [&number[..], &one.public_key.0, &one.bls_public_key.0].concat()
            };
            let rows: Vec<u8> = rows.iter().flat_map(row).collect();
            Digest(sha2::Sha256::digest([&[13], &rows[..]].concat()).into())
        };
        let honest = [validator(1), validator(2)];
        for number in [0, 7] {
            let epoch = EpochId {
                number,
                validators: plain(&honest),
            };
            let set = ValidatorSet::new(number, &honest).expect("honest keys");
            assert_eq!(set.epoch(), epoch);
        }
        let mut genesis = Genesis {
            name: "test".into(),
            time: TimeMs(1),
            rules: Rules::default(),
            validators: honest.to_vec(),
            participants: Vec::new(),
            ledgers: Vec::new(),
            accounts: Vec::new(),
        };
        let epoch = genesis_epoch(&genesis);
        let set = ValidatorSet::from_genesis(&genesis).expect("honest keys");
        assert_eq!((set.epoch(), epoch.number), (epoch, 0));
        type Edit = fn(&mut Genesis);
        let edits: [(Edit, bool); 7] = [
            (|g| g.name.push('x'), true),
            (|g| g.validators[0].name.push('x'), true),
            (|g| g.validators[0].members_address.push('1'), true),
            (|g| g.validators[0].number.0 += 7, false),
            (|g| g.validators[0].public_key.0[0] ^= 1, false),
            (|g| g.validators[0].bls_public_key.0[0] ^= 1, false),
            (|g| drop(g.validators.pop()), false),
        ];
        for (row, (edit, same)) in edits.into_iter().enumerate() {
            let mut other = genesis.clone();
            edit(&mut other);
            assert_eq!(genesis_epoch(&other) == epoch, same, "row {row}");
        }
        genesis.validators.reverse();
        assert_ne!(genesis_epoch(&genesis), epoch);
    }

    #[test]
    fn a_vote_is_no_proof_of_possession_and_a_proof_no_vote() {
        let key = secret(3);
        let message = possession_message(&key.public_key());
        let vote = key.sign(&message, SIGNATURE_DST).compress();
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

//! Ed25519 keys: making, signing, the checks of registration, and proofs of possession.

use clearway_types::domain::{DomainTag, key_proof_message};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::units::ParticipantId;
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_zebra as zebra;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::{Zeroize, Zeroizing};

/// Why a key or its proof is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no point of the curve.
    #[error("the public key is not a point of the curve; make a new key pair")]
    NotOnCurve,
    /// Another encoding stands for the same point.
    #[error("the public key is not canonically encoded; send the encoding of RFC 8032")]
    NotCanonical,
    /// Anyone can sign for a point of small order.
    #[error("the public key has small order, so anyone could sign for it; make a new key pair")]
    SmallOrder,
    /// The point has a part outside the prime-order group: two such keys can share signatures.
    #[error("the public key is outside the prime-order group; make a new key pair")]
    Torsion,
    /// The proof does not verify under the key for this participant, slot and cluster.
    #[error(
        "the proof of possession does not verify; sign the proof anew with the new key, for this \
         participant, slot and cluster"
    )]
    ProofInvalid,
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes; repair its random source, then try again")]
    NoRandomness,
}

/// A secret key; wiped when it is dropped and never printed.
pub struct SigningKey(zebra::SigningKey);

impl SigningKey {
    /// The key that RFC 8032 derives from 32 secret bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(zebra::SigningKey::from_bytes(seed))
    }

    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng
            .try_fill_bytes(&mut *seed)
            .map_err(|_| KeyError::NoRandomness)?;
        Ok(Self::from_seed(&seed))
    }

    /// The 32 secret bytes, for a key store.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.0.as_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verification_key())
    }

    /// The public half, encoded.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.verifying_key().to_bytes()
    }

    /// The deterministic signature of RFC 8032: R, then S.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// Signs a body for the cluster with this tag.
    #[must_use]
    pub fn sign_envelope(&self, tag: DomainTag, body: Body) -> Envelope {
        Envelope {
            signature: self.sign(&tag.signed_bytes(&body)),
            body,
        }
    }

    /// Proves to the cluster that this key's holder puts it into a participant's slot.
    #[must_use]
    pub fn prove_possession(
        &self,
        tag: DomainTag,
        participant: ParticipantId,
        slot: u8,
    ) -> [u8; 64] {
        self.sign(&key_proof_message(
            tag,
            participant,
            slot,
            &self.public_key(),
        ))
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let public = clearway_types::hex::encode(&self.public_key());
        write!(f, "SigningKey {{ public {public} }}")
    }
}

/// A public key that may be registered: canonical, in the prime-order group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(zebra::VerificationKey);

impl VerifyingKey {
    /// Accepts what [`register_check`] accepts.
    ///
    /// # Errors
    /// Those of [`register_check`].
    pub fn from_bytes(public_key: &[u8; 32]) -> Result<Self, KeyError> {
        register_check(public_key)?;
        let key = zebra::VerificationKey::try_from(*public_key);
        key.map(Self).map_err(|_| KeyError::NotOnCurve)
    }

    /// The encoded key.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.into()
    }

    /// Whether `signature` over `message` is valid by the rule of [`crate::rule`].
    ///
    /// For key ceremonies and proofs; envelopes go through [`crate::gate`].
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = zebra::Signature::from_bytes(signature);
        self.0.verify(&signature, message).is_ok()
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&clearway_types::hex::encode(&self.to_bytes()))
    }
}

/// Whether a key may enter the directory: canonical, and in the prime-order group.
///
/// The validity rule itself accepts other keys too, because every backend must agree on them; a
/// key that fails here lets others than its holder sign, or one signature serve two keys.
///
/// # Errors
/// The first failing check, in the order of [`KeyError`].
pub fn register_check(public_key: &[u8; 32]) -> Result<(), KeyError> {
    let point = CompressedEdwardsY(*public_key)
        .decompress()
        .ok_or(KeyError::NotOnCurve)?;
    if point.compress().0 != *public_key {
        return Err(KeyError::NotCanonical);
    }
    if point.is_small_order() {
        return Err(KeyError::SmallOrder);
    }
    if !point.is_torsion_free() {
        return Err(KeyError::Torsion);
    }
    Ok(())
}

/// Checks a proof that [`SigningKey::prove_possession`] made, and that the key may be registered.
///
/// # Errors
/// Those of [`register_check`], and [`KeyError::ProofInvalid`].
pub fn check_possession(
    tag: DomainTag,
    participant: ParticipantId,
    slot: u8,
    public_key: &[u8; 32],
    proof: &[u8; 64],
) -> Result<(), KeyError> {
    let key = VerifyingKey::from_bytes(public_key)?;
    let message = key_proof_message(tag, participant, slot, public_key);
    match key.verify(&message, proof) {
        true => Ok(()),
        false => Err(KeyError::ProofInvalid),
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    use super::*;

    const TAG: DomainTag = DomainTag([3; 16]);

    #[test]
    fn from_seed_gives_the_key_and_signature_of_rfc_8032() {
        let hex = |text: &str| clearway_types::hex::decode(text).unwrap();
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let key = SigningKey::from_seed(&seed.try_into().unwrap());
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(key.public_key()[..], public);
        let signature = hex(concat!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ));
        assert_eq!(key.sign(b"")[..], signature);
        assert!(key.verifying_key().verify(b"", &key.sign(b"")));
        assert!(!key.verifying_key().verify(b"x", &key.sign(b"")));
    }

    #[test]
    fn generated_keys_differ_and_may_be_registered() {
        let (a, b) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        assert_ne!(a.public_key(), b.public_key());
        assert_eq!(register_check(&a.public_key()), Ok(()));
        let again = SigningKey::from_seed(&a.seed());
        assert_eq!(again.public_key(), a.public_key());
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let key = SigningKey::from_seed(&[7; 32]);
        let text = format!("{key:?}");
        assert!(text.contains(&clearway_types::hex::encode(&key.public_key())));
        assert!(!text.contains(&clearway_types::hex::encode(&[7; 32])));
    }

    #[test]
    fn registration_refuses_keys_that_others_could_use() {
        let good = SigningKey::from_seed(&[1; 32]).public_key();
        let mixed = ED25519_BASEPOINT_POINT + EIGHT_TORSION[1];
        // y = 1 + p, the neutral element in its second encoding.
        let mut one_again = [0xff; 32];
        (one_again[0], one_again[31]) = (0xee, 0x7f);
        let mut minus_zero = [0; 32];
        (minus_zero[0], minus_zero[31]) = (1, 0x80);
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        let mut rows = vec![
            (good, Ok(())),
            (mixed.compress().0, Err(KeyError::Torsion)),
            (one_again, Err(KeyError::NotCanonical)),
            (minus_zero, Err(KeyError::NotCanonical)),
            (off_curve, Err(KeyError::NotOnCurve)),
        ];
        rows.extend(EIGHT_TORSION.map(|point| (point.compress().0, Err(KeyError::SmallOrder))));
        for (row, (key, expected)) in rows.into_iter().enumerate() {
            assert_eq!(register_check(&key), expected, "row {row}");
            assert_eq!(
                VerifyingKey::from_bytes(&key).map(|_| ()),
                expected,
                "row {row}"
            );
        }
    }

    #[test]
    fn a_proof_of_possession_holds_for_its_key_participant_slot_and_cluster_only() {
        let key = SigningKey::from_seed(&[1; 32]);
        let proof = key.prove_possession(TAG, ParticipantId(5), 2);
        let other = SigningKey::from_seed(&[2; 32]).public_key();
        let mut broken = proof;
        broken[40] ^= 1;
        let own = key.public_key();
        let bad = Err(KeyError::ProofInvalid);
        let rows = [
            (TAG, 5, 2, own, proof, Ok(())),
            (DomainTag([4; 16]), 5, 2, own, proof, bad),
            (TAG, 6, 2, own, proof, bad),
            (TAG, 5, 3, own, proof, bad),
            (TAG, 5, 2, other, proof, bad),
            (TAG, 5, 2, own, broken, bad),
            (
                TAG,
                5,
                2,
                EIGHT_TORSION[1].compress().0,
                proof,
                Err(KeyError::SmallOrder),
            ),
        ];
        for (row, (tag, participant, slot, public_key, proof, expected)) in
            rows.into_iter().enumerate()
        {
            let participant = ParticipantId(participant);
            let found = check_possession(tag, participant, slot, &public_key, &proof);
            assert_eq!(found, expected, "row {row}");
        }
    }
}

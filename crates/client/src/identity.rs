//! Who signs and connects: a participant, one of its key slots, and the key in it.

use std::sync::Arc;

use clearway_crypto::keys::{KeyError, SigningKey};
use clearway_types::units::ParticipantId;

/// A participant's key; cheap to clone, the secret stays in one place and is wiped at the end.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<SigningKey>,
    participant: ParticipantId,
    slot: u8,
}

impl Identity {
    /// The identity of `participant` with the key in slot `slot`.
    ///
    /// # Panics
    /// For a slot above 3: there are four.
    #[must_use]
    pub fn new(key: SigningKey, participant: ParticipantId, slot: u8) -> Self {
        assert!(slot < 4, "a participant has four key slots");
        Self {
            key: Arc::new(key),
            participant,
            slot,
        }
    }

    /// The identity whose key RFC 8032 derives from 32 secret bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32], participant: ParticipantId, slot: u8) -> Self {
        Self::new(SigningKey::from_seed(seed), participant, slot)
    }

    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn generate(participant: ParticipantId, slot: u8) -> Result<Self, KeyError> {
        Ok(Self::new(SigningKey::generate()?, participant, slot))
    }

    /// The participant.
    #[must_use]
    pub fn participant(&self) -> ParticipantId {
        self.participant
    }

    /// The key slot, 0..=3.
    #[must_use]
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The public half of the key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.public_key()
    }
}

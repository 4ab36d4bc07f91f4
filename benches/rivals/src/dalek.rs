//! ed25519-dalek: batches and singles, both with decoded keys where they are known.
//!
//! Its rule is not ZIP-215 (no factor 8, strict encodings); the signatures measured here are valid
//! or invalid by both.

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey, verify_batch};

use crate::input::{Batch, Input};
use crate::rival::Rival;
use crate::singles::{Library, Singles};

/// The library's single verification.
pub(crate) struct Dalek;

/// One equation; when it fails, one by one.
#[derive(Default)]
pub(crate) struct Batches {
    singles: Singles<Dalek>,
    signatures: Vec<Signature>,
}

impl Library for Dalek {
    const NAME: &'static str = "ed25519-dalek-single";
    type Key = VerifyingKey;

    fn decode(key: &[u8; 32]) -> Option<VerifyingKey> {
        VerifyingKey::from_bytes(key).ok()
    }

    fn is_valid(key: &VerifyingKey, signature: &[u8; 64], message: &[u8]) -> bool {
        key.verify(message, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl Rival for Batches {
    fn mode(&self) -> &'static str {
        "batch"
    }

    fn name(&self) -> &'static str {
        "ed25519-dalek"
    }

    fn prepare(&mut self, input: &Input) {
        self.singles.prepare(input);
        self.signatures = input.signatures.iter().map(Signature::from_bytes).collect();
    }

    fn verify(&mut self, batch: &Batch<'_>, first: usize, valid: &mut [bool]) {
        let numbered = batch.keys.iter().enumerate();
        let keys: Option<Vec<VerifyingKey>> = numbered
            .map(|(index, key)| self.singles.key(first + index, key))
            .collect();
        let signatures = &self.signatures[first..first + batch.keys.len()];
        let holds =
            keys.is_some_and(|keys| verify_batch(batch.messages, signatures, &keys).is_ok());
        match holds {
            true => valid.fill(true),
            false => self.singles.verify(batch, first, valid),
        }
    }
}

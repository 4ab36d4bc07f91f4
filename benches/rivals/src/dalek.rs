//! ed25519-dalek: batches and singles, both with decoded keys where they are known.
//!
//! Its rule is not ZIP-215 (no factor 8, strict encodings); the signatures measured here are valid
//! or invalid by both.

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey, verify_batch};

use crate::Rival;
use crate::input::{Batch, Input};
use crate::keys::Keys;

/// One equation; when it fails, one by one.
#[derive(Default)]
pub(crate) struct Batches {
    singles: Singles,
    signatures: Vec<Signature>,
}

/// One by one.
pub(crate) struct Singles {
    keys: Keys<VerifyingKey>,
}

impl Default for Singles {
    fn default() -> Self {
        let keys = Keys::new(|key| VerifyingKey::from_bytes(key).ok());
        Self { keys }
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
            .map(|(index, key)| self.singles.keys.get(first + index, key))
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

impl Rival for Singles {
    fn mode(&self) -> &'static str {
        "single"
    }

    fn name(&self) -> &'static str {
        "ed25519-dalek-single"
    }

    fn prepare(&mut self, input: &Input) {
        self.keys.prepare(input);
    }

    fn verify(&mut self, batch: &Batch<'_>, first: usize, valid: &mut [bool]) {
        for (index, valid) in valid.iter_mut().enumerate() {
            let key = self.keys.get(first + index, &batch.keys[index]);
            let signature = Signature::from_bytes(&batch.signatures[index]);
            let message = batch.messages[index];
            *valid = key.is_some_and(|key| key.verify(message, &signature).is_ok());
        }
    }
}

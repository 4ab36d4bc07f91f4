//! ed25519-zebra: batches that share the work of equal keys, and singles.

use ed25519_zebra::{Signature, VerificationKey, VerificationKeyBytes, batch};

use crate::Rival;
use crate::input::{Batch, Input};
use crate::keys::Keys;

/// One equation; when it fails, one by one.
#[derive(Default)]
pub(crate) struct Batches {
    singles: Singles,
}

/// One by one, with decoded keys where they are known.
pub(crate) struct Singles {
    keys: Keys<VerificationKey>,
}

impl Default for Singles {
    fn default() -> Self {
        let keys = Keys::new(|key| VerificationKey::try_from(*key).ok());
        Self { keys }
    }
}

impl Rival for Batches {
    fn mode(&self) -> &'static str {
        "batch"
    }

    fn name(&self) -> &'static str {
        "ed25519-zebra"
    }

    fn prepare(&mut self, input: &Input) {
        self.singles.prepare(input);
    }

    fn verify(&mut self, batch: &Batch<'_>, first: usize, valid: &mut [bool]) {
        let mut equation = batch::Verifier::new();
        let signatures = batch.signatures.iter().zip(batch.messages);
        for (key, (signature, message)) in batch.keys.iter().zip(signatures) {
            let key = VerificationKeyBytes::from(*key);
            equation.queue((key, Signature::from_bytes(signature), message));
        }
        match equation.verify(rand::rng()) {
            Ok(()) => valid.fill(true),
            Err(_) => self.singles.verify(batch, first, valid),
        }
    }
}

impl Rival for Singles {
    fn mode(&self) -> &'static str {
        "single"
    }

    fn name(&self) -> &'static str {
        "ed25519-zebra-single"
    }

    fn prepare(&mut self, input: &Input) {
        self.keys.prepare(input);
    }

    fn verify(&mut self, batch: &Batch<'_>, first: usize, valid: &mut [bool]) {
        for (index, valid) in valid.iter_mut().enumerate() {
            let key = self.keys.get(first + index, &batch.keys[index]);
            let signature = Signature::from_bytes(&batch.signatures[index]);
            let message = batch.messages[index];
            *valid = key.is_some_and(|key| key.verify(&signature, message).is_ok());
        }
    }
}

//! ed25519-zebra: batches that share the work of equal keys, and singles.

use ed25519_zebra::{Signature, VerificationKey, VerificationKeyBytes, batch};

use crate::input::{Batch, Input};
use crate::rival::Rival;
use crate::singles::{Library, Singles};

/// The library's single verification.
pub(crate) struct Zebra;

/// One equation; when it fails, one by one.
#[derive(Default)]
pub(crate) struct Batches {
    singles: Singles<Zebra>,
}

impl Library for Zebra {
    const NAME: &'static str = "ed25519-zebra-single";
    type Key = VerificationKey;

    fn decode(key: &[u8; 32]) -> Option<VerificationKey> {
        VerificationKey::try_from(*key).ok()
    }

    fn is_valid(key: &VerificationKey, signature: &[u8; 64], message: &[u8]) -> bool {
        key.verify(&Signature::from_bytes(signature), message)
            .is_ok()
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

//! The backend for every machine: ed25519-zebra, in batches and one by one.

use ed25519_zebra as zebra;

use crate::backend::{Backend, BatchVerdict, Item, Work};

/// Verification by ed25519-zebra, which picks a vector unit of its own at run time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable(());

impl Portable {
    /// Runs on every machine.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl Backend for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn lanes(&self) -> usize {
        1
    }

    fn batch_pays(&self, items: &[Item<'_>]) -> bool {
        items.len() >= BATCH_LEN_MIN
    }

    fn search_passes_max(&self) -> usize {
        4
    }

    fn verify_batch(&self, items: &[Item<'_>], _: &mut Work) -> BatchVerdict {
        let mut batch = zebra::batch::Verifier::new();
        for item in items {
            batch.queue(prepare(item));
        }
        // Each thread's generator is seeded by the operating system: nobody outside predicts it.
        match batch.verify(rand::rng()) {
            Ok(()) => BatchVerdict::AllValid,
            Err(_) => BatchVerdict::SomeInvalid,
        }
    }

    fn verify_each(&self, items: &[Item<'_>], valid: &mut [bool], _: &mut Work) {
        assert_eq!(items.len(), valid.len(), "one place a verdict");
        for (item, valid) in items.iter().zip(valid) {
            *valid = prepare(item).verify_single().is_ok();
        }
    }
}

/// Hashes the item's message to zebra's own form, by way of a buffer on the stack.
pub(crate) fn prepare(item: &Item<'_>) -> zebra::batch::Item {
    let key = zebra::VerificationKeyBytes::from(*item.public_key);
    let signature = zebra::Signature::from_bytes(item.signature);
    let len = item.message_len();
    if len <= MESSAGE_BYTES_STACK {
        let mut message = [0; MESSAGE_BYTES_STACK];
        message[..item.prefix.len()].copy_from_slice(item.prefix);
        message[item.prefix.len()..len].copy_from_slice(item.message);
        zebra::batch::Item::from((key, signature, &message[..len]))
    } else {
        let message = [item.prefix, item.message].concat();
        zebra::batch::Item::from((key, signature, &message))
    }
}

/// An envelope's 144 bytes fit; longer messages come from test vectors alone.
const MESSAGE_BYTES_STACK: usize = 192;
/// Measured: below this, single verdicts cost no more.
const BATCH_LEN_MIN: usize = 4;

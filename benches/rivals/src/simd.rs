//! ed25519-simd: eight at a time with AVX-512 IFMA, a verdict each, by the rule of ZIP-215.

use ed25519_simd::{HotKeyCache, KeyCache, NullKeyCache, VerifyInput, Zip215Verifier};

use crate::input::{Batch, Input};
use crate::rival::Rival;

/// With some memory of keys, or none.
pub(crate) struct Each<C: KeyCache> {
    name: &'static str,
    verifier: Zip215Verifier<C>,
}

/// Without a memory of keys.
pub(crate) fn cold() -> Each<NullKeyCache> {
    Each {
        name: "ed25519-simd",
        verifier: Zip215Verifier::new(),
    }
}

/// With its cache of keys, as many as the largest input has.
pub(crate) fn hot() -> Each<HotKeyCache> {
    let cache = HotKeyCache::with_capacity(KEYS_MAX);
    Each {
        name: "ed25519-simd-hot",
        verifier: Zip215Verifier::with_cache(cache),
    }
}

impl<C: KeyCache> Rival for Each<C> {
    fn mode(&self) -> &'static str {
        "each"
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self, _: &Input) {}

    fn verify(&mut self, batch: &Batch<'_>, _: usize, valid: &mut [bool]) {
        let signatures = batch.signatures.iter().zip(batch.messages);
        let inputs = batch.keys.iter().zip(signatures);
        let inputs = inputs.map(|(key, (signature, message))| VerifyInput {
            public_key: *key,
            signature: *signature,
            message,
        });
        let inputs: Vec<_> = inputs.collect();
        self.verifier.verify_batch(&inputs, valid);
    }
}

/// Keys of the largest input: at 2.8 KB each they take 92 MB.
const KEYS_MAX: usize = 32_768;

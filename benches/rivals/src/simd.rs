//! ed25519-simd: eight at a time with AVX-512 IFMA, a verdict each, by the rule of ZIP-215.

use ed25519_simd::{HotKeyCache, KeyCache, NullKeyCache, VerifyInput, Zip215Verifier};

use crate::Rival;
use crate::input::{Batch, Input};

/// Without a memory of keys.
pub(crate) struct Cold(Zip215Verifier<NullKeyCache>);

/// With its cache of keys, as many as the largest input has.
pub(crate) struct Hot(Zip215Verifier<HotKeyCache>);

impl Default for Cold {
    fn default() -> Self {
        Self(Zip215Verifier::new())
    }
}

impl Default for Hot {
    fn default() -> Self {
        let cache = HotKeyCache::with_capacity(KEYS_MAX);
        Self(Zip215Verifier::with_cache(cache))
    }
}

impl Rival for Cold {
    fn mode(&self) -> &'static str {
        "each"
    }

    fn name(&self) -> &'static str {
        "ed25519-simd"
    }

    fn prepare(&mut self, _: &Input) {}

    fn verify(&mut self, batch: &Batch<'_>, _: usize, valid: &mut [bool]) {
        verify(&mut self.0, batch, valid);
    }
}

impl Rival for Hot {
    fn mode(&self) -> &'static str {
        "each"
    }

    fn name(&self) -> &'static str {
        "ed25519-simd-hot"
    }

    fn prepare(&mut self, _: &Input) {}

    fn verify(&mut self, batch: &Batch<'_>, _: usize, valid: &mut [bool]) {
        verify(&mut self.0, batch, valid);
    }
}

fn verify<C: KeyCache>(verifier: &mut Zip215Verifier<C>, batch: &Batch<'_>, valid: &mut [bool]) {
    let signatures = batch.signatures.iter().zip(batch.messages);
    let inputs = batch.keys.iter().zip(signatures);
    let inputs = inputs.map(|(key, (signature, message))| VerifyInput {
        public_key: *key,
        signature: *signature,
        message,
    });
    let inputs: Vec<_> = inputs.collect();
    verifier.verify_batch(&inputs, valid);
}

/// Keys of the largest input: at 2.8 KB each they take 92 MB.
const KEYS_MAX: usize = 32_768;

//! Verification one by one, with a library's keys decoded before the clock runs where they are
//! known.

use std::marker::PhantomData;

use crate::input::{Batch, Input};
use crate::rival::Rival;

/// How a library verifies one signature.
pub(crate) trait Library {
    /// The name of the rival that does nothing else.
    const NAME: &'static str;
    /// A decoded key.
    type Key: Copy;

    fn decode(key: &[u8; 32]) -> Option<Self::Key>;

    fn is_valid(key: &Self::Key, signature: &[u8; 64], message: &[u8]) -> bool;
}

/// One by one.
pub(crate) struct Singles<L: Library> {
    /// By index in the input; `None` for a key that does not decode. Empty for fresh keys.
    known: Vec<Option<L::Key>>,
    library: PhantomData<L>,
}

impl<L: Library> Default for Singles<L> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            library: PhantomData,
        }
    }
}

impl<L: Library> Singles<L> {
    /// The key at an index of the input; fresh ones are decoded now.
    pub(crate) fn key(&self, index: usize, bytes: &[u8; 32]) -> Option<L::Key> {
        match self.known.get(index) {
            Some(known) => *known,
            None => L::decode(bytes),
        }
    }
}

impl<L: Library> Rival for Singles<L> {
    fn mode(&self) -> &'static str {
        "single"
    }

    fn name(&self) -> &'static str {
        L::NAME
    }

    fn prepare(&mut self, input: &Input) {
        self.known.clear();
        if input.keys_known {
            self.known.extend(input.keys.iter().map(L::decode));
        }
    }

    fn verify(&mut self, batch: &Batch<'_>, first: usize, valid: &mut [bool]) {
        for (index, valid) in valid.iter_mut().enumerate() {
            let key = self.key(first + index, &batch.keys[index]);
            let (signature, message) = (&batch.signatures[index], batch.messages[index]);
            *valid = key.is_some_and(|key| L::is_valid(&key, signature, message));
        }
    }
}

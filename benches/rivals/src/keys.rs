//! Keys that a rival may have decoded before the clock runs.

use crate::input::Input;

/// The keys of an input, as a library decodes them.
pub(crate) struct Keys<K> {
    decode: fn(&[u8; 32]) -> Option<K>,
    /// By index in the input; `None` for a key that does not decode. Empty for fresh keys.
    known: Vec<Option<K>>,
}

impl<K: Copy> Keys<K> {
    pub(crate) fn new(decode: fn(&[u8; 32]) -> Option<K>) -> Self {
        let known = Vec::new();
        Self { decode, known }
    }

    /// Decodes the keys of an input, unless they are to be met as bytes.
    pub(crate) fn prepare(&mut self, input: &Input) {
        self.known.clear();
        if input.keys_known {
            self.known.extend(input.keys.iter().map(self.decode));
        }
    }

    /// The key at an index of the input; fresh ones are decoded now.
    pub(crate) fn get(&self, index: usize, bytes: &[u8; 32]) -> Option<K> {
        match self.known.get(index) {
            Some(known) => *known,
            None => (self.decode)(bytes),
        }
    }
}

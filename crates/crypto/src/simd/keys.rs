//! Keys of a batch: equal ones are found, and decoded points are remembered from batch to batch.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use super::comb::Comb;
use super::point::Row;
use super::scalar::split;

/// Encoded keys to what is known about them.
type KeyMap<V> = HashMap<[u8; 32], V, Secrets>;

/// Decoded points of the keys seen last: at most [`KEYS_MAX`], about 13 MB.
pub(crate) type KeyCache = Recent<Row, KEYS_MAX>;

/// What is known about the keys seen last, `MAX` at most.
///
/// Two generations: the younger takes what is new and what is asked for again; when it is full it
/// becomes the older one, and what has not been asked for since is forgotten.
#[derive(Debug)]
pub(crate) struct Recent<V, const MAX: usize> {
    younger: KeyMap<V>,
    older: KeyMap<V>,
}

/// The keys of single verdicts and short batches: how often each was used, and the combs of those
/// used often.
#[derive(Debug, Default)]
pub(crate) struct Combs {
    uses: Recent<u32, KEYS_MAX>,
    combs: Recent<Arc<Comb>, COMBS_MAX>,
}

/// Whether a key has a comb.
#[derive(Debug)]
pub(crate) enum Found {
    /// It has.
    Comb(Arc<Comb>),
    /// It was used often enough to get one.
    Often,
    /// It was not.
    Seldom,
}

/// The distinct keys of a batch, in the order of their first use.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    numbers: KeyMap<u32>,
    pub(crate) keys: Vec<[u8; 32]>,
}

impl<V, const MAX: usize> Default for Recent<V, MAX> {
    fn default() -> Self {
        let (younger, older) = Default::default();
        Self { younger, older }
    }
}

impl<V: Clone, const MAX: usize> Recent<V, MAX> {
    /// What is known about a key.
    pub(crate) fn find(&mut self, key: &[u8; 32]) -> Option<V> {
        if let Some(value) = self.younger.get(key) {
            return Some(value.clone());
        }
        let value = self.older.remove(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// Remembers a key.
    pub(crate) fn insert(&mut self, key: &[u8; 32], value: V) {
        if self.younger.len() >= MAX / 2 {
            std::mem::swap(&mut self.younger, &mut self.older);
            self.younger.clear();
        }
        self.younger.insert(*key, value);
    }

    /// Number of keys remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.younger.len() + self.older.len()
    }
}

impl Combs {
    /// Whether a key has a comb, or is due one after `times` more uses.
    pub(crate) fn find(&mut self, key: &[u8; 32], times: u32, often: u32) -> Found {
        if let Some(comb) = self.combs.find(key) {
            return Found::Comb(comb);
        }
        let uses = self.uses.find(key).unwrap_or_default();
        match uses.saturating_add(times) >= often {
            true => Found::Often,
            false => Found::Seldom,
        }
    }

    /// Counts uses of a key that has no comb.
    pub(crate) fn count(&mut self, key: &[u8; 32], times: u32) {
        let uses = self.uses.find(key).unwrap_or_default();
        self.uses.insert(key, uses.saturating_add(times));
    }

    /// Remembers a comb. Once it is forgotten, its key has to be used as often again.
    pub(crate) fn insert(&mut self, key: &[u8; 32], comb: &Arc<Comb>) {
        self.uses.insert(key, 0);
        self.combs.insert(key, Arc::clone(comb));
    }
}

impl Distinct {
    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.keys.clear();
    }

    /// The key's number among the distinct ones, counted from 0.
    ///
    /// # Panics
    /// At 2^32 keys.
    pub(crate) fn number(&mut self, key: &[u8; 32]) -> u32 {
        let next = u32::try_from(self.keys.len()).expect("batches are shorter");
        let number = *self.numbers.entry(*key).or_insert(next);
        if number == next {
            self.keys.push(*key);
        }
        number
    }
}

/// Makes hashes of keys that nobody outside can steer: multiplications by drawn secrets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secrets([u64; 4]);

/// One hash under way.
#[derive(Debug)]
pub(crate) struct KeyHasher {
    secrets: [u64; 4],
    state: u64,
}

impl Default for Secrets {
    fn default() -> Self {
        let random = RandomState::new();
        Self(std::array::from_fn(|at| random.hash_one(at)))
    }
}

impl BuildHasher for Secrets {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            secrets: self.0,
            state: 0,
        }
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        // Keys are two halves of two words; anything shorter is filled up.
        for (half, secrets) in bytes
            .chunks(16)
            .zip(self.secrets.as_chunks::<2>().0.iter().cycle())
        {
            let mut filled = [0; 16];
            filled[..half.len()].copy_from_slice(half);
            let [low, high] = split(u128::from_le_bytes(filled));
            let [low, high] = [low ^ secrets[0], high ^ secrets[1]];
            let [low, high] = split(u128::from(low) * u128::from(high));
            self.state = self.state.rotate_left(23) ^ low ^ high;
        }
    }

    fn write_usize(&mut self, _length: usize) {
        // All keys are equally long.
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

/// Keys remembered: 32 bytes and a row of 128 each, and a quarter more for the table.
pub(crate) const KEYS_MAX: usize = 65_536;
/// Combs remembered: 48 MB.
pub(crate) const COMBS_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> [u8; 32] {
        let mut key = [0; 32];
        key[24..].copy_from_slice(&number.to_le_bytes());
        key
    }

    fn row(number: u64) -> Row {
        Row {
            plus: [number; 5],
            minus: [0; 5],
            t2d: [0; 5],
            fill: 0,
        }
    }

    #[test]
    fn the_cache_stays_bounded_and_forgets_what_is_not_asked_for() {
        let mut cache = KeyCache::default();
        for number in 0..3 * KEYS_MAX {
            cache.insert(&key(number), row(number as u64));
            assert!(cache.len() <= KEYS_MAX);
            let kept = cache.find(&key(0)).expect("asked for again and again");
            assert_eq!(kept.plus, [0; 5]);
        }
        let last = 3 * KEYS_MAX - 1;
        assert_eq!(
            cache.find(&key(last)).map(|row| row.plus[0]),
            Some(last as u64)
        );
        assert!(cache.find(&key(1)).is_none());
    }

    #[test]
    fn equal_keys_have_one_number_and_others_another() {
        let mut distinct = Distinct::default();
        let numbers = [5, 6, 5, 7, 6, 5].map(|number| distinct.number(&key(number)));
        assert_eq!(numbers, [0, 1, 0, 2, 1, 0]);
        assert_eq!(distinct.keys, [5, 6, 7].map(key));
        distinct.clear();
        assert_eq!(distinct.number(&key(7)), 0);
    }

    #[test]
    fn hashes_depend_on_every_byte_and_on_the_secrets() {
        let secrets = Secrets::default();
        let hash = |key: &[u8; 32]| secrets.hash_one(key);
        let mut seen = std::collections::BTreeSet::from([hash(&[0; 32])]);
        for at in 0..32 {
            let mut key = [0; 32];
            key[at] = 1;
            assert!(seen.insert(hash(&key)), "byte {at}");
        }
        assert_ne!(Secrets::default().hash_one([0_u8; 32]), hash(&[0; 32]));
    }
}

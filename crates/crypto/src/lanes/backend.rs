//! The lane engine as a verification backend: batches by one equation, singles a lane each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::{self, Scratch};
use super::decompress::base_row;
use super::field::Field;
use super::keys::KeyCache;
use super::point::Row;
use super::sha512::Words;
use super::single;
use crate::backend::{Backend, BatchVerdict, Item};

/// A backend over one kind of vector unit: `F` for the field, `W` for the hash.
#[derive(Debug)]
pub(crate) struct Lanes<F: Field<LANES>, W, const LANES: usize> {
    name: &'static str,
    token: F::Token,
    /// The base point's.
    base: Row,
    keys: Mutex<KeyCache>,
    /// Buffers of batches, as many as were ever under way at once.
    scratch: Mutex<Vec<Scratch>>,
    words: std::marker::PhantomData<fn() -> W>,
}

impl<F, W, const LANES: usize> Lanes<F, W, LANES>
where
    F: Field<LANES>,
    W: Words<LANES, Token = F::Token>,
{
    /// A backend that knows no keys yet.
    #[must_use]
    pub(crate) fn new(name: &'static str, token: F::Token) -> Self {
        Self {
            name,
            token,
            base: base_row::<F, LANES>(token),
            keys: Mutex::default(),
            scratch: Mutex::default(),
            words: std::marker::PhantomData,
        }
    }
}

impl<F, W, const LANES: usize> Backend for Lanes<F, W, LANES>
where
    F: Field<LANES>,
    W: Words<LANES, Token = F::Token>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn lanes(&self) -> usize {
        LANES
    }

    fn batch_len_min(&self) -> usize {
        BATCH_LEN_MIN
    }

    fn verify_batch(&self, items: &[Item<'_>]) -> BatchVerdict {
        let mut scratch = lock(&self.scratch).pop().unwrap_or_default();
        // Each thread's generator is seeded by the operating system: nobody outside predicts it.
        let mut rng = rand::rng();
        let (base, keys) = (&self.base, &self.keys);
        let holds =
            batch::holds::<F, W, LANES>(self.token, base, items, &mut rng, keys, &mut scratch);
        lock(&self.scratch).push(scratch);
        match holds {
            true => BatchVerdict::AllValid,
            false => BatchVerdict::SomeInvalid,
        }
    }

    fn verify_each(&self, items: &[Item<'_>], valid: &mut [bool]) {
        assert_eq!(items.len(), valid.len(), "one place a verdict");
        single::verify::<F, W, LANES>(self.token, &self.base, items, valid);
    }
}

/// What the mutexes guard is right at every moment, whatever happened to a thread that held one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Below this, single verdicts cost no more.
const BATCH_LEN_MIN: usize = 16;

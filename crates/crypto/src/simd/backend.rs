//! The vector engine as a verification backend: batches by one equation, singles a lane each.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::batch::{Batch, Ready, Scratch};
use super::comb::Comb;
use super::decompress::{base_row, decompress};
use super::field::Field;
use super::halving::{self, Halving};
use super::keys::{self, Combs, Distinct, KeyCache};
use super::known::{self, BASE_SHAPE, KEY_SHAPE, Known};
use super::point::{Extended, Row};
use super::sha512::Words;
use super::single;
use crate::backend::{Backend, BatchVerdict, Item, Work};
use crate::search::{self, Found};

/// Below this many signatures, verdicts by combs cost less than an equation: measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLenMin {
    /// Where few R come with a hint.
    pub(crate) plain: usize,
    /// Where most do, which spares the equation square roots and the combs nothing.
    pub(crate) hinted: usize,
}

impl BatchLenMin {
    /// The same with hints and without.
    #[cfg(test)]
    pub(crate) fn both(len: usize) -> Self {
        Self {
            plain: len,
            hinted: len,
        }
    }

    fn of(self, items: &[Item<'_>]) -> usize {
        if items.len() >= self.plain {
            return self.plain;
        }
        let hinted = items.iter().filter(|item| item.hint.is_some()).count();
        match hinted * 4 >= items.len() * 3 {
            true => self.hinted,
            false => self.plain,
        }
    }
}

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
    combs: Mutex<Combs>,
    /// The base point's, made when it is first needed.
    base_comb: OnceLock<Comb>,
    /// Uses after which a key gets a comb, where its signatures are verified singly.
    often: u32,
    batch_len_min: BatchLenMin,
    words: std::marker::PhantomData<fn() -> W>,
}

impl<F, W, const LANES: usize> Lanes<F, W, LANES>
where
    F: Field<LANES>,
    W: Words<LANES, Token = F::Token>,
{
    /// A backend that knows no keys yet.
    #[must_use]
    pub(crate) fn new(name: &'static str, token: F::Token, batch_len_min: BatchLenMin) -> Self {
        Self {
            name,
            token,
            base: base_row::<F, LANES>(token),
            keys: Mutex::default(),
            scratch: Mutex::default(),
            combs: Mutex::default(),
            base_comb: OnceLock::new(),
            often: OFTEN,
            batch_len_min,
            words: std::marker::PhantomData,
        }
    }

    /// The same, with combs after this many uses of a key.
    #[cfg(test)]
    pub(crate) fn with_combs_after(mut self, often: u32) -> Self {
        self.often = often;
        self
    }

    /// Opens a batch and asks it.
    fn with_batch<T>(
        &self,
        items: &[Item<'_>],
        work: &mut Work,
        ask: impl FnOnce(Batch<'_, F::Token>, &mut Work) -> T,
    ) -> T {
        if items.len() < self.batch_len_min.of(items) {
            // Equations this short are for keys without combs; those that come again get one.
            KeysOf::new(items).count(&self.combs, self.often);
        }
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        // Each thread's generator is seeded by the operating system: nobody outside predicts it.
        let mut rng = rand::rng();
        let ready = Ready {
            token: self.token,
            base: &self.base,
            keys: &self.keys,
        };
        let batch = Batch::open::<F, W, LANES>(ready, items, &mut rng, &mut scratch, work);
        let answer = ask(batch, work);
        self.scratch.lock().push(scratch);
        answer
    }

    /// Finds the invalid ones among the sound items of a batch with this combination.
    fn search(
        &self,
        items: &[Item<'_>],
        batch: &mut Batch<'_, F::Token>,
        sum: Extended<F, LANES>,
        valid: &mut [bool],
        work: &mut Work,
    ) {
        let single_len_max = self.single_len_max(items);
        let mut parts = Halving::<F, LANES>::new(batch, single_len_max, &mut rand::rng());
        let found = search::find(self, items, &mut parts, valid, work);
        let sound = batch.sound().iter().zip(&*valid).enumerate();
        let invalid = sound.filter(|(_, (sound, valid))| **sound && !**valid);
        let invalid: Vec<usize> = invalid.map(|(at, _)| at).collect();
        if found == Found::ByParts && !halving::rest_holds(batch, sum, &invalid) {
            valid.copy_from_slice(batch.sound());
            search::singly(self, items, valid, work);
        }
    }

    /// Whether the key of any item has no comb and is due none.
    fn any_without_comb(&self, items: &[Item<'_>]) -> bool {
        let found = KeysOf::new(items).find(&self.combs, self.often);
        found
            .iter()
            .any(|found| matches!(found, keys::Found::Seldom))
    }

    /// Length up to which parts of a batch that fails get single verdicts.
    fn single_len_max(&self, items: &[Item<'_>]) -> usize {
        match self.any_without_comb(items) {
            true => COLD_LEN_MIN,
            // Half of such a part would be summed up, and combs are as fast for it from here on.
            false => self.batch_len_min.plain / 2,
        }
    }

    /// Each item's comb, where its key is used often.
    fn combs_of(&self, items: &[Item<'_>]) -> Vec<Option<Arc<Comb>>> {
        let keys = KeysOf::new(items);
        let found = keys.count(&self.combs, self.often).into_iter();
        let combs = found
            .zip(&keys.distinct.keys)
            .map(|(found, key)| match found {
                keys::Found::Comb(comb) => Some(comb),
                keys::Found::Often => self.make_comb(key),
                keys::Found::Seldom => None,
            });
        let combs: Vec<_> = combs.collect();
        let key_of = keys.key_of.iter();
        key_of.map(|&key| combs[key as usize].clone()).collect()
    }

    /// A key's comb; none for what is no point.
    fn make_comb(&self, key: &[u8; 32]) -> Option<Arc<Comb>> {
        let mut row = [Row::neutral::<F, LANES>(self.token)];
        let mut is_point = [false];
        decompress::<F, LANES>(self.token, &[*key], &mut row, &mut is_point);
        if !is_point[0] {
            return None;
        }
        let comb = Arc::new(Comb::new::<F, LANES>(self.token, KEY_SHAPE, &row[0]));
        self.combs.lock().insert(key, &comb);
        Some(comb)
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

    fn batch_pays(&self, items: &[Item<'_>]) -> bool {
        match items.len() {
            ..COLD_LEN_MIN => false,
            len if len >= self.batch_len_min.of(items) => true,
            _ => self.any_without_comb(items),
        }
    }

    fn search_passes_max(&self) -> usize {
        // Halving all parts once costs a tenth of verdicts by combs, or less.
        10
    }

    fn search_pays_from(&self) -> usize {
        SEARCH_PAYS_FROM
    }

    fn verify_batch(&self, items: &[Item<'_>], work: &mut Work) -> BatchVerdict {
        self.with_batch(items, work, |mut batch, _| {
            let sound = !batch.sound().contains(&false);
            match sound && halving::holds::<F, LANES>(self.token, batch.sum()) {
                true => BatchVerdict::AllValid,
                false => BatchVerdict::SomeInvalid,
            }
        })
    }

    fn verify_together(&self, items: &[Item<'_>], work: &mut Work) -> Option<Vec<bool>> {
        work.batched += items.len();
        self.with_batch(items, work, |mut batch, work| {
            let sum = batch.sum::<F, LANES>();
            let holds = halving::holds(self.token, sum);
            if holds && !batch.sound().contains(&false) {
                return None;
            }
            let mut valid = batch.sound().to_vec();
            if !holds {
                self.search(items, &mut batch, sum, &mut valid, work);
            }
            Some(valid)
        })
    }

    fn verify_each(&self, items: &[Item<'_>], valid: &mut [bool], _: &mut Work) {
        assert_eq!(items.len(), valid.len(), "one place a verdict");
        let (mut known, mut others) = (Vec::new(), Vec::new());
        for (place, (item, comb)) in items.iter().zip(self.combs_of(items)).enumerate() {
            match comb {
                Some(comb) => known.push(Known {
                    place,
                    item: *item,
                    comb,
                }),
                None => others.push((place, *item)),
            }
        }
        if !known.is_empty() {
            let base = || Comb::new::<F, LANES>(self.token, BASE_SHAPE, &self.base);
            let base = self.base_comb.get_or_init(base);
            known::verify::<F, W, LANES>(self.token, base, &known, valid);
        }
        single::verify::<F, W, LANES>(self.token, &self.base, &others, valid);
    }
}

/// The distinct keys of some items.
struct KeysOf {
    distinct: Distinct,
    /// Each item's key.
    key_of: Vec<u32>,
    /// Items of each key.
    uses: Vec<u32>,
}

impl KeysOf {
    fn new(items: &[Item<'_>]) -> Self {
        let mut distinct = Distinct::default();
        let keys = items.iter().map(|item| item.public_key);
        let key_of: Vec<u32> = keys.map(|key| distinct.number(key)).collect();
        let mut uses = vec![0; distinct.keys.len()];
        for &key in &key_of {
            uses[key as usize] += 1;
        }
        Self {
            distinct,
            key_of,
            uses,
        }
    }

    /// Which of the keys have combs, or are due one when the items are verified singly.
    fn find(&self, combs: &Mutex<Combs>, often: u32) -> Vec<keys::Found> {
        let mut combs = combs.lock();
        let keys = self.distinct.keys.iter().zip(&self.uses);
        keys.map(|(key, &uses)| combs.find(key, uses, often))
            .collect()
    }

    /// The same, and counts these uses of keys that are due none yet.
    fn count(&self, combs: &Mutex<Combs>, often: u32) -> Vec<keys::Found> {
        let found = self.find(combs, often);
        let mut combs = combs.lock();
        let keys = self.distinct.keys.iter().zip(&self.uses);
        for ((key, &uses), found) in keys.zip(&found) {
            if matches!(found, keys::Found::Seldom) {
                combs.count(key, uses);
            }
        }
        found
    }
}

/// Uses of a key after which it gets a comb: making one costs as much as nine verdicts by it save,
/// and where more keys are in use than there may be combs, it must not cost more than it saves.
const OFTEN: u32 = 16;
/// With 8,192 signatures of 32 keys and one in 512 invalid, a batch and its search cost 5.4 us a
/// signature with AVX2, and verdicts by combs 5.9.
const SEARCH_PAYS_FROM: usize = 512;
/// Below this, an equation costs more than verdicts without combs.
const COLD_LEN_MIN: usize = 16;

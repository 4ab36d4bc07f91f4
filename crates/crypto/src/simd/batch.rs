//! One equation for a batch: a random linear combination of all signatures' equations, times 8.
//!
//! With coefficients z of 128 bits that nobody outside can predict, the batch holds when
//! `[8](sum z R + sum over keys [sum z k] A - [sum z S] B)` is the neutral element. When a
//! signature is invalid it holds for at most one in 2^128 choices of its coefficient; when all are
//! valid it always does, small-order parts included, as the factor 8 stands in the rule too.
//! The same is true of every part of a batch, with the same coefficients.

use parking_lot::Mutex;
use rand_core::CryptoRng;

use super::decompress::{decompress, decompress_at};
use super::field::Field;
use super::hint;
use super::keys::{Distinct, KeyCache};
use super::point::{Extended, Row};
use super::scalar::{Scalar, WideSum, is_canonical, negate};
use super::sha512::Words;
use super::signature::{challenges, r_of, s_of};
use super::terms::{self, Terms};
use crate::backend::{Item, Work};

/// What a backend has ready before a batch comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready<'a, T> {
    pub(crate) token: T,
    /// The base point's.
    pub(crate) base: &'a Row,
    pub(crate) keys: &'a Mutex<KeyCache>,
}

/// A batch with all that its equation and those of its parts need.
#[derive(Debug)]
pub(crate) struct Batch<'a, T> {
    pub(crate) token: T,
    items: &'a [Item<'a>],
    scratch: &'a mut Scratch,
}

/// Buffers that are kept from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    distinct: Distinct,
    /// Each item's key, as a number among the distinct ones.
    key_of: Vec<u32>,
    key_is_point: Vec<bool>,
    /// Whether each item's key and R are points, and its S is below the group order.
    sound: Vec<bool>,
    encodings: Vec<[u8; 32]>,
    hints: Vec<[u8; 32]>,
    /// Keys, then the base point, then every R.
    rows: Vec<Row>,
    /// k of each item, not reduced.
    hashes: Vec<[u64; 8]>,
    coefficient_bytes: Vec<u8>,
    /// z of each item; none for what is not sound.
    proof: Vec<u128>,
    /// The same for a search.
    search: Vec<u128>,
    scalars: Scalars,
    part: Part,
    sums: terms::Scratch,
}

/// What keys and the base point are multiplied by.
#[derive(Debug, Default)]
struct Scalars {
    /// z * k, a sum per key.
    challenges: Vec<WideSum>,
    /// Of the keys, then of the base point.
    reduced: Vec<Scalar>,
}

/// Which coefficients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coefficients {
    /// Those of 128 bits: an equation that holds proves that all are valid.
    Proof,
    /// Those from 1 to 255, drawn by [`Batch::draw_search`]: one that holds says where not to look.
    Search,
}

/// The keys and points of a part.
#[derive(Debug, Default)]
struct Part {
    /// Each key's number among those of the part, or [`Part::NONE`].
    numbers: Vec<u32>,
    /// The keys of the part, as numbers among those of the batch.
    keys: Vec<u32>,
    /// Each item's key, as a number among those of the part.
    key_of: Vec<u32>,
    rows: Vec<Row>,
    coefficients: Vec<u128>,
}

impl<'a, T: Copy> Batch<'a, T> {
    /// Decodes, hashes and draws coefficients.
    pub(crate) fn open<F, W, const LANES: usize>(
        Ready { token, base, keys }: Ready<'_, T>,
        items: &'a [Item<'a>],
        rng: &mut dyn CryptoRng,
        scratch: &'a mut Scratch,
        work: &mut Work,
    ) -> Self
    where
        F: Field<LANES, Token = T>,
        W: Words<LANES, Token = T>,
    {
        scratch.find_keys(items);
        scratch.decode_keys::<F, LANES>(token, keys);
        scratch.rows.push(*base);
        scratch.decode_rs::<F, LANES>(token, items, work);
        scratch.find_sound(items);
        let Scratch {
            coefficient_bytes,
            proof,
            sound,
            ..
        } = &mut *scratch;
        draw(proof, coefficient_bytes, sound, rng, |&bytes| {
            u128::from_le_bytes(bytes)
        });
        scratch.hashes.clear();
        challenges::<W, LANES>(token, items, &mut scratch.hashes);
        Self {
            token,
            items,
            scratch,
        }
    }

    /// Whether each item may be valid: the others have parts that the rule refuses, and take no
    /// part in equations.
    pub(crate) fn sound(&self) -> &[bool] {
        &self.scratch.sound
    }

    /// The combination of all sound items; over none it is neutral.
    pub(crate) fn sum<F, const LANES: usize>(&mut self) -> Extended<F, LANES>
    where
        F: Field<LANES, Token = T>,
    {
        self.scratch.sum(self.token, self.items)
    }

    /// The combination of the sound items at these places.
    pub(crate) fn sum_at<F, const LANES: usize>(
        &mut self,
        places: impl Iterator<Item = usize> + Clone,
        coefficients: Coefficients,
    ) -> Extended<F, LANES>
    where
        F: Field<LANES, Token = T>,
    {
        let scratch = &mut *self.scratch;
        scratch.sum_at(self.token, self.items, places, coefficients)
    }

    /// Draws coefficients of a byte; not 0, which would leave an item out.
    pub(crate) fn draw_search(&mut self, rng: &mut dyn CryptoRng) {
        let Scratch {
            coefficient_bytes,
            search,
            sound,
            ..
        } = &mut *self.scratch;
        draw(search, coefficient_bytes, sound, rng, |&[byte]| {
            u128::from(byte.max(1))
        });
    }
}

impl Scratch {
    fn find_keys(&mut self, items: &[Item<'_>]) {
        self.distinct.clear();
        self.key_of.clear();
        let numbers = items
            .iter()
            .map(|item| self.distinct.number(item.public_key));
        self.key_of.extend(numbers);
    }

    /// Rows of the keys, and whether each is a point.
    fn decode_keys<F: Field<LANES>, const LANES: usize>(
        &mut self,
        token: F::Token,
        keys: &Mutex<KeyCache>,
    ) {
        let encodings = &self.distinct.keys;
        self.rows.clear();
        self.key_is_point.clear();
        let neutral = Row::neutral::<F, LANES>(token);
        {
            let mut keys = keys.lock();
            for key in encodings {
                let known = keys.find(key);
                self.key_is_point.push(known.is_some());
                self.rows.push(known.unwrap_or(neutral));
            }
        }
        let unknown = places_without(&self.key_is_point);
        if unknown.is_empty() {
            return;
        }
        let (rows, is_point) = (&mut self.rows, &mut self.key_is_point);
        decompress_at::<F, LANES>(token, &unknown, encodings, rows, is_point);
        let mut keys = keys.lock();
        for &number in unknown.iter().filter(|&&number| is_point[number]) {
            keys.insert(&encodings[number], rows[number]);
        }
    }

    /// Rows of every R, behind those of the keys and the base point; which are points goes into
    /// `sound`.
    fn decode_rs<F: Field<LANES>, const LANES: usize>(
        &mut self,
        token: F::Token,
        items: &[Item<'_>],
        work: &mut Work,
    ) {
        self.encodings.clear();
        self.encodings.extend(items.iter().map(r_of));
        self.sound.clear();
        self.sound.resize(items.len(), false);
        let first = self.rows.len();
        let neutral = Row::neutral::<F, LANES>(token);
        self.rows.resize(first + items.len(), neutral);
        let (encodings, rows) = (&self.encodings, &mut self.rows[first..]);
        let hinted = items.iter().filter(|item| item.hint.is_some()).count();
        if hinted == 0 {
            decompress::<F, LANES>(token, encodings, rows, &mut self.sound);
            return;
        }
        // No hint is as good as a wrong one; zeros are wrong, or else they are right.
        self.hints.clear();
        let hints = items.iter().map(|item| item.hint.copied());
        self.hints.extend(hints.map(Option::unwrap_or_default));
        hint::decode::<F, LANES>(token, encodings, &self.hints, rows, &mut self.sound);
        let right = items.iter().zip(&self.sound);
        let right = right.filter(|(item, right)| item.hint.is_some() && **right);
        let right = right.count();
        work.hints_right += right;
        work.hints_wrong += hinted - right;
        let others = places_without(&self.sound);
        decompress_at::<F, LANES>(token, &others, encodings, rows, &mut self.sound);
    }

    /// What is left of `sound` after looking at keys and S.
    fn find_sound(&mut self, items: &[Item<'_>]) {
        let items = items.iter().zip(&self.key_of);
        for ((item, &key), sound) in items.zip(&mut self.sound) {
            *sound &= self.key_is_point[key as usize] && is_canonical(&s_of(item));
        }
    }

    fn sum<F: Field<LANES>, const LANES: usize>(
        &mut self,
        token: F::Token,
        items: &[Item<'_>],
    ) -> Extended<F, LANES> {
        let factors = self.proof.iter().zip(&self.hashes).zip(items);
        let factors = factors.map(|((&z, k), item)| (z, k, s_of(item)));
        let key_count = self.distinct.keys.len();
        self.scalars
            .fill(key_count, self.key_of.iter().zip(factors));
        let terms = Terms {
            rows: &self.rows,
            long: &self.scalars.reduced,
            short: &self.proof,
            short_bits: 128,
        };
        terms.sum(token, &mut self.sums)
    }

    fn sum_at<F: Field<LANES>, const LANES: usize>(
        &mut self,
        token: F::Token,
        items: &[Item<'_>],
        places: impl Iterator<Item = usize> + Clone,
        coefficients: Coefficients,
    ) -> Extended<F, LANES> {
        let (drawn, short_bits) = match coefficients {
            Coefficients::Proof => (&self.proof, 128),
            Coefficients::Search => (&self.search, 8),
        };
        let key_count = self.distinct.keys.len();
        let part = &mut self.part;
        part.fill(key_count, &self.key_of, &self.rows, places.clone());
        part.coefficients.clear();
        part.coefficients.extend(places.clone().map(|at| drawn[at]));
        let factors = places.map(|at| (drawn[at], &self.hashes[at], s_of(&items[at])));
        self.scalars
            .fill(part.keys.len(), part.key_of.iter().zip(factors));
        let terms = Terms {
            rows: &part.rows,
            long: &self.scalars.reduced,
            short: &part.coefficients,
            short_bits,
        };
        terms.sum(token, &mut self.sums)
    }
}

impl Scalars {
    /// Sums up the factors of `key_count` keys and of the base point: of each item its key's
    /// number, z, k and S.
    fn fill<'i>(
        &mut self,
        key_count: usize,
        items: impl Iterator<Item = (&'i u32, (u128, &'i [u64; 8], Scalar))>,
    ) {
        self.challenges.clear();
        self.challenges.resize(key_count, WideSum::default());
        let mut base = WideSum::default();
        for (&key, (z, k, s)) in items {
            self.challenges[key as usize].add_product(z, k);
            base.add_product(z, &s);
        }
        self.reduced.clear();
        self.reduced
            .extend(self.challenges.iter().map(WideSum::reduce));
        self.reduced.push(negate(&base.reduce()));
    }
}

impl Part {
    /// No key of the part.
    const NONE: u32 = u32::MAX;

    /// Gathers the rows of a part and numbers its keys.
    fn fill(
        &mut self,
        key_count: usize,
        key_of: &[u32],
        rows: &[Row],
        places: impl Iterator<Item = usize> + Clone,
    ) {
        let (keys, rs) = rows.split_at(key_count);
        self.numbers.clear();
        self.numbers.resize(key_count, Self::NONE);
        self.keys.clear();
        self.key_of.clear();
        self.rows.clear();
        for key in places.clone().map(|at| key_of[at]) {
            let number = &mut self.numbers[key as usize];
            if *number == Self::NONE {
                *number = u32::try_from(self.keys.len()).expect("fewer than in the batch");
                self.keys.push(key);
                self.rows.push(keys[key as usize]);
            }
            self.key_of.push(*number);
        }
        let (base, rs) = rs.split_at(1);
        self.rows.extend_from_slice(base);
        self.rows.extend(places.map(|at| rs[at]));
    }
}

/// Draws a coefficient for each sound item.
fn draw<const BYTES: usize>(
    coefficients: &mut Vec<u128>,
    buffer: &mut Vec<u8>,
    sound: &[bool],
    rng: &mut dyn CryptoRng,
    number: impl Fn(&[u8; BYTES]) -> u128,
) {
    buffer.resize(BYTES * sound.len(), 0);
    rng.fill_bytes(buffer);
    let drawn = buffer.as_chunks().0.iter().zip(sound);
    coefficients.clear();
    coefficients.extend(drawn.map(|(bytes, &sound)| if sound { number(bytes) } else { 0 }));
}

/// The places of what is false.
fn places_without(flags: &[bool]) -> Vec<usize> {
    (0..flags.len()).filter(|&at| !flags[at]).collect()
}

//! One equation for a batch: a random linear combination of all signatures' equations, times 8.
//!
//! With coefficients z of 128 bits that nobody outside can predict, the batch holds when
//! `[8](sum z R + sum over keys [sum z k] A - [sum z S] B)` is the neutral element. When a
//! signature is invalid it holds for at most one in 2^128 choices of its coefficient; when all are
//! valid it always does, small-order parts included, as the factor 8 stands in the rule too.

use std::sync::Mutex;

use rand_core::CryptoRng;

use super::backend::lock;
use super::decompress::{decompress, decompress_at};
use super::field::{Field, LaneMask};
use super::hint;
use super::keys::{Distinct, KeyCache};
use super::pippenger::{self, Digits};
use super::point::{Extended, Row, Rows, SumIsSmall};
use super::scalar::{Scalar, WideSum, is_canonical, negate};
use super::sha512::{Words, hash};
use super::signature::{parts, r_of, s_of};
use super::spread;
use super::straus;
use crate::backend::{Item, Work};

/// Buffers that are kept from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    distinct: Distinct,
    /// Each item's key, as a number among the distinct ones.
    key_of: Vec<u32>,
    coefficients: Vec<u128>,
    coefficient_bytes: Vec<u8>,
    /// z * k, a sum a key.
    challenges: Vec<WideSum>,
    encodings: Vec<[u8; 32]>,
    hints: Vec<[u8; 32]>,
    valid: Vec<bool>,
    /// Keys, then the base point, then every R.
    rows: Vec<Row>,
    /// Scalars of the keys and the base point.
    scalars: Vec<Scalar>,
    digits: Digits,
    pippenger: pippenger::Scratch,
}

/// What a backend has ready before a batch comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready<'a, T> {
    pub(crate) token: T,
    /// The base point's.
    pub(crate) base: &'a Row,
    pub(crate) keys: &'a Mutex<KeyCache>,
}

/// Whether the equation over all items holds; over none it does.
pub(crate) fn holds<F, W, const LANES: usize>(
    Ready { token, base, keys }: Ready<'_, F::Token>,
    items: &[Item<'_>],
    rng: &mut dyn CryptoRng,
    scratch: &mut Scratch,
    work: &mut Work,
) -> bool
where
    F: Field<LANES>,
    W: Words<LANES, Token = F::Token>,
{
    if items.is_empty() {
        return true;
    }
    if !items.iter().all(|item| is_canonical(&s_of(item))) {
        return false;
    }
    scratch.find_keys(items);
    if !scratch.decode_keys::<F, LANES>(token, keys) {
        return false;
    }
    scratch.rows.push(*base);
    if !scratch.decode_rs::<F, LANES>(token, items, work) {
        return false;
    }
    scratch.draw_coefficients(items.len(), rng);
    scratch.sum_scalars::<W, LANES>(token, items);
    let points = scratch.sum_points::<F, LANES>(token);
    F::enter(
        token,
        SumIsSmall {
            token,
            points: &points,
        },
    )
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

    /// Rows of the keys; whether all are points.
    fn decode_keys<F: Field<LANES>, const LANES: usize>(
        &mut self,
        token: F::Token,
        keys: &Mutex<KeyCache>,
    ) -> bool {
        let encodings = &self.distinct.keys;
        self.rows.clear();
        self.valid.clear();
        let neutral = Row::neutral::<F, LANES>(token);
        {
            let mut keys = lock(keys);
            for key in encodings {
                let known = keys.find(key);
                self.valid.push(known.is_some());
                self.rows.push(known.unwrap_or(neutral));
            }
        }
        let unknown = invalid(&self.valid);
        if unknown.is_empty() {
            return true;
        }
        let (rows, valid) = (&mut self.rows, &mut self.valid);
        decompress_at::<F, LANES>(token, &unknown, encodings, rows, valid);
        let mut keys = lock(keys);
        for &number in unknown.iter().filter(|&&number| valid[number]) {
            keys.insert(&encodings[number], rows[number]);
        }
        self.valid.iter().all(|&valid| valid)
    }

    /// Rows of every R, behind those of the keys and the base point; whether all are points.
    fn decode_rs<F: Field<LANES>, const LANES: usize>(
        &mut self,
        token: F::Token,
        items: &[Item<'_>],
        work: &mut Work,
    ) -> bool {
        self.encodings.clear();
        self.encodings.extend(items.iter().map(r_of));
        self.valid.clear();
        self.valid.resize(items.len(), false);
        let first = self.rows.len();
        let neutral = Row::neutral::<F, LANES>(token);
        self.rows.resize(first + items.len(), neutral);
        let (encodings, rows) = (&self.encodings, &mut self.rows[first..]);
        let hinted = items.iter().filter(|item| item.hint.is_some()).count();
        if hinted == 0 {
            decompress::<F, LANES>(token, encodings, rows, &mut self.valid);
        } else {
            // No hint is as good as a wrong one; zeros are wrong, or else they are right.
            self.hints.clear();
            let hints = items.iter().map(|item| item.hint.copied());
            self.hints.extend(hints.map(Option::unwrap_or_default));
            hint::decode::<F, LANES>(token, encodings, &self.hints, rows, &mut self.valid);
            let right = items.iter().zip(&self.valid);
            let right = right.filter(|(item, right)| item.hint.is_some() && **right);
            let right = right.count();
            work.hints_right += right;
            work.hints_wrong += hinted - right;
            let others = invalid(&self.valid);
            decompress_at::<F, LANES>(token, &others, encodings, rows, &mut self.valid);
        }
        self.valid.iter().all(|&valid| valid)
    }

    fn draw_coefficients(&mut self, count: usize, rng: &mut dyn CryptoRng) {
        self.coefficient_bytes.resize(16 * count, 0);
        rng.fill_bytes(&mut self.coefficient_bytes);
        let drawn = self.coefficient_bytes.as_chunks().0;
        self.coefficients.clear();
        self.coefficients
            .extend(drawn.iter().map(|bytes| u128::from_le_bytes(*bytes)));
    }

    /// The scalars of the keys and the base point.
    fn sum_scalars<W: Words<LANES>, const LANES: usize>(
        &mut self,
        token: W::Token,
        items: &[Item<'_>],
    ) {
        self.challenges.clear();
        self.challenges
            .resize(self.distinct.keys.len(), WideSum::default());
        let mut base = WideSum::default();
        for (chunk, items) in items.chunks(LANES).enumerate() {
            let hashes = hash::<W, LANES>(token, &spread(items).map(parts));
            for (lane, item) in items.iter().enumerate() {
                let at = chunk * LANES + lane;
                let coefficient = self.coefficients[at];
                self.challenges[self.key_of[at] as usize].add_product(coefficient, &hashes[lane]);
                base.add_product(coefficient, &s_of(item));
            }
        }
        self.scalars.clear();
        self.scalars
            .extend(self.challenges.iter().map(WideSum::reduce));
        self.scalars.push(negate(&base.reduce()));
    }

    /// The combination of all points, a part of it in every lane of each result.
    fn sum_points<F: Field<LANES>, const LANES: usize>(
        &mut self,
        token: F::Token,
    ) -> Vec<Extended<F, LANES>> {
        let width = window_width(self.rows.len());
        let long_count = self.scalars.len();
        let scratch = &mut self.pippenger;
        if long_count > 3 << width >> 3 {
            self.digits.fill(width, &self.scalars, &self.coefficients);
            return vec![pippenger::sum(token, &self.rows, &self.digits, scratch)];
        }
        self.digits.fill(width, &[], &self.coefficients);
        let (keys, rs) = self.rows.split_at(long_count);
        vec![
            pippenger::sum(token, rs, &self.digits, scratch),
            few_keys::<F, LANES>(token, keys, &self.scalars),
        ]
    }
}

fn few_keys<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    rows: &[Row],
    scalars: &[Scalar],
) -> Extended<F, LANES> {
    let neutral = Row::neutral::<F, LANES>(token);
    let mut groups = Vec::with_capacity(rows.len().div_ceil(LANES));
    let mut group_scalars = Vec::with_capacity(groups.capacity());
    for (rows, scalars) in rows.chunks(LANES).zip(scalars.chunks(LANES)) {
        groups.push(Rows {
            rows: std::array::from_fn(|lane| rows.get(lane).unwrap_or(&neutral)),
            negative: LaneMask::NONE,
        });
        group_scalars.push(std::array::from_fn(|lane| {
            scalars.get(lane).copied().unwrap_or_default()
        }));
    }
    straus::sum(token, &groups, &group_scalars)
}

/// The places of what is not valid.
fn invalid(valid: &[bool]) -> Vec<usize> {
    (0..valid.len()).filter(|&at| !valid[at]).collect()
}

/// Bits of a window for so many points, as measured.
fn window_width(points: usize) -> usize {
    match points {
        0..192 => 5,
        192..768 => 6,
        768..2048 => 7,
        2048..4096 => 8,
        4096..12_288 => 9,
        12_288..32_768 => 10,
        _ => 11,
    }
}

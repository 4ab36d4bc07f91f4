//! Verdicts one by one under keys that have combs: no doublings, and no square root where the
//! signature is valid.
//!
//! `P = [S]B - [k]A` is compared with R as the two are encoded: y, and whether x is odd. Where
//! they agree, P is the point that R decodes to and the rule's equation holds. Where they do not,
//! nothing is said yet: R is decoded and the equation itself decides, as R may differ from P by a
//! point of small order, or be "minus zero".

use std::sync::Arc;

use super::affine::affine;
use super::comb::{Comb, Shape, pick};
use super::decompress::decompress;
use super::digits::Digits;
use super::field::{Field, LaneMask, Work, spread};
use super::point::{Curve, DifferenceIsSmall, Extended, Row, Rows};
use super::scalar::is_canonical;
use super::sha512::Words;
use super::signature::{factors, r_of, s_of};
use crate::backend::Item;

/// A key's comb: 22 tables of 33 rows, 93 KB.
pub(crate) const KEY_SHAPE: Shape = Shape {
    width: 6,
    stride: 2,
};
/// The base point's comb: 26 tables of 513 rows, 1.7 MB.
pub(crate) const BASE_SHAPE: Shape = Shape {
    width: 10,
    stride: 1,
};

/// A signature under a key that has a comb.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// Where its verdict belongs.
    pub(crate) place: usize,
    pub(crate) item: Item<'a>,
    pub(crate) comb: Arc<Comb>,
}

/// Writes the verdict on each item to its place.
pub(crate) fn verify<F, W, const LANES: usize>(
    token: F::Token,
    base: &Comb,
    items: &[Known<'_>],
    valid: &mut [bool],
) where
    F: Field<LANES>,
    W: Words<LANES, Token = F::Token>,
{
    let mut digits = [Digits::default(), Digits::default()];
    for items in items.chunks(GROUP * LANES) {
        let vectors: Vec<[&Known<'_>; LANES]> = items.chunks(LANES).map(spread).collect();
        let sums = sums::<F, W, LANES>(token, base, &vectors, &mut digits);
        let rs: Vec<[[u8; 32]; LANES]> = vectors
            .iter()
            .map(|vector| vector.map(|known| r_of(&known.item)))
            .collect();
        let mut equal = F::enter(
            token,
            Compare::<F, LANES> {
                token,
                sums: &sums,
                rs: &rs,
            },
        );
        decide(token, &sums, &rs, &mut equal);
        for (at, Known { place, item, .. }) in items.iter().enumerate() {
            let holds = equal[at / LANES].has(at % LANES);
            valid[*place] = holds && is_canonical(&s_of(item));
        }
    }
}

/// `[S]B - [k]A` of each lane's item.
fn sums<F, W, const LANES: usize>(
    token: F::Token,
    base: &Comb,
    vectors: &[[&Known<'_>; LANES]],
    [key_digits, base_digits]: &mut [Digits; 2],
) -> Vec<Extended<F, LANES>>
where
    F: Field<LANES>,
    W: Words<LANES, Token = F::Token>,
{
    let (mut ks, mut ss) = (Vec::new(), Vec::new());
    for vector in vectors {
        let [k, s] = factors::<W, LANES>(token, vector.map(|known| &known.item));
        ks.extend(k);
        ss.extend(s);
    }
    key_digits.fill::<F, LANES>(token, KEY_SHAPE.width, &ks, (&[], 0));
    base_digits.fill::<F, LANES>(token, BASE_SHAPE.width, &ss, (&[], 0));
    let mut steps = Vec::with_capacity(KEY_SHAPE.windows() + BASE_SHAPE.windows());
    let sums = vectors.iter().enumerate().map(|(at, vector)| {
        let keys = vector.map(|known| &*known.comb);
        steps.clear();
        let mut ends = [0; KEY_SHAPE.stride];
        // The windows between the tables come first, and are doubled with what is summed by then.
        for (part, end) in ends.iter_mut().enumerate().rev() {
            let windows = key_digits.windows().enumerate();
            for (window, digits) in windows.skip(part).step_by(KEY_SHAPE.stride) {
                let digits = &digits.as_chunks().0[at];
                steps.push(pick(&keys, KEY_SHAPE, window, digits, true));
            }
            *end = steps.len();
        }
        for (window, digits) in base_digits.windows().enumerate() {
            let digits = &digits.as_chunks().0[at];
            steps.push(pick(&[base; LANES], BASE_SHAPE, window, digits, false));
        }
        let steps = &steps;
        F::enter(token, Sum::<F, LANES> { token, steps, ends })
    });
    sums.collect()
}

/// Decides the lanes that are not equal by the equation itself.
fn decide<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    sums: &[Extended<F, LANES>],
    rs: &[[[u8; 32]; LANES]],
    equal: &mut [LaneMask],
) {
    let all = LaneMask::all::<LANES>();
    let open: Vec<usize> = (0..sums.len()).filter(|&at| equal[at] != all).collect();
    let encodings: Vec<_> = open.iter().map(|&at| rs[at]).collect();
    let mut rows = vec![[Row::neutral::<F, LANES>(token); LANES]; open.len()];
    let mut is_point = vec![[false; LANES]; open.len()];
    decompress::<F, LANES>(
        token,
        encodings.as_flattened(),
        rows.as_flattened_mut(),
        is_point.as_flattened_mut(),
    );
    for ((&at, less), is_point) in open.iter().zip(&rows).zip(&is_point) {
        let small = DifferenceIsSmall {
            token,
            point: sums[at],
            less,
        };
        let is_point = LaneMask::from_fn::<LANES>(|lane| is_point[lane]);
        equal[at] = equal[at].or(F::enter(token, small).and(is_point));
    }
}

/// Sums of rows, lane by lane, with doublings between the parts.
struct Sum<'a, F: Field<LANES>, const LANES: usize> {
    token: F::Token,
    steps: &'a [Rows<'a, LANES>],
    /// Where each part ends, the last part first; what is behind them needs no doubling either.
    ends: [usize; KEY_SHAPE.stride],
}

impl<F: Field<LANES>, const LANES: usize> Work for Sum<'_, F, LANES> {
    type Output = Extended<F, LANES>;

    #[inline(always)]
    fn run(self) -> Extended<F, LANES> {
        let curve = Curve::new(self.token);
        let mut sum = Extended::from_rows(&curve, &self.steps[0]);
        for (at, rows) in self.steps.iter().enumerate().skip(1) {
            if self.ends[1..].contains(&at) {
                sum = sum.double_times(KEY_SHAPE.width);
            }
            for row in self.steps.get(at + AHEAD).iter().flat_map(|rows| rows.rows) {
                F::prefetch(self.token, row);
            }
            sum = sum.add_rows(self.token, rows);
        }
        sum
    }
}

/// The lanes whose point is encoded as these bytes, give or take the prime.
struct Compare<'a, F: Field<LANES>, const LANES: usize> {
    token: F::Token,
    sums: &'a [Extended<F, LANES>],
    rs: &'a [[[u8; 32]; LANES]],
}

impl<F: Field<LANES>, const LANES: usize> Work for Compare<'_, F, LANES> {
    type Output = Vec<LaneMask>;

    #[inline(always)]
    fn run(self) -> Vec<LaneMask> {
        let mut equal = Vec::with_capacity(self.sums.len());
        let points = affine(&Curve::new(self.token), self.sums);
        for ([x, y], rs) in points.iter().zip(self.rs) {
            let same_y = F::decode(self.token, rs).difference(y).is_zero();
            let odd = LaneMask::from_fn::<LANES>(|lane| rs[lane][31] >> 7 == 1);
            let same_x = x.is_odd().xor(odd).xor(LaneMask::all::<LANES>());
            equal.push(same_y.and(same_x));
        }
        equal
    }
}

/// Vectors whose Z are inverted together.
const GROUP: usize = 16;
/// Rows are fetched this many additions ahead.
const AHEAD: usize = 2;

//! Decodes points as ZIP-215 wants: any y, reduced modulo the prime, and "minus zero" for x.
//!
//! x^2 = (y^2 - 1) / (d y^2 + 1) = u / v, and a root of it, where there is one, is
//! u v^3 (u v^7)^((p - 5) / 8), possibly times a root of -1 (RFC 8032, section 5.1.3). The power
//! takes 252 squares in a row; two vectors go through it side by side, so that one computes while
//! the other waits.

use super::field::{BASE_POINT, Field, LaneMask, ONE, Work};
use super::point::{Curve, Row};

/// The base point's row; a backend makes it once.
#[must_use]
pub(crate) fn base_row<F: Field<LANES>, const LANES: usize>(token: F::Token) -> Row {
    let mut row = [Row::neutral::<F, LANES>(token)];
    decompress::<F, LANES>(token, &[BASE_POINT], &mut row, &mut [false]);
    row[0]
}

/// Decodes each encoding to its row and says whether it is a point; rows of others are neutral.
///
/// # Panics
/// When the slices differ in length.
pub(crate) fn decompress<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    encodings: &[[u8; 32]],
    rows: &mut [Row],
    valid: &mut [bool],
) {
    assert!(encodings.len() == rows.len() && rows.len() == valid.len());
    F::enter(
        token,
        Decompress::<F, LANES> {
            token,
            encodings,
            rows,
            valid,
        },
    );
}

/// As [`decompress`], for the encodings at some places alone; what belongs to others stays.
pub(crate) fn decompress_at<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    places: &[usize],
    encodings: &[[u8; 32]],
    rows: &mut [Row],
    valid: &mut [bool],
) {
    let encodings: Vec<_> = places.iter().map(|&place| encodings[place]).collect();
    let mut found = vec![Row::neutral::<F, LANES>(token); places.len()];
    let mut is_point = vec![false; places.len()];
    decompress::<F, LANES>(token, &encodings, &mut found, &mut is_point);
    for (at, &place) in places.iter().enumerate() {
        (rows[place], valid[place]) = (found[at], is_point[at]);
    }
}

/// The arguments of [`decompress`].
struct Decompress<'a, F: Field<LANES>, const LANES: usize> {
    token: F::Token,
    encodings: &'a [[u8; 32]],
    rows: &'a mut [Row],
    valid: &'a mut [bool],
}

impl<F: Field<LANES>, const LANES: usize> Work for Decompress<'_, F, LANES> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let curve = Curve::<F, LANES>::new(self.token);
        let step = VECTORS * LANES;
        let chunks = self.encodings.chunks(step);
        let places = self.rows.chunks_mut(step).zip(self.valid.chunks_mut(step));
        for (encodings, (rows, valid)) in chunks.zip(places) {
            // Short chunks are filled with the neutral element.
            let mut vectors = [[ONE; LANES]; VECTORS];
            vectors.as_flattened_mut()[..encodings.len()].copy_from_slice(encodings);
            let decoded = decode::<F, LANES>(&curve, &vectors);
            for (at, (row, valid)) in rows.iter_mut().zip(valid).enumerate() {
                let (found, is_point) = &decoded[at / LANES];
                *row = found[at % LANES];
                *valid = is_point.has(at % LANES);
            }
        }
    }
}

#[inline(always)]
fn decode<F: Field<LANES>, const LANES: usize>(
    curve: &Curve<F, LANES>,
    encodings: &[[[u8; 32]; LANES]; VECTORS],
) -> [([Row; LANES], LaneMask); VECTORS] {
    let mut y = [curve.one; VECTORS];
    for (y, encodings) in y.iter_mut().zip(encodings) {
        *y = F::decode(curve.token, encodings);
    }
    let y_squared = squares(&y, 1);
    let (mut u, mut v) = (y_squared, products(&y_squared, &[curve.d; VECTORS]));
    for (u, v) in u.iter_mut().zip(&mut v) {
        *u = u.difference(&curve.one);
        *v = v.sum(&curve.one);
    }
    let v3 = products(&squares(&v, 1), &v);
    let u_v7 = products(&products(&squares(&v3, 1), &v), &u);
    let root = products(&products(&u, &v3), &power_p58(&u_v7));
    let check = products(&squares(&root, 1), &v);
    let mut decoded = [([Row::default(); LANES], LaneMask::NONE); VECTORS];
    for (at, (rows, is_point)) in decoded.iter_mut().enumerate() {
        let is_root = check[at].difference(&u[at]).is_zero();
        let is_other = check[at].sum(&u[at]).is_zero();
        let other = F::mul(&root[at], &curve.sqrt_minus_one);
        let x = F::select(is_root, &root[at], &other);
        *is_point = is_root.or(is_other);
        *rows = signed_rows(curve, &encodings[at], *is_point, &x, &y[at]);
    }
    decoded
}

/// Rows of the points with this y and this x or its negative, as the encodings say.
#[inline(always)]
pub(crate) fn signed_rows<F: Field<LANES>, const LANES: usize>(
    curve: &Curve<F, LANES>,
    encodings: &[[u8; 32]; LANES],
    is_point: LaneMask,
    x: &F,
    y: &F,
) -> [Row; LANES] {
    let odd = LaneMask::from_fn::<LANES>(|lane| encodings[lane][31] >> 7 == 1);
    let x = F::carry(&x.negate_where(x.is_odd().xor(odd)));
    rows(curve, is_point, &x, y)
}

/// Rows of affine points; the neutral element's in the lanes that are none.
#[inline(always)]
pub(crate) fn rows<F: Field<LANES>, const LANES: usize>(
    curve: &Curve<F, LANES>,
    is_point: LaneMask,
    x: &F,
    y: &F,
) -> [Row; LANES] {
    let x = F::select(is_point, x, &curve.zero);
    let y = F::select(is_point, y, &curve.one);
    let plus = y.sum(&x).store();
    let minus = y.difference(&x).store();
    let t2d = F::mul(&F::mul(&x, &y), &curve.d2).store();
    std::array::from_fn(|lane| Row {
        plus: plus[lane],
        minus: minus[lane],
        t2d: t2d[lane],
        fill: 0,
    })
}

/// z^((p - 5) / 8) = z^(2^252 - 3): the usual chain, names by the exponent's run of ones.
#[inline(always)]
pub(crate) fn power_p58<F: Field<LANES>, const LANES: usize>(z: &[F; VECTORS]) -> [F; VECTORS] {
    let z2 = squares(z, 1);
    let z9 = products(&squares(&z2, 2), z);
    let z11 = products(&z9, &z2);
    let ones_5 = products(&squares(&z11, 1), &z9);
    let ones_10 = products(&squares(&ones_5, 5), &ones_5);
    let ones_20 = products(&squares(&ones_10, 10), &ones_10);
    let ones_40 = products(&squares(&ones_20, 20), &ones_20);
    let ones_50 = products(&squares(&ones_40, 10), &ones_10);
    let ones_100 = products(&squares(&ones_50, 50), &ones_50);
    let ones_200 = products(&squares(&ones_100, 100), &ones_100);
    let ones_250 = products(&squares(&ones_200, 50), &ones_50);
    products(&squares(&ones_250, 2), z)
}

#[inline(always)]
fn squares<F: Field<LANES>, const LANES: usize>(of: &[F; VECTORS], times: usize) -> [F; VECTORS] {
    let mut of = *of;
    for _ in 0..times {
        of = [of[0].square(), of[1].square()];
    }
    of
}

#[inline(always)]
fn products<F: Field<LANES>, const LANES: usize>(
    left: &[F; VECTORS],
    right: &[F; VECTORS],
) -> [F; VECTORS] {
    [F::mul(&left[0], &right[0]), F::mul(&left[1], &right[1])]
}

/// Vectors side by side.
const VECTORS: usize = 2;

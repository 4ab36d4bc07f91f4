//! Points from hints: a square root that somebody else took is checked, not taken again.
//!
//! A hint is x of a point whose encoding has y and the sign of x. One that satisfies the curve's
//! equation with that y is the root, give or take the sign, so that exactly the point comes out to
//! which the encoding decodes. Anything else is as good as no hint.

use super::decompress::{decompress, signed_rows};
use super::field::{Field, LaneMask, Work, spread};
use super::limbs::join;
use super::point::{Curve, Row, Rows};

/// Decodes each encoding to its row where its hint is right, and says where it is; other rows are
/// neutral.
///
/// # Panics
/// When the slices differ in length.
pub(crate) fn decode<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    encodings: &[[u8; 32]],
    hints: &[[u8; 32]],
    rows: &mut [Row],
    right: &mut [bool],
) {
    assert!(encodings.len() == hints.len() && encodings.len() == rows.len());
    assert_eq!(rows.len(), right.len());
    F::enter(
        token,
        Decode::<F, LANES> {
            token,
            encodings,
            hints,
            rows,
            right,
        },
    );
}

/// The hint for each encoding; zeros for what is no point.
pub(crate) fn make<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    encodings: &[[u8; 32]],
) -> Vec<[u8; 32]> {
    let mut rows = vec![Row::neutral::<F, LANES>(token); encodings.len()];
    let mut is_point = vec![false; encodings.len()];
    decompress::<F, LANES>(token, encodings, &mut rows, &mut is_point);
    F::enter(token, Encode::<F, LANES> { token, rows: &rows })
}

/// The arguments of [`decode`].
struct Decode<'a, F: Field<LANES>, const LANES: usize> {
    token: F::Token,
    encodings: &'a [[u8; 32]],
    hints: &'a [[u8; 32]],
    rows: &'a mut [Row],
    right: &'a mut [bool],
}

impl<F: Field<LANES>, const LANES: usize> Work for Decode<'_, F, LANES> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let curve = Curve::<F, LANES>::new(self.token);
        let chunks = self.encodings.chunks(LANES).zip(self.hints.chunks(LANES));
        let places = self
            .rows
            .chunks_mut(LANES)
            .zip(self.right.chunks_mut(LANES));
        for ((encodings, hints), (rows, right)) in chunks.zip(places) {
            let encodings = spread(encodings).map(|encoding| *encoding);
            let y = F::decode(self.token, &encodings);
            let x = F::decode(self.token, &spread(hints).map(|hint| *hint));
            // x^2 (d y^2 + 1) = y^2 - 1
            let y_squared = y.square();
            let v = F::mul(&y_squared, &curve.d).sum(&curve.one);
            let u = y_squared.difference(&curve.one);
            let is_point = F::mul(&x.square(), &v).difference(&u).is_zero();
            let found = signed_rows(&curve, &encodings, is_point, &x, &y);
            for (lane, (row, right)) in rows.iter_mut().zip(right).enumerate() {
                *row = found[lane];
                *right = is_point.has(lane);
            }
        }
    }
}

/// x of each row.
struct Encode<'a, F: Field<LANES>, const LANES: usize> {
    token: F::Token,
    rows: &'a [Row],
}

impl<F: Field<LANES>, const LANES: usize> Work for Encode<'_, F, LANES> {
    type Output = Vec<[u8; 32]>;

    #[inline(always)]
    fn run(self) -> Vec<[u8; 32]> {
        let half = F::splat(self.token, &HALF);
        let mut hints = Vec::with_capacity(self.rows.len());
        for chunk in self.rows.chunks(LANES) {
            let rows = Rows {
                rows: spread(chunk),
                negative: LaneMask::NONE,
            };
            let (plus, minus) = rows.sides::<F>(self.token);
            let x = F::mul(&plus.sub(&minus), &half);
            let numbers = x.reduced();
            hints.extend(numbers[..chunk.len()].iter().map(join));
        }
        hints
    }
}

/// 1/2 = 2^254 - 9.
const HALF: [u8; 32] = {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xf7, 0x3f);
    bytes
};

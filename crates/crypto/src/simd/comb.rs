//! Combs: tables of a point's multiples, with which a product needs few doublings or none.
//!
//! A number is cut into windows of signed digits; a table holds the multiples 1 to 2^(width - 1) of
//! the point for the places of one window. With a stride of two every other window has a table: the
//! windows between take the same tables before a window's worth of doublings.

use super::affine::affine;
use super::decompress::rows;
use super::field::{Field, LaneMask, Work, spread};
use super::point::{Curve, Extended, PackedPoint, Row, Rows};
use super::scalar::digit_count;

/// How a comb cuts a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// Bits of a window.
    pub(crate) width: usize,
    /// Windows for one table.
    pub(crate) stride: usize,
}

/// Multiples of a point.
#[derive(Debug)]
pub(crate) struct Comb {
    shape: Shape,
    /// Table after table.
    rows: Vec<Row>,
}

impl Shape {
    /// Windows of a scalar below the group order.
    pub(crate) fn windows(self) -> usize {
        digit_count(253, self.width)
    }

    fn tables(self) -> usize {
        self.windows().div_ceil(self.stride)
    }

    /// Rows of one table: the neutral element, then the multiples.
    fn table_len(self) -> usize {
        1 + self.multiples()
    }

    fn multiples(self) -> usize {
        1 << (self.width - 1)
    }
}

impl Comb {
    /// The comb of a point: some hundred thousand cycles.
    pub(crate) fn new<F: Field<LANES>, const LANES: usize>(
        token: F::Token,
        shape: Shape,
        point: &Row,
    ) -> Self {
        let build = Build::<F, LANES> {
            token,
            shape,
            point,
        };
        let rows = F::enter(token, build);
        let len = shape.tables() * shape.table_len();
        assert_eq!(rows.len(), len, "whole tables");
        Self { shape, rows }
    }
}

/// What is to be added for a digit a lane of one window, each times the point of its lane's comb.
///
/// # Panics
/// When a comb lacks the window or the digit.
#[inline(always)]
pub(crate) fn pick<'r, const LANES: usize>(
    combs: &[&'r Comb; LANES],
    shape: Shape,
    window: usize,
    digits: &[i16; LANES],
    minus: bool,
) -> Rows<'r, LANES> {
    // Looked up once for all lanes: a digit is the place of its multiple in the table.
    let table = window / shape.stride * shape.table_len();
    let mut picked = Rows {
        rows: combs.map(|comb| &comb.rows[0]),
        negative: LaneMask::NONE,
    };
    for (lane, (comb, &digit)) in combs.iter().zip(digits).enumerate() {
        debug_assert_eq!(comb.shape, shape);
        picked.rows[lane] = &comb.rows[table + usize::from(digit.unsigned_abs())];
        picked.negative.0 |= u8::from((digit < 0) != minus) << lane;
    }
    picked
}

/// The arguments of [`Comb::new`].
struct Build<'a, F: Field<LANES>, const LANES: usize> {
    token: F::Token,
    shape: Shape,
    point: &'a Row,
}

impl<F: Field<LANES>, const LANES: usize> Work for Build<'_, F, LANES> {
    type Output = Vec<Row>;

    #[inline(always)]
    fn run(self) -> Vec<Row> {
        let (curve, shape) = (Curve::<F, LANES>::new(self.token), self.shape);
        let same = Rows {
            rows: [self.point; LANES],
            negative: LaneMask::NONE,
        };
        let mut place = Extended::from_rows(&curve, &same);
        // The point at the places of each table; a lane a table from here on.
        let mut places: Vec<PackedPoint> = Vec::new();
        while places.len() < shape.tables() {
            places.push(place.store()[0]);
            place = place.double_times(shape.width * shape.stride);
        }
        let neutral = Row::neutral::<F, LANES>(self.token);
        let mut found = Vec::new();
        for places in places.chunks(LANES) {
            let step = Extended::load(self.token, spread(places));
            let cached = step.cached(&curve);
            let mut multiples = vec![step; shape.multiples()];
            for at in 1..multiples.len() {
                multiples[at] = multiples[at - 1].add_cached(&cached);
            }
            let all = LaneMask::all::<LANES>();
            let mut table = Vec::with_capacity(shape.multiples());
            for [x, y] in affine(&curve, &multiples) {
                table.push(rows(&curve, all, &x, &y));
            }
            for lane in 0..places.len() {
                found.push(neutral);
                found.extend(table.iter().map(|rows| rows[lane]));
            }
        }
        found
    }
}

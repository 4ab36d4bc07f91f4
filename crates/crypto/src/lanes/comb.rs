//! Combs: tables of a point's multiples, with which a product needs few doublings or none.
//!
//! A number is cut into windows of signed digits; a table holds the multiples 1 to 2^(width - 1) of
//! the point for the places of one window. With a stride of two every other window has a table: the
//! windows between take the same tables before a window's worth of doublings.

use super::affine::affine;
use super::decompress::rows;
use super::field::{Field, LaneMask, Work};
use super::point::{Curve, Extended, PackedPoint, Row, Rows};
use super::scalar::{Scalar, digit_count, signed_digits};
use super::spread;

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
    fn windows(self) -> usize {
        digit_count(253, self.width)
    }

    fn tables(self) -> usize {
        self.windows().div_ceil(self.stride)
    }

    /// Rows of one table.
    fn table_len(self) -> usize {
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

    /// The row for a digit of a window; `neutral` for 0.
    #[inline(always)]
    fn row<'r>(&'r self, window: usize, digit: i16, neutral: &'r Row) -> &'r Row {
        match usize::from(digit.unsigned_abs()) {
            0 => neutral,
            size => {
                let table = window / self.shape.stride;
                &self.rows[table * self.shape.table_len() + size - 1]
            }
        }
    }
}

/// What is to be added for one number a lane, each times the point of its lane's comb: the rows of
/// each window, lowest first.
///
/// # Panics
/// When the combs differ in shape.
pub(crate) fn windows<'r, const LANES: usize>(
    combs: [&'r Comb; LANES],
    scalars: &[Scalar; LANES],
    minus: bool,
    neutral: &'r Row,
) -> Vec<Rows<'r, LANES>> {
    let shape = combs[0].shape;
    assert!(combs.iter().all(|comb| comb.shape == shape), "one shape");
    let mut digits = vec![[0; LANES]; shape.windows()];
    for (lane, scalar) in scalars.iter().enumerate() {
        signed_digits(scalar, shape.width, digits.len(), |window, digit| {
            digits[window][lane] = digit;
        });
    }
    let windows = digits.iter().enumerate();
    let rows = windows.map(|(window, digits)| Rows {
        rows: std::array::from_fn(|lane| combs[lane].row(window, digits[lane], neutral)),
        negative: LaneMask::from_fn::<LANES>(|lane| (digits[lane] < 0) != minus),
    });
    rows.collect()
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
        let mut found = Vec::new();
        for places in places.chunks(LANES) {
            let step = Extended::load(self.token, spread(places));
            let cached = step.cached(&curve);
            let mut multiples = vec![step; shape.table_len()];
            for at in 1..multiples.len() {
                multiples[at] = multiples[at - 1].add_cached(&cached);
            }
            let all = LaneMask::all::<LANES>();
            let mut table = Vec::with_capacity(shape.table_len());
            for [x, y] in affine(&curve, &multiples) {
                table.push(rows(&curve, all, &x, &y));
            }
            for lane in 0..places.len() {
                found.extend(table.iter().map(|rows| rows[lane]));
            }
        }
        found
    }
}

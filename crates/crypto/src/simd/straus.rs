//! Sums of few points, each times a number of its own: Straus' shared doublings, a point a lane.

use super::field::{Field, LaneMask, Work};
use super::point::{Cached, Curve, Extended, PackedPoint, Rows};
use super::scalar::{Scalar, digit_count, signed_digits};

/// The first [`TABLE_LEN`] multiples of a point a lane.
type Table<const LANES: usize> = [[PackedPoint; LANES]; TABLE_LEN];

/// Lane by lane, the sum of the groups' points, each times its scalar below L.
///
/// # Panics
/// When the slices differ in length.
pub(crate) fn sum<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    groups: &[Rows<'_, LANES>],
    scalars: &[[Scalar; LANES]],
) -> Extended<F, LANES> {
    assert_eq!(groups.len(), scalars.len(), "a scalar a point");
    let windows = digit_count(253, WIDTH);
    let mut digits = vec![[0; LANES]; windows * groups.len()];
    for (group, scalars) in scalars.iter().enumerate() {
        for (lane, scalar) in scalars.iter().enumerate() {
            signed_digits(scalar, WIDTH, windows, |window, digit| {
                digits[window * groups.len() + group][lane] = digit;
            });
        }
    }
    let mut tables = vec![[[PackedPoint::default(); LANES]; TABLE_LEN]; groups.len()];
    F::enter(
        token,
        Sum::<F, LANES> {
            token,
            groups,
            digits: &digits,
            tables: &mut tables,
        },
    )
}

/// The arguments of [`sum`], the digits window by window and their tables.
struct Sum<'a, F: Field<LANES>, const LANES: usize> {
    token: F::Token,
    groups: &'a [Rows<'a, LANES>],
    digits: &'a [[i16; LANES]],
    tables: &'a mut [Table<LANES>],
}

impl<F: Field<LANES>, const LANES: usize> Work for Sum<'_, F, LANES> {
    type Output = Extended<F, LANES>;

    #[inline(always)]
    fn run(self) -> Extended<F, LANES> {
        let curve = Curve::<F, LANES>::new(self.token);
        for (table, rows) in self.tables.iter_mut().zip(self.groups) {
            fill::<F, LANES>(&curve, table, rows);
        }
        let neutral = Cached::<F, LANES>::neutral(&curve).store();
        let mut sum = Extended::neutral(&curve);
        for digits in self.digits.chunks_exact(self.groups.len().max(1)).rev() {
            sum = sum.double_times(WIDTH);
            for (table, digits) in self.tables.iter().zip(digits) {
                sum = sum.add_cached(&pick::<F, LANES>(self.token, table, digits, &neutral));
            }
        }
        sum
    }
}

#[inline(always)]
fn fill<F: Field<LANES>, const LANES: usize>(
    curve: &Curve<F, LANES>,
    table: &mut Table<LANES>,
    rows: &Rows<'_, LANES>,
) {
    let mut multiple = Extended::<F, LANES>::from_rows(curve, rows);
    for entry in table {
        *entry = multiple.cached(curve).store();
        multiple = multiple.add_rows(curve.token, rows);
    }
}

/// The multiple that each lane's digit names.
#[inline(always)]
fn pick<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    table: &Table<LANES>,
    digits: &[i16; LANES],
    neutral: &[PackedPoint; LANES],
) -> Cached<F, LANES> {
    let points = std::array::from_fn(|lane| match usize::from(digits[lane].unsigned_abs()) {
        0 => &neutral[lane],
        size => &table[size - 1][lane],
    });
    let negative = LaneMask::from_fn::<LANES>(|lane| digits[lane] < 0);
    Cached::load(token, points, negative)
}

/// Bits of a digit.
const WIDTH: usize = 5;
/// Multiples in a table: the sizes of the signed digits.
const TABLE_LEN: usize = 1 << (WIDTH - 1);

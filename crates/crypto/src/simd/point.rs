//! Points of edwards25519, one a lane: extended coordinates, affine rows, and the formulas.
//!
//! Formulas by Hisil, Wong, Carter and Dawson, "Twisted Edwards Curves Revisited", for a = -1; they
//! are complete on this curve, so that no operand is an exception. Sums and differences of products
//! are taken before the carry ([`Field::wide_add`]), which is then done once.

use super::field::{EDWARDS_2D, EDWARDS_D, Field, LaneMask, ONE, Packed, SQRT_MINUS_ONE, Work};

/// The curve's constants in vectors, and the token: made once per call, not once per operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve<F: Field<LANES>, const LANES: usize> {
    pub(crate) token: F::Token,
    pub(crate) zero: F,
    pub(crate) one: F,
    four: F,
    pub(crate) d: F,
    pub(crate) d2: F,
    pub(crate) sqrt_minus_one: F,
}

/// Points x = X/Z, y = Y/Z, with T = XY/Z.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extended<F, const LANES: usize> {
    pub(crate) x: F,
    pub(crate) y: F,
    pub(crate) z: F,
    pub(crate) t: F,
}

/// Points to add often, projective: Y + X, Y - X, 2Z, 2dT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cached<F, const LANES: usize> {
    plus: F,
    minus: F,
    z2: F,
    t2d: F,
}

/// One affine point in plain memory: y + x, y - x, 2dxy; two cache lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Row {
    pub(crate) plus: Packed,
    pub(crate) minus: Packed,
    pub(crate) t2d: Packed,
    /// Fills the second line.
    pub(crate) fill: u64,
}

const _: () = assert!(size_of::<Row>() == 128);

/// One projective point in plain memory: X, Y, Z, T, or the parts of a [`Cached`] one.
pub(crate) type PackedPoint = [Packed; 4];

/// One [`Row`] a lane, added or subtracted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a, const LANES: usize> {
    pub(crate) rows: [&'a Row; LANES],
    pub(crate) negative: LaneMask,
}

impl<F: Field<LANES>, const LANES: usize> Curve<F, LANES> {
    /// The constants.
    #[inline(always)]
    pub(crate) fn new(token: F::Token) -> Self {
        let one = F::splat(token, &ONE);
        let two = one.sum(&one);
        Self {
            token,
            zero: F::splat(token, &[0; 32]),
            one,
            four: two.sum(&two),
            d: F::splat(token, &EDWARDS_D),
            d2: F::splat(token, &EDWARDS_2D),
            sqrt_minus_one: F::splat(token, &SQRT_MINUS_ONE),
        }
    }
}

impl Row {
    /// The neutral element, in the packing of `F`.
    pub(crate) fn neutral<F: Field<LANES>, const LANES: usize>(token: F::Token) -> Self {
        let curve = Curve::<F, LANES>::new(token);
        let (one, zero) = (curve.one.store()[0], curve.zero.store()[0]);
        Self {
            plus: one,
            minus: one,
            t2d: zero,
            fill: 0,
        }
    }
}

impl<const LANES: usize> Rows<'_, LANES> {
    /// y + x of each, or y - x where it is negative, and the other way around.
    #[inline(always)]
    pub(crate) fn sides<F: Field<LANES>>(&self, token: F::Token) -> (F, F) {
        let side = |swapped: bool| {
            F::load(
                token,
                std::array::from_fn(|lane| match self.negative.has(lane) ^ swapped {
                    true => &self.rows[lane].minus,
                    false => &self.rows[lane].plus,
                }),
            )
        };
        (side(false), side(true))
    }
}

impl<F: Field<LANES>, const LANES: usize> Extended<F, LANES> {
    /// The neutral element in every lane.
    #[inline(always)]
    pub(crate) fn neutral(curve: &Curve<F, LANES>) -> Self {
        Self {
            x: curve.zero,
            y: curve.one,
            z: curve.one,
            t: curve.zero,
        }
    }

    /// The points of `rows`: one product, where adding them to the neutral element takes seven.
    #[inline(always)]
    pub(crate) fn from_rows(curve: &Curve<F, LANES>, rows: &Rows<'_, LANES>) -> Self {
        let (plus, minus) = rows.sides::<F>(curve.token);
        // 2x and 2y, with Z = 2; all times 2, so that T = 2x * 2y.
        let (x2, y2) = (plus.difference(&minus), plus.sum(&minus));
        Self {
            x: x2.sum(&x2),
            y: y2.sum(&y2),
            z: curve.four,
            t: F::mul(&x2, &y2),
        }
    }

    /// Adds an affine point to each: 7 products.
    #[inline(always)]
    pub(crate) fn add_rows(&self, token: F::Token, rows: &Rows<'_, LANES>) -> Self {
        let (plus, minus) = rows.sides::<F>(token);
        let t2d = F::load(token, rows.rows.map(|row| &row.t2d));
        let a = F::mul_wide(&self.y.sub(&self.x), &minus);
        let b = F::mul_wide(&self.y.add(&self.x), &plus);
        let c = F::mul_wide(&t2d.negate_where(rows.negative), &self.t);
        let z = self.z.widen();
        Self::combine(&a, &b, &c, &F::wide_add(&z, &z))
    }

    /// Adds a cached point to each: 8 products.
    #[inline(always)]
    pub(crate) fn add_cached(&self, other: &Cached<F, LANES>) -> Self {
        let a = F::mul_wide(&self.y.sub(&self.x), &other.minus);
        let b = F::mul_wide(&self.y.add(&self.x), &other.plus);
        let c = F::mul_wide(&self.t, &other.t2d);
        let d = F::mul_wide(&self.z, &other.z2);
        Self::combine(&a, &b, &c, &d)
    }

    /// Adds a point to each: 9 products.
    #[inline(always)]
    pub(crate) fn add(&self, curve: &Curve<F, LANES>, other: &Self) -> Self {
        self.add_cached(&other.cached(curve))
    }

    /// The last four products of an addition.
    #[inline(always)]
    fn combine(a: &F::Wide, b: &F::Wide, c: &F::Wide, d: &F::Wide) -> Self {
        let e = F::carry_wide(&F::wide_sub(b, a));
        let f = F::carry_wide(&F::wide_sub(d, c));
        let g = F::carry_wide(&F::wide_add(d, c));
        let h = F::carry_wide(&F::wide_add(b, a));
        Self {
            x: F::mul(&e, &f),
            y: F::mul(&g, &h),
            z: F::mul(&f, &g),
            t: F::mul(&e, &h),
        }
    }

    /// Doubles each: 4 squares and 4 products.
    #[inline(always)]
    pub(crate) fn double(&self) -> Self {
        let a = self.x.square_wide();
        let b = self.y.square_wide();
        let c = self.z.square_wide();
        let s = self.x.sum(&self.y).square_wide();
        let g = F::wide_sub(&a, &b);
        let h = F::wide_add(&a, &b);
        let e = F::carry_wide(&F::wide_sub(&h, &s));
        let f = F::carry_wide(&F::wide_add(&F::wide_add(&c, &c), &g));
        let (g, h) = (F::carry_wide(&g), F::carry_wide(&h));
        Self {
            x: F::mul(&e, &f),
            y: F::mul(&g, &h),
            z: F::mul(&f, &g),
            t: F::mul(&e, &h),
        }
    }

    /// Doubles each `times` times.
    #[inline(always)]
    pub(crate) fn double_times(&self, times: usize) -> Self {
        let mut point = *self;
        for _ in 0..times {
            point = point.double();
        }
        point
    }

    /// The form to add often: one product.
    #[inline(always)]
    pub(crate) fn cached(&self, curve: &Curve<F, LANES>) -> Cached<F, LANES> {
        Cached {
            plus: self.y.sum(&self.x),
            minus: self.y.difference(&self.x),
            z2: self.z.sum(&self.z),
            t2d: F::mul(&self.t, &curve.d2),
        }
    }

    /// `self` in the lanes of the mask, `otherwise` in the others.
    #[inline(always)]
    pub(crate) fn select(mask: LaneMask, when: &Self, otherwise: &Self) -> Self {
        Self {
            x: F::select(mask, &when.x, &otherwise.x),
            y: F::select(mask, &when.y, &otherwise.y),
            z: F::select(mask, &when.z, &otherwise.z),
            t: F::select(mask, &when.t, &otherwise.t),
        }
    }

    /// The sum of all lanes, in every lane.
    #[inline(always)]
    pub(crate) fn sum_lanes(&self, curve: &Curve<F, LANES>) -> Self {
        let mut sum = *self;
        let mut distance = LANES / 2;
        while distance > 0 {
            let packed = sum.store();
            let turned = std::array::from_fn(|lane| &packed[lane ^ distance]);
            sum = sum.add(curve, &Self::load(curve.token, turned));
            distance /= 2;
        }
        sum
    }

    /// The lanes whose point times 8 is the neutral element.
    #[inline(always)]
    pub(crate) fn is_small_order(&self) -> LaneMask {
        let point = self.double_times(3);
        let y_is_z = point.y.difference(&point.z).is_zero();
        point.x.is_zero().and(y_is_z)
    }

    /// Packs the points.
    #[inline(always)]
    pub(crate) fn store(&self) -> [PackedPoint; LANES] {
        pack([&self.x, &self.y, &self.z, &self.t])
    }

    /// Unpacks a point a lane.
    #[inline(always)]
    pub(crate) fn load(token: F::Token, points: [&PackedPoint; LANES]) -> Self {
        let [x, y, z, t] = unpack(token, points);
        Self { x, y, z, t }
    }
}

impl<F: Field<LANES>, const LANES: usize> Cached<F, LANES> {
    /// The neutral element in every lane.
    #[inline(always)]
    pub(crate) fn neutral(curve: &Curve<F, LANES>) -> Self {
        Extended::neutral(curve).cached(curve)
    }

    /// Packs the points.
    #[inline(always)]
    pub(crate) fn store(&self) -> [PackedPoint; LANES] {
        pack([&self.plus, &self.minus, &self.z2, &self.t2d])
    }

    /// Unpacks a point a lane, negated in the lanes of `negative`.
    #[inline(always)]
    pub(crate) fn load(token: F::Token, points: [&PackedPoint; LANES], negative: LaneMask) -> Self {
        let [plus, minus, z2, t2d]: [F; 4] = unpack(token, points);
        Self {
            plus: F::select(negative, &minus, &plus),
            minus: F::select(negative, &plus, &minus),
            z2,
            t2d: F::carry(&t2d.negate_where(negative)),
        }
    }
}

#[inline(always)]
fn pack<F: Field<LANES>, const LANES: usize>(parts: [&F; 4]) -> [PackedPoint; LANES] {
    let mut points = [PackedPoint::default(); LANES];
    for (at, part) in parts.into_iter().enumerate() {
        for (point, part) in points.iter_mut().zip(part.store()) {
            point[at] = part;
        }
    }
    points
}

#[inline(always)]
fn unpack<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    points: [&PackedPoint; LANES],
) -> [F; 4] {
    let [x, y, z, t] = [0, 1, 2, 3].map(|part| points.map(|point| &point[part]));
    [
        F::load(token, x),
        F::load(token, y),
        F::load(token, z),
        F::load(token, t),
    ]
}

/// Lane by lane, the sum of two points.
pub(crate) struct SumOf<F: Field<LANES>, const LANES: usize> {
    pub(crate) token: F::Token,
    pub(crate) points: [Extended<F, LANES>; 2],
}

/// Lane by lane, a point less another.
pub(crate) struct DifferenceOf<F: Field<LANES>, const LANES: usize> {
    pub(crate) token: F::Token,
    pub(crate) point: Extended<F, LANES>,
    pub(crate) less: Extended<F, LANES>,
}

/// Whether the sum of all lanes, times 8, is the neutral element.
pub(crate) struct LanesSumIsSmall<F: Field<LANES>, const LANES: usize> {
    pub(crate) token: F::Token,
    pub(crate) point: Extended<F, LANES>,
}

/// The lanes where a point less an affine one is of small order.
pub(crate) struct DifferenceIsSmall<'a, F: Field<LANES>, const LANES: usize> {
    pub(crate) token: F::Token,
    pub(crate) point: Extended<F, LANES>,
    pub(crate) less: &'a [Row; LANES],
}

impl<F: Field<LANES>, const LANES: usize> Work for SumOf<F, LANES> {
    type Output = Extended<F, LANES>;

    #[inline(always)]
    fn run(self) -> Extended<F, LANES> {
        let [left, right] = self.points;
        left.add(&Curve::new(self.token), &right)
    }
}

impl<F: Field<LANES>, const LANES: usize> Work for DifferenceOf<F, LANES> {
    type Output = Extended<F, LANES>;

    #[inline(always)]
    fn run(self) -> Extended<F, LANES> {
        let curve = Curve::<F, LANES>::new(self.token);
        let less = Extended {
            x: curve.zero.difference(&self.less.x),
            t: curve.zero.difference(&self.less.t),
            ..self.less
        };
        self.point.add(&curve, &less)
    }
}

impl<F: Field<LANES>, const LANES: usize> Work for LanesSumIsSmall<F, LANES> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let curve = Curve::new(self.token);
        self.point.sum_lanes(&curve).is_small_order().has(0)
    }
}

impl<F: Field<LANES>, const LANES: usize> Work for DifferenceIsSmall<'_, F, LANES> {
    type Output = LaneMask;

    #[inline(always)]
    fn run(self) -> LaneMask {
        let less = Rows {
            rows: self.less.each_ref(),
            negative: LaneMask::all::<LANES>(),
        };
        self.point.add_rows(self.token, &less).is_small_order()
    }
}

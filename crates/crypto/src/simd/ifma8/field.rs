//! Eight elements of GF(2^255 - 19) side by side, multiplied 52 bits by 52 bits.
//!
//! Lane l of register i holds limb i of element l: radix 2^51, five limbs without sign. The unit
//! adds the low or the high 52 bits of a product of 52 bits, so that the high half counts twice at
//! the next limb.
//!
//! Bounds: carried limbs are below 2^51 + 2^16, loose ones below 2^52. A half is then below 2^52,
//! and a doubled high half below 2^52 + 2^18. Column 0 of a product is the largest: one low half,
//! and 19 times four low and five high ones, below 173 * 2^52 together. Sums of up to four
//! products, of either sign, stay below 2^62 less a little, which is added before they are carried:
//! the sum is below 2^63, its excess over 51 bits below 3434, and 19 times that below 2^16.
//!
//! Attacked by `simd::field_tests`, with operands at the bounds and a unit that checks them.

use super::unit::Unit;
use crate::simd::field::{Field, LaneMask, Packed, Work};
use crate::simd::limbs::{LIMB_BITS, PRIME, split};
use crate::simd::ranges::unchecked;

/// Carried limbs are below this.
pub(crate) const CARRIED_END: u64 = (1 << LIMB_BITS) + (1 << 16);
/// Loose limbs, and whatever is multiplied, are below this.
const LOOSE_END: u64 = 1 << 52;
/// Columns of one product are below this.
const PRODUCT_END: u64 = 173 << 52;
/// Columns that can be carried are smaller than this.
const WIDE_END: i64 = 4 * PRODUCT_END.cast_signed();

/// Five registers, a limb or a column each.
type Limbs<U> = [U; 5];

/// Eight carried elements.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Field8<U>(Loose8<U>);

/// Eight loose elements.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Loose8<U>(Limbs<U>);

/// Eight lanes of columns, in two's complement.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Wide8<U>(Limbs<U>);

impl<U> AsRef<Loose8<U>> for Field8<U> {
    #[inline(always)]
    fn as_ref(&self) -> &Loose8<U> {
        &self.0
    }
}

impl<U> AsRef<Loose8<U>> for Loose8<U> {
    #[inline(always)]
    fn as_ref(&self) -> &Loose8<U> {
        self
    }
}

impl<U: Unit> Field<8> for Field8<U> {
    type Token = U::Token;
    type Loose = Loose8<U>;
    type Wide = Wide8<U>;

    #[inline(always)]
    fn enter<W: Work>(token: U::Token, work: W) -> W::Output {
        U::enter(token, work)
    }

    #[inline(always)]
    fn decode(token: U::Token, bytes: &[[u8; 32]; 8]) -> Self {
        let mut limbs = [[0; 8]; 5];
        for (lane, bytes) in bytes.iter().enumerate() {
            for (limb, value) in limbs.iter_mut().zip(split(bytes)) {
                limb[lane] = value.cast_unsigned();
            }
        }
        let [a, b, c, d, e] = &limbs;
        Self::carried([
            U::load(token, a),
            U::load(token, b),
            U::load(token, c),
            U::load(token, d),
            U::load(token, e),
        ])
    }

    #[inline(always)]
    fn load(token: U::Token, packed: [&Packed; 8]) -> Self {
        Self::carried(U::load_packed(token, packed))
    }

    #[inline(always)]
    fn store(&self) -> [Packed; 8] {
        by_lane(self.limbs())
    }

    #[inline(always)]
    fn prefetch<T>(token: U::Token, value: &T) {
        U::prefetch(token, value);
    }

    #[inline(always)]
    fn add(&self, other: &Self) -> Loose8<U> {
        self.sum(other).0
    }

    #[inline(always)]
    fn sub(&self, other: &Self) -> Loose8<U> {
        self.difference(other).0
    }

    // The sum of two carried limbs may take 53 bits: it is carried whatever becomes of it.
    #[inline(always)]
    fn sum(&self, other: &Self) -> Self {
        Self::carried(carry(&columns_sum(self.limbs(), other.limbs())))
    }

    #[inline(always)]
    fn difference(&self, other: &Self) -> Self {
        let negative = negative(other.limbs());
        Self::carried(carry(&columns_sum(self.limbs(), &negative)))
    }

    #[inline(always)]
    fn negate_where(&self, mask: LaneMask) -> Loose8<U> {
        Loose8::loose(select(mask, &negative(self.limbs()), self.limbs()))
    }

    #[inline(always)]
    fn select(mask: LaneMask, when: &Self, otherwise: &Self) -> Self {
        Self::carried(select(mask, when.limbs(), otherwise.limbs()))
    }

    #[inline(always)]
    fn carry(loose: &Loose8<U>) -> Self {
        Self::carried(carry(&loose.0))
    }

    #[inline(always)]
    fn mul(left: &impl AsRef<Loose8<U>>, right: &Self) -> Self {
        Self::carried(carry(&Self::mul_wide(left, right).0))
    }

    #[inline(always)]
    fn square(&self) -> Self {
        Self::carried(carry(&self.square_wide().0))
    }

    #[inline(always)]
    fn mul_wide(left: &impl AsRef<Loose8<U>>, right: &Self) -> Wide8<U> {
        let (f, g) = (left.as_ref().0, *right.limbs());
        Wide8::product(f[0].run(Product { f, g }))
    }

    #[inline(always)]
    fn square_wide(&self) -> Wide8<U> {
        let f = *self.limbs();
        Wide8::product(f[0].run(Square { f }))
    }

    #[inline(always)]
    fn widen(&self) -> Wide8<U> {
        Wide8(*self.limbs())
    }

    #[inline(always)]
    fn wide_add(left: &Wide8<U>, right: &Wide8<U>) -> Wide8<U> {
        Wide8(columns_sum(&left.0, &right.0))
    }

    #[inline(always)]
    fn wide_sub(left: &Wide8<U>, right: &Wide8<U>) -> Wide8<U> {
        let mut columns = left.0;
        for (column, &other) in columns.iter_mut().zip(&right.0) {
            *column = column.minus(other);
        }
        Wide8(columns)
    }

    #[inline(always)]
    fn carry_wide(wide: &Wide8<U>) -> Self {
        debug_assert!(unchecked() || wide.is_within(), "columns");
        let mut columns = wide.0;
        for (column, prime) in columns.iter_mut().zip(PRIME) {
            *column = column.plus(column.all(multiple(prime, 1 << 11)));
        }
        Self::carried(carry(&columns))
    }

    #[inline(always)]
    fn reduced(&self) -> [[u64; 5]; 8] {
        by_lane(&reduced(self.limbs()))
    }

    #[inline(always)]
    fn is_zero(&self) -> LaneMask {
        let mut zero = LaneMask(u8::MAX);
        for limb in reduced(self.limbs()) {
            zero = zero.and(limb.is_zero());
        }
        zero
    }

    #[inline(always)]
    fn is_odd(&self) -> LaneMask {
        let lowest = reduced(self.limbs())[0];
        let even = lowest.and(lowest.all(1)).is_zero();
        LaneMask(!even.0)
    }
}

impl<U: Unit> Field8<U> {
    #[inline(always)]
    fn carried(limbs: Limbs<U>) -> Self {
        debug_assert!(unchecked() || all_below(&limbs, CARRIED_END), "carried");
        Self(Loose8(limbs))
    }

    #[inline(always)]
    fn limbs(&self) -> &Limbs<U> {
        &self.0.0
    }
}

impl<U: Unit> Loose8<U> {
    #[inline(always)]
    fn loose(limbs: Limbs<U>) -> Self {
        debug_assert!(unchecked() || all_below(&limbs, LOOSE_END), "loose");
        Self(limbs)
    }
}

impl<U: Unit> Wide8<U> {
    #[inline(always)]
    fn product(columns: Limbs<U>) -> Self {
        debug_assert!(unchecked() || all_below(&columns, PRODUCT_END), "product");
        Self(columns)
    }

    /// For assertions alone, as [`all_below`].
    #[inline(never)]
    fn is_within(&self) -> bool {
        let within = |column: u64| column.cast_signed().abs() < WIDE_END;
        self.0
            .iter()
            .all(|column| column.store().into_iter().all(within))
    }
}

/// The limbs of each lane.
#[inline(always)]
fn by_lane<U: Unit>(limbs: &Limbs<U>) -> [[u64; 5]; 8] {
    let mut lanes = [[0; 5]; 8];
    for (at, limb) in limbs.iter().enumerate() {
        for (lane, word) in lanes.iter_mut().zip(limb.store()) {
            lane[at] = word;
        }
    }
    lanes
}

/// For assertions alone: as a call, so that they do not make every formula longer.
#[inline(never)]
fn all_below<U: Unit>(limbs: &Limbs<U>, end: u64) -> bool {
    let below = |limb: u64| limb < end;
    limbs.iter().all(|limb| limb.store().into_iter().all(below))
}

/// A multiple of a limb of the prime.
const fn multiple(limb: i64, factor: i64) -> u64 {
    (limb * factor).cast_unsigned()
}

#[inline(always)]
fn columns_sum<U: Unit>(left: &Limbs<U>, right: &Limbs<U>) -> Limbs<U> {
    let mut columns = *left;
    for (column, &other) in columns.iter_mut().zip(right) {
        *column = column.plus(other);
    }
    columns
}

/// The elements' negatives: twice the prime less the elements, limb by limb.
#[inline(always)]
fn negative<U: Unit>(limbs: &Limbs<U>) -> Limbs<U> {
    let mut negative = *limbs;
    for (limb, prime) in negative.iter_mut().zip(PRIME) {
        *limb = limb.all(multiple(prime, 2)).minus(*limb);
    }
    negative
}

#[inline(always)]
fn select<U: Unit>(mask: LaneMask, when: &Limbs<U>, otherwise: &Limbs<U>) -> Limbs<U> {
    let mut limbs = *when;
    for (limb, &otherwise) in limbs.iter_mut().zip(otherwise) {
        *limb = limb.select(mask, otherwise);
    }
    limbs
}

/// Columns become carried limbs: all excesses move at once.
#[inline(always)]
fn carry<U: Unit>(columns: &Limbs<U>) -> Limbs<U> {
    columns[0].run(Carry { columns: *columns })
}

/// The arguments of [`carry`].
struct Carry<U> {
    columns: Limbs<U>,
}

impl<U: Unit> Work for Carry<U> {
    type Output = Limbs<U>;

    #[inline(always)]
    fn run(self) -> Limbs<U> {
        let [a, b, c, d, e] = self.columns;
        let ones = a.all((1 << LIMB_BITS) - 1);
        [
            // 2^255 is 19.
            a.and(ones).plus_low_half(e.shift::<SHIFT>(), a.all(19)),
            b.and(ones).plus(a.shift::<SHIFT>()),
            c.and(ones).plus(b.shift::<SHIFT>()),
            d.and(ones).plus(c.shift::<SHIFT>()),
            e.and(ones).plus(d.shift::<SHIFT>()),
        ]
    }
}

/// Adds halves of products to columns.
macro_rules! halves {
    ($h:ident += $half:ident of $left:expr; $($k:literal: $right:expr),*) => {
        $( $h[$k] = $h[$k].$half($left, $right); )*
    };
}

/// Columns of the product of a loose and a carried element.
struct Product<U> {
    f: Limbs<U>,
    g: Limbs<U>,
}

impl<U: Unit> Work for Product<U> {
    type Output = Limbs<U>;

    #[inline(always)]
    fn run(self) -> Limbs<U> {
        let Self { f, g } = self;
        let mut h = [f[0].all(0); 10];
        halves!(h += plus_high_half of f[0]; 1: g[0], 2: g[1], 3: g[2], 4: g[3], 5: g[4]);
        halves!(h += plus_high_half of f[1]; 2: g[0], 3: g[1], 4: g[2], 5: g[3], 6: g[4]);
        halves!(h += plus_high_half of f[2]; 3: g[0], 4: g[1], 5: g[2], 6: g[3], 7: g[4]);
        halves!(h += plus_high_half of f[3]; 4: g[0], 5: g[1], 6: g[2], 7: g[3], 8: g[4]);
        halves!(h += plus_high_half of f[4]; 5: g[0], 6: g[1], 7: g[2], 8: g[3], 9: g[4]);
        let mut h = twice(&h);
        halves!(h += plus_low_half of f[0]; 0: g[0], 1: g[1], 2: g[2], 3: g[3], 4: g[4]);
        halves!(h += plus_low_half of f[1]; 1: g[0], 2: g[1], 3: g[2], 4: g[3], 5: g[4]);
        halves!(h += plus_low_half of f[2]; 2: g[0], 3: g[1], 4: g[2], 5: g[3], 6: g[4]);
        halves!(h += plus_low_half of f[3]; 3: g[0], 4: g[1], 5: g[2], 6: g[3], 7: g[4]);
        halves!(h += plus_low_half of f[4]; 4: g[0], 5: g[1], 6: g[2], 7: g[3], 8: g[4]);
        fold(&h)
    }
}

/// Columns of the square of a carried element: each mixed product once, doubled.
struct Square<U> {
    f: Limbs<U>,
}

impl<U: Unit> Work for Square<U> {
    type Output = Limbs<U>;

    #[inline(always)]
    fn run(self) -> Limbs<U> {
        let f = self.f;
        let mut h = [f[0].all(0); 10];
        halves!(h += plus_high_half of f[0]; 2: f[1], 3: f[2], 4: f[3], 5: f[4]);
        halves!(h += plus_high_half of f[1]; 4: f[2], 5: f[3], 6: f[4]);
        halves!(h += plus_high_half of f[2]; 6: f[3], 7: f[4]);
        halves!(h += plus_high_half of f[3]; 8: f[4]);
        let mut h = twice(&h);
        halves!(h += plus_low_half of f[0]; 1: f[1], 2: f[2], 3: f[3], 4: f[4]);
        halves!(h += plus_low_half of f[1]; 3: f[2], 4: f[3], 5: f[4]);
        halves!(h += plus_low_half of f[2]; 5: f[3], 6: f[4]);
        halves!(h += plus_low_half of f[3]; 7: f[4]);
        halves!(h += plus_high_half of f[0]; 1: f[0]);
        halves!(h += plus_high_half of f[1]; 3: f[1]);
        halves!(h += plus_high_half of f[2]; 5: f[2]);
        halves!(h += plus_high_half of f[3]; 7: f[3]);
        halves!(h += plus_high_half of f[4]; 9: f[4]);
        let mut h = twice(&h);
        halves!(h += plus_low_half of f[0]; 0: f[0]);
        halves!(h += plus_low_half of f[1]; 2: f[1]);
        halves!(h += plus_low_half of f[2]; 4: f[2]);
        halves!(h += plus_low_half of f[3]; 6: f[3]);
        halves!(h += plus_low_half of f[4]; 8: f[4]);
        fold(&h)
    }
}

#[inline(always)]
fn twice<U: Unit>(columns: &[U; 10]) -> [U; 10] {
    let mut columns = *columns;
    for column in &mut columns {
        *column = column.plus(*column);
    }
    columns
}

/// 2^255 is 19: the upper columns count 19 times at the lower.
#[inline(always)]
fn fold<U: Unit>(h: &[U; 10]) -> Limbs<U> {
    let nineteen = h[0].all(19);
    let mut columns = [h[0], h[1], h[2], h[3], h[4]];
    for (column, &upper) in columns.iter_mut().zip(&h[5..]) {
        *column = column.plus(upper.times(nineteen));
    }
    columns
}

/// The limbs of the representatives below the prime.
#[inline(always)]
fn reduced<U: Unit>(limbs: &Limbs<U>) -> Limbs<U> {
    let (ones, nineteen) = (limbs[0].all((1 << LIMB_BITS) - 1), limbs[0].all(19));
    // Carried elements are less than twice the prime: adding 19 carries out of bit 255 exactly when
    // the prime is reached.
    let mut excess = nineteen;
    for limb in limbs {
        excess = limb.plus(excess).shift::<SHIFT>();
    }
    excess = excess.times(nineteen);
    let mut number = *limbs;
    for limb in &mut number {
        let total = limb.plus(excess);
        *limb = total.and(ones);
        excess = total.shift::<SHIFT>();
    }
    number
}

const SHIFT: u32 = 51;
const _: () = assert!(SHIFT as usize == LIMB_BITS);
// The multiple of the prime that is added before a carry outweighs the columns.
const _: () = assert!(multiple(PRIME[0], 1 << 11) > WIDE_END.cast_unsigned());
const _: () = {
    let excess = (multiple(PRIME[1], 1 << 11) + WIDE_END.cast_unsigned()) >> SHIFT;
    assert!(19 * excess < 1 << 16);
};

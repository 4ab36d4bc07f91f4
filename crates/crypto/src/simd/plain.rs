//! The twin of the vector kernels in plain integers: the same limbs and bounds, every sum checked.
//!
//! It runs with any number of lanes, so that the engine is tested on machines without the vector
//! units, and with lane counts that no backend of this machine has. Slow; for tests alone.

use super::field::{Field, LaneMask, Packed, Work};
use super::limbs::{CARRIED_MAX, LIMB_BITS, LOOSE_MAX, PRIME, WIDE_MAX, split};
use super::sha512::{BLOCK_BYTES, Words};

/// Five limbs of each lane.
type Limbs<const LANES: usize> = [[i64; 5]; LANES];

/// A carried element a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<const LANES: usize>(Loose<LANES>);

/// A loose element a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loose<const LANES: usize>(Limbs<LANES>);

/// Columns of products, five a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide<const LANES: usize>(Limbs<LANES>);

impl<const LANES: usize> Plain<LANES> {
    /// Limbs as they are, for tests at the bound.
    pub(crate) fn from_limbs(limbs: Limbs<LANES>) -> Self {
        Self(Loose(bounded(limbs, CARRIED_MAX)))
    }
}

impl<const LANES: usize> AsRef<Loose<LANES>> for Plain<LANES> {
    fn as_ref(&self) -> &Loose<LANES> {
        &self.0
    }
}

impl<const LANES: usize> AsRef<Loose<LANES>> for Loose<LANES> {
    fn as_ref(&self) -> &Loose<LANES> {
        self
    }
}

impl<const LANES: usize> Field<LANES> for Plain<LANES> {
    type Token = ();
    type Loose = Loose<LANES>;
    type Wide = Wide<LANES>;

    fn enter<W: Work>((): (), work: W) -> W::Output {
        work.run()
    }

    fn decode((): (), bytes: &[[u8; 32]; LANES]) -> Self {
        Self::carry_wide(&Wide(bytes.map(|bytes| split(&bytes))))
    }

    fn load((): (), packed: [&Packed; LANES]) -> Self {
        Self::from_limbs(packed.map(unpack))
    }

    fn store(&self) -> [Packed; LANES] {
        self.0
            .0
            .map(|limbs| limbs.map(|limb| (limb as f64).to_bits()))
    }

    fn prefetch<T>((): (), _value: &T) {}

    fn add(&self, other: &Self) -> Loose<LANES> {
        Loose(bounded(zip(&self.0.0, &other.0.0, |a, b| a + b), LOOSE_MAX))
    }

    fn sub(&self, other: &Self) -> Loose<LANES> {
        Loose(bounded(zip(&self.0.0, &other.0.0, |a, b| a - b), LOOSE_MAX))
    }

    fn negate_where(&self, mask: LaneMask) -> Loose<LANES> {
        let sign = |lane| if mask.has(lane) { -1 } else { 1 };
        Loose(std::array::from_fn(|lane| {
            self.0.0[lane].map(|limb| sign(lane) * limb)
        }))
    }

    fn select(mask: LaneMask, when: &Self, otherwise: &Self) -> Self {
        let pick = |lane| match mask.has(lane) {
            true => when.0.0[lane],
            false => otherwise.0.0[lane],
        };
        Self::from_limbs(std::array::from_fn(pick))
    }

    fn carry(loose: &Loose<LANES>) -> Self {
        Self::carry_wide(&Wide(loose.0))
    }

    fn mul(left: &impl AsRef<Loose<LANES>>, right: &Self) -> Self {
        Self::carry_wide(&Self::mul_wide(left, right))
    }

    fn square(&self) -> Self {
        Self::mul(self, self)
    }

    fn mul_wide(left: &impl AsRef<Loose<LANES>>, right: &Self) -> Wide<LANES> {
        let (left, right) = (&left.as_ref().0, &right.0.0);
        Wide(std::array::from_fn(|lane| {
            product(&left[lane], &right[lane])
        }))
    }

    fn square_wide(&self) -> Wide<LANES> {
        Self::mul_wide(self, self)
    }

    fn widen(&self) -> Wide<LANES> {
        Wide(self.0.0)
    }

    fn wide_add(left: &Wide<LANES>, right: &Wide<LANES>) -> Wide<LANES> {
        Wide(bounded(zip(&left.0, &right.0, |a, b| a + b), WIDE_MAX))
    }

    fn wide_sub(left: &Wide<LANES>, right: &Wide<LANES>) -> Wide<LANES> {
        Wide(bounded(zip(&left.0, &right.0, |a, b| a - b), WIDE_MAX))
    }

    fn carry_wide(wide: &Wide<LANES>) -> Self {
        Self::from_limbs(wide.0.map(carried))
    }

    fn reduced(&self) -> [[u64; 5]; LANES] {
        self.0.0.map(|limbs| reduced(limbs).map(i64::cast_unsigned))
    }

    fn is_zero(&self) -> LaneMask {
        LaneMask::from_fn::<LANES>(|lane| reduced(self.0.0[lane]) == [0; 5])
    }

    fn is_odd(&self) -> LaneMask {
        LaneMask::from_fn::<LANES>(|lane| reduced(self.0.0[lane])[0] % 2 == 1)
    }
}

/// The limbs of a packed element.
#[expect(
    clippy::cast_possible_truncation,
    reason = "compared with the float again"
)]
pub(crate) fn unpack(packed: &Packed) -> [i64; 5] {
    packed.map(|bits| {
        let limb = f64::from_bits(bits) as i64;
        assert!(limb as f64 == f64::from_bits(bits), "a whole number");
        limb
    })
}

fn bounded<const LANES: usize>(limbs: Limbs<LANES>, max: i64) -> Limbs<LANES> {
    assert!(limbs.as_flattened().iter().all(|limb| limb.abs() <= max));
    limbs
}

fn zip<const LANES: usize>(
    left: &Limbs<LANES>,
    right: &Limbs<LANES>,
    apply: impl Fn(i64, i64) -> i64,
) -> Limbs<LANES> {
    std::array::from_fn(|lane| std::array::from_fn(|at| apply(left[lane][at], right[lane][at])))
}

/// Schoolbook, each product split as the kernel splits it; limb pairs at i + j >= 5 wrap around.
fn product(left: &[i64; 5], right: &[i64; 5]) -> [i64; 5] {
    let mut columns = [0_i64; 10];
    for (i, &a) in left.iter().enumerate() {
        for (j, &b) in right.iter().enumerate() {
            let product = i128::from(a) * i128::from(b);
            assert!(product.abs() < 1 << 102, "limbs {i} and {j}");
            let high = (product + (1 << 50)) >> LIMB_BITS;
            let low = product - (high << LIMB_BITS);
            columns[i + j] += i64::try_from(low).expect("half a limb");
            columns[i + j + 1] += i64::try_from(high).expect("51 bits");
        }
    }
    let columns: [i64; 5] = std::array::from_fn(|at| columns[at] + 19 * columns[at + 5]);
    assert!(columns.iter().all(|column| column.abs() <= WIDE_MAX / 4));
    columns
}

/// Passes each column's excess on, all at once, and leaves limbs around zero.
fn carried(columns: [i64; 5]) -> [i64; 5] {
    let excess = columns.map(|column| (column + (1 << 50)) >> LIMB_BITS);
    std::array::from_fn(|at| {
        let from = if at == 0 {
            19 * excess[4]
        } else {
            excess[at - 1]
        };
        columns[at] - (excess[at] << LIMB_BITS) + from
    })
}

/// The limbs of the only representative between zero and the prime.
fn reduced(limbs: [i64; 5]) -> [i64; 5] {
    let mut number = [0; 5];
    for (number, (limb, prime)) in number.iter_mut().zip(limbs.iter().zip(PRIME)) {
        *number = limb + prime;
    }
    // Between zero and three times the prime now: subtract it while there is no borrow.
    for _ in 0..3 {
        number = settled(number);
        let mut less = number;
        for (less, prime) in less.iter_mut().zip(PRIME) {
            *less -= prime;
        }
        less = settled(less);
        if less[4] >= 0 {
            number = less;
        }
    }
    number
}

/// The same number, all limbs but the highest between 0 and 2^51.
fn settled(mut limbs: [i64; 5]) -> [i64; 5] {
    for at in 0..4 {
        limbs[at + 1] += limbs[at] >> LIMB_BITS;
        limbs[at] &= (1 << LIMB_BITS) - 1;
    }
    limbs
}

/// Words for the hash, a lane each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainWords<const LANES: usize>([u64; LANES]);

impl<const LANES: usize> PlainWords<LANES> {
    fn each(self, apply: impl Fn(u64) -> u64) -> Self {
        Self(self.0.map(apply))
    }
}

impl<const LANES: usize> Words<LANES> for PlainWords<LANES> {
    type Token = ();

    fn enter<W: Work>((): (), work: W) -> W::Output {
        work.run()
    }

    fn splat((): (), word: u64) -> Self {
        Self([word; LANES])
    }

    fn load_block((): (), blocks: [&[u8; BLOCK_BYTES]; LANES]) -> [Self; 16] {
        std::array::from_fn(|word| {
            Self(blocks.map(|block| u64::from_be_bytes(block.as_chunks().0[word])))
        })
    }

    fn store(self) -> [u64; LANES] {
        self.0
    }

    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            self.0[lane].wrapping_add(other.0[lane])
        }))
    }

    fn big_sigma_0(self) -> Self {
        self.each(|x| x.rotate_right(28) ^ x.rotate_right(34) ^ x.rotate_right(39))
    }

    fn big_sigma_1(self) -> Self {
        self.each(|x| x.rotate_right(14) ^ x.rotate_right(18) ^ x.rotate_right(41))
    }

    fn small_sigma_0(self) -> Self {
        self.each(|x| x.rotate_right(1) ^ x.rotate_right(8) ^ (x >> 7))
    }

    fn small_sigma_1(self) -> Self {
        self.each(|x| x.rotate_right(19) ^ x.rotate_right(61) ^ (x >> 6))
    }

    fn choose(self, set: Self, clear: Self) -> Self {
        let bit = |lane: usize| self.0[lane] & set.0[lane] | !self.0[lane] & clear.0[lane];
        Self(std::array::from_fn(bit))
    }

    fn majority(self, second: Self, third: Self) -> Self {
        let bit = |lane: usize| {
            let (a, b, c) = (self.0[lane], second.0[lane], third.0[lane]);
            a & b | a & c | b & c
        };
        Self(std::array::from_fn(bit))
    }
}

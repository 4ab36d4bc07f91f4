//! The twin of the vector kernels in plain integers: the same limbs and bounds, every sum checked.
//!
//! It runs with any number of lanes, so that the engine is tested on machines without the vector
//! units, and with lane counts that no backend of this machine has. Slow; for tests alone.

use super::field::{Field, LaneMask, Packed};
use super::limbs::{CARRIED_MAX, LOOSE_MAX, PRIME_TIMES_2, PRIME_WIDE, WIDTHS, split};
use super::sha512::{BLOCK_BYTES, Words};

/// A carried element a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<const LANES: usize>(Loose<LANES>);

/// A loose element a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loose<const LANES: usize>([[u64; 10]; LANES]);

/// Columns of products, ten a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide<const LANES: usize>([[u64; 10]; LANES]);

impl<const LANES: usize> Plain<LANES> {
    /// Limbs as they are, for tests at the bound.
    pub(crate) fn from_limbs(limbs: [[u64; 10]; LANES]) -> Self {
        for lane in &limbs {
            assert!(lane.iter().zip(CARRIED_MAX).all(|(limb, max)| *limb <= max));
        }
        Self(Loose(limbs))
    }

    /// The limbs.
    pub(crate) fn limbs(&self) -> [[u64; 10]; LANES] {
        self.0.0
    }
}

impl<const LANES: usize> Loose<LANES> {
    fn new(limbs: [[u64; 10]; LANES]) -> Self {
        for lane in &limbs {
            assert!(lane.iter().zip(LOOSE_MAX).all(|(limb, max)| *limb <= max));
        }
        Self(limbs)
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

    fn enter<R>((): (), work: impl FnOnce() -> R) -> R {
        work()
    }

    fn decode((): (), bytes: &[[u8; 32]; LANES]) -> Self {
        Self::from_limbs(bytes.map(|bytes| split(&bytes)))
    }

    fn load((): (), packed: [&Packed; LANES]) -> Self {
        Self::from_limbs(packed.map(unpack))
    }

    fn store(&self) -> [Packed; LANES] {
        self.limbs().map(|limbs| pack(&limbs))
    }

    fn prefetch<T>((): (), _value: &T) {}

    fn add(&self, other: &Self) -> Loose<LANES> {
        Loose::new(zip(&self.0.0, &other.0.0, |a, b, _| sum(a, b)))
    }

    fn sub(&self, other: &Self) -> Loose<LANES> {
        let difference = |a, b, at: usize| less(sum(a, PRIME_TIMES_2[at]), b);
        Loose::new(zip(&self.0.0, &other.0.0, difference))
    }

    fn negate_where(&self, mask: LaneMask) -> Loose<LANES> {
        let mut limbs = self.limbs();
        for (lane, limbs) in limbs.iter_mut().enumerate() {
            for (limb, prime) in limbs.iter_mut().zip(PRIME_TIMES_2) {
                if mask.has(lane) {
                    *limb = less(prime, *limb);
                }
            }
        }
        Loose::new(limbs)
    }

    fn select(mask: LaneMask, when: &Self, otherwise: &Self) -> Self {
        let pick = |lane| match mask.has(lane) {
            true => when.0.0[lane],
            false => otherwise.0.0[lane],
        };
        Self::from_limbs(std::array::from_fn(pick))
    }

    fn carry(loose: &Loose<LANES>) -> Self {
        Self::from_limbs(loose.0.map(carried))
    }

    fn mul(left: &impl AsRef<Loose<LANES>>, right: &impl AsRef<Loose<LANES>>) -> Self {
        Self::carry_wide(&Self::mul_wide(left, right))
    }

    fn square(of: &impl AsRef<Loose<LANES>>) -> Self {
        Self::mul(of, of)
    }

    fn mul_wide(left: &impl AsRef<Loose<LANES>>, right: &impl AsRef<Loose<LANES>>) -> Wide<LANES> {
        let (left, right) = (left.as_ref(), right.as_ref());
        Wide(std::array::from_fn(|lane| {
            product(&left.0[lane], &right.0[lane])
        }))
    }

    fn square_wide(of: &impl AsRef<Loose<LANES>>) -> Wide<LANES> {
        Self::mul_wide(of, of)
    }

    fn widen(&self) -> Wide<LANES> {
        Wide(self.0.0)
    }

    fn wide_add(left: &Wide<LANES>, right: &Wide<LANES>) -> Wide<LANES> {
        Wide(zip(&left.0, &right.0, |a, b, _| sum(a, b)))
    }

    fn wide_sub(left: &Wide<LANES>, right: &Wide<LANES>) -> Wide<LANES> {
        let difference = |a, b, at: usize| sum(a, less(PRIME_WIDE[at], b));
        Wide(zip(&left.0, &right.0, difference))
    }

    fn carry_wide(wide: &Wide<LANES>) -> Self {
        Self::from_limbs(wide.0.map(carried))
    }

    fn is_zero(&self) -> LaneMask {
        LaneMask::from_fn::<LANES>(|lane| reduced(self.0.0[lane]) == [0; 10])
    }

    fn is_odd(&self) -> LaneMask {
        LaneMask::from_fn::<LANES>(|lane| reduced(self.0.0[lane])[0] % 2 == 1)
    }
}

fn zip<const LANES: usize>(
    left: &[[u64; 10]; LANES],
    right: &[[u64; 10]; LANES],
    apply: impl Fn(u64, u64, usize) -> u64,
) -> [[u64; 10]; LANES] {
    std::array::from_fn(|lane| std::array::from_fn(|at| apply(left[lane][at], right[lane][at], at)))
}

fn sum(left: u64, right: u64) -> u64 {
    left.checked_add(right).expect("the bounds leave room")
}

fn less(left: u64, right: u64) -> u64 {
    left.checked_sub(right)
        .expect("the bounds keep it positive")
}

/// Schoolbook: a limb pair at i + j >= 10 wraps with factor 19, two odd limbs lie half a bit apart.
fn product(left: &[u64; 10], right: &[u64; 10]) -> [u64; 10] {
    let mut columns = [0; 10];
    for (i, &a) in left.iter().enumerate() {
        for (j, &b) in right.iter().enumerate() {
            let a = a << (i & j & 1);
            let b = if i + j >= 10 { 19 * b } else { b };
            // The vector units multiply 32 bits by 32.
            assert!(a >> 32 == 0 && b >> 32 == 0, "operands of {i}, {j}");
            columns[(i + j) % 10] = sum(columns[(i + j) % 10], a * b);
        }
    }
    columns
}

/// Passes each limb's excess on, twice around: much more than needed, and plainly enough.
fn carried(mut limbs: [u64; 10]) -> [u64; 10] {
    for step in 0..20 {
        let at = step % 10;
        let excess = limbs[at] >> WIDTHS[at];
        limbs[at] -= excess << WIDTHS[at];
        let factor = if at == 9 { 19 } else { 1 };
        limbs[(at + 1) % 10] = sum(limbs[(at + 1) % 10], factor * excess);
    }
    limbs
}

/// The limbs of the only representative below the prime.
fn reduced(limbs: [u64; 10]) -> [u64; 10] {
    let mut limbs = carried(carried(limbs));
    // Below 2^255 now: adding 19 reaches bit 255 exactly when the prime is reached.
    let mut plus = limbs;
    plus[0] += 19;
    for at in 0..9 {
        plus[at + 1] += plus[at] >> WIDTHS[at];
        plus[at] &= (1 << WIDTHS[at]) - 1;
    }
    if plus[9] >> WIDTHS[9] != 0 {
        plus[9] &= (1 << WIDTHS[9]) - 1;
        limbs = plus;
    }
    limbs
}

/// Two carried limbs a word.
fn pack(limbs: &[u64; 10]) -> Packed {
    std::array::from_fn(|word| limbs[2 * word] | limbs[2 * word + 1] << 32)
}

/// What [`pack`] packed.
pub(crate) fn unpack(packed: &Packed) -> [u64; 10] {
    std::array::from_fn(|at| (packed[at / 2] >> (32 * (at % 2))) & 0xffff_ffff)
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

    fn enter<R>((): (), work: impl FnOnce() -> R) -> R {
        work()
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

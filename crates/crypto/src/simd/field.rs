//! What the vector engine asks of its arithmetic: several elements of GF(2^255 - 19) side by side.
//!
//! An implementation holds one element a lane in limbs of its own choice. Its types say how large
//! the limbs may be, so that the formulas in [`super::point`] cannot overflow:
//!
//! | state | made by | may go into |
//! |---|---|---|
//! | carried (`Self`) | loading, products, carrying | everything |
//! | `Loose` | one sum, difference or negation of carried ones | the left of a product, carrying |
//! | `Wide` | a product before its carry; sums of up to four | `carry_wide` |
//!
//! Values are made from a token, which exists only where the instructions do.

/// Bits, one a lane, the lowest for lane 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LaneMask(pub(crate) u8);

/// One element in plain memory: five words, whose use is the implementation's own.
pub(crate) type Packed = [u64; 5];

/// Something to do beyond the border of a target feature.
///
/// A closure would do, could it be inlined by force: what is not inlined is compiled without the
/// feature, and then every operation is a call.
pub(crate) trait Work {
    /// What comes out.
    type Output;

    /// Does it; to be marked `#[inline(always)]`, as must be what it calls.
    fn run(self) -> Self::Output;
}

/// A vector of `LANES` carried elements of GF(2^255 - 19).
pub(crate) trait Field<const LANES: usize>: Copy + AsRef<Self::Loose> {
    /// Proof that this machine has the instructions.
    type Token: Copy + Send + Sync;
    /// Limbs up to twice as large as carried ones.
    type Loose: Copy + AsRef<Self::Loose>;
    /// Columns of products.
    type Wide: Copy;

    /// Runs `work` where the compiler may use the instructions.
    fn enter<W: Work>(token: Self::Token, work: W) -> W::Output;

    /// The same element in every lane; the highest bit of its encoding is ignored.
    fn splat(token: Self::Token, bytes: &[u8; 32]) -> Self {
        Self::decode(token, &[*bytes; LANES])
    }
    /// One element a lane, little-endian, not necessarily below the prime; the highest bit is
    /// ignored.
    fn decode(token: Self::Token, bytes: &[[u8; 32]; LANES]) -> Self;
    /// One element a lane from plain memory, as [`Field::store`] packed it.
    fn load(token: Self::Token, packed: [&Packed; LANES]) -> Self;
    /// Packs the elements, one a lane.
    fn store(&self) -> [Packed; LANES];
    /// Brings a value into the cache ahead of its use.
    fn prefetch<T>(token: Self::Token, value: &T);

    /// Sum, to be multiplied.
    fn add(&self, other: &Self) -> Self::Loose;
    /// Difference, to be multiplied.
    fn sub(&self, other: &Self) -> Self::Loose;
    /// Sum.
    #[inline(always)]
    fn sum(&self, other: &Self) -> Self {
        Self::carry(&self.add(other))
    }
    /// Difference.
    #[inline(always)]
    fn difference(&self, other: &Self) -> Self {
        Self::carry(&self.sub(other))
    }
    /// The negative in the lanes of `mask`, the element itself in the others.
    fn negate_where(&self, mask: LaneMask) -> Self::Loose;
    /// `when` in the lanes of `mask`, `otherwise` in the others.
    fn select(mask: LaneMask, when: &Self, otherwise: &Self) -> Self;
    /// The same elements with small limbs.
    fn carry(loose: &Self::Loose) -> Self;

    /// Product.
    fn mul(left: &impl AsRef<Self::Loose>, right: &Self) -> Self;
    /// Square.
    fn square(&self) -> Self;
    /// Product before its carry.
    fn mul_wide(left: &impl AsRef<Self::Loose>, right: &Self) -> Self::Wide;
    /// Square before its carry.
    fn square_wide(&self) -> Self::Wide;
    /// An element as if it were a product.
    fn widen(&self) -> Self::Wide;
    /// Sum of columns.
    fn wide_add(left: &Self::Wide, right: &Self::Wide) -> Self::Wide;
    /// Difference of columns.
    fn wide_sub(left: &Self::Wide, right: &Self::Wide) -> Self::Wide;
    /// The elements that the columns stand for.
    fn carry_wide(wide: &Self::Wide) -> Self;

    /// The numbers below the prime, in limbs of 51 bits.
    fn reduced(&self) -> [[u64; 5]; LANES];
    /// The lanes that hold zero, in whatever representation.
    fn is_zero(&self) -> LaneMask;
    /// The lanes whose element, fully reduced, is odd.
    fn is_odd(&self) -> LaneMask;
}

impl LaneMask {
    /// No lane.
    pub(crate) const NONE: Self = Self(0);

    /// Every lane.
    #[inline(always)]
    pub(crate) fn all<const LANES: usize>() -> Self {
        Self::from_fn::<LANES>(|_| true)
    }

    /// The lanes for which `holds` says so.
    #[inline(always)]
    pub(crate) fn from_fn<const LANES: usize>(mut holds: impl FnMut(usize) -> bool) -> Self {
        let mut bits = 0;
        for lane in 0..LANES {
            bits |= u8::from(holds(lane)) << lane;
        }
        Self(bits)
    }

    /// Whether the lane is among them.
    #[inline(always)]
    pub(crate) fn has(self, lane: usize) -> bool {
        self.0 >> lane & 1 == 1
    }

    /// The lanes of either.
    #[inline(always)]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The lanes of exactly one.
    #[inline(always)]
    pub(crate) fn xor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    /// The lanes of both.
    #[inline(always)]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// One.
pub(crate) const ONE: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};
/// The curve's d = -121665/121666 (RFC 8032, section 5.1).
pub(crate) const EDWARDS_D: [u8; 32] = little_endian(
    0x52036cee2b6ffe738cc740797779e898,
    0x00700a4d4141d8ab75eb4dca135978a3,
);
/// Twice d.
pub(crate) const EDWARDS_2D: [u8; 32] = little_endian(
    0x2406d9dc56dffce7198e80f2eef3d130,
    0x00e0149a8283b156ebd69b9426b2f159,
);
/// A square root of -1.
pub(crate) const SQRT_MINUS_ONE: [u8; 32] = little_endian(
    0x2b8324804fc1df0b2b4d00993dfbd7a7,
    0x2f431806ad2fe478c4ee1b274a0ea0b0,
);
/// The base point's encoding.
pub(crate) const BASE_POINT: [u8; 32] = {
    let mut bytes = [0x66; 32];
    bytes[0] = 0x58;
    bytes
};

const fn little_endian(high: u128, low: u128) -> [u8; 32] {
    let (high, low) = (high.to_le_bytes(), low.to_le_bytes());
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 16 {
        bytes[at] = low[at];
        bytes[at + 16] = high[at];
        at += 1;
    }
    bytes
}

/// An entry of a chunk for each lane; a short chunk repeats its last.
#[inline(always)]
pub(super) fn spread<T, const LANES: usize>(chunk: &[T]) -> [&T; LANES] {
    std::array::from_fn(|lane| &chunk[lane.min(chunk.len() - 1)])
}

//! Radix 2^51: five signed limbs, each a whole number that a 64-bit float holds exactly.
//!
//! The product of two limbs is taken in two fused multiply-adds. The first adds 3 * 2^102, which
//! rounds the product to a multiple of 2^51: the high part h. The second adds 3 * 2^51 - h * 2^51
//! to the exact product: the low part, between -2^50 and 2^50. Both sums keep their exponent, so
//! that the parts stand in the bits of the float, above a constant, and add up as integers.
//!
//! Bounds: carried limbs are at most 2^50 + 2^15 in size, loose ones twice that. A loose times a
//! carried limb stays below 2^102, which the first constant needs. A column has at most five low
//! and five high parts, and with 19 times the column that wraps around stays below 2^57.7; sums of
//! up to four such columns stay below 2^61, which the carry needs to leave carried limbs.

/// Bits of a limb.
pub(crate) const LIMB_BITS: usize = 51;
/// The largest size of a carried limb.
pub(crate) const CARRIED_MAX: i64 = (1 << 50) + (1 << 15);
/// The largest size of a loose limb.
pub(crate) const LOOSE_MAX: i64 = 2 * CARRIED_MAX;
/// The largest size of a column that can be carried.
pub(crate) const WIDE_MAX: i64 = 1 << 61;
/// The prime 2^255 - 19.
pub(crate) const PRIME: [i64; 5] = {
    let ones = (1 << LIMB_BITS) - 1;
    [ones - 18, ones, ones, ones, ones]
};

/// The little-endian number whose limbs these are, of 51 bits and without sign.
#[inline(always)]
pub(crate) fn join(limbs: &[u64; 5]) -> [u8; 32] {
    let [a, b, c, d, e] = *limbs;
    let words = [
        a | b << 51,
        b >> 13 | c << 38,
        c >> 26 | d << 25,
        d >> 39 | e << 12,
    ];
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

/// Splits the low 255 bits of a little-endian number; the limbs have 51 bits and no sign.
#[inline(always)]
pub(crate) fn split(bytes: &[u8; 32]) -> [i64; 5] {
    let words: [u64; 4] = std::array::from_fn(|word| u64::from_le_bytes(bytes.as_chunks().0[word]));
    let mask = (1 << LIMB_BITS) - 1;
    let limbs = [
        words[0],
        words[0] >> 51 | words[1] << 13,
        words[1] >> 38 | words[2] << 26,
        words[2] >> 25 | words[3] << 39,
        words[3] >> 12,
    ];
    limbs.map(|limb| (limb & mask).cast_signed())
}

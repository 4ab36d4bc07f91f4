//! Radix 2^25.5: ten limbs of 26 and 25 bits in turn, for units that multiply 32 bits by 32.
//!
//! Bounds, for limbs of w bits: carried below 2^w + 2^18, loose below 3 * 2^w + 2^18. A product of
//! two loose elements has columns below 124.5 * 9.1 * 2^52 < 2^62.2 (even) and 77 * 9.1 * 2^52 <
//! 2^61.5 (odd); the multiple of the prime that differences add has columns of 2^63 and 2^62, so
//! that a sum of two products of carried elements, each below 2^59, plus that multiple fits in 64
//! bits, and so does a product of sums.

/// Bits of each limb.
pub(crate) const WIDTHS: [u32; 10] = [26, 25, 26, 25, 26, 25, 26, 25, 26, 25];
/// Twice the prime: at least every carried limb, at its place.
pub(crate) const PRIME_TIMES_2: [u64; 10] = prime_times(1);
/// 2^37 times the prime: at least every column of a product, at its place.
pub(crate) const PRIME_WIDE: [u64; 10] = prime_times(37);
/// The largest carried limbs.
pub(crate) const CARRIED_MAX: [u64; 10] = limbs_max(1);
/// The largest loose limbs.
pub(crate) const LOOSE_MAX: [u64; 10] = limbs_max(3);

/// Splits the low 255 bits of a little-endian number.
#[inline(always)]
pub(crate) fn split(bytes: &[u8; 32]) -> [u64; 10] {
    let words = words(bytes);
    let mut limbs = [0; 10];
    let mut bit = 0;
    for (limb, width) in limbs.iter_mut().zip(WIDTHS) {
        let (word, shift) = (bit / 64, bit % 64);
        let mut value = words[word] >> shift;
        if shift + width as usize > 64 && word < 3 {
            value |= words[word + 1] << (64 - shift);
        }
        *limb = value & ((1 << width) - 1);
        bit += width as usize;
    }
    limbs
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    std::array::from_fn(|word| {
        u64::from_le_bytes(bytes[8 * word..][..8].try_into().expect("eight bytes"))
    })
}

const fn prime_times(log2: u32) -> [u64; 10] {
    let mut limbs = [0; 10];
    let mut at = 0;
    while at < 10 {
        let ones = (1 << WIDTHS[at]) - 1;
        limbs[at] = (if at == 0 { ones - 18 } else { ones }) << log2;
        at += 1;
    }
    limbs
}

const fn limbs_max(times: u64) -> [u64; 10] {
    let mut limbs = [0; 10];
    let mut at = 0;
    while at < 10 {
        limbs[at] = (times << WIDTHS[at]) + (1 << 18);
        at += 1;
    }
    limbs
}

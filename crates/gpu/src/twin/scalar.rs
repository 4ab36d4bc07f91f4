//! Twin of `shaders/lib/scalar.wgsl`: the same columns, with every sum checked in debug builds.

use super::field::low_u32;

/// The group order L, as eight little-endian words.
#[rustfmt::skip]
pub const ORDER: [u32; 8] = [
    0x5cf5d3ed, 0x5812631a, 0xa2f79cd6, 0x14def9de,
    0x00000000, 0x00000000, 0x00000000, 0x10000000,
];

/// 2^(32 k) mod L for k from 8 to 15, in limbs of 26 bits.
#[rustfmt::skip]
const POWERS: [[u32; 10]; 8] = [
    [
        0x198951d, 0x30c5d23, 0xf70d6e, 0x3d1cdf7, 0x2c6ef5b,
        0x3ffffff, 0x3ffffff, 0x3ffffff, 0x3ffffff, 0x3ffff,
    ],
    [
        0xf5d3ed, 0x1491297, 0x2b3088b, 0x1e48745, 0x1e5652c,
        0x841885, 0x3ffffeb, 0x3ffffff, 0x3ffffff, 0x3ffff,
    ],
    [
        0xf5d3ed, 0x98c697, 0x1e06581, 0xe34e69, 0x293b8c8,
        0x218ca6, 0x106215d, 0x3fffac8, 0x3ffffff, 0x3ffff,
    ],
    [
        0xf5d3ed, 0x98c697, 0x1cd6581, 0x3a8bde, 0x24581bb,
        0x3b67396, 0x6329a7, 0x1885742, 0x3feb210, 0x3ffff,
    ],
    [
        0x2a6271, 0x884a68, 0x1d95398, 0x10d793f, 0x1b64a7f,
        0x28b04c, 0x19ce5a3, 0xca69fb, 0x215d086, 0x8418,
    ],
    [
        0x1d275e7, 0x3077341, 0x16bc8a1, 0x2b32fd8, 0x37cdfa7,
        0xe65046, 0x22c131b, 0x33968c2, 0x29a7ed9, 0x218c,
    ],
    [
        0xacb65, 0x2bd4828, 0x17a979d, 0x2f8e347, 0x1e24bab,
        0x30c268f, 0x19411b7, 0x304c6ce, 0x25a30a2, 0x3b673,
    ],
    [
        0x37b0f19, 0x3b85d16, 0x2aea4d8, 0x28d2fe, 0x218ca0c,
        0x3bb1cf4, 0x309a3dc, 0x1046df0, 0x131b399, 0x28b0,
    ],
];

/// L - 2^252, in limbs of 26 bits.
const ORDER_LOW: [u32; 5] = [0xf5d3ed, 0x98c697, 0x1cd6581, 0x37a8bde, 0x14def9];

/// L, each limb holding 2^26 more and the next one less.
#[rustfmt::skip]
const ORDER_SPREAD: [u32; 10] = [
    0x4f5d3ed, 0x498c696, 0x5cd6580, 0x77a8bdd, 0x414def8,
    0x3ffffff, 0x3ffffff, 0x3ffffff, 0x3ffffff, 0x3ffff,
];

const MASK: u64 = (1 << 26) - 1;

/// Whether a number of eight little-endian words is below L.
#[must_use]
pub fn scalar_is_reduced(s: [u32; 8]) -> bool {
    s.iter().rev().lt(ORDER.iter().rev())
}

/// The same number in ten limbs of 26 bits; what is beyond stays in the last.
#[must_use]
pub fn scalar_carry(mut h: [u64; 10]) -> [u64; 10] {
    for k in 0..9 {
        h[k + 1] += h[k] >> 26;
        h[k] &= MASK;
    }
    h
}

/// A number of sixteen little-endian words, modulo L, as eight: below 2^253, maybe L too large.
#[must_use]
pub fn scalar_reduce(x: [u32; 16]) -> [u32; 8] {
    let h: [u64; 10] = std::array::from_fn(|k| {
        let low = limb(&x[..8], k);
        let powers = POWERS.iter().zip(&x[8..]);
        let upper = powers.map(|(power, &word)| u64::from(word) * u64::from(power[k]));
        low + upper.sum::<u64>()
    });
    let mut h = scalar_carry(h);
    let over = h[9] >> 18;
    h[9] &= (1 << 18) - 1;
    let mut m = [0u64; 10];
    for (product, &low) in m.iter_mut().zip(&ORDER_LOW) {
        *product = over * u64::from(low);
    }
    let m = scalar_carry(m);
    for k in 0..10 {
        h[k] += u64::from(ORDER_SPREAD[k]) - m[k];
    }
    to_words(&scalar_carry(h))
}

/// `x` plus the same word eight times, modulo 2^256: signed digits in unsigned places.
#[must_use]
pub fn scalar_recode(x: [u32; 8], bias: u32) -> [u32; 8] {
    let mut carry = 0;
    x.map(|word| {
        let sum = u64::from(word) + u64::from(bias) + carry;
        carry = sum >> 32;
        low_u32(sum)
    })
}

/// Bits 26 k to 26 k + 25 of little-endian words.
fn limb(words: &[u32], k: usize) -> u64 {
    let (word, shift) = (26 * k / 32, 26 * k % 32);
    let upper = words.get(word + 1).copied().unwrap_or(0);
    ((u64::from(words[word]) | (u64::from(upper) << 32)) >> shift) & MASK
}

fn to_words(h: &[u64; 10]) -> [u32; 8] {
    let mut words = [0; 8];
    for (k, &limb) in h.iter().enumerate() {
        let (word, shift) = (26 * k / 32, 26 * k % 32);
        let shifted = limb << shift;
        words[word] |= low_u32(shifted);
        if let Some(next) = words.get_mut(word + 1) {
            *next |= low_u32(shifted >> 32);
        }
    }
    words
}

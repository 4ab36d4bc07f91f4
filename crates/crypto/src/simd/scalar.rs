//! Scalars modulo the group order L: the range check, sums of products, signed digits.
//!
//! A batch adds z * k for every signature of a key. The sums stay plain integers and are reduced
//! once per key: the group's order is all that the reduction changes, and the factor 8 of the rule
//! clears what a point of another order would notice.

/// A number below 2^256, little-endian words.
pub(crate) type Scalar = [u64; 4];

/// A sum of products of 128-bit by 512-bit numbers; 64 bits are left for their count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct WideSum([u64; WIDE_WORDS]);

impl WideSum {
    /// Adds `factor * number`.
    #[inline]
    pub(crate) fn add_product<const WORDS: usize>(&mut self, factor: u128, number: &[u64; WORDS]) {
        const { assert!(WORDS + 3 <= WIDE_WORDS) };
        let [low, high] = split(factor);
        let carry = add_row(&mut self.0[..WORDS], low, number);
        let carry_high = add_row(&mut self.0[1..=WORDS], high, number);
        add_word(&mut self.0[WORDS..], carry);
        add_word(&mut self.0[WORDS + 1..], carry_high);
    }

    /// The sum modulo L.
    #[must_use]
    pub(crate) fn reduce(&self) -> Scalar {
        // Words above the fourth count 2^256, 2^320, ... modulo L: below 2^256 + 7 * 2^317.
        let mut folded = [0; 5];
        folded[..4].copy_from_slice(&self.0[..4]);
        for (&word, residue) in self.0[4..].iter().zip(&RESIDUES) {
            folded[4] += add_row(&mut folded[..4], word, residue);
        }
        reduce_short(&folded)
    }
}

/// Whether S is below L: rule 2.
#[must_use]
pub(crate) fn is_canonical(s: &Scalar) -> bool {
    s.iter().rev().lt(ORDER.iter().rev())
}

/// L minus a number below L, modulo L.
#[must_use]
pub(crate) fn negate(s: &Scalar) -> Scalar {
    if *s == [0; 4] {
        return *s;
    }
    let (difference, borrow) = subtract(&ORDER, s);
    assert!(!borrow, "a reduced number");
    difference
}

/// A 512-bit number modulo L.
#[must_use]
pub(crate) fn reduce_wide(words: &[u64; 8]) -> Scalar {
    let mut sum = WideSum::default();
    sum.0[..8].copy_from_slice(words);
    sum.reduce()
}

/// Little-endian words of a scalar's encoding.
#[must_use]
pub(crate) fn words(bytes: &[u8; 32]) -> Scalar {
    std::array::from_fn(|word| {
        u64::from_le_bytes(bytes[8 * word..][..8].try_into().expect("eight bytes"))
    })
}

/// Splits a number into digits of `width` bits from -2^(width-1) + 1 to 2^(width-1), lowest first.
///
/// `on_digit` gets the position and the digit; as many digits are made as `count` says, and the
/// number must fit in them.
#[inline(always)]
pub(crate) fn signed_digits<const WORDS: usize>(
    number: &[u64; WORDS],
    width: usize,
    count: usize,
    mut on_digit: impl FnMut(usize, i16),
) {
    debug_assert!((1..=15).contains(&width));
    let (mask, half) = ((1 << width) - 1, 1 << (width - 1));
    let mut carry = 0;
    for position in 0..count {
        let bit = position * width;
        let (word, shift) = (bit / 64, bit % 64);
        let mut value = number.get(word).map_or(0, |word| word >> shift);
        if shift + width > 64 {
            value |= number.get(word + 1).map_or(0, |word| word << (64 - shift));
        }
        let digit = (value & mask).cast_signed() + carry;
        carry = i64::from(digit > half);
        on_digit(position, narrow(digit - (carry << width)));
    }
    debug_assert_eq!(carry, 0, "the number fits");
}

/// Digits that a number of `bits` bits needs: a carry may reach past its highest bit.
#[must_use]
pub(crate) fn digit_count(bits: usize, width: usize) -> usize {
    (bits + 1).div_ceil(width)
}

/// The low and the high word.
#[expect(clippy::cast_possible_truncation, reason = "a half is taken at a time")]
#[inline(always)]
pub(crate) fn split(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

/// A digit of at most 15 bits.
#[expect(clippy::cast_possible_truncation, reason = "the width is at most 15")]
#[inline(always)]
fn narrow(digit: i64) -> i16 {
    digit as i16
}

/// Adds `factor * number` to as many words, and returns the word that is carried out.
#[inline(always)]
fn add_row(sum: &mut [u64], factor: u64, number: &[u64]) -> u64 {
    let mut carry = 0;
    for (sum, &word) in sum.iter_mut().zip(number) {
        let total = u128::from(factor) * u128::from(word) + u128::from(*sum) + u128::from(carry);
        [*sum, carry] = split(total);
    }
    carry
}

#[inline(always)]
fn add_word(sum: &mut [u64], word: u64) {
    let mut carry = word;
    for sum in sum {
        let (total, over) = sum.overflowing_add(carry);
        (*sum, carry) = (total, u64::from(over));
        if carry == 0 {
            return;
        }
    }
    assert!(carry == 0, "64 bits count the products");
}

/// Below 2^320 to below L. L = 2^252 + c, so q = n >> 252 is at most the quotient, or one above:
/// n - q L = (n mod 2^252) - q c lies between -2^193 and 2^252.
fn reduce_short(number: &[u64; 5]) -> Scalar {
    let quotient = u128::from(number[3] >> 60) | u128::from(number[4]) << 4;
    let low = [number[0], number[1], number[2], number[3] & (u64::MAX >> 4)];
    let mut product = WideSum::default();
    product.add_product(quotient, &[ORDER[0], ORDER[1]]);
    let product = *product.0.first_chunk().expect("four words");
    let (difference, borrow) = subtract(&low, &product);
    match borrow {
        true => add(&difference, &ORDER),
        false => difference,
    }
}

fn subtract(left: &Scalar, right: &Scalar) -> (Scalar, bool) {
    let mut difference = [0; 4];
    let mut borrow = false;
    for (at, difference) in difference.iter_mut().enumerate() {
        let (without, first) = left[at].overflowing_sub(right[at]);
        let (without, second) = without.overflowing_sub(u64::from(borrow));
        (*difference, borrow) = (without, first || second);
    }
    (difference, borrow)
}

/// Modulo 2^256.
fn add(left: &Scalar, right: &Scalar) -> Scalar {
    let mut sum = *left;
    let _wrapped = add_row(&mut sum, 1, right);
    sum
}

/// 128 bits by 512, and a word for the count of the products.
const WIDE_WORDS: usize = 11;
/// L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032, section 5.1).
pub(crate) const ORDER: Scalar = [
    0x5812_631a_5cf5_d3ed,
    0x14de_f9de_a2f7_9cd6,
    0,
    0x1000_0000_0000_0000,
];
/// 2^(256 + 64 i) modulo L.
const RESIDUES: [Scalar; WIDE_WORDS - 4] = residues();

const fn residues() -> [Scalar; WIDE_WORDS - 4] {
    let mut all = [[0; 4]; WIDE_WORDS - 4];
    // 2^252 - L = -c: start there and double 4 + 64 i times.
    let mut residue = [0, 0, 0, 1 << 60];
    residue = less_order(residue);
    let mut doublings = 0;
    let mut at = 0;
    while at < all.len() {
        while doublings < 4 + 64 * at {
            residue = less_order(doubled(residue));
            doublings += 1;
        }
        all[at] = residue;
        at += 1;
    }
    all
}

const fn doubled(number: Scalar) -> Scalar {
    [
        number[0] << 1,
        number[1] << 1 | number[0] >> 63,
        number[2] << 1 | number[1] >> 63,
        number[3] << 1 | number[2] >> 63,
    ]
}

/// The number, or L less where it is at least L.
const fn less_order(number: Scalar) -> Scalar {
    let mut difference = [0; 4];
    let mut borrow = 0;
    let mut at = 0;
    while at < 4 {
        let (without, first) = number[at].overflowing_sub(ORDER[at]);
        let (without, second) = without.overflowing_sub(borrow);
        difference[at] = without;
        borrow = (first || second) as u64;
        at += 1;
    }
    if borrow == 1 { number } else { difference }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar as Oracle;

    use clearway_types::seeded::SplitMix;

    use super::*;

    fn oracle(words: &[u64]) -> Oracle {
        let word = Oracle::from(u128::from(u64::MAX)) + Oracle::ONE;
        let digits = words.iter().rev();
        digits.fold(Oracle::ZERO, |sum, &digit| sum * word + Oracle::from(digit))
    }

    fn bytes(words: &Scalar) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Words that are often all ones or zeros: carries go far.
    fn word(random: &mut SplitMix) -> u64 {
        match random.index(4) {
            0 => u64::MAX,
            1 => 0,
            _ => random.next_u64(),
        }
    }

    #[test]
    fn sums_of_products_are_reduced_as_the_oracle_does() {
        for seed in 0..400 {
            let mut random = SplitMix(seed);
            let mut sum = WideSum::default();
            let mut expected = Oracle::ZERO;
            for _ in 0..1 + seed % 50 {
                let factor = u128::from(word(&mut random)) << 64 | u128::from(word(&mut random));
                let long: [u64; 8] = std::array::from_fn(|_| word(&mut random));
                let short: [u64; 4] = std::array::from_fn(|_| word(&mut random));
                sum.add_product(factor, &long);
                sum.add_product(factor, &short);
                expected += Oracle::from(factor) * (oracle(&long) + oracle(&short));
            }
            let found = sum.reduce();
            assert_eq!(bytes(&found), expected.to_bytes(), "seed {seed}");
            assert_eq!(
                bytes(&negate(&found)),
                (-expected).to_bytes(),
                "seed {seed}"
            );
        }
    }

    #[test]
    fn the_largest_sum_fits() {
        let mut sum = WideSum::default();
        for _ in 0..1000 {
            sum.add_product(u128::MAX, &[u64::MAX; 8]);
        }
        let expected = Oracle::from(1000_u64) * Oracle::from(u128::MAX) * oracle(&[u64::MAX; 8]);
        assert_eq!(bytes(&sum.reduce()), expected.to_bytes());
    }

    #[test]
    fn multiples_of_the_order_reduce_to_zero_and_their_neighbours_beside_it() {
        let minus_one = { (subtract(&ORDER, &[1, 0, 0, 0])).0 };
        for factor in [1, 2, 15, u128::from(u64::MAX), u128::MAX] {
            let mut sum = WideSum::default();
            sum.add_product(factor, &ORDER);
            assert_eq!(sum.reduce(), [0; 4]);
            sum.add_product(1, &[1_u64]);
            assert_eq!(sum.reduce(), [1, 0, 0, 0]);
            sum.add_product(1, &minus_one);
            sum.add_product(1, &minus_one);
            assert_eq!(sum.reduce(), minus_one);
        }
        assert_eq!(negate(&[0; 4]), [0; 4]);
    }

    #[test]
    fn s_is_canonical_below_the_order_alone() {
        let (below, _) = subtract(&ORDER, &[1, 0, 0, 0]);
        let rows = [
            ([0; 4], true),
            (below, true),
            (ORDER, false),
            (add(&ORDER, &[1, 0, 0, 0]), false),
            ([u64::MAX; 4], false),
            ([0, 0, 0, 1 << 60], true),
            ([u64::MAX, u64::MAX, 0, 1 << 60], false),
        ];
        for (s, expected) in rows {
            assert_eq!(is_canonical(&s), expected, "{s:x?}");
        }
    }

    #[test]
    fn digits_add_up_to_their_number_for_every_width() {
        for width in 2..=14 {
            for seed in 0..50 {
                let mut random = SplitMix(seed);
                let number = [word(&mut random), word(&mut random)];
                let half = 1_i64 << (width - 1);
                let mut sum = Oracle::ZERO;
                let mut weight = Oracle::ONE;
                signed_digits(&number, width, digit_count(128, width), |_, digit| {
                    assert!((1 - half..=half).contains(&i64::from(digit)));
                    let size = Oracle::from(digit.unsigned_abs()) * weight;
                    sum += if digit < 0 { -size } else { size };
                    weight *= Oracle::from(1_u64 << width);
                });
                assert_eq!(sum, oracle(&number), "width {width}, seed {seed}");
            }
        }
    }
}

//! The digits of many numbers, window by window, as Pippenger's buckets take them.
//!
//! Numbers are laid out word by word, so that a window is cut out of all of them side by side; the
//! compiler makes vectors of it.

use super::field::{Field, Work};
use super::scalar::{Scalar, digit_count, split};

/// Digits of all numbers, window by window; the long numbers come first.
#[derive(Debug, Default)]
pub(crate) struct Digits {
    width: usize,
    values: Vec<i16>,
    /// Start in `values` and count of each window, the lowest first.
    windows: Vec<(usize, usize)>,
    /// Each word of all numbers; the last are zeros, for windows that reach beyond the others.
    words: [Vec<u64>; WORDS + 1],
    /// What each number carries into the next window.
    carries: Vec<u64>,
}

impl Digits {
    /// Splits `long` numbers below L and then `short` ones below 2^`short_bits` into digits of
    /// `width` bits from -2^(width-1) + 1 to 2^(width-1), as [`super::scalar::signed_digits`] does.
    pub(crate) fn fill<F: Field<LANES>, const LANES: usize>(
        &mut self,
        token: F::Token,
        width: usize,
        long: &[Scalar],
        (short, short_bits): (&[u128], usize),
    ) {
        debug_assert!((1..=15).contains(&width) && short_bits <= 128);
        self.width = width;
        self.windows.clear();
        let (short_windows, long_windows) =
            (digit_count(short_bits, width), digit_count(253, width));
        let all = long.len() + short.len();
        let mut end = 0;
        for window in 0..long_windows {
            let count = match window < short_windows {
                true => all,
                false if long.is_empty() => break,
                false => long.len(),
            };
            self.windows.push((end, count));
            // Windows that start a power of two apart would share the lines of the cache.
            end += count.next_multiple_of(LINE_DIGITS) + LINE_DIGITS;
        }
        self.values.resize(end, 0);
        for (at, words) in self.words.iter_mut().enumerate() {
            words.clear();
            if at < WORDS {
                words.extend(long.iter().map(|number| number[at]));
            }
            if at < 2 {
                words.extend(short.iter().map(|number| split(*number)[at]));
            }
            words.resize(all, 0);
        }
        self.carries.clear();
        self.carries.resize(all, 0);
        F::enter(token, Cut(self));
    }

    /// Bits of a window.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The digits of each window, the lowest first.
    pub(crate) fn windows(&self) -> impl DoubleEndedIterator<Item = &[i16]> + ExactSizeIterator {
        let windows = self.windows.iter();
        windows.map(|&(start, count)| &self.values[start..][..count])
    }
}

/// Cuts the windows out of the words.
struct Cut<'a>(&'a mut Digits);

impl Work for Cut<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Digits {
            width,
            values,
            windows,
            words,
            carries,
        } = self.0;
        let (mask, half) = ((1 << *width) - 1, 1 << (*width - 1));
        for (window, &(start, count)) in windows.iter().enumerate() {
            let (word, shift) = (window * *width / 64, window * *width % 64);
            let digits = values[start..][..count].iter_mut().zip(&mut *carries);
            let words = words[word].iter().zip(&words[word + 1]);
            for ((digit, carry), (low, high)) in digits.zip(words) {
                // In two steps, as no word is shifted by 64.
                let value = (low >> shift | high << 1 << (63 - shift)) & mask;
                let number = value + *carry;
                *carry = u64::from(number > half);
                *digit = narrow(number.wrapping_sub(*carry << *width));
            }
        }
        debug_assert!(carries.iter().all(|&carry| carry == 0), "the numbers fit");
    }
}

/// A digit of at most 15 bits and its sign.
#[expect(clippy::cast_possible_truncation, reason = "the width is at most 15")]
#[inline(always)]
fn narrow(digit: u64) -> i16 {
    digit as i16
}

/// Words of the longest numbers.
const WORDS: usize = 4;
/// Digits in a cache line.
const LINE_DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use clearway_types::seeded::SplitMix;

    use super::super::scalar::{ORDER, signed_digits};
    use super::*;
    use crate::simd::plain::Plain;

    #[test]
    fn all_numbers_have_the_digits_that_each_has_alone() {
        let mut random = SplitMix(9);
        let edges = [
            [0; 4],
            [1, 0, 0, 0],
            [ORDER[0] - 1, ORDER[1], ORDER[2], ORDER[3]],
        ];
        let mut long = edges.to_vec();
        long.extend((0..20).map(|_| {
            let word = |_| random.next_u64();
            let [a, b, c, d] = std::array::from_fn(word);
            [a, b, c, d >> 4]
        }));
        let mut short = vec![0, 1, u128::MAX, 1 << 127];
        short.extend(
            (0..20).map(|_| u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())),
        );
        for width in 2..=15 {
            for (long, short_bits) in [(&long[..], 128), (&[], 128), (&long, 8)] {
                let short: Vec<u128> = match short_bits {
                    8 => short.iter().map(|number| number & 0xff).collect(),
                    _ => short.clone(),
                };
                let mut digits = Digits::default();
                // Filled twice: what another sum left behind does not matter.
                digits.fill::<Plain<4>, 4>((), 15, long, (&[77; 90], 128));
                digits.fill::<Plain<4>, 4>((), width, long, (&short, short_bits));
                let windows: Vec<_> = digits.windows().collect();
                let check = |at: usize, number: &[u64], count: usize| {
                    let number: [u64; 4] =
                        std::array::from_fn(|word| number.get(word).copied().unwrap_or(0));
                    signed_digits(&number, width, count, |window, digit| {
                        assert_eq!(windows[window][at], digit, "width {width} at {at}");
                    });
                };
                for (at, number) in long.iter().enumerate() {
                    check(at, number, digit_count(253, width));
                }
                for (at, number) in short.iter().enumerate() {
                    let count = digit_count(short_bits, width);
                    check(long.len() + at, &split(*number), count);
                }
            }
        }
    }
}

//! The eight-lane unit in plain Rust: the same functions, and every operand checked.
//!
//! IFMA drops what stands above 52 bits without a word; here it is a panic. Nothing is inlined:
//! thousands of copies of the checks take minutes to compile.

use super::unit::Unit;
use crate::simd::field::{LaneMask, Packed, Work};

/// Eight words in plain memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Emulated([u64; 8]);

impl Emulated {
    fn zip(self, other: Self, apply: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|lane| {
            apply(self.0[lane], other.0[lane])
        }))
    }

    fn map(self, apply: impl Fn(u64) -> u64) -> Self {
        Self(self.0.map(apply))
    }

    fn product(self, other: Self, lane: usize) -> u128 {
        let (left, right) = (self.0[lane], other.0[lane]);
        assert!(left.max(right) < 1 << 52, "{left:#x} times {right:#x}");
        u128::from(left) * u128::from(right)
    }

    /// Adds a part of each product; the sum must have room.
    fn plus_part(self, left: Self, right: Self, part: impl Fn(u128) -> u128) -> Self {
        Self(std::array::from_fn(|lane| {
            let part = part(left.product(right, lane)) & ((1 << 52) - 1);
            let part = u64::try_from(part).expect("52 bits");
            self.0[lane].checked_add(part).expect("room in the column")
        }))
    }
}

impl Unit for Emulated {
    type Token = ();

    fn enter<W: Work>((): (), work: W) -> W::Output {
        work.run()
    }

    fn run<W: Work>(self, kernel: W) -> W::Output {
        kernel.run()
    }

    #[inline(never)]
    fn load((): (), words: &[u64; 8]) -> Self {
        Self(*words)
    }

    #[inline(never)]
    fn load_packed((): (), rows: [&Packed; 8]) -> [Self; 5] {
        std::array::from_fn(|word| Self(rows.map(|row| row[word])))
    }

    #[inline(never)]
    fn load_big_endian((): (), rows: [&[u8; 64]; 8]) -> [Self; 8] {
        std::array::from_fn(|word| {
            Self(rows.map(|row| u64::from_be_bytes(row.as_chunks().0[word])))
        })
    }

    fn prefetch<T>((): (), _value: &T) {}

    #[inline(never)]
    fn store(self) -> [u64; 8] {
        self.0
    }

    #[inline(never)]
    fn all(self, word: u64) -> Self {
        Self([word; 8])
    }

    #[inline(never)]
    fn plus(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }

    #[inline(never)]
    fn minus(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_sub)
    }

    #[inline(never)]
    fn times(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_mul)
    }

    #[inline(never)]
    fn plus_low_half(self, left: Self, right: Self) -> Self {
        self.plus_part(left, right, |product| product)
    }

    #[inline(never)]
    fn plus_high_half(self, left: Self, right: Self) -> Self {
        self.plus_part(left, right, |product| product >> 52)
    }

    #[inline(never)]
    fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    #[inline(never)]
    fn shift<const BITS: u32>(self) -> Self {
        self.map(|word| word >> BITS)
    }

    #[inline(never)]
    fn rotate<const BITS: i32>(self) -> Self {
        self.map(|word| word.rotate_right(BITS.unsigned_abs()))
    }

    #[inline(never)]
    fn xor(self, second: Self, third: Self) -> Self {
        self.zip(second, |a, b| a ^ b).zip(third, |a, b| a ^ b)
    }

    #[inline(never)]
    fn choose(self, set: Self, clear: Self) -> Self {
        let set = self.zip(set, |by, set| by & set);
        let clear = self.zip(clear, |by, clear| !by & clear);
        set.zip(clear, |set, clear| set | clear)
    }

    #[inline(never)]
    fn majority(self, second: Self, third: Self) -> Self {
        let either = second.zip(third, |b, c| b | c);
        let both = second.zip(third, |b, c| b & c);
        self.zip(either, |a, either| a & either)
            .zip(both, |some, both| some | both)
    }

    #[inline(never)]
    fn select(self, mask: LaneMask, otherwise: Self) -> Self {
        Self(std::array::from_fn(|lane| match mask.has(lane) {
            true => self.0[lane],
            false => otherwise.0[lane],
        }))
    }

    #[inline(never)]
    fn is_zero(self) -> LaneMask {
        LaneMask::from_fn::<8>(|lane| self.0[lane] == 0)
    }
}

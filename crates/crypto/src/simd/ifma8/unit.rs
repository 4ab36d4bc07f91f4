//! Eight 64-bit words side by side in an AVX-512 register, and the instructions on them.
//!
//! Attacked by `simd::ifma8_tests`, which compares every function with the emulation, and by the
//! suite over the whole backend.
#![allow(
    unsafe_code,
    reason = "vector instructions exist only where they were detected; loads take addresses"
)]

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm256_loadu_si256, _mm512_add_epi64, _mm512_and_si512,
    _mm512_castsi256_si512, _mm512_cmpeq_epi64_mask, _mm512_inserti64x4, _mm512_loadu_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_blend_epi64, _mm512_mullo_epi64,
    _mm512_ror_epi64, _mm512_set_epi8, _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_shuffle_i64x2, _mm512_srli_epi64, _mm512_storeu_si512,
    _mm512_sub_epi64, _mm512_ternarylogic_epi64, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};
use std::fmt::Debug;

use super::token::Token;
use crate::simd::field::{LaneMask, Packed, Work};

/// Eight words, one a lane, and all that the engine does with them. Sums and products are modulo
/// 2^64.
pub(crate) trait Unit: Copy + Debug {
    /// Proof that this machine has the instructions; only `load`s take it: all other words are
    /// made from words.
    type Token: Copy + Send + Sync;

    /// Runs `work` where the compiler may use the instructions.
    fn enter<W: Work>(token: Self::Token, work: W) -> W::Output;
    /// Runs a kernel; what `self` holds does not matter.
    fn run<W: Work>(self, kernel: W) -> W::Output;
    /// One word a lane.
    fn load(token: Self::Token, words: &[u64; 8]) -> Self;
    /// Rows to columns: word k of every row in register k.
    fn load_packed(token: Self::Token, rows: [&Packed; 8]) -> [Self; 5];
    /// Rows to columns: big-endian word k of every row in register k.
    fn load_big_endian(token: Self::Token, rows: [&[u8; 64]; 8]) -> [Self; 8];
    /// Brings a value into the cache ahead of its use.
    fn prefetch<T>(token: Self::Token, value: &T);

    /// The words, lane by lane.
    fn store(self) -> [u64; 8];
    /// The same word in every lane; what `self` holds does not matter.
    fn all(self, word: u64) -> Self;
    /// Sum.
    fn plus(self, other: Self) -> Self;
    /// Difference.
    fn minus(self, other: Self) -> Self;
    /// Product.
    fn times(self, other: Self) -> Self;
    /// Adds the low 52 bits of the product of two numbers of 52 bits.
    fn plus_low_half(self, left: Self, right: Self) -> Self;
    /// Adds the high 52 bits of the product of two numbers of 52 bits.
    fn plus_high_half(self, left: Self, right: Self) -> Self;
    /// Bits of both.
    fn and(self, other: Self) -> Self;
    /// To the right, zeros from the left.
    fn shift<const BITS: u32>(self) -> Self;
    /// To the right, around.
    fn rotate<const BITS: i32>(self) -> Self;
    /// Bits that an odd number of the three have.
    fn xor(self, second: Self, third: Self) -> Self;
    /// `self` chooses between two words, bit by bit.
    fn choose(self, set: Self, clear: Self) -> Self;
    /// The majority of three words, bit by bit.
    fn majority(self, second: Self, third: Self) -> Self;
    /// `self` in the lanes of the mask, `otherwise` in the others.
    fn select(self, mask: LaneMask, otherwise: Self) -> Self;
    /// The lanes that hold zero.
    fn is_zero(self) -> LaneMask;
}

/// An AVX-512 register.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Register(__m512i);

/// Calls an instruction from a method of [`Register`].
macro_rules! kernel {
    ($call:expr) => {{
        // SAFETY: only AVX-512 F, BW, DQ and IFMA are needed. What makes registers takes a token,
        // which exists only after detection; all else takes registers made so.
        unsafe { $call }
    }};
}

impl Unit for Register {
    type Token = Token;

    #[inline(always)]
    fn enter<W: Work>(_token: Token, work: W) -> W::Output {
        kernel!(enter(work))
    }

    // Without optimisation a kernel is a call: inlined everywhere, it compiles for minutes.
    #[inline(always)]
    fn run<W: Work>(self, kernel: W) -> W::Output {
        #[cfg(debug_assertions)]
        let output = kernel!(enter(kernel));
        #[cfg(not(debug_assertions))]
        let output = kernel.run();
        output
    }

    #[inline(always)]
    fn load(_token: Token, words: &[u64; 8]) -> Self {
        Self(kernel!(load(words)))
    }

    #[inline(always)]
    fn load_packed(_token: Token, rows: [&Packed; 8]) -> [Self; 5] {
        kernel!(load_packed(rows)).map(Self)
    }

    #[inline(always)]
    fn load_big_endian(_token: Token, rows: [&[u8; 64]; 8]) -> [Self; 8] {
        kernel!(load_big_endian(rows)).map(Self)
    }

    #[inline(always)]
    fn prefetch<T>(_token: Token, value: &T) {
        kernel!(prefetch(value));
    }

    #[inline(always)]
    fn store(self) -> [u64; 8] {
        kernel!(store(self.0))
    }

    #[inline(always)]
    fn all(self, word: u64) -> Self {
        Self(kernel!(_mm512_set1_epi64(word.cast_signed())))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(kernel!(_mm512_add_epi64(self.0, other.0)))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(kernel!(_mm512_sub_epi64(self.0, other.0)))
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self(kernel!(_mm512_mullo_epi64(self.0, other.0)))
    }

    #[inline(always)]
    fn plus_low_half(self, left: Self, right: Self) -> Self {
        Self(kernel!(_mm512_madd52lo_epu64(self.0, left.0, right.0)))
    }

    #[inline(always)]
    fn plus_high_half(self, left: Self, right: Self) -> Self {
        Self(kernel!(_mm512_madd52hi_epu64(self.0, left.0, right.0)))
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(kernel!(_mm512_and_si512(self.0, other.0)))
    }

    #[inline(always)]
    fn shift<const BITS: u32>(self) -> Self {
        Self(kernel!(_mm512_srli_epi64::<BITS>(self.0)))
    }

    #[inline(always)]
    fn rotate<const BITS: i32>(self) -> Self {
        Self(kernel!(_mm512_ror_epi64::<BITS>(self.0)))
    }

    #[inline(always)]
    fn xor(self, second: Self, third: Self) -> Self {
        Self(kernel!(_mm512_ternarylogic_epi64::<XOR>(
            self.0, second.0, third.0
        )))
    }

    #[inline(always)]
    fn choose(self, set: Self, clear: Self) -> Self {
        Self(kernel!(_mm512_ternarylogic_epi64::<CHOOSE>(
            self.0, set.0, clear.0
        )))
    }

    #[inline(always)]
    fn majority(self, second: Self, third: Self) -> Self {
        Self(kernel!(_mm512_ternarylogic_epi64::<MAJORITY>(
            self.0, second.0, third.0
        )))
    }

    #[inline(always)]
    fn select(self, mask: LaneMask, otherwise: Self) -> Self {
        Self(kernel!(_mm512_mask_blend_epi64(
            mask.0,
            otherwise.0,
            self.0
        )))
    }

    #[inline(always)]
    fn is_zero(self) -> LaneMask {
        LaneMask(kernel!(_mm512_cmpeq_epi64_mask(
            self.0,
            _mm512_setzero_si512()
        )))
    }
}

// Truth tables of three bits a, b, c: bit 4a + 2b + c is the result.
const XOR: i32 = 0b1001_0110;
const CHOOSE: i32 = 0b1100_1010;
const MAJORITY: i32 = 0b1110_1000;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512ifma")]
fn enter<W: Work>(work: W) -> W::Output {
    work.run()
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: the reference is to 64 readable bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(register: __m512i) -> [u64; 8] {
    let mut words = [0; 8];
    // SAFETY: `words` is 64 writable bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), register) };
    words
}

#[target_feature(enable = "avx512f")]
#[inline]
fn prefetch<T>(value: &T) {
    let start: *const i8 = std::ptr::from_ref(value).cast();
    for line in 0..size_of::<T>().div_ceil(64) {
        // SAFETY: the address lies within the value, and a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(64 * line)) };
    }
}

/// The first four words of one row and of another.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_pair(low: &Packed, high: &Packed) -> __m512i {
    // SAFETY: both references are to 40 readable bytes; the loads need no alignment.
    let [low, high] = unsafe { [low, high].map(|row| _mm256_loadu_si256(row.as_ptr().cast())) };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_packed(rows: [&Packed; 8]) -> [__m512i; 5] {
    // Two neighbours stand in the same half of two registers, so that their words interleave.
    let even = [load_pair(rows[0], rows[2]), load_pair(rows[4], rows[6])];
    let odd = [load_pair(rows[1], rows[3]), load_pair(rows[5], rows[7])];
    let low = [
        _mm512_unpacklo_epi64(even[0], odd[0]),
        _mm512_unpacklo_epi64(even[1], odd[1]),
    ];
    let high = [
        _mm512_unpackhi_epi64(even[0], odd[0]),
        _mm512_unpackhi_epi64(even[1], odd[1]),
    ];
    let last = rows.map(|row| row[4].cast_signed());
    [
        _mm512_shuffle_i64x2::<EVEN>(low[0], low[1]),
        _mm512_shuffle_i64x2::<EVEN>(high[0], high[1]),
        _mm512_shuffle_i64x2::<ODD>(low[0], low[1]),
        _mm512_shuffle_i64x2::<ODD>(high[0], high[1]),
        _mm512_set_epi64(
            last[7], last[6], last[5], last[4], last[3], last[2], last[1], last[0],
        ),
    ]
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_big_endian(rows: [&[u8; 64]; 8]) -> [__m512i; 8] {
    let turn = _mm512_set_epi8(
        8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1,
        2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
        13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7,
    );
    let mut turned = [turn; 8];
    for (turned, row) in turned.iter_mut().zip(rows) {
        // SAFETY: the reference is to 64 readable bytes; the load needs no alignment.
        let row = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
        *turned = _mm512_shuffle_epi8(row, turn);
    }
    let mut columns = [turn; 8];
    for odd in 0..2 {
        // Words odd, odd + 2, odd + 4 and odd + 6 of two rows, interleaved.
        let mut pairs = [turn; 4];
        for (pair, rows) in pairs.iter_mut().zip(turned.as_chunks::<2>().0) {
            *pair = match odd {
                0 => _mm512_unpacklo_epi64(rows[0], rows[1]),
                _ => _mm512_unpackhi_epi64(rows[0], rows[1]),
            };
        }
        let even_pairs = [
            _mm512_shuffle_i64x2::<EVEN>(pairs[0], pairs[1]),
            _mm512_shuffle_i64x2::<EVEN>(pairs[2], pairs[3]),
        ];
        let odd_pairs = [
            _mm512_shuffle_i64x2::<ODD>(pairs[0], pairs[1]),
            _mm512_shuffle_i64x2::<ODD>(pairs[2], pairs[3]),
        ];
        columns[odd] = _mm512_shuffle_i64x2::<EVEN>(even_pairs[0], even_pairs[1]);
        columns[odd + 4] = _mm512_shuffle_i64x2::<ODD>(even_pairs[0], even_pairs[1]);
        columns[odd + 2] = _mm512_shuffle_i64x2::<EVEN>(odd_pairs[0], odd_pairs[1]);
        columns[odd + 6] = _mm512_shuffle_i64x2::<ODD>(odd_pairs[0], odd_pairs[1]);
    }
    columns
}

/// Quarters 0 and 2 of the one register and then of the other.
const EVEN: i32 = 0b10_00_10_00;
/// Quarters 1 and 3.
const ODD: i32 = 0b11_01_11_01;

//! Four 64-bit words side by side in an AVX2 register, with the functions of SHA-512.
//!
//! Attacked by `simd::engine_tests`, which compares whole hashes with `sha2`.
#![allow(
    unsafe_code,
    reason = "vector instructions exist only where they were detected; loads take addresses"
)]

use std::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_loadu_si256, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_set_epi8, _mm256_set1_epi64x, _mm256_shuffle_epi8,
    _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::token::Token;
use crate::simd::field::Work;
use crate::simd::sha512::{BLOCK_BYTES, Words};

/// Four words.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Words4(__m256i);

/// Calls a kernel of this file from a method of [`Words4`].
macro_rules! kernel {
    ($call:expr) => {{
        // SAFETY: every kernel needs AVX2 and nothing else. Methods that make values take a token,
        // which exists only after detection; all others take values made so.
        unsafe { $call }
    }};
}

impl Words<4> for Words4 {
    type Token = Token;

    #[inline(always)]
    fn enter<D: Work>(_token: Token, work: D) -> D::Output {
        kernel!(enter(work))
    }

    #[inline(always)]
    fn splat(_token: Token, word: u64) -> Self {
        Self(kernel!(_mm256_set1_epi64x(word.cast_signed())))
    }

    #[inline(always)]
    fn load_block(_token: Token, blocks: [&[u8; BLOCK_BYTES]; 4]) -> [Self; 16] {
        kernel!(load_block(blocks))
    }

    #[inline(always)]
    fn store(self) -> [u64; 4] {
        kernel!(store(self.0))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(kernel!(_mm256_add_epi64(self.0, other.0)))
    }

    #[inline(always)]
    fn big_sigma_0(self) -> Self {
        Self(kernel!(xor_3(
            rotate::<28, 36>(self.0),
            rotate::<34, 30>(self.0),
            rotate::<39, 25>(self.0)
        )))
    }

    #[inline(always)]
    fn big_sigma_1(self) -> Self {
        Self(kernel!(xor_3(
            rotate::<14, 50>(self.0),
            rotate::<18, 46>(self.0),
            rotate::<41, 23>(self.0)
        )))
    }

    #[inline(always)]
    fn small_sigma_0(self) -> Self {
        Self(kernel!(xor_3(
            rotate::<1, 63>(self.0),
            rotate::<8, 56>(self.0),
            _mm256_srli_epi64::<7>(self.0)
        )))
    }

    #[inline(always)]
    fn small_sigma_1(self) -> Self {
        Self(kernel!(xor_3(
            rotate::<19, 45>(self.0),
            rotate::<61, 3>(self.0),
            _mm256_srli_epi64::<6>(self.0)
        )))
    }

    #[inline(always)]
    fn choose(self, set: Self, clear: Self) -> Self {
        Self(kernel!(choose(self.0, set.0, clear.0)))
    }

    #[inline(always)]
    fn majority(self, second: Self, third: Self) -> Self {
        Self(kernel!(majority(self.0, second.0, third.0)))
    }
}

#[target_feature(enable = "avx2")]
fn enter<D: Work>(work: D) -> D::Output {
    work.run()
}

/// To the right by `RIGHT` bits; `LEFT` is 64 less that.
#[target_feature(enable = "avx2")]
#[inline]
fn rotate<const RIGHT: i32, const LEFT: i32>(word: __m256i) -> __m256i {
    const { assert!(RIGHT + LEFT == 64) };
    _mm256_or_si256(
        _mm256_srli_epi64::<RIGHT>(word),
        _mm256_slli_epi64::<LEFT>(word),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn xor_3(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(a, b), c)
}

#[target_feature(enable = "avx2")]
#[inline]
fn choose(by: __m256i, set: __m256i, clear: __m256i) -> __m256i {
    _mm256_xor_si256(clear, _mm256_and_si256(by, _mm256_xor_si256(set, clear)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn majority(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    let either = _mm256_and_si256(c, _mm256_or_si256(a, b));
    _mm256_or_si256(_mm256_and_si256(a, b), either)
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(register: __m256i) -> [u64; 4] {
    let mut words = [0; 4];
    // SAFETY: `words` is 32 writable bytes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), register) };
    words
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Four words of each block at a time, their bytes turned around, rows to columns.
#[target_feature(enable = "avx2")]
#[inline]
fn load_block(blocks: [&[u8; BLOCK_BYTES]; 4]) -> [Words4; 16] {
    let turn = _mm256_set_epi8(
        8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1,
        2, 3, 4, 5, 6, 7,
    );
    let mut words = [Words4(turn); 16];
    for (quarter, words) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let mut rows = [turn; 4];
        for (row, block) in rows.iter_mut().zip(blocks) {
            let bytes = block[32 * quarter..].first_chunk().expect("a quarter");
            *row = _mm256_shuffle_epi8(load(bytes), turn);
        }
        let low = _mm256_unpacklo_epi64(rows[0], rows[1]);
        let high = _mm256_unpackhi_epi64(rows[0], rows[1]);
        let low_2 = _mm256_unpacklo_epi64(rows[2], rows[3]);
        let high_2 = _mm256_unpackhi_epi64(rows[2], rows[3]);
        *words = [
            Words4(_mm256_permute2x128_si256::<0x20>(low, low_2)),
            Words4(_mm256_permute2x128_si256::<0x20>(high, high_2)),
            Words4(_mm256_permute2x128_si256::<0x31>(low, low_2)),
            Words4(_mm256_permute2x128_si256::<0x31>(high, high_2)),
        ];
    }
    words
}

//! Four elements of GF(2^255 - 19) side by side in AVX2 registers: ten limbs of 32-bit products.
//!
//! Lane l of register i holds limb i of element l, radix 2^25.5 ([`super::super::limbs`] states the
//! bounds). Attacked by `lanes::field_tests`, which compares every function with the plain twin at
//! the bounds, in every lane.
#![allow(
    unsafe_code,
    reason = "vector instructions exist only where they were detected; loads take addresses"
)]

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi64, _mm256_and_si256, _mm256_blendv_epi8,
    _mm256_castsi256_pd, _mm256_cmpeq_epi64, _mm256_cmpgt_epi64, _mm256_loadu_si256,
    _mm256_movemask_pd, _mm256_mul_epu32, _mm256_or_si256, _mm256_permute2x128_si256,
    _mm256_set_epi64x, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_slli_epi64,
    _mm256_srli_epi64, _mm256_storeu_si256, _mm256_sub_epi64, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi64,
};

use super::Token;
use crate::lanes::field::{Field, LaneMask, Packed};
use crate::lanes::limbs::{CARRIED_MAX, LOOSE_MAX, PRIME_TIMES_2, PRIME_WIDE, WIDTHS, split};

/// Ten registers, a limb each.
type Limbs = [__m256i; 10];

/// Four carried elements.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Field4(Loose4);

/// Four loose elements.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Loose4(Limbs);

/// Four lanes of columns.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Wide4(Limbs);

impl AsRef<Loose4> for Field4 {
    #[inline(always)]
    fn as_ref(&self) -> &Loose4 {
        &self.0
    }
}

impl AsRef<Loose4> for Loose4 {
    #[inline(always)]
    fn as_ref(&self) -> &Loose4 {
        self
    }
}

/// Calls a kernel of this file from a method of [`Field4`].
macro_rules! kernel {
    ($call:expr) => {{
        // SAFETY: every kernel needs AVX2 and nothing else. Methods that make values take a token,
        // which exists only after detection; all others take values made so.
        unsafe { $call }
    }};
}

impl Field<4> for Field4 {
    type Token = Token;
    type Loose = Loose4;
    type Wide = Wide4;

    #[inline(always)]
    fn enter<R>(_token: Token, work: impl FnOnce() -> R) -> R {
        kernel!(enter(work))
    }

    #[inline(always)]
    fn decode(_token: Token, bytes: &[[u8; 32]; 4]) -> Self {
        let lanes = [
            split(&bytes[0]),
            split(&bytes[1]),
            split(&bytes[2]),
            split(&bytes[3]),
        ];
        Self::carried(kernel!(from_lanes(&lanes)))
    }

    #[inline(always)]
    fn load(_token: Token, packed: [&Packed; 4]) -> Self {
        Self::carried(kernel!(load(packed)))
    }

    #[inline(always)]
    fn store(&self) -> [Packed; 4] {
        kernel!(store(self.limbs()))
    }

    #[inline(always)]
    fn prefetch<T>(_token: Token, value: &T) {
        kernel!(prefetch(value));
    }

    #[inline(always)]
    fn add(&self, other: &Self) -> Loose4 {
        Loose4::checked(kernel!(sum(self.limbs(), other.limbs())))
    }

    #[inline(always)]
    fn sub(&self, other: &Self) -> Loose4 {
        Loose4::checked(kernel!(difference(
            self.limbs(),
            other.limbs(),
            &PRIME_TIMES_2
        )))
    }

    #[inline(always)]
    fn negate_where(&self, mask: LaneMask) -> Loose4 {
        Loose4::checked(kernel!(negate_where(self.limbs(), mask)))
    }

    #[inline(always)]
    fn select(mask: LaneMask, when: &Self, otherwise: &Self) -> Self {
        Self::carried(kernel!(select(mask, when.limbs(), otherwise.limbs())))
    }

    #[inline(always)]
    fn carry(loose: &Loose4) -> Self {
        Self::carried(kernel!(carry_short(&loose.0)))
    }

    #[inline(always)]
    fn mul(left: &impl AsRef<Loose4>, right: &impl AsRef<Loose4>) -> Self {
        Self::carried(kernel!(mul(&left.as_ref().0, &right.as_ref().0)))
    }

    #[inline(always)]
    fn square(of: &impl AsRef<Loose4>) -> Self {
        Self::carried(kernel!(square(&of.as_ref().0)))
    }

    #[inline(always)]
    fn mul_wide(left: &impl AsRef<Loose4>, right: &impl AsRef<Loose4>) -> Wide4 {
        Wide4(kernel!(mul_columns(&left.as_ref().0, &right.as_ref().0)))
    }

    #[inline(always)]
    fn square_wide(of: &impl AsRef<Loose4>) -> Wide4 {
        Wide4(kernel!(square_columns(&of.as_ref().0)))
    }

    #[inline(always)]
    fn widen(&self) -> Wide4 {
        Wide4(*self.limbs())
    }

    #[inline(always)]
    fn wide_add(left: &Wide4, right: &Wide4) -> Wide4 {
        Wide4(kernel!(sum(&left.0, &right.0)))
    }

    #[inline(always)]
    fn wide_sub(left: &Wide4, right: &Wide4) -> Wide4 {
        debug_assert!(kernel!(within(&right.0, &PRIME_WIDE)), "a product");
        Wide4(kernel!(difference(&left.0, &right.0, &PRIME_WIDE)))
    }

    #[inline(always)]
    fn carry_wide(wide: &Wide4) -> Self {
        Self::carried(kernel!(carry(&wide.0)))
    }

    #[inline(always)]
    fn is_zero(&self) -> LaneMask {
        kernel!(is_zero(self.limbs()))
    }

    #[inline(always)]
    fn is_odd(&self) -> LaneMask {
        kernel!(is_odd(self.limbs()))
    }
}

impl Field4 {
    #[inline(always)]
    fn carried(limbs: Limbs) -> Self {
        debug_assert!(kernel!(within(&limbs, &CARRIED_MAX)), "carried");
        Self(Loose4(limbs))
    }

    #[inline(always)]
    fn limbs(&self) -> &Limbs {
        &self.0.0
    }

    /// Limbs as they are, lane by lane, for tests at the bound.
    #[cfg(test)]
    pub(crate) fn from_limbs(_token: Token, lanes: &[[u64; 10]; 4]) -> Self {
        Self::carried(kernel!(from_lanes(lanes)))
    }
}

impl Loose4 {
    #[inline(always)]
    fn checked(limbs: Limbs) -> Self {
        debug_assert!(kernel!(within(&limbs, &LOOSE_MAX)), "loose");
        Self(limbs)
    }
}

#[target_feature(enable = "avx2")]
fn enter<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[target_feature(enable = "avx2")]
#[inline]
fn splat(word: u64) -> __m256i {
    _mm256_set1_epi64x(word.cast_signed())
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_words(words: &[u64; 4]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store_words(register: __m256i) -> [u64; 4] {
    let mut words = [0; 4];
    // SAFETY: `words` is 32 writable bytes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), register) };
    words
}

#[target_feature(enable = "avx2")]
#[inline]
fn prefetch<T>(value: &T) {
    let start: *const i8 = std::ptr::from_ref(value).cast();
    for line in 0..size_of::<T>().div_ceil(64) {
        // SAFETY: the address lies within the value, and a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(64 * line)) };
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn from_lanes(lanes: &[[u64; 10]; 4]) -> Limbs {
    let mut limbs = [_mm256_setzero_si256(); 10];
    for (at, limb) in limbs.iter_mut().enumerate() {
        *limb = load_words(&[lanes[0][at], lanes[1][at], lanes[2][at], lanes[3][at]]);
    }
    limbs
}

/// Whether no limb exceeds its maximum, as unsigned numbers.
#[target_feature(enable = "avx2")]
#[inline]
fn within(limbs: &Limbs, max: &[u64; 10]) -> bool {
    let flip = splat(1 << 63);
    let mut above = _mm256_setzero_si256();
    for (&limb, &max) in limbs.iter().zip(max) {
        let (limb, max) = (_mm256_sub_epi64(limb, flip), splat(max ^ 1 << 63));
        above = _mm256_or_si256(above, _mm256_cmpgt_epi64(limb, max));
    }
    _mm256_movemask_pd(_mm256_castsi256_pd(above)) == 0
}

/// Four rows of four words become four columns.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose(rows: [__m256i; 4]) -> [__m256i; 4] {
    let low = _mm256_unpacklo_epi64(rows[0], rows[1]);
    let high = _mm256_unpackhi_epi64(rows[0], rows[1]);
    let low_2 = _mm256_unpacklo_epi64(rows[2], rows[3]);
    let high_2 = _mm256_unpackhi_epi64(rows[2], rows[3]);
    [
        _mm256_permute2x128_si256::<0x20>(low, low_2),
        _mm256_permute2x128_si256::<0x20>(high, high_2),
        _mm256_permute2x128_si256::<0x31>(low, low_2),
        _mm256_permute2x128_si256::<0x31>(high, high_2),
    ]
}

#[target_feature(enable = "avx2")]
#[inline]
fn load([a, b, c, d]: [&Packed; 4]) -> Limbs {
    let rows = [
        load_words(a.first_chunk().expect("five words")),
        load_words(b.first_chunk().expect("five words")),
        load_words(c.first_chunk().expect("five words")),
        load_words(d.first_chunk().expect("five words")),
    ];
    let [w0, w1, w2, w3] = transpose(rows);
    let last = [a[4], b[4], c[4], d[4]].map(u64::cast_signed);
    let w4 = _mm256_set_epi64x(last[3], last[2], last[1], last[0]);
    let low = splat(0xffff_ffff);
    [
        _mm256_and_si256(w0, low),
        _mm256_srli_epi64::<32>(w0),
        _mm256_and_si256(w1, low),
        _mm256_srli_epi64::<32>(w1),
        _mm256_and_si256(w2, low),
        _mm256_srli_epi64::<32>(w2),
        _mm256_and_si256(w3, low),
        _mm256_srli_epi64::<32>(w3),
        _mm256_and_si256(w4, low),
        _mm256_srli_epi64::<32>(w4),
    ]
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(limbs: &Limbs) -> [Packed; 4] {
    let mut packed = [[0; 5]; 4];
    for word in 0..5 {
        let odd = _mm256_slli_epi64::<32>(limbs[2 * word + 1]);
        let lanes = store_words(_mm256_or_si256(limbs[2 * word], odd));
        for (packed, value) in packed.iter_mut().zip(lanes) {
            packed[word] = value;
        }
    }
    packed
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum(left: &Limbs, right: &Limbs) -> Limbs {
    let mut limbs = *left;
    for (limb, &other) in limbs.iter_mut().zip(right) {
        *limb = _mm256_add_epi64(*limb, other);
    }
    limbs
}

/// `left + prime - right`, limb by limb.
#[target_feature(enable = "avx2")]
#[inline]
fn difference(left: &Limbs, right: &Limbs, prime: &[u64; 10]) -> Limbs {
    let mut limbs = *left;
    for ((limb, &other), &prime) in limbs.iter_mut().zip(right).zip(prime) {
        *limb = _mm256_sub_epi64(_mm256_add_epi64(*limb, splat(prime)), other);
    }
    limbs
}

/// All ones in the lanes of the mask.
#[target_feature(enable = "avx2")]
#[inline]
fn ones_where(mask: LaneMask) -> __m256i {
    let bits = _mm256_set_epi64x(8, 4, 2, 1);
    let mask = _mm256_and_si256(splat(u64::from(mask.0)), bits);
    _mm256_cmpeq_epi64(mask, bits)
}

#[target_feature(enable = "avx2")]
#[inline]
fn select(mask: LaneMask, when: &Limbs, otherwise: &Limbs) -> Limbs {
    let ones = ones_where(mask);
    let mut limbs = *otherwise;
    for (limb, &when) in limbs.iter_mut().zip(when) {
        *limb = _mm256_blendv_epi8(*limb, when, ones);
    }
    limbs
}

#[target_feature(enable = "avx2")]
#[inline]
fn negate_where(limbs: &Limbs, mask: LaneMask) -> Limbs {
    let ones = ones_where(mask);
    let mut negated = *limbs;
    for (limb, &prime) in negated.iter_mut().zip(&PRIME_TIMES_2) {
        *limb = _mm256_blendv_epi8(*limb, _mm256_sub_epi64(splat(prime), *limb), ones);
    }
    negated
}

/// `h[k] += left * right[k]` for all ten columns; columns of odd distance take `odd` for `left`.
macro_rules! row {
    ($h:ident += $even:expr, $odd:expr; $($right:expr),*) => {
        row!(@ $h, 0, $even, $odd; $($right),*);
    };
    (@ $h:ident, $at:expr, $this:expr, $next:expr; $right:expr $(, $rest:expr)*) => {
        $h[$at] = _mm256_add_epi64($h[$at], _mm256_mul_epu32($this, $right));
        row!(@ $h, $at + 1, $next, $this; $($rest),*);
    };
    (@ $h:ident, $at:expr, $this:expr, $next:expr;) => {};
}

/// Columns of the product of two loose elements.
#[target_feature(enable = "avx2")]
#[inline]
fn mul_columns(f: &Limbs, g: &Limbs) -> Limbs {
    let nineteen = splat(19);
    let mut w = *g;
    for limb in &mut w[1..] {
        *limb = _mm256_mul_epu32(*limb, nineteen);
    }
    // An odd limb times an odd limb counts twice: both lie half a bit above their place.
    let mut h = [_mm256_setzero_si256(); 10];
    for (k, column) in h.iter_mut().enumerate() {
        *column = _mm256_mul_epu32(f[0], g[k]);
    }
    let twice = _mm256_add_epi64(f[1], f[1]);
    row!(h += twice, f[1]; w[9], g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8]);
    row!(h += f[2], f[2]; w[8], w[9], g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]);
    let twice = _mm256_add_epi64(f[3], f[3]);
    row!(h += twice, f[3]; w[7], w[8], w[9], g[0], g[1], g[2], g[3], g[4], g[5], g[6]);
    row!(h += f[4], f[4]; w[6], w[7], w[8], w[9], g[0], g[1], g[2], g[3], g[4], g[5]);
    let twice = _mm256_add_epi64(f[5], f[5]);
    row!(h += twice, f[5]; w[5], w[6], w[7], w[8], w[9], g[0], g[1], g[2], g[3], g[4]);
    row!(h += f[6], f[6]; w[4], w[5], w[6], w[7], w[8], w[9], g[0], g[1], g[2], g[3]);
    let twice = _mm256_add_epi64(f[7], f[7]);
    row!(h += twice, f[7]; w[3], w[4], w[5], w[6], w[7], w[8], w[9], g[0], g[1], g[2]);
    row!(h += f[8], f[8]; w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], g[0], g[1]);
    let twice = _mm256_add_epi64(f[9], f[9]);
    row!(h += twice, f[9]; w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], g[0]);
    h
}

/// `h[k] += left * right` for each pair of a column and a factor.
macro_rules! terms {
    ($h:ident += $left:expr; $($k:literal: $right:expr),*) => {
        $( $h[$k] = _mm256_add_epi64($h[$k], _mm256_mul_epu32($left, $right)); )*
    };
}

/// Columns of the square of a loose element: each mixed product once, doubled.
#[target_feature(enable = "avx2")]
#[inline]
fn square_columns(f: &Limbs) -> Limbs {
    let mut d = *f;
    for limb in &mut d {
        *limb = _mm256_add_epi64(*limb, *limb);
    }
    let (nineteen, thirty_eight) = (splat(19), splat(38));
    let f5_38 = _mm256_mul_epu32(f[5], thirty_eight);
    let f6_19 = _mm256_mul_epu32(f[6], nineteen);
    let f7_38 = _mm256_mul_epu32(f[7], thirty_eight);
    let f8_19 = _mm256_mul_epu32(f[8], nineteen);
    let f9_38 = _mm256_mul_epu32(f[9], thirty_eight);
    let mut h = [_mm256_setzero_si256(); 10];
    h[0] = _mm256_mul_epu32(f[0], f[0]);
    terms!(h += d[0]; 1: f[1], 2: f[2], 3: f[3], 4: f[4], 5: f[5], 6: f[6], 7: f[7], 8: f[8],
        9: f[9]);
    terms!(h += d[1]; 2: f[1], 3: f[2], 4: d[3], 5: f[4], 6: d[5], 7: f[6], 8: d[7], 9: f[8],
        0: f9_38);
    terms!(h += f[2]; 4: f[2], 1: f9_38);
    terms!(h += d[2]; 5: f[3], 6: f[4], 7: f[5], 8: f[6], 9: f[7], 0: f8_19);
    terms!(h += d[3]; 6: f[3], 7: f[4], 8: d[5], 9: f[6], 0: f7_38, 1: f8_19, 2: f9_38);
    terms!(h += f[4]; 8: f[4], 1: f7_38, 3: f9_38);
    terms!(h += d[4]; 9: f[5], 0: f6_19, 2: f8_19);
    terms!(h += f[5]; 0: f5_38);
    terms!(h += d[5]; 1: f6_19, 2: f7_38, 3: f8_19, 4: f9_38);
    terms!(h += f[6]; 2: f6_19, 3: f7_38, 5: f9_38);
    terms!(h += d[6]; 4: f8_19);
    terms!(h += f[7]; 4: f7_38);
    terms!(h += d[7]; 5: f8_19, 6: f9_38);
    terms!(h += f[8]; 6: f8_19, 7: f9_38);
    terms!(h += f[9]; 8: f9_38);
    h
}

#[target_feature(enable = "avx2")]
#[inline]
fn mul(f: &Limbs, g: &Limbs) -> Limbs {
    carry(&mul_columns(f, g))
}

#[target_feature(enable = "avx2")]
#[inline]
fn square(f: &Limbs) -> Limbs {
    carry(&square_columns(f))
}

/// Passes the excess of limb `$at` to the next.
macro_rules! pass {
    ($h:ident: $($at:literal)*) => { $({
        const WIDTH: i32 = WIDTHS[$at].cast_signed();
        let excess = _mm256_srli_epi64::<WIDTH>($h[$at]);
        $h[$at] = _mm256_and_si256($h[$at], splat((1 << WIDTH) - 1));
        $h[$at + 1] = _mm256_add_epi64($h[$at + 1], excess);
    })* };
}

/// Any columns become carried limbs: two chains, from limbs 0 and 4, then around.
#[target_feature(enable = "avx2")]
#[inline]
fn carry(columns: &Limbs) -> Limbs {
    let mut h = *columns;
    pass!(h: 0 4 1 5 2 6 3 7 4 8);
    let excess = _mm256_srli_epi64::<25>(h[9]);
    h[9] = _mm256_and_si256(h[9], splat((1 << 25) - 1));
    // 19 = 16 + 2 + 1; the excess may have 39 bits, too many for a 32-bit product.
    let excess_3 = _mm256_add_epi64(excess, _mm256_add_epi64(excess, excess));
    let excess_19 = _mm256_add_epi64(excess_3, _mm256_slli_epi64::<4>(excess));
    h[0] = _mm256_add_epi64(h[0], excess_19);
    pass!(h: 0);
    h
}

/// Loose limbs become carried: all at once, the excess has two bits.
#[target_feature(enable = "avx2")]
#[inline]
fn carry_short(limbs: &Limbs) -> Limbs {
    let mut h = *limbs;
    let excess = _mm256_srli_epi64::<25>(h[9]);
    h[9] = _mm256_and_si256(h[9], splat((1 << 25) - 1));
    pass!(h: 8 7 6 5 4 3 2 1 0);
    h[0] = _mm256_add_epi64(h[0], _mm256_mul_epu32(excess, splat(19)));
    h
}

/// The limbs of the representatives below the prime.
#[target_feature(enable = "avx2")]
#[inline]
fn reduced(limbs: &Limbs) -> Limbs {
    // Carried elements are below twice the prime: adding 19 carries out of bit 255 or not.
    let mut h = *limbs;
    h[0] = _mm256_add_epi64(h[0], splat(19));
    pass!(h: 0 1 2 3 4 5 6 7 8);
    let over = _mm256_srli_epi64::<25>(h[9]);
    let mut h = *limbs;
    h[0] = _mm256_add_epi64(h[0], _mm256_mul_epu32(over, splat(19)));
    pass!(h: 0 1 2 3 4 5 6 7 8);
    h[9] = _mm256_and_si256(h[9], splat((1 << 25) - 1));
    h
}

#[target_feature(enable = "avx2")]
#[inline]
fn is_zero(limbs: &Limbs) -> LaneMask {
    let mut any = _mm256_setzero_si256();
    for limb in reduced(limbs) {
        any = _mm256_or_si256(any, limb);
    }
    lanes_of(_mm256_cmpeq_epi64(any, _mm256_setzero_si256()))
}

#[target_feature(enable = "avx2")]
#[inline]
fn is_odd(limbs: &Limbs) -> LaneMask {
    lanes_of(_mm256_slli_epi64::<63>(reduced(limbs)[0]))
}

/// The lanes whose highest bit is set.
#[target_feature(enable = "avx2")]
#[inline]
fn lanes_of(register: __m256i) -> LaneMask {
    let bits = _mm256_movemask_pd(_mm256_castsi256_pd(register));
    LaneMask(u8::try_from(bits).expect("four bits"))
}

//! Four elements of GF(2^255 - 19) side by side in AVX2 registers, multiplied by fused
//! multiply-adds.
//!
//! Lane l of register i holds limb i of element l as a 64-bit float ([`super::super::limbs`] states
//! the method and the bounds). Nothing is rounded but where the method says so, in the mode that
//! every Rust program runs in. Attacked by `simd::field_tests`, which compares every function with
//! the plain twin at the bounds, in every lane.
#![allow(
    unsafe_code,
    reason = "vector instructions exist only where they were detected; loads take addresses"
)]

use std::arch::x86_64::{
    __m256d, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi64, _mm256_add_pd, _mm256_and_pd,
    _mm256_and_si256, _mm256_blendv_pd, _mm256_castpd_si256, _mm256_castsi256_pd,
    _mm256_cmpeq_epi64, _mm256_fmadd_pd, _mm256_loadu_pd, _mm256_movemask_pd, _mm256_mul_epu32,
    _mm256_or_si256, _mm256_permute2f128_pd, _mm256_set_epi64x, _mm256_set_pd, _mm256_set1_epi64x,
    _mm256_set1_pd, _mm256_setzero_pd, _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64,
    _mm256_storeu_pd, _mm256_sub_epi64, _mm256_sub_pd, _mm256_unpackhi_pd, _mm256_unpacklo_pd,
    _mm256_xor_pd,
};

use super::token::Token;
use crate::simd::field::{Field, LaneMask, Packed, Work};
use crate::simd::limbs::{CARRIED_MAX, LIMB_BITS, LOOSE_MAX, PRIME, WIDE_MAX, split};
use crate::simd::ranges::unchecked;

/// Five registers, a limb each.
type Limbs = [__m256d; 5];
/// Five registers, a column each.
type Columns = [__m256i; 5];

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
pub(crate) struct Wide4(Columns);

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
        // SAFETY: every kernel needs AVX2 and FMA and nothing else. Methods that make values take a
        // token, which exists only after detection; all others take values made so.
        unsafe { $call }
    }};
}

impl Field<4> for Field4 {
    type Token = Token;
    type Loose = Loose4;
    type Wide = Wide4;

    #[inline(always)]
    fn enter<W: Work>(_token: Token, work: W) -> W::Output {
        kernel!(enter(work))
    }

    #[inline(always)]
    fn decode(_token: Token, bytes: &[[u8; 32]; 4]) -> Self {
        let lanes = bytes.each_ref().map(split);
        Self::carry_wide(&Wide4(kernel!(from_lanes(&lanes))))
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
        Loose4(kernel!(sum(self.limbs(), other.limbs())))
    }

    #[inline(always)]
    fn sub(&self, other: &Self) -> Loose4 {
        Loose4(kernel!(difference(self.limbs(), other.limbs())))
    }

    #[inline(always)]
    fn negate_where(&self, mask: LaneMask) -> Loose4 {
        Loose4(kernel!(negate_where(self.limbs(), mask)))
    }

    #[inline(always)]
    fn select(mask: LaneMask, when: &Self, otherwise: &Self) -> Self {
        Self::carried(kernel!(select(mask, when.limbs(), otherwise.limbs())))
    }

    #[inline(always)]
    fn carry(loose: &Loose4) -> Self {
        Self::carried(kernel!(carry_loose(&loose.0)))
    }

    #[inline(always)]
    fn mul(left: &impl AsRef<Loose4>, right: &Self) -> Self {
        Self::carried(kernel!(mul(&left.as_ref().0, right.limbs())))
    }

    #[inline(always)]
    fn square(&self) -> Self {
        Self::carried(kernel!(square(self.limbs())))
    }

    #[inline(always)]
    fn mul_wide(left: &impl AsRef<Loose4>, right: &Self) -> Wide4 {
        let left = &left.as_ref().0;
        debug_assert!(unchecked() || kernel!(within(left, LOOSE_MAX)), "loose");
        Wide4(kernel!(mul_columns(left, right.limbs(), &MUL_START)))
    }

    #[inline(always)]
    fn square_wide(&self) -> Wide4 {
        Wide4(kernel!(square_columns(self.limbs(), &SQUARE_START)))
    }

    #[inline(always)]
    fn widen(&self) -> Wide4 {
        Wide4(kernel!(widen(self.limbs())))
    }

    #[inline(always)]
    fn wide_add(left: &Wide4, right: &Wide4) -> Wide4 {
        Wide4(kernel!(wide_sum(&left.0, &right.0)))
    }

    #[inline(always)]
    fn wide_sub(left: &Wide4, right: &Wide4) -> Wide4 {
        Wide4(kernel!(wide_difference(&left.0, &right.0)))
    }

    #[inline(always)]
    fn carry_wide(wide: &Wide4) -> Self {
        debug_assert!(unchecked() || kernel!(wide_within(&wide.0)), "columns");
        Self::carried(kernel!(carry(&wide.0)))
    }

    #[inline(always)]
    fn reduced(&self) -> [[u64; 5]; 4] {
        kernel!(numbers(self.limbs()))
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
        debug_assert!(
            unchecked() || kernel!(within(&limbs, CARRIED_MAX)),
            "carried"
        );
        Self(Loose4(limbs))
    }

    #[inline(always)]
    fn limbs(&self) -> &Limbs {
        &self.0.0
    }
}

#[target_feature(enable = "avx2,fma")]
fn enter<W: Work>(work: W) -> W::Output {
    work.run()
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn splat(word: i64) -> __m256i {
    _mm256_set1_epi64x(word)
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load_words(words: &[u64; 4]) -> __m256d {
    // SAFETY: the reference is to 32 readable bytes; the load needs no alignment.
    unsafe { _mm256_loadu_pd(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn store_words(register: __m256d) -> [u64; 4] {
    let mut words = [0_u64; 4];
    // SAFETY: `words` is 32 writable bytes; the store needs no alignment.
    unsafe { _mm256_storeu_pd(words.as_mut_ptr().cast(), register) };
    words
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn prefetch<T>(value: &T) {
    let start: *const i8 = std::ptr::from_ref(value).cast();
    for line in 0..size_of::<T>().div_ceil(64) {
        // SAFETY: the address lies within the value, and a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(64 * line)) };
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn from_lanes(lanes: &[[i64; 5]; 4]) -> Columns {
    let mut columns = [_mm256_setzero_si256(); 5];
    for (at, column) in columns.iter_mut().enumerate() {
        *column = _mm256_set_epi64x(lanes[3][at], lanes[2][at], lanes[1][at], lanes[0][at]);
    }
    columns
}

/// Whether all limbs are whole numbers of at most this size.
#[target_feature(enable = "avx2,fma")]
fn within(limbs: &Limbs, max: i64) -> bool {
    let ok = |limb: &f64| limb.abs() <= max as f64 && limb.fract() == 0.0;
    limbs
        .iter()
        .all(|&limb| store_words(limb).map(f64::from_bits).iter().all(ok))
}

#[target_feature(enable = "avx2,fma")]
fn wide_within(columns: &Columns) -> bool {
    let ok = |column: u64| column.cast_signed().abs() <= WIDE_MAX;
    columns
        .iter()
        .all(|&column| store_words(_mm256_castsi256_pd(column)).into_iter().all(ok))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load([a, b, c, d]: [&Packed; 4]) -> Limbs {
    let row = |row: &Packed| load_words(row.first_chunk().expect("five words"));
    let [row_0, row_1, row_2, row_3] = [row(a), row(b), row(c), row(d)];
    let low = _mm256_unpacklo_pd(row_0, row_1);
    let high = _mm256_unpackhi_pd(row_0, row_1);
    let low_2 = _mm256_unpacklo_pd(row_2, row_3);
    let high_2 = _mm256_unpackhi_pd(row_2, row_3);
    let last = [a[4], b[4], c[4], d[4]].map(f64::from_bits);
    [
        _mm256_permute2f128_pd::<0x20>(low, low_2),
        _mm256_permute2f128_pd::<0x20>(high, high_2),
        _mm256_permute2f128_pd::<0x31>(low, low_2),
        _mm256_permute2f128_pd::<0x31>(high, high_2),
        _mm256_set_pd(last[3], last[2], last[1], last[0]),
    ]
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn store(limbs: &Limbs) -> [Packed; 4] {
    let mut packed = [[0; 5]; 4];
    for (word, &limb) in limbs.iter().enumerate() {
        for (packed, value) in packed.iter_mut().zip(store_words(limb)) {
            packed[word] = value;
        }
    }
    packed
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn sum(left: &Limbs, right: &Limbs) -> Limbs {
    let mut limbs = *left;
    for (limb, &other) in limbs.iter_mut().zip(right) {
        *limb = _mm256_add_pd(*limb, other);
    }
    limbs
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn difference(left: &Limbs, right: &Limbs) -> Limbs {
    let mut limbs = *left;
    for (limb, &other) in limbs.iter_mut().zip(right) {
        *limb = _mm256_sub_pd(*limb, other);
    }
    limbs
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn wide_sum(left: &Columns, right: &Columns) -> Columns {
    let mut columns = *left;
    for (column, &other) in columns.iter_mut().zip(right) {
        *column = _mm256_add_epi64(*column, other);
    }
    columns
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn wide_difference(left: &Columns, right: &Columns) -> Columns {
    let mut columns = *left;
    for (column, &other) in columns.iter_mut().zip(right) {
        *column = _mm256_sub_epi64(*column, other);
    }
    columns
}

/// All ones in the lanes of the mask.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn ones_where(mask: LaneMask) -> __m256d {
    let bits = _mm256_set_epi64x(8, 4, 2, 1);
    let mask = _mm256_and_si256(splat(i64::from(mask.0)), bits);
    _mm256_castsi256_pd(_mm256_cmpeq_epi64(mask, bits))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn select(mask: LaneMask, when: &Limbs, otherwise: &Limbs) -> Limbs {
    let ones = ones_where(mask);
    let mut limbs = *otherwise;
    for (limb, &when) in limbs.iter_mut().zip(when) {
        *limb = _mm256_blendv_pd(*limb, when, ones);
    }
    limbs
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn negate_where(limbs: &Limbs, mask: LaneMask) -> Limbs {
    let sign = _mm256_and_pd(ones_where(mask), _mm256_set1_pd(-0.0));
    let mut negated = *limbs;
    for limb in &mut negated {
        *limb = _mm256_xor_pd(*limb, sign);
    }
    negated
}

/// Adds the low part of each product to a column and the high part to the next.
macro_rules! products {
    ($h:ident += $left:expr; $($k:literal: $right:expr),*) => { $(
        let high = _mm256_fmadd_pd($left, $right, _mm256_set1_pd(HIGH));
        let rest = _mm256_sub_pd(_mm256_set1_pd(HIGH_AND_LOW), high);
        let low = _mm256_fmadd_pd($left, $right, rest);
        $h[$k] = _mm256_add_epi64($h[$k], _mm256_castpd_si256(low));
        $h[$k + 1] = _mm256_add_epi64($h[$k + 1], _mm256_castpd_si256(high));
    )* };
}

/// Columns of the product of a loose and a carried element.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn mul_columns(f: &Limbs, g: &Limbs, start: &[i64; 10]) -> Columns {
    let mut h = start_at(start);
    products!(h += f[0]; 0: g[0], 1: g[1], 2: g[2], 3: g[3], 4: g[4]);
    products!(h += f[1]; 1: g[0], 2: g[1], 3: g[2], 4: g[3], 5: g[4]);
    products!(h += f[2]; 2: g[0], 3: g[1], 4: g[2], 5: g[3], 6: g[4]);
    products!(h += f[3]; 3: g[0], 4: g[1], 5: g[2], 6: g[3], 7: g[4]);
    products!(h += f[4]; 4: g[0], 5: g[1], 6: g[2], 7: g[3], 8: g[4]);
    fold(&h)
}

/// Columns of the square of a carried element: each mixed product once, doubled.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn square_columns(f: &Limbs, start: &[i64; 10]) -> Columns {
    let mut h = start_at(start);
    let twice = _mm256_add_pd(f[0], f[0]);
    products!(h += f[0]; 0: f[0]);
    products!(h += twice; 1: f[1], 2: f[2], 3: f[3], 4: f[4]);
    let twice = _mm256_add_pd(f[1], f[1]);
    products!(h += f[1]; 2: f[1]);
    products!(h += twice; 3: f[2], 4: f[3], 5: f[4]);
    let twice = _mm256_add_pd(f[2], f[2]);
    products!(h += f[2]; 4: f[2]);
    products!(h += twice; 5: f[3], 6: f[4]);
    let twice = _mm256_add_pd(f[3], f[3]);
    products!(h += f[3]; 6: f[3]);
    products!(h += twice; 7: f[4]);
    products!(h += f[4]; 8: f[4]);
    fold(&h)
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn start_at(start: &[i64; 10]) -> [__m256i; 10] {
    let mut columns = [_mm256_setzero_si256(); 10];
    for (column, &start) in columns.iter_mut().zip(start) {
        *column = splat(start);
    }
    columns
}

/// 2^255 is 19: the upper columns count 19 times at the lower.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn fold(h: &[__m256i; 10]) -> Columns {
    let mut columns = [h[0], h[1], h[2], h[3], h[4]];
    for (column, &upper) in columns.iter_mut().zip(&h[5..]) {
        // 19 = 16 + 2 + 1: there is no product of 64 bits.
        let thrice = _mm256_add_epi64(upper, _mm256_add_epi64(upper, upper));
        let sixteen = _mm256_slli_epi64::<4>(upper);
        *column = _mm256_add_epi64(*column, _mm256_add_epi64(thrice, sixteen));
    }
    columns
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn mul(f: &Limbs, g: &Limbs) -> Limbs {
    carry_positive(&mul_columns(f, g, &MUL_START_POSITIVE))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn square(f: &Limbs) -> Limbs {
    carry_positive(&square_columns(f, &SQUARE_START_POSITIVE))
}

/// Columns of any sign, up to 2^61, become carried limbs.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn carry(columns: &Columns) -> Limbs {
    let mut columns = *columns;
    for column in &mut columns {
        *column = _mm256_add_epi64(*column, splat(POSITIVE));
    }
    carry_positive(&columns)
}

/// Columns to which [`POSITIVE`] was added become carried limbs: all excesses move at once.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn carry_positive(columns: &Columns) -> Limbs {
    let mask = splat((1 << LIMB_BITS) - 1);
    let mut limbs = [_mm256_setzero_pd(); 5];
    let last = _mm256_srli_epi64::<SHIFT>(columns[4]);
    let mut excess = _mm256_mul_epu32(last, splat(19));
    let mut surplus = LIMB_AND_HALF + 19.0 * EXCESS;
    for (limb, &column) in limbs.iter_mut().zip(columns) {
        let whole = _mm256_add_epi64(_mm256_and_si256(column, mask), excess);
        // Below 2^52: in front of it the exponent of 2^52 makes it a float.
        let float = _mm256_or_si256(whole, splat(LIMB.to_bits().cast_signed()));
        *limb = _mm256_sub_pd(_mm256_castsi256_pd(float), _mm256_set1_pd(surplus));
        excess = _mm256_srli_epi64::<SHIFT>(column);
        surplus = LIMB_AND_HALF + EXCESS;
    }
    limbs
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn widen(limbs: &Limbs) -> Columns {
    let mut columns = [_mm256_setzero_si256(); 5];
    for (column, &limb) in columns.iter_mut().zip(limbs) {
        let float = _mm256_castpd_si256(_mm256_add_pd(limb, _mm256_set1_pd(LOW)));
        *column = _mm256_sub_epi64(float, splat(LOW.to_bits().cast_signed()));
    }
    columns
}

/// Loose limbs become carried, as floats: each excess is -1, 0 or 1.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn carry_loose(limbs: &Limbs) -> Limbs {
    let high = _mm256_set1_pd(HIGH);
    let excess_of = |limb| _mm256_sub_pd(_mm256_add_pd(limb, high), high);
    let mut carried = *limbs;
    // Excesses are multiples of 2^51 here, and count 2^-51 of that at the next limb.
    let mut weight = 19.0 / LIMB_ONE;
    let mut excess = excess_of(limbs[4]);
    for limb in &mut carried {
        let own = excess_of(*limb);
        let rest = _mm256_sub_pd(*limb, own);
        *limb = _mm256_fmadd_pd(excess, _mm256_set1_pd(weight), rest);
        (excess, weight) = (own, 1.0 / LIMB_ONE);
    }
    carried
}

/// The limbs, without sign, of the representatives below the prime.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn reduced(limbs: &Limbs) -> Columns {
    let mask = splat((1 << LIMB_BITS) - 1);
    // Carried elements are less than the prime in size: with it added, between 0 and twice that.
    let mut number = widen(limbs);
    for (limb, &prime) in number.iter_mut().zip(&PRIME) {
        *limb = _mm256_add_epi64(*limb, splat(prime));
    }
    // Adding 19 carries out of bit 255 exactly when the prime is reached.
    let mut excess = splat(19);
    for &limb in &number {
        excess = _mm256_srli_epi64::<SHIFT>(_mm256_add_epi64(limb, excess));
    }
    excess = _mm256_mul_epu32(excess, splat(19));
    for limb in &mut number {
        let total = _mm256_add_epi64(*limb, excess);
        *limb = _mm256_and_si256(total, mask);
        excess = _mm256_srli_epi64::<SHIFT>(total);
    }
    number
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn numbers(limbs: &Limbs) -> [[u64; 5]; 4] {
    store(&reduced(limbs).map(|limb| _mm256_castsi256_pd(limb)))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn is_zero(limbs: &Limbs) -> LaneMask {
    let mut any = _mm256_setzero_si256();
    for limb in reduced(limbs) {
        any = _mm256_or_si256(any, limb);
    }
    lanes_of(_mm256_cmpeq_epi64(any, _mm256_setzero_si256()))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn is_odd(limbs: &Limbs) -> LaneMask {
    lanes_of(_mm256_slli_epi64::<63>(reduced(limbs)[0]))
}

/// The lanes whose highest bit is set.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn lanes_of(register: __m256i) -> LaneMask {
    let bits = _mm256_movemask_pd(_mm256_castsi256_pd(register));
    LaneMask(u8::try_from(bits).expect("four bits"))
}

/// 3 * 2^102: what is added to it is rounded to a multiple of 2^51.
const HIGH: f64 = float(3, 102);
/// 3 * 2^51: what is added to it is rounded to a whole number.
const LOW: f64 = float(3, 51);
/// Their sum, a multiple of 2^51, is exact.
const HIGH_AND_LOW: f64 = HIGH + LOW;
/// What a limb counts 2^-51 of at the next.
const LIMB_ONE: f64 = float(1, 51);
/// Twice that.
const LIMB: f64 = float(1, 52);
/// That, and the half limb by which [`POSITIVE`] moves the limbs up.
const LIMB_AND_HALF: f64 = LIMB + float(1, 50);
/// Makes columns positive, and their rests after the carry lie around half a limb.
const POSITIVE: i64 = (1 << 62) + (1 << 50);
/// What every excess is too large by, as [`POSITIVE`] has 2^62.
const EXCESS: f64 = float(1, 11);
const SHIFT: i32 = 51;
const _: () = assert!(SHIFT as usize == LIMB_BITS);
/// Where columns start, so that the constants in the bits of the parts cancel.
const MUL_START: [i64; 10] = start(false, 0);
const MUL_START_POSITIVE: [i64; 10] = start(false, POSITIVE);
const SQUARE_START: [i64; 10] = start(true, 0);
const SQUARE_START_POSITIVE: [i64; 10] = start(true, POSITIVE);

/// `factor * 2^exponent`, exactly.
const fn float(factor: u32, exponent: u64) -> f64 {
    f64::from_bits((1023 + exponent) << 52) * factor as f64
}

const fn start(is_square: bool, lower: i64) -> [i64; 10] {
    let (high, low) = (HIGH.to_bits().cast_signed(), LOW.to_bits().cast_signed());
    let mut columns = [lower, lower, lower, lower, lower, 0, 0, 0, 0, 0];
    let mut i = 0;
    while i < 5 {
        let mut j = if is_square { i } else { 0 };
        while j < 5 {
            columns[i + j] = columns[i + j].wrapping_sub(low);
            columns[i + j + 1] = columns[i + j + 1].wrapping_sub(high);
            j += 1;
        }
        i += 1;
    }
    columns
}

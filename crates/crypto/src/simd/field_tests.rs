//! The field kernels against the twin and the twin against plain arithmetic, at the limbs' bounds.

use clearway_types::seeded::SplitMix;

use super::field::{EDWARDS_2D, EDWARDS_D, Field, LaneMask, ONE, Packed, SQRT_MINUS_ONE};
use super::limbs::CARRIED_MAX;
use super::plain::Plain;

/// Limbs at their bound, at zero, or anywhere between.
fn limbs(random: &mut SplitMix) -> [i64; 5] {
    let style = random.index(4);
    std::array::from_fn(|_| {
        let sign = if random.index(2) == 0 { 1 } else { -1 };
        sign * match (style, random.index(3)) {
            (0, _) | (1, 0) => CARRIED_MAX,
            (1, 1) => 0,
            (2, _) => CARRIED_MAX - (random.next_u64() % 64).cast_signed(),
            _ => (random.next_u64() >> 1).cast_signed() % (CARRIED_MAX + 1),
        }
    })
}

/// Canonical little-endian bytes of an element, by remainders of ever shorter numbers: neither
/// the twin's reduction nor the kernel's is trusted.
pub(super) fn bytes(limbs: &[i64; 5]) -> [u8; 32] {
    // 2^255 more than the number, so that it is positive, in words of 64 bits.
    let mut wide = [0_i128; 5];
    for (at, limb) in limbs.iter().enumerate() {
        let (word, shift) = (51 * at / 64, 51 * at % 64);
        let shifted = i128::from(*limb) << shift;
        wide[word] += shifted & i128::from(u64::MAX);
        wide[word + 1] += shifted >> 64;
    }
    wide[3] += 1 << 63;
    for at in 0..4 {
        wide[at + 1] += wide[at] >> 64;
        wide[at] &= i128::from(u64::MAX);
    }
    // 2^255 is 19 more than the prime: the number is wanted less 19.
    let prime = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1].map(i128::from);
    let less = |number: &[i128; 5], other: &[i128]| {
        let mut number = *number;
        for (word, other) in number.iter_mut().zip(other) {
            *word -= other;
        }
        for at in 0..4 {
            number[at + 1] += number[at] >> 64;
            number[at] &= i128::from(u64::MAX);
        }
        number
    };
    let mut number = less(&wide, &[19]);
    if number[4] < 0 {
        number = less(&number, &prime.map(|word| -word));
    }
    while less(&number, &prime)[4] >= 0 {
        number = less(&number, &prime);
    }
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(number) {
        bytes.copy_from_slice(&u64::try_from(word).expect("a word").to_le_bytes());
    }
    bytes
}

#[test]
fn constants_are_what_they_are_called() {
    let element = |bytes: &[u8; 32]| Plain::<1>::splat((), bytes);
    let (one, root) = (element(&ONE), element(&SQRT_MINUS_ONE));
    assert_eq!(Plain::square(&root).sum(&one).is_zero(), LaneMask(1));
    let mut number = [0; 32];
    number[..4].copy_from_slice(&121_666_u32.to_le_bytes());
    let product = Plain::mul(&element(&EDWARDS_D), &element(&number));
    number[..4].copy_from_slice(&121_665_u32.to_le_bytes());
    assert_eq!(product.sum(&element(&number)).is_zero(), LaneMask(1));
    let d = element(&EDWARDS_D);
    let twice = d.sum(&d);
    let difference = twice.difference(&element(&EDWARDS_2D));
    assert_eq!(difference.is_zero(), LaneMask(1));
}

#[test]
fn the_twin_multiplies_as_scalars_of_another_library_do_on_small_numbers() {
    // Products below 2^252 are the same modulo p and modulo the group order.
    use curve25519_dalek::scalar::Scalar;
    for seed in 0..200 {
        let mut random = SplitMix(seed);
        let mut factors = [[0; 32]; 2];
        for (factor, len) in factors.iter_mut().zip([16, 15]) {
            for byte in &mut factor[..len] {
                *byte = random.next_u64().to_le_bytes()[0];
            }
        }
        let [a, b] = factors.map(Scalar::from_bytes_mod_order);
        let [x, y] = factors.map(|bytes| Plain::<1>::splat((), &bytes));
        let found = bytes(&super::plain::unpack(&Plain::mul(&x, &y).store()[0]));
        assert_eq!(found, (a * b).to_bytes(), "seed {seed}");
    }
}

#[test]
fn zero_and_parity_are_found_in_every_representation() {
    let mut prime = [0xff; 32];
    (prime[0], prime[31]) = (0xed, 0x7f);
    let mut rows = vec![
        ([0; 32], true, false),
        (ONE, false, true),
        (prime, true, false),
    ];
    for (offset, zero, odd) in [(1, false, true), (18, false, false), (12, false, false)] {
        let mut above = prime;
        above[0] += offset;
        rows.push((above, zero, odd));
    }
    let mut below = prime;
    below[0] -= 1;
    rows.push((below, false, false));
    for (bytes, zero, odd) in rows {
        let element = Plain::<1>::splat((), &bytes);
        assert_eq!(element.is_zero().has(0), zero, "{bytes:x?}");
        assert_eq!(element.is_odd().has(0), odd, "{bytes:x?}");
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = super::avx2::Token::new() {
            let element = super::avx2::field::Field4::splat(token, &bytes);
            assert_eq!(element.is_zero(), LaneMask(if zero { 15 } else { 0 }));
            assert_eq!(element.is_odd(), LaneMask(if odd { 15 } else { 0 }));
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_kernel_agrees_with_its_twin_at_the_bounds() {
    use super::avx2::Token;
    use super::avx2::field::Field4;
    let Some(token) = Token::new() else {
        eprintln!("NOT RUN: this machine has no AVX2");
        return;
    };
    for seed in 0..3000 {
        let mut random = SplitMix(seed);
        let lanes: [[[i64; 5]; 4]; 3] =
            std::array::from_fn(|_| std::array::from_fn(|_| limbs(&mut random)));
        let mask = LaneMask(random.next_u64().to_le_bytes()[0] & 15);
        let twin = lanes.map(Plain::from_limbs);
        let fast = twin.map(|twin| Field4::load(token, twin.store().each_ref()));
        let value = |packed: &Packed| bytes(&super::plain::unpack(packed));
        let (found, expected) = (results(&fast, mask, value), results(&twin, mask, value));
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "seed {seed}, result {at}");
        }
        for (fast, twin) in fast.iter().zip(&twin) {
            assert_eq!(fast.store(), twin.store(), "seed {seed}: packing");
            assert_eq!(fast.is_zero(), twin.is_zero(), "seed {seed}");
            assert_eq!(fast.is_odd(), twin.is_odd(), "seed {seed}");
        }
    }
}

/// What every function makes of three carried vectors, products of loose operands included.
#[cfg(target_arch = "x86_64")]
pub(super) fn results<F: Field<LANES>, const LANES: usize>(
    [a, b, c]: &[F; 3],
    mask: LaneMask,
    value: impl Fn(&Packed) -> [u8; 32],
) -> Vec<[[u8; 32]; LANES]> {
    let (sum, difference) = (a.add(b), b.sub(c));
    let [wide, other] = [F::mul_wide(&sum, a), F::mul_wide(&difference, c)];
    let four = F::wide_add(&F::wide_add(&wide, &wide), &F::wide_sub(&wide, &other));
    let elements = [
        F::carry(&sum),
        F::carry(&difference),
        F::mul(a, b),
        F::mul(&sum, c),
        F::mul(&difference, a),
        a.square(),
        F::carry(&sum).square(),
        F::carry_wide(&b.square_wide()),
        F::carry_wide(&wide),
        F::carry_wide(&F::wide_add(&wide, &other)),
        F::carry_wide(&F::wide_sub(&other, &wide)),
        F::carry_wide(&four),
        F::carry_wide(&F::wide_sub(&F::wide_add(&c.widen(), &c.widen()), &other)),
        F::mul(&a.negate_where(mask), c),
        F::carry(&b.negate_where(mask)),
        F::select(mask, a, b),
    ];
    let values = |element: &F| element.store().each_ref().map(&value);
    elements.iter().map(values).collect()
}

//! The field kernels against the twin and the twin against plain arithmetic, at the limbs' bounds.

use super::field::{EDWARDS_2D, EDWARDS_D, Field, LaneMask, ONE, SQRT_MINUS_ONE};
use super::limbs::CARRIED_MAX;
use super::plain::Plain;
use crate::suite::Mixer;

/// Limbs at their bound, at zero, or anywhere below.
fn limbs(mixer: &mut Mixer) -> [u64; 10] {
    let style = mixer.below(4);
    std::array::from_fn(|at| match (style, mixer.below(3)) {
        (0, _) | (1, 0) => CARRIED_MAX[at],
        (1, 1) => 0,
        (2, _) => CARRIED_MAX[at] - mixer.draw() % 64,
        _ => mixer.draw() % (CARRIED_MAX[at] + 1),
    })
}

/// Canonical little-endian bytes of a carried element: the twin's own reduction is not trusted.
fn bytes(limbs: &[u64; 10]) -> [u8; 32] {
    let mut wide = [0_u64; 5];
    let mut bit = 0;
    for (limb, width) in limbs.iter().zip(super::limbs::WIDTHS) {
        let shifted = u128::from(*limb) << (bit % 64);
        let [mut carry, over] = super::scalar::split(shifted);
        for (at, word) in wide.iter_mut().enumerate().skip(bit / 64) {
            let [total, above] = super::scalar::split(u128::from(*word) + u128::from(carry));
            *word = total;
            carry = above + if at == bit / 64 { over } else { 0 };
        }
        bit += width as usize;
    }
    // Below 2^256: subtract p while possible.
    let prime = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];
    assert_eq!(wide[4], 0);
    while !wide[..4].iter().rev().lt(prime.iter().rev()) {
        let mut borrow = false;
        for (word, prime) in wide.iter_mut().zip(prime) {
            let (first, one) = word.overflowing_sub(prime);
            let (second, two) = first.overflowing_sub(u64::from(borrow));
            (*word, borrow) = (second, one || two);
        }
    }
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(wide) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn values<F: Field<4>>(elements: &F) -> [[u8; 32]; 4] {
    elements
        .store()
        .map(|packed| bytes(&super::plain::unpack(&packed)))
}

#[test]
fn constants_are_what_they_are_called() {
    let element = |bytes: &[u8; 32]| Plain::<1>::splat((), bytes);
    let (one, root) = (element(&ONE), element(&SQRT_MINUS_ONE));
    assert_eq!(
        Plain::carry(&Plain::square(&root).add(&one)).is_zero(),
        LaneMask(1)
    );
    let mut number = [0; 32];
    number[..4].copy_from_slice(&121_666_u32.to_le_bytes());
    let product = Plain::mul(&element(&EDWARDS_D), &element(&number));
    number[..4].copy_from_slice(&121_665_u32.to_le_bytes());
    assert_eq!(
        Plain::carry(&product.add(&element(&number))).is_zero(),
        LaneMask(1)
    );
    let d = element(&EDWARDS_D);
    let twice = Plain::carry(&d.add(&d));
    let difference = Plain::carry(&twice.sub(&element(&EDWARDS_2D)));
    assert_eq!(difference.is_zero(), LaneMask(1));
}

#[test]
fn the_twin_multiplies_as_scalars_of_another_library_do_on_small_numbers() {
    // Products below 2^252 are the same modulo p and modulo the group order.
    use curve25519_dalek::scalar::Scalar;
    for seed in 0..200 {
        let mut mixer = Mixer(seed);
        let mut factors = [[0; 32]; 2];
        for (factor, len) in factors.iter_mut().zip([16, 15]) {
            for byte in &mut factor[..len] {
                *byte = mixer.draw().to_le_bytes()[0];
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
        let mut mixer = Mixer(seed);
        let lanes: [[[u64; 10]; 4]; 3] =
            std::array::from_fn(|_| std::array::from_fn(|_| limbs(&mut mixer)));
        let mask = LaneMask(mixer.draw().to_le_bytes()[0] & 15);
        let fast = lanes.map(|lanes| Field4::from_limbs(token, &lanes));
        let twin = lanes.map(Plain::from_limbs);
        let (found, expected) = (results(&fast, mask), results(&twin, mask));
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
fn results<F: Field<4>>([a, b, c]: &[F; 3], mask: LaneMask) -> Vec<[[u8; 32]; 4]> {
    let (sum, difference) = (a.add(b), b.sub(c));
    let wide = F::mul_wide(&sum, &difference);
    let other = F::mul_wide(a, b);
    let elements = [
        F::carry(&sum),
        F::carry(&difference),
        F::mul(a, b),
        F::mul(&sum, &difference),
        F::mul(&difference, &sum),
        F::mul(&difference, &difference),
        F::square(a),
        F::square(&sum),
        F::square(&difference),
        F::carry_wide(&F::square_wide(&difference)),
        F::carry_wide(&F::wide_add(&wide, &other)),
        F::carry_wide(&F::wide_sub(&other, &wide)),
        F::carry_wide(&F::wide_sub(
            &F::wide_add(&other, &other),
            &F::square_wide(&sum),
        )),
        F::carry_wide(&F::wide_sub(&F::wide_add(&c.widen(), &c.widen()), &other)),
        F::carry(&a.negate_where(mask)),
        F::mul(&a.negate_where(mask), c),
        F::select(mask, a, b),
    ];
    elements.iter().map(values).collect()
}

//! Projective points to affine ones, many for one inversion (Montgomery's trick).

use super::decompress::power_p58;
use super::field::Field;
use super::point::{Curve, Extended};

/// x and y of each point.
#[inline(always)]
pub(crate) fn affine<F: Field<LANES>, const LANES: usize>(
    curve: &Curve<F, LANES>,
    points: &[Extended<F, LANES>],
) -> Vec<[F; 2]> {
    let mut product = curve.one;
    // Products of all Z before each; they become the coordinates.
    let mut found = vec![[curve.one; 2]; points.len()];
    for (point, found) in points.iter().zip(&mut found) {
        found[0] = product;
        product = F::mul(&product, &point.z);
    }
    let mut inverse = invert(&product);
    for (point, found) in points.iter().zip(&mut found).rev() {
        let z = F::mul(&inverse, &found[0]);
        inverse = F::mul(&inverse, &point.z);
        *found = [F::mul(&point.x, &z), F::mul(&point.y, &z)];
    }
    found
}

/// z^(p - 2), where p - 2 = 8 (2^252 - 3) + 3; zero for zero.
#[inline(always)]
fn invert<F: Field<LANES>, const LANES: usize>(z: &F) -> F {
    let [mut power, _] = power_p58(&[*z, *z]);
    for _ in 0..3 {
        power = power.square();
    }
    F::mul(&power, &F::mul(&z.square(), z))
}

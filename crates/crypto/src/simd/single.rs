//! Verdicts one by one: a signature a lane, each with an equation of its own.

use super::decompress::decompress;
use super::field::{Field, LaneMask, spread};
use super::point::{DifferenceIsSmall, Row, Rows};
use super::scalar::{Scalar, is_canonical};
use super::sha512::Words;
use super::signature::{factors, r_of, s_of};
use super::straus;
use crate::backend::Item;

/// Writes the verdict on each item to its place.
pub(crate) fn verify<F, W, const LANES: usize>(
    token: F::Token,
    base: &Row,
    items: &[(usize, Item<'_>)],
    valid: &mut [bool],
) where
    F: Field<LANES>,
    W: Words<LANES, Token = F::Token>,
{
    let neutral = Row::neutral::<F, LANES>(token);
    // Twice as many points as lanes are decoded at a time: each lane's key and R.
    for items in items.chunks(LANES) {
        let lanes = spread(items).map(|(_, item)| item);
        let keys: [[u8; 32]; LANES] = lanes.map(|item| *item.public_key);
        let rs: [[u8; 32]; LANES] = lanes.map(r_of);
        let mut rows = [[neutral; LANES]; 2];
        let mut is_point = [[false; LANES]; 2];
        decompress::<F, LANES>(
            token,
            [keys, rs].as_flattened(),
            rows.as_flattened_mut(),
            is_point.as_flattened_mut(),
        );
        let factors = factors::<W, LANES>(token, lanes);
        let residue = residues::<F, LANES>(token, base, &rows, &factors);
        for (lane, (place, item)) in items.iter().enumerate() {
            let points = is_point[0][lane] && is_point[1][lane];
            valid[*place] = points && is_canonical(&s_of(item)) && residue.has(lane);
        }
    }
}

/// The lanes where `[8]([S]B - [k]A - R)` is the neutral element.
fn residues<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    base: &Row,
    [keys, rs]: &[[Row; LANES]; 2],
    factors: &[[Scalar; LANES]; 2],
) -> LaneMask {
    let base = Rows {
        rows: [base; LANES],
        negative: LaneMask::NONE,
    };
    let sum = straus::sum::<F, LANES>(token, &[minus(keys), base], factors);
    F::enter(
        token,
        DifferenceIsSmall {
            token,
            point: sum,
            less: rs,
        },
    )
}

fn minus<const LANES: usize>(rows: &[Row; LANES]) -> Rows<'_, LANES> {
    Rows {
        rows: rows.each_ref(),
        negative: LaneMask::all::<LANES>(),
    }
}

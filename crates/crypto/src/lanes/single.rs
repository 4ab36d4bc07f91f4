//! Verdicts one by one: a signature a lane, each with an equation of its own.

use super::batch::{parts, r_of, s_of};
use super::decompress::decompress;
use super::field::{Field, LaneMask};
use super::point::{DifferenceIsSmall, Row, Rows};
use super::scalar::{Scalar, is_canonical, reduce_wide};
use super::sha512::{Words, hash};
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
        // Short chunks repeat their last item.
        let item = |lane: usize| &items[lane.min(items.len() - 1)].1;
        let keys: [[u8; 32]; LANES] = std::array::from_fn(|lane| *item(lane).public_key);
        let rs: [[u8; 32]; LANES] = std::array::from_fn(|lane| r_of(item(lane)));
        let mut rows = [[neutral; LANES]; 2];
        let mut is_point = [[false; LANES]; 2];
        decompress::<F, LANES>(
            token,
            [keys, rs].as_flattened(),
            rows.as_flattened_mut(),
            is_point.as_flattened_mut(),
        );
        let hashes = hash::<W, LANES>(token, &std::array::from_fn(|lane| parts(item(lane))));
        let k: [Scalar; LANES] = std::array::from_fn(|lane| reduce_wide(&hashes[lane]));
        // An S that is refused below takes no part: sums want scalars below L.
        let s: [Scalar; LANES] = std::array::from_fn(|lane| {
            Some(s_of(item(lane)))
                .filter(is_canonical)
                .unwrap_or_default()
        });
        let residue = residues::<F, LANES>(token, base, &rows, &[k, s]);
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
    scalars: &[[Scalar; LANES]; 2],
) -> LaneMask {
    let base = Rows {
        rows: [base; LANES],
        negative: LaneMask::NONE,
    };
    let sum = straus::sum::<F, LANES>(token, &[minus(keys), base], scalars);
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
        negative: LaneMask::from_fn::<LANES>(|_| true),
    }
}

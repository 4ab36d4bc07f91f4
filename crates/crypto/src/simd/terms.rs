//! Sums of points, each times a number: by the method that suits how many there are.

use super::digits::Digits;
use super::field::{Field, LaneMask};
use super::pippenger;
use super::point::{Extended, Row, Rows, SumOf};
use super::scalar::Scalar;
use super::straus;

/// Points and their numbers: those with long numbers first, then those with short ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) rows: &'a [Row],
    /// Below the group order.
    pub(crate) long: &'a [Scalar],
    pub(crate) short: &'a [u128],
    /// The short numbers are below two to this power.
    pub(crate) short_bits: usize,
}

/// Buffers that are kept from sum to sum.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    digits: Digits,
    pippenger: pippenger::Scratch,
}

impl Terms<'_> {
    /// The sum; a part of it in every lane.
    ///
    /// # Panics
    /// When there are not as many rows as numbers.
    pub(crate) fn sum<F: Field<LANES>, const LANES: usize>(
        &self,
        token: F::Token,
        scratch: &mut Scratch,
    ) -> Extended<F, LANES> {
        let Self {
            rows,
            long,
            short,
            short_bits,
        } = *self;
        assert_eq!(rows.len(), long.len() + short.len(), "a number a point");
        let Scratch { digits, pippenger } = scratch;
        let byte = short_bits <= BYTE;
        let width = window_width(rows.len(), LANES);
        let few_max = if byte {
            FEW_BESIDE_BYTES
        } else {
            3 << width >> 3
        };
        if long.len() > few_max {
            digits.fill::<F, LANES>(token, width, long, (short, short_bits));
            return pippenger::sum(token, rows, digits, pippenger);
        }
        let width = if byte {
            byte_window_width(short.len())
        } else {
            width
        };
        digits.fill::<F, LANES>(token, width, &[], (short, short_bits));
        let (few, many) = rows.split_at(long.len());
        let points = [
            pippenger::sum(token, many, digits, pippenger),
            sum_few::<F, LANES>(token, few, long),
        ];
        F::enter(token, SumOf { token, points })
    }
}

fn sum_few<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    rows: &[Row],
    scalars: &[Scalar],
) -> Extended<F, LANES> {
    let neutral = Row::neutral::<F, LANES>(token);
    let mut groups = Vec::with_capacity(rows.len().div_ceil(LANES));
    let mut group_scalars = Vec::with_capacity(groups.capacity());
    for (rows, scalars) in rows.chunks(LANES).zip(scalars.chunks(LANES)) {
        groups.push(Rows {
            rows: std::array::from_fn(|lane| rows.get(lane).unwrap_or(&neutral)),
            negative: LaneMask::NONE,
        });
        group_scalars.push(std::array::from_fn(|lane| {
            scalars.get(lane).copied().unwrap_or_default()
        }));
    }
    straus::sum(token, &groups, &group_scalars)
}

/// Bits of a window for this many points: measured with four lanes. More lanes share the buckets of
/// a window, so that with eight a wider one pays earlier.
fn window_width(points: usize, lanes: usize) -> usize {
    match points {
        0..192 => 5,
        192..768 => 6,
        768..2048 => 7,
        2048..4096 if lanes < 8 => 8,
        2048..4096 => 9,
        4096..12_288 if lanes < 8 => 9,
        4096..32_768 => 10,
        _ => 11,
    }
}

/// The same for numbers of a byte: one window that holds it, or two where buckets would stay empty.
fn byte_window_width(points: usize) -> usize {
    if points < 768 { 5 } else { BYTE + 1 }
}

/// Long numbers up to which a sum of their own costs less than windows with empty buckets.
const FEW_BESIDE_BYTES: usize = 80;
/// Bits of a byte.
const BYTE: usize = 8;

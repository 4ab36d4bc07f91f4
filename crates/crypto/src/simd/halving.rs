//! Parts of a batch that fails, for the search: of two halves, one combination is computed.
//!
//! The left half is summed up; the combination of the right one is what it leaves of the whole.
//! Points and hashes are those of the batch. The coefficients are short, so that a part may seem to
//! hold by chance, once in 256 times where errors are made to cancel: when the search has ended,
//! [`rest_holds`] proves with the batch's own equation that nothing was overlooked.

use std::collections::BTreeMap;
use std::ops::Range;

use rand_core::CryptoRng;

use super::batch::{Batch, Coefficients};
use super::field::Field;
use super::point::{DifferenceOf, Extended, LanesSumIsSmall};
use crate::backend::Work;
use crate::search::{Parts, halves};

/// A batch that fails, and its parts that do.
#[derive(Debug)]
pub(crate) struct Halving<'b, 'a, F: Field<LANES>, const LANES: usize> {
    batch: &'b mut Batch<'a, F::Token>,
    /// Combinations, by the starts of the parts.
    failing: BTreeMap<usize, Extended<F, LANES>>,
    /// Parts up to this length are not halved.
    single_len_max: usize,
}

impl<'b, 'a, F: Field<LANES>, const LANES: usize> Halving<'b, 'a, F, LANES> {
    pub(crate) fn new(
        batch: &'b mut Batch<'a, F::Token>,
        single_len_max: usize,
        rng: &mut dyn CryptoRng,
    ) -> Self {
        batch.draw_search(rng);
        Self {
            batch,
            failing: BTreeMap::new(),
            single_len_max,
        }
    }

    fn sum(&mut self, part: &Range<usize>, work: &mut Work) -> Extended<F, LANES> {
        work.batched += part.len();
        self.batch.sum_at(part.clone(), Coefficients::Search)
    }

    /// Whether the part at this place holds; one that does not is remembered.
    fn judge(&mut self, start: usize, sum: Extended<F, LANES>) -> bool {
        let holds = holds(self.batch.token, sum);
        if !holds {
            self.failing.insert(start, sum);
        }
        holds
    }
}

impl<F: Field<LANES>, const LANES: usize> Parts for Halving<'_, '_, F, LANES> {
    fn halving_pays(&self, part: &Range<usize>) -> bool {
        part.len() > self.single_len_max
    }

    fn halve(&mut self, part: &Range<usize>, work: &mut Work) -> [bool; 2] {
        let [left, right] = halves(part);
        // The whole batch is the only part that fails without having been judged here.
        let whole = self.failing.remove(&part.start);
        let whole = whole.unwrap_or_else(|| self.sum(part, work));
        let left_sum = self.sum(&left, work);
        let right_sum = difference(self.batch.token, whole, left_sum);
        [
            self.judge(left.start, left_sum),
            self.judge(right.start, right_sum),
        ]
    }
}

/// Whether an equation holds whose combination is this.
pub(crate) fn holds<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    point: Extended<F, LANES>,
) -> bool {
    F::enter(token, LanesSumIsSmall { token, point })
}

/// Whether the equation of a batch with this combination holds without the items at these places.
pub(crate) fn rest_holds<F: Field<LANES>, const LANES: usize>(
    batch: &mut Batch<'_, F::Token>,
    whole: Extended<F, LANES>,
    without: &[usize],
) -> bool {
    let places = without.iter().copied();
    let less = batch.sum_at(places, Coefficients::Proof);
    holds(batch.token, difference(batch.token, whole, less))
}

fn difference<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    point: Extended<F, LANES>,
    less: Extended<F, LANES>,
) -> Extended<F, LANES> {
    F::enter(token, DifferenceOf { token, point, less })
}

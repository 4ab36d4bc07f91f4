//! Signatures whose verdicts are known, hidden among those that are asked about.

use clearway_crypto::suite::{Case, Mixer};
use rand::seq::{IteratorRandom as _, SliceRandom as _};

use crate::batch::{Packed, Signature};

/// Known signatures, valid and invalid ones by turns.
#[derive(Clone, Debug)]
pub struct Canaries {
    packed: Packed,
}

/// Canaries in a batch: one half valid, one half not.
pub const CANARIES_BATCH: usize = 16;
/// Known signatures to draw from.
const KNOWN: usize = 4 * CANARIES_BATCH;

impl Canaries {
    /// Makes them from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut packed = Packed::with_capacity(KNOWN);
        for case in cases(seed) {
            packed.push(&case.item(0));
        }
        Self { packed }
    }

    /// The canaries of one batch, each with its verdict, in an order that nobody foresees.
    #[must_use]
    pub fn draw(&self) -> Vec<(Signature<'_>, bool)> {
        let mut rng = rand::rng();
        let mut drawn = Vec::with_capacity(CANARIES_BATCH);
        for valid in [true, false] {
            let known = self
                .packed
                .signatures()
                .skip(usize::from(!valid))
                .step_by(2);
            let half = known.sample(&mut rng, CANARIES_BATCH / 2);
            drawn.extend(half.into_iter().map(|canary| (canary, valid)));
        }
        drawn.shuffle(&mut rng);
        drawn
    }
}

/// Honest signatures, every other one altered in one of four ways.
fn cases(seed: u64) -> Vec<Case> {
    let mut mixer = Mixer(seed);
    let mut cases = Vec::with_capacity(KNOWN);
    for index in 0..KNOWN {
        let mut case = Case::honest(mixer.draw() % 4, &mut mixer);
        let bit = 1 << mixer.below(8);
        match index % 8 {
            1 => case.message[mixer.below(144)] ^= bit,
            3 => case.signature[32 + mixer.below(28)] ^= bit,
            5 => case.signature[mixer.below(31)] ^= bit,
            7 => case.public_key = Case::honest(9, &mut mixer).public_key,
            _ => {}
        }
        case.valid = index % 2 == 0;
        cases.push(case);
    }
    cases
}

#[cfg(test)]
mod tests {
    use clearway_crypto::rule;

    use super::*;

    #[test]
    fn draws_hold_as_many_of_each_kind_and_differ() {
        let canaries = Canaries::new(3);
        let orders: Vec<Vec<bool>> = (0..20)
            .map(|_| canaries.draw().iter().map(|(_, valid)| *valid).collect())
            .collect();
        for order in &orders {
            assert_eq!(order.len(), CANARIES_BATCH);
            let valid = order.iter().filter(|&&valid| valid).count();
            assert_eq!(valid, CANARIES_BATCH / 2);
        }
        assert!(orders.iter().any(|order| *order != orders[0]));
    }

    #[test]
    fn their_verdicts_are_the_rules() {
        let seed = rand::random();
        for (at, case) in cases(seed).iter().enumerate() {
            let valid = rule::is_valid(&case.public_key, &[&case.message], &case.signature);
            assert_eq!(valid, case.valid, "seed {seed} case {at}");
        }
    }
}

//! Signatures whose verdicts are known, hidden among those that are asked about.

use clearway_crypto::near_miss::NearMiss;
use clearway_crypto::suite::Case;
use clearway_types::seeded::SplitMix;
use rand::seq::{IteratorRandom as _, SliceRandom as _};

use crate::batch::{Packed, Signature};

/// Known signatures: valid ones, and invalid ones of each kind.
#[derive(Clone, Debug)]
pub struct Canaries {
    valid: Packed,
    invalid: [Packed; KINDS],
}

/// Canaries in a batch: one half valid, one half not.
pub const CANARIES_BATCH: usize = 16;
/// Valid signatures to draw from, and invalid ones of each kind.
const KNOWN_VALID: usize = 32;
const KNOWN_OF_A_KIND: usize = 5;
/// Four alterations of an honest signature, then the near misses.
const ALTERATIONS: usize = 4;
const KINDS: usize = ALTERATIONS + NearMiss::ALL.len();
const _: () = assert!(
    KINDS <= CANARIES_BATCH / 2,
    "each kind of invalid canary is in every batch"
);

impl Canaries {
    /// Makes them from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = SplitMix(seed);
        let pack = |cases: Vec<Case>| {
            let mut packed = Packed::with_capacity(cases.len());
            cases.iter().for_each(|case| packed.push(&case.item(0)));
            packed
        };
        Self {
            valid: pack(valid(&mut random)),
            invalid: std::array::from_fn(|kind| pack(invalid(kind, &mut random))),
        }
    }

    /// The canaries of one batch, each with its verdict, in an order that nobody foresees. Of each
    /// kind of invalid ones there is one at least: a step of a verification that has come to accept
    /// everything meets, in every batch, a signature that it alone refuses.
    #[must_use]
    pub fn draw(&self) -> (Packed, Vec<bool>) {
        let mut rng = rand::rng();
        let half = CANARIES_BATCH / 2;
        let valid = self.valid.signatures().sample(&mut rng, half);
        let mut drawn: Vec<(Signature<'_>, bool)> =
            valid.into_iter().map(|canary| (canary, true)).collect();
        let mut kinds: Vec<usize> = (0..KINDS).collect();
        kinds.extend((0..KINDS).sample(&mut rng, half - KINDS));
        for kind in kinds {
            let canary = self.invalid[kind].signatures().choose(&mut rng);
            drawn.push((canary.expect("there are some of each kind"), false));
        }
        drawn.shuffle(&mut rng);
        let mut packed = Packed::with_capacity(CANARIES_BATCH);
        for (signature, _) in &drawn {
            packed.push_signature(*signature);
        }
        (packed, drawn.iter().map(|(_, valid)| *valid).collect())
    }
}

/// Honest signatures of a few keys.
fn valid(random: &mut SplitMix) -> Vec<Case> {
    let honest = |_| Case::honest(random.next_u64() % 4, random);
    (0..KNOWN_VALID).map(honest).collect()
}

/// Invalid signatures of one kind.
fn invalid(kind: usize, random: &mut SplitMix) -> Vec<Case> {
    let one = |_| {
        if let Some(near) = kind.checked_sub(ALTERATIONS) {
            return NearMiss::ALL[near].case(random);
        }
        let mut case = Case::honest(random.next_u64() % 4, random);
        let bit = 1 << random.index(8);
        match kind {
            0 => case.message[random.index(144)] ^= bit,
            1 => case.signature[32 + random.index(28)] ^= bit,
            2 => case.signature[random.index(31)] ^= bit,
            _ => case.public_key = Case::honest(9, random).public_key,
        }
        case.valid = false;
        case
    };
    (0..KNOWN_OF_A_KIND).map(one).collect()
}

#[cfg(test)]
mod tests {
    use clearway_crypto::rule;

    use super::*;

    #[test]
    fn draws_hold_as_many_valid_as_invalid_ones_and_differ() {
        let canaries = Canaries::new(3);
        let orders: Vec<Vec<bool>> = (0..20).map(|_| canaries.draw().1).collect();
        for order in &orders {
            assert_eq!(order.len(), CANARIES_BATCH);
            let valid = order.iter().filter(|&&valid| valid).count();
            assert_eq!(valid, CANARIES_BATCH / 2);
        }
        assert!(orders.iter().any(|order| *order != orders[0]));
    }

    #[test]
    fn every_batch_has_each_kind_of_invalid_canary() {
        let canaries = Canaries::new(4);
        let words = |packed: &Packed| -> Vec<_> {
            let signatures = packed.signatures();
            signatures.map(|s| (s.r().to_vec(), *s.s())).collect()
        };
        for _ in 0..20 {
            let drawn = words(&canaries.draw().0);
            for (kind, packed) in canaries.invalid.iter().enumerate() {
                let known = words(packed);
                let has = drawn.iter().any(|canary| known.contains(canary));
                assert!(has, "kind {kind}");
            }
        }
    }

    #[test]
    fn their_verdicts_are_the_rules() {
        let seed = rand::random();
        let mut random = SplitMix(seed);
        let mut cases = valid(&mut random);
        cases.extend((0..KINDS).flat_map(|kind| invalid(kind, &mut random)));
        for (at, case) in cases.iter().enumerate() {
            let valid = rule::is_valid(&case.public_key, &[&case.message], &case.signature);
            assert_eq!(valid, case.valid, "seed {seed} case {at}");
        }
    }
}

//! Signatures to measure with: made by seed before any clock runs, some of them spoiled.

use std::thread;

use clearway_crypto::backend::Item;
use clearway_crypto::hint::hints;
use clearway_crypto::suite::Case;
use clearway_types::messages::SourceId;
use clearway_types::seeded::SplitMix;
use clearway_types::wire::HINT_BYTES;

use super::plan::{Keys, Shape};

/// The signatures of one round, cut into batches of one length.
pub(super) struct Input {
    /// Its number among all inputs of the run.
    pub(super) number: u64,
    pub(super) shape: Shape,
    /// Who sent them: each kind of input has a source of its own.
    pub(super) source: SourceId,
    pub(super) cases: Vec<Case>,
    /// One a signature, or none at all.
    pub(super) hints: Vec<[u8; HINT_BYTES]>,
}

/// The inputs of a row: one for all rounds, or one a round where no key may come twice.
pub(super) struct Inputs {
    made: Vec<Input>,
}

/// Makes inputs; the same seed and order give the same ones.
pub(super) struct Maker {
    seed: u64,
    /// Signatures made so far: numbers the fresh keys and the messages.
    made_count: u64,
    sources: u64,
}

impl Input {
    /// The batches; a message's first bytes are its prefix, as the domain tag is in an envelope.
    pub(super) fn items(&self) -> Vec<Item<'_>> {
        let cases = self.cases.iter().enumerate();
        let items = cases.map(|(at, case)| Item {
            hint: self.hints.get(at),
            ..case.item(PREFIX_LEN)
        });
        items.collect()
    }
}

impl Inputs {
    /// What a round measures.
    pub(super) fn of_round(&self, round: usize) -> &Input {
        &self.made[round % self.made.len()]
    }
}

impl Maker {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            made_count: 0,
            sources: 0,
        }
    }

    /// The inputs of `rounds` rounds.
    pub(super) fn inputs(&mut self, shape: &Shape, rounds: usize) -> Inputs {
        self.sources += 1;
        let made_len = if shape.keys == Keys::Distinct {
            rounds
        } else {
            1
        };
        let made = (0..made_len).map(|_| self.input(shape)).collect();
        Inputs { made }
    }

    fn input(&mut self, shape: &Shape) -> Input {
        let count = shape.signature_count();
        let first = self.made_count;
        self.made_count += count as u64;
        let mut random = SplitMix(self.seed ^ first.rotate_left(32));
        let spoiled = positions(count, shape.invalid_count(), &mut random);
        let seed = random.next_u64();
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let part_len = count.div_ceil(workers);
        let spoiled: Vec<&[bool]> = spoiled.chunks(part_len).collect();
        let cases: Vec<Case> = thread::scope(|scope| {
            let parts = spoiled.iter().enumerate().map(|(part, spoiled)| {
                let from = part * part_len;
                let keys = KeyNumbers {
                    keys: shape.keys,
                    first,
                    count: count as u64,
                };
                scope.spawn(move || cases(keys, from as u64, spoiled, seed))
            });
            let parts: Vec<_> = parts.collect();
            let joined = parts.into_iter().map(|part| part.join());
            joined
                .flat_map(|cases| cases.expect("making signatures does not fail"))
                .collect()
        });
        let hints = match shape.keys {
            Keys::Hinted => hints(cases.iter().map(|case| &case.signature)),
            _ => None,
        };
        Input {
            number: first,
            shape: *shape,
            source: SourceId(self.sources),
            cases,
            hints: hints.unwrap_or_default(),
        }
    }
}

/// Which key signs.
#[derive(Clone, Copy)]
struct KeyNumbers {
    keys: Keys,
    /// Number of the input's first signature among all that were made.
    first: u64,
    count: u64,
}

impl KeyNumbers {
    fn of(self, index: u64) -> u64 {
        match self.keys {
            Keys::Shared32 | Keys::Hinted | Keys::Single => index % 32,
            Keys::Shared1024 => index % 1024,
            Keys::DistinctCached => index,
            Keys::Distinct => FRESH_KEYS + self.first + index,
        }
    }

    /// Another key of the same class.
    fn other(self, index: u64) -> u64 {
        match self.keys {
            Keys::Distinct => OTHER_FRESH_KEYS + self.first + index,
            _ => self.of((index + 1) % self.count),
        }
    }
}

fn cases(keys: KeyNumbers, from: u64, spoiled: &[bool], seed: u64) -> Vec<Case> {
    let indexes = from..from + spoiled.len() as u64;
    let made = indexes.zip(spoiled).map(|(index, &spoil)| {
        let mut random = SplitMix(seed ^ index.rotate_left(32));
        let mut case = Case::honest(keys.of(index), &mut random);
        if spoil {
            spoil_one(&mut case, keys.other(index), &mut random);
        }
        case
    });
    made.collect()
}

/// Makes a signature invalid in one of four ways.
fn spoil_one(case: &mut Case, other_key: u64, random: &mut SplitMix) {
    case.valid = false;
    match random.index(4) {
        0 => flip(&mut case.signature[..32], random),
        // The upper byte stays: S below the group order is what only the equation refuses.
        1 => flip(&mut case.signature[32..63], random),
        2 => flip(&mut case.message, random),
        _ => case.public_key = Case::honest(other_key, random).public_key,
    }
}

fn flip(bytes: &mut [u8], random: &mut SplitMix) {
    bytes[random.index(bytes.len())] ^= 1 << random.index(8);
}

/// `chosen` of `count` places, each as likely as any other.
fn positions(count: usize, chosen: usize, random: &mut SplitMix) -> Vec<bool> {
    let mut places: Vec<bool> = (0..count).map(|place| place < chosen).collect();
    for place in 0..chosen.min(count.saturating_sub(1)) {
        places.swap(place, place + random.index(count - place));
    }
    places
}

/// As long as a domain tag.
const PREFIX_LEN: usize = 16;
/// Numbers of keys that no other class reaches.
const FRESH_KEYS: u64 = 1 << 48;
const OTHER_FRESH_KEYS: u64 = 1 << 49;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clearway_crypto::rule;

    use super::*;

    fn shape(keys: Keys, batch_len: u32, invalid_percent: f64) -> Shape {
        Shape {
            keys,
            batch_len,
            invalid_percent,
        }
    }

    fn made(shape: Shape) -> Inputs {
        Maker::new(3).inputs(&shape, 2)
    }

    #[test]
    fn classes_have_their_number_of_keys_and_fresh_ones_never_come_again() {
        let rows = [
            (Keys::Shared32, 32),
            (Keys::Hinted, 32),
            (Keys::Single, 32),
            (Keys::Shared1024, 1024),
            (Keys::DistinctCached, 4096),
        ];
        let keys = |input: &Input| -> BTreeSet<[u8; 32]> {
            input.cases.iter().map(|case| case.public_key).collect()
        };
        for (class, expected) in rows {
            let inputs = made(shape(class, 4096, 0.0));
            assert_eq!(keys(inputs.of_round(0)).len(), expected, "{class:?}");
            assert_eq!(keys(inputs.of_round(0)), keys(inputs.of_round(1)));
        }
        let fresh = made(shape(Keys::Distinct, 4096, 100.0));
        let (one, other) = (keys(fresh.of_round(0)), keys(fresh.of_round(1)));
        assert_eq!((one.len(), other.len()), (4096, 4096));
        assert!(one.is_disjoint(&other));
    }

    #[test]
    fn written_verdicts_are_those_of_the_rule_and_faults_are_of_every_kind() {
        let inputs = made(shape(Keys::Shared32, 64, 1.0));
        let input = inputs.of_round(0);
        let invalid = input.cases.iter().filter(|case| !case.valid).count();
        assert_eq!(invalid, 41);
        for case in input.cases.iter().take(200) {
            let found = rule::is_valid(&case.public_key, &[&case.message], &case.signature);
            assert_eq!(found, case.valid);
        }
        let mut random = SplitMix(5);
        let mut kinds = BTreeSet::new();
        for _ in 0..40 {
            let honest = Case::honest(1, &mut random);
            let mut spoiled = honest.clone();
            spoil_one(&mut spoiled, 2, &mut random);
            let parts: [&[u8]; 1] = [&spoiled.message];
            let found = rule::is_valid(&spoiled.public_key, &parts, &spoiled.signature);
            assert!(!found, "{spoiled:?}");
            kinds.insert((
                spoiled.signature[..32] != honest.signature[..32],
                spoiled.signature[32..] != honest.signature[32..],
                spoiled.message != honest.message,
                spoiled.public_key != honest.public_key,
            ));
        }
        assert_eq!(kinds.len(), 4, "{kinds:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_signatures_and_another_others() {
        let one = |seed| {
            let shape = shape(Keys::Single, 64, 0.1);
            let inputs = Maker::new(seed).inputs(&shape, 1);
            inputs.of_round(0).cases.clone()
        };
        assert_eq!(one(1), one(1));
        assert_ne!(one(1), one(2));
    }
}

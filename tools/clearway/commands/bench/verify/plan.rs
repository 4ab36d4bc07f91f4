//! Which rows are measured: classes of keys, lengths of batches, shares of invalid signatures.

use std::thread;

use serde::Serialize;

/// Whose signatures a batch holds, and what the backend knows of the keys.
#[derive(clap::ValueEnum, Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(super) enum Keys {
    /// 32 keys, seen before
    Shared32,
    /// 1,024 keys, seen before
    Shared1024,
    /// A key a signature, each seen before
    DistinctCached,
    /// A key a signature, none seen before
    Distinct,
    /// 32 keys, seen before, and the x of each R, which the signer may send along
    Hinted,
    /// A verdict per signature without batch equations; 32 keys, seen before
    Single,
}

/// One kind of input.
#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
pub(super) struct Shape {
    pub(super) keys: Keys,
    pub(super) batch_len: u32,
    pub(super) invalid_percent: f64,
}

/// The kinds of input of a run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) shapes: Vec<Shape>,
    /// Whether the price of a source's first bad batches is measured too.
    pub(super) unwarned: bool,
}

const KEYS: [Keys; 6] = [
    Keys::Shared32,
    Keys::Shared1024,
    Keys::DistinctCached,
    Keys::Distinct,
    Keys::Hinted,
    Keys::Single,
];
const BATCHES: [u32; 6] = [64, 256, 1024, 4096, 8192, 32_768];
const BATCH_QUICK_MAX: u32 = 8192;
const BATCHES_QUICK: [u32; 2] = [1024, BATCH_QUICK_MAX];
const INVALID: [f64; 5] = [0.0, 0.1, 1.0, 50.0, 100.0];
const INVALID_QUICK: [f64; 3] = [0.0, 1.0, 100.0];

impl Keys {
    /// The name in reports and on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Shared32 => "shared32",
            Self::Shared1024 => "shared1024",
            Self::DistinctCached => "distinct_cached",
            Self::Distinct => "distinct",
            Self::Hinted => "hinted",
            Self::Single => "single",
        }
    }
}

impl Shape {
    /// Signatures of an input: whole batches, and enough of them.
    pub(super) fn signature_count(&self) -> usize {
        let batch_len = self.batch_len as usize;
        let least = match self.invalid_percent == 0.0 {
            true => SIGNATURES_MIN,
            false => SIGNATURES_SOME_INVALID_MIN,
        };
        batch_len * least.div_ceil(batch_len)
    }

    /// Invalid ones among them: at least one where the share is not 0.
    pub(super) fn invalid_count(&self) -> usize {
        if self.invalid_percent == 0.0 {
            return 0;
        }
        let parts = self.invalid_percent / 100.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a count"
        )]
        let count = (self.signature_count() as f64 * parts).round() as usize;
        count.max(1)
    }

    /// Whether a quick run of everything shows it: each class once, the rest of one class.
    fn is_quick(&self) -> bool {
        let large = self.batch_len == BATCH_QUICK_MAX;
        match self.keys {
            Keys::Shared32 => large || self.invalid_percent == 0.0,
            _ => large && self.invalid_percent == 0.0,
        }
    }
}

impl Plan {
    /// Every combination of what is named; what is not named is all of the full or the quick run.
    pub(super) fn new(quick: bool, keys: &[Keys], batches: &[u32], invalid: &[f64]) -> Self {
        let (usual_batches, usual_invalid): (&[u32], &[f64]) = match quick {
            true => (&BATCHES_QUICK, &INVALID_QUICK),
            false => (&BATCHES, &INVALID),
        };
        let mut shapes = Vec::new();
        for &keys in or_usual(keys, &KEYS) {
            for &batch_len in or_usual(batches, usual_batches) {
                for &invalid_percent in or_usual(invalid, usual_invalid) {
                    shapes.push(Shape {
                        keys,
                        batch_len,
                        invalid_percent,
                    });
                }
            }
        }
        if quick && keys.is_empty() && batches.is_empty() && invalid.is_empty() {
            shapes.retain(Shape::is_quick);
        }
        Self {
            shapes,
            unwarned: !quick,
        }
    }

    /// Upper bound, by measurement, of the bytes of memory that a run of this many rounds takes.
    pub(super) fn memory_bytes(&self, rounds: u32) -> u64 {
        let workers = thread::available_parallelism().map_or(1, usize::from) as u64;
        let shapes = self.shapes.iter().map(|shape| {
            let inputs = match shape.keys {
                Keys::Distinct => u64::from(rounds) + 1,
                _ => 1,
            };
            let signature_bytes = WORK_BYTES + inputs * CASE_BYTES;
            shape.signature_count() as u64 * signature_bytes
        });
        PROGRAM_BYTES + workers * WORKER_BYTES + shapes.max().unwrap_or(0)
    }
}

fn or_usual<'a, T>(named: &'a [T], usual: &'a [T]) -> &'a [T] {
    if named.is_empty() { usual } else { named }
}

/// Program, first heap and combs of keys.
const PROGRAM_BYTES: u64 = 96 << 20;
/// A thread that makes signatures: its stack and its heap.
const WORKER_BYTES: u64 = 8 << 20;
/// A signature of a batch: points, tables and buckets of its equation, and the heap's slack.
const WORK_BYTES: u64 = 11 << 10;
/// A signature with its key, message and verdict, made.
const CASE_BYTES: u64 = 512;

/// Some milliseconds of work: far above the grain of the clock.
const SIGNATURES_MIN: usize = 2048;
/// 0.1 % of them are four: batches with and without an invalid one, in their true proportion.
const SIGNATURES_SOME_INVALID_MIN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_has_every_combination_and_a_quick_one_every_class() {
        let full = Plan::new(false, &[], &[], &[]).shapes;
        assert_eq!(full.len(), KEYS.len() * BATCHES.len() * INVALID.len());
        let quick = Plan::new(true, &[], &[], &[]).shapes;
        assert_eq!(quick.len(), KEYS.len() + 3, "{quick:?}");
        for keys in KEYS {
            assert!(quick.iter().any(|shape| shape.keys == keys), "{keys:?}");
        }
        assert!(quick.iter().any(|shape| shape.invalid_percent == 100.0));
        let named = Plan::new(true, &[Keys::Distinct], &[7, 64], &[0.1]).shapes;
        let found: Vec<_> = named.iter().map(|shape| shape.batch_len).collect();
        assert_eq!(found, [7, 64]);
        assert!(named.iter().all(|shape| shape.keys == Keys::Distinct));
    }

    #[test]
    fn inputs_are_whole_batches_with_their_share_of_faults() {
        let rows = [
            (64, 0.0, 2048, 0),
            (64, 0.1, 4096, 4),
            (7, 100.0, 4102, 4102),
            (8192, 1.0, 8192, 82),
            (1, 0.001, 4096, 1),
        ];
        for (batch_len, invalid_percent, signatures, invalid) in rows {
            let shape = Shape {
                keys: Keys::Single,
                batch_len,
                invalid_percent,
            };
            let found = (shape.signature_count(), shape.invalid_count());
            assert_eq!(found, (signatures, invalid), "{shape:?}");
        }
    }
}

//! Which backend takes a group: the one that, by its measured line, is done first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clearway_crypto::backend::Item;
use clearway_crypto::gate::{BackendId, Gate};
use clearway_crypto::suite::Case;
use clearway_types::seeded::SplitMix;

/// Time of a group as a line: t = start + each * n, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    /// What a group costs before its first signature.
    pub start: f64,
    /// What each signature adds.
    pub each: f64,
}

/// The processor's backend and, where one is to be had unasked, a device's.
///
/// Workers share a device: what others have under way there comes first. A worker's processor is
/// its own.
#[derive(Clone, Debug)]
pub struct Choice {
    candidates: Arc<[Candidate]>,
    /// The candidate taken last.
    last: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Candidate {
    backend: BackendId,
    line: Line,
    shared: bool,
    under_way: AtomicUsize,
}

/// A group's place on a backend, until it is dropped.
#[derive(Debug)]
pub struct Taken<'c> {
    candidate: &'c Candidate,
    len: usize,
}

impl Choice {
    /// This backend alone, or the fastest of the gate: between a device and its fallback both are
    /// measured, which takes some tenths of a second.
    #[must_use]
    pub fn new(gate: &Gate, named: Option<BackendId>) -> Self {
        let fastest = gate.preferred();
        let fallback = gate.backend(fastest).fallback();
        let fallback = fallback.and_then(|name| gate.find(name).ok());
        match (named, fallback) {
            (Some(only), _) => Self::of(vec![(only, UNMEASURED, false)]),
            (None, None) => Self::of(vec![(fastest, UNMEASURED, false)]),
            (None, Some(fallback)) => {
                let cases = honest();
                Self::of(vec![
                    (fallback, measure(gate, fallback, &cases), false),
                    (fastest, measure(gate, fastest, &cases), true),
                ])
            }
        }
    }

    /// These backends with their lines, and whether workers share them; the first is taken first.
    fn of(rows: Vec<(BackendId, Line, bool)>) -> Self {
        let candidates = rows.into_iter().map(|(backend, line, shared)| Candidate {
            backend,
            line,
            shared,
            under_way: AtomicUsize::new(0),
        });
        Self {
            candidates: candidates.collect(),
            last: Arc::default(),
        }
    }

    /// A place for a group of this many signatures where it is done first. The candidate taken last
    /// keeps its turn unless another one is a tenth faster.
    pub fn take(&self, len: usize) -> Taken<'_> {
        let last = self.last.load(Ordering::Relaxed);
        let time = |at: usize| self.candidates[at].time(len);
        let best = (0..self.candidates.len()).min_by(|&a, &b| time(a).total_cmp(&time(b)));
        let best = best.expect("at least one candidate");
        let chosen = if time(best) < KEEP * time(last) {
            best
        } else {
            last
        };
        self.last.store(chosen, Ordering::Relaxed);
        let candidate = &self.candidates[chosen];
        candidate.under_way.fetch_add(len, Ordering::Relaxed);
        Taken { candidate, len }
    }

    /// The backend whose name stands for all: the device's, where there is one.
    #[must_use]
    pub fn face(&self) -> BackendId {
        self.candidates
            .last()
            .expect("at least one candidate")
            .backend
    }
}

impl Candidate {
    fn time(&self, len: usize) -> f64 {
        let ahead = match self.shared {
            true => self.under_way.load(Ordering::Relaxed),
            false => 0,
        };
        self.line.start + self.line.each * (ahead + len) as f64
    }
}

impl Taken<'_> {
    /// The backend that was chosen.
    #[must_use]
    pub fn backend(&self) -> BackendId {
        self.candidate.backend
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let under_way = &self.candidate.under_way;
        under_way.fetch_sub(self.len, Ordering::Relaxed);
    }
}

/// Honest signatures under 32 keys.
fn honest() -> Vec<Case> {
    let mut random = SplitMix(32);
    let keys = (0..LONG as u64).map(|index| index % 32);
    keys.map(|key| Case::honest(key, &mut random)).collect()
}

/// Times a short and a long group of these signatures, each three times.
fn measure(gate: &Gate, backend: BackendId, cases: &[Case]) -> Line {
    let items: Vec<Item<'_>> = cases.iter().map(|case| case.item(16)).collect();
    let best = |len: usize| {
        let rounds = (0..3).map(|_| {
            let start = Instant::now();
            let verdicts = gate.verify(backend, &items[..len]);
            assert!(verdicts.all_valid(), "honest signatures");
            start.elapsed().as_secs_f64()
        });
        rounds.fold(f64::MAX, f64::min)
    };
    let (short, long) = (best(SHORT), best(LONG));
    let each = ((long - short) / (LONG - SHORT) as f64).max(0.0);
    Line {
        start: (short - each * SHORT as f64).max(0.0),
        each,
    }
}

/// Of a backend that has no rival.
const UNMEASURED: Line = Line {
    start: 0.0,
    each: 0.0,
};
/// A challenger must need less than this share of the time.
const KEEP: f64 = 0.9;
/// Signatures of the two groups that are timed.
const SHORT: usize = 64;
const LONG: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// A processor of 2.5 us per signature, and a device of 1 ms and 0.1 us, shared.
    fn choice() -> (Choice, [BackendId; 2]) {
        let gate = Gate::new().expect("this machine computes rightly");
        let portable = gate.find("portable").expect("every machine has it");
        let ids: Vec<BackendId> = gate.backends().map(|(id, _)| id).collect();
        let device = ids
            .into_iter()
            .find(|&id| id != portable)
            .unwrap_or(portable);
        let line = |start, each| Line { start, each };
        let rows = vec![
            (portable, line(0.0, 2.5e-6), false),
            (device, line(1e-3, 1e-7), true),
        ];
        (Choice::of(rows), [portable, device])
    }

    #[test]
    fn short_groups_stay_on_the_processor_and_long_ones_go_to_the_device() {
        let (choice, [processor, device]) = choice();
        let rows = [
            (1, processor),
            (300, processor),
            (2000, device),
            (8192, device),
        ];
        for (len, expected) in rows {
            assert_eq!(choice.take(len).backend(), expected, "{len}");
        }
    }

    #[test]
    fn the_one_taken_last_keeps_its_turn_unless_another_is_a_tenth_faster() {
        let (choice, [processor, device]) = choice();
        // 430 signatures: 1.075 ms against 1.043 ms, less than a tenth apart.
        drop(choice.take(10));
        assert_eq!(choice.take(430).backend(), processor);
        drop(choice.take(8192));
        assert_eq!(choice.take(430).backend(), device);
    }

    #[test]
    fn what_others_have_on_the_device_comes_first() {
        let (choice, [processor, device]) = choice();
        let held: Vec<Taken<'_>> = (0..3).map(|_| choice.take(60_000)).collect();
        assert!(held.iter().all(|taken| taken.backend() == device));
        // 19 ms of other groups: 4,000 signatures take 10 ms here.
        assert_eq!(choice.take(4000).backend(), processor);
        drop(held);
        assert_eq!(choice.take(4000).backend(), device);
    }

    #[test]
    fn a_backend_is_measured_as_a_line() {
        let gate = Gate::new().expect("this machine computes rightly");
        let line = measure(&gate, gate.preferred(), &honest());
        assert!(line.each > 0.0 && line.start >= 0.0, "{line:?}");
    }
}

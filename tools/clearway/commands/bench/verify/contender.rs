//! What is measured: one implementation, by turns with the others, its verdicts checked each time.

use std::thread;

use clearway_crypto::backend::Item;
use clearway_crypto::gate::{BackendId, Gate};
use clearway_types::units::TimeMs;
use clearway_verify::Checked;
use clearway_verify::sources::{Sources, Trust};

use super::inputs::Input;
use super::plan::{Keys, Shape};
use crate::commands::bench::clock::Clock;
use crate::failure::{Failure, Kind};

/// What is held against the source when its batches come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// What its earlier batches of the same kind left behind.
    Steady,
    /// Nothing: each batch is its first.
    Unwarned,
}

/// One implementation.
pub(super) trait Contender {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// Whether it is somebody else's.
    fn is_rival(&self) -> bool;

    /// Whether it has rows for this kind of input.
    fn takes(&self, shape: &Shape) -> bool;

    /// The ways in which it is measured on this kind of input, the row's figure first.
    fn paces(&self, shape: &Shape) -> &'static [Pace];

    /// Which seconds are its: processor time, or those on the wall where a device works.
    fn clock(&self) -> Clock {
        Clock::Processor
    }

    /// Gives a verdict on each signature; answers the seconds that it took.
    fn round(&mut self, input: &Input, pace: Pace) -> Result<f64, Failure>;
}

/// A backend of this machine, used as a node uses it.
pub(super) struct Ours<'g> {
    gate: &'g Gate,
    backend: BackendId,
    /// Whether it is measured at both paces.
    unwarned: bool,
    /// Threads that ask a device at once.
    callers: u32,
    sources: Sources,
}

impl<'g> Ours<'g> {
    pub(super) fn new(gate: &'g Gate, backend: BackendId, unwarned: bool, callers: u32) -> Self {
        Self {
            gate,
            backend,
            unwarned,
            callers,
            sources: Sources::default(),
        }
    }

    /// All callers check the whole input, again and again; answers the seconds of each time, as if
    /// they had come one after another.
    fn at_once(&self, input: &Input, trust: Trust) -> Result<f64, Failure> {
        let items = input.items();
        let repeats = AT_ONCE_MIN.div_ceil(items.len());
        let since = Clock::Wall.seconds();
        thread::scope(|scope| {
            let ask = || (0..repeats).try_for_each(|_| self.check(input, &items, trust));
            let callers: Vec<_> = (0..self.callers).map(|_| scope.spawn(ask)).collect();
            let mut outcomes = callers.into_iter().map(|caller| caller.join());
            outcomes.try_for_each(|outcome| outcome.expect("a caller ends"))
        })?;
        let times = f64::from(self.callers) * repeats as f64;
        Ok((Clock::Wall.seconds() - since) / times)
    }

    /// Checks every batch of the input, and what comes out.
    fn check(&self, input: &Input, items: &[Item<'_>], trust: Trust) -> Result<(), Failure> {
        let batch_len = input.shape.batch_len as usize;
        for (number, batch) in items.chunks(batch_len).enumerate() {
            let checked = Checked::new(self.gate, self.backend, trust, batch);
            let cases = &input.cases[number * batch_len..];
            let wrong = (0..batch.len()).find(|&at| checked.is_valid(at) != cases[at].valid);
            if let Some(at) = wrong {
                let at = number * batch_len + at;
                return Err(wrong_verdict(self.name(), &input.shape, at));
            }
        }
        Ok(())
    }

    fn trust(&self, input: &Input, pace: Pace) -> Trust {
        match (input.shape.keys, pace) {
            (Keys::Single, _) => Trust::None,
            (_, Pace::Unwarned) => Trust::Full,
            (_, Pace::Steady) => self.sources.trust(input.source, NOW),
        }
    }
}

impl Contender for Ours<'_> {
    fn name(&self) -> &str {
        self.gate.name(self.backend)
    }

    fn is_rival(&self) -> bool {
        false
    }

    fn takes(&self, _: &Shape) -> bool {
        true
    }

    fn paces(&self, shape: &Shape) -> &'static [Pace] {
        let differs = shape.keys != Keys::Single && shape.invalid_percent > 0.0;
        match self.unwarned && differs {
            true => &[Pace::Steady, Pace::Unwarned],
            false => &[Pace::Steady],
        }
    }

    fn clock(&self) -> Clock {
        // A backend that needs a fallback is a device.
        match self.gate.backend(self.backend).fallback() {
            Some(_) => Clock::Wall,
            None => Clock::Processor,
        }
    }

    fn round(&mut self, input: &Input, pace: Pace) -> Result<f64, Failure> {
        let clock = self.clock();
        if self.callers > 1 && clock == Clock::Wall {
            return self.at_once(input, self.trust(input, pace));
        }
        let items = input.items();
        let batch_len = input.shape.batch_len as usize;
        let mut verdicts = Vec::with_capacity(items.len() / batch_len);
        let since = clock.seconds();
        for batch in items.chunks(batch_len) {
            let trust = self.trust(input, pace);
            let checked = Checked::new(self.gate, self.backend, trust, batch);
            if pace == Pace::Steady {
                let invalid = checked.invalid_count();
                let searched = self.gate.backend(self.backend).search_pays_from();
                self.sources
                    .note(input.source, batch.len(), invalid, searched, NOW);
            }
            verdicts.push(checked);
        }
        let seconds = clock.seconds() - since;
        let wrong = (0..items.len()).find(|&at| {
            let valid = verdicts[at / batch_len].is_valid(at % batch_len);
            valid != input.cases[at].valid
        });
        match wrong {
            None => Ok(seconds),
            Some(at) => Err(wrong_verdict(self.name(), &input.shape, at)),
        }
    }
}

/// A verdict that is not the one which the signature was made for.
pub(super) fn wrong_verdict(name: &str, shape: &Shape, at: usize) -> Failure {
    let message = format!(
        "{name} gives a wrong verdict on signature {at} of {}, batches of {}, {} % invalid; do not \
         use this build on this machine, and report the seed",
        shape.keys.name(),
        shape.batch_len,
        shape.invalid_percent
    );
    Failure::new(Kind::Mismatch, message)
}

/// Signatures that each caller asks about in a round, at least.
const AT_ONCE_MIN: usize = 262_144;

/// The moment at which all batches come: what is held against a source stays.
const NOW: TimeMs = TimeMs(1);

#[cfg(test)]
mod tests {
    use super::super::inputs::Maker;
    use super::*;

    #[test]
    fn callers_at_once_have_their_verdicts_checked_too() {
        let gate = Gate::new().expect("this machine computes rightly");
        let ours = Ours::new(&gate, gate.preferred(), false, 2);
        let mut input = batch(1);
        assert!(ours.at_once(&input, Trust::Full).expect("right verdicts") > 0.0);
        input.cases[9].valid ^= true;
        let failure = ours.at_once(&input, Trust::Full).expect_err("one is wrong");
        assert!(failure.to_string().contains("on signature 9 "), "{failure}");
    }

    /// One batch of 64, `invalid` of them so.
    fn batch(invalid: usize) -> Input {
        let shape = Shape {
            keys: Keys::Shared32,
            batch_len: 64,
            invalid_percent: 50.0,
        };
        let inputs = Maker::new(11).inputs(&shape, 1);
        let made = inputs.of_round(0);
        let (good, bad): (Vec<_>, Vec<_>) = made.cases.iter().partition(|case| case.valid);
        let chosen = bad.into_iter().take(invalid).chain(good).take(64);
        Input {
            number: 0,
            shape,
            source: made.source,
            cases: chosen.cloned().collect(),
            hints: Vec::new(),
        }
    }

    #[test]
    fn what_a_source_sent_before_decides_how_it_is_checked_at_the_steady_pace_alone() {
        let gate = Gate::new().expect("this machine computes rightly");
        let rows = [(0, Trust::Full), (2, Trust::Small), (40, Trust::None)];
        for (invalid, expected) in rows {
            let input = batch(invalid);
            let mut ours = Ours::new(&gate, gate.preferred(), true, 1);
            for pace in [Pace::Unwarned, Pace::Steady] {
                assert_eq!(ours.trust(&input, pace), Trust::Full, "{invalid} invalid");
                let seconds = ours.round(&input, pace).expect("right verdicts");
                assert!(seconds > 0.0);
            }
            assert_eq!(ours.trust(&input, Pace::Steady), expected, "{invalid}");
            assert_eq!(ours.trust(&input, Pace::Unwarned), Trust::Full, "{invalid}");
        }
    }

    #[test]
    fn a_verdict_that_is_not_the_written_one_ends_the_run() {
        let gate = Gate::new().expect("this machine computes rightly");
        for at in [0, 63] {
            let mut input = batch(3);
            let written = &mut input.cases[at].valid;
            *written = !*written;
            let mut ours = Ours::new(&gate, gate.preferred(), false, 1);
            let failure = ours.round(&input, Pace::Steady).expect_err("it is wrong");
            let expected = format!("wrong verdict on signature {at} ");
            assert!(failure.to_string().contains(&expected), "{failure}");
        }
    }
}

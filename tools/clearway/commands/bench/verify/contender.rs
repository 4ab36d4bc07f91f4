//! What is measured: one implementation, by turns with the others, its verdicts checked each time.

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
    sources: Sources,
}

impl<'g> Ours<'g> {
    pub(super) fn new(gate: &'g Gate, backend: BackendId, unwarned: bool) -> Self {
        Self {
            gate,
            backend,
            unwarned,
            sources: Sources::default(),
        }
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
        let items = input.items();
        let batch_len = input.shape.batch_len as usize;
        let mut verdicts = Vec::with_capacity(items.len() / batch_len);
        let clock = self.clock();
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

/// The moment at which all batches come: what is held against a source stays.
const NOW: TimeMs = TimeMs(1);

#[cfg(test)]
mod tests {
    use super::super::inputs::Maker;
    use super::*;

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
            let mut ours = Ours::new(&gate, gate.preferred(), true);
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
            let mut ours = Ours::new(&gate, gate.preferred(), false);
            let failure = ours.round(&input, Pace::Steady).expect_err("it is wrong");
            let expected = format!("wrong verdict on signature {at} ");
            assert!(failure.to_string().contains(&expected), "{failure}");
        }
    }
}

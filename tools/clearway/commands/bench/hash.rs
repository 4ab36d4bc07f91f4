//! `clearway bench hash`: hashes a second on one core, by kind of hash and implementation.

mod figures;

use std::hint::black_box;

use clearway_load::machine::Machine;
use clearway_load::report::COMMIT;
use serde::Serialize;

use self::figures::{Figure, Hash, Inputs};
use super::clock::Clock;
use super::core::{Pinned, UNPINNED};
use super::statistics;
use crate::failure::Failure;
use crate::ui::{self, ReportFile};

/// Timed rounds of each row, and of a quick run.
const ROUNDS: u32 = 25;
const ROUNDS_QUICK: u32 = 5;
/// How often a round hashes all inputs: milliseconds of work, far above the grain of the clock.
const PASSES: usize = 8;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Few rounds: ends within a second
    #[arg(long)]
    quick: bool,
    /// Timed rounds of each row; 25 without it, 5 in a quick run
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    #[command(flatten)]
    report: ReportFile,
}

/// What was measured on one machine in one run.
#[derive(Serialize)]
struct Report {
    machine: Machine,
    commit: &'static str,
    rounds: u32,
    /// Whether everything was measured on one core.
    pinned: bool,
    /// Which one.
    core: Option<usize>,
    /// Which seconds: other programs on the machine do not count.
    clock: &'static str,
    /// Sum of the first words of all hashes, in hex: the same on every machine.
    checksum: String,
    rows: Vec<Row>,
}

/// One implementation of one kind of hash.
#[derive(Serialize)]
struct Row {
    figure: &'static str,
    implementation: &'static str,
    /// Median of the rounds.
    hashes_per_second: f64,
    /// Distance of the fastest and the slowest round, in percent of the median.
    spread_percent: f64,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let usual = if args.quick { ROUNDS_QUICK } else { ROUNDS };
    let rounds = args.rounds.unwrap_or(usual);
    let place = args.report.open()?;
    let inputs = Inputs::new();
    let mut bench = Bench::new(rounds);
    let core = Pinned::choose();
    let pinned = core.as_ref().map(Pinned::enter).transpose()?;
    let items = inputs.items();
    bench.measure(&figures::challenges(&items))?;
    bench.measure(&figures::nodes(&inputs))?;
    bench.measure(&figures::envelopes(&inputs))?;
    drop(pinned);
    let report = Report {
        machine: Machine::detect(),
        commit: COMMIT,
        rounds,
        pinned: core.is_some(),
        core: core.map(|core| core.number()),
        clock: "processor time of the measuring thread",
        checksum: format!("{:016x}", bench.checksum),
        rows: bench.rows,
    };
    if !report.pinned {
        ui::note(UNPINNED);
    }
    place.result("bench_hash", &report, || shown(&report))
}

/// What the figures measured so far gave.
struct Bench {
    rounds: u32,
    checksum: u64,
    rows: Vec<Row>,
}

impl Bench {
    fn new(rounds: u32) -> Self {
        Self {
            rounds,
            checksum: 0,
            rows: Vec::new(),
        }
    }

    /// All rows of one figure: its implementations take turns, round by round.
    fn measure<T: Hash>(&mut self, figure: &Figure<'_, T>) -> Result<(), Failure> {
        let expected = figure.expected();
        let sum = expected.iter().map(Hash::first_word);
        self.checksum = sum.fold(self.checksum, u64::wrapping_add);
        let implementations = figure.implementations();
        let mut rates = vec![Vec::new(); implementations.len()];
        // The first round brings memory and caches to where they stay, and does not count; nothing
        // counts before every implementation gave the right hashes in it.
        for round in 0..=self.rounds {
            for (implementation, rates) in implementations.iter().zip(&mut rates) {
                let (seconds, hashes) = timed(|| implementation.hashes());
                figure.check(implementation, &expected, &hashes)?;
                if round > 0 {
                    rates.push(statistics::rate(PASSES * expected.len(), seconds));
                }
            }
        }
        let rows = implementations.iter().zip(&rates);
        self.rows.extend(rows.map(|(implementation, rates)| Row {
            figure: figure.name,
            implementation: implementation.name,
            hashes_per_second: statistics::median(rates),
            spread_percent: statistics::spread_percent(rates),
        }));
        Ok(())
    }
}

/// The seconds that [`PASSES`] passes take, and what the last of them gave.
fn timed<T>(pass: impl Fn() -> Vec<T>) -> (f64, Vec<T>) {
    let clock = Clock::Processor;
    let mut hashes = Vec::new();
    let since = clock.seconds();
    for _ in 0..PASSES {
        hashes = black_box(pass());
    }
    (clock.seconds() - since, hashes)
}

fn shown(report: &Report) -> String {
    let head = ["figure", "implementation", "hashes/s#", "spread %#"];
    let rows = report.rows.iter().map(|row| {
        vec![
            row.figure.to_owned(),
            row.implementation.to_owned(),
            format!("{:.0}", row.hashes_per_second),
            format!("{:.1}", row.spread_percent),
        ]
    });
    ui::table(&head, rows)
}

#[cfg(test)]
mod tests {
    use super::figures::Implementation;
    use super::*;
    use crate::failure::Kind;

    fn figure<'a>(own: [u64; 2], name: &'static str) -> Figure<'a, [u64; 8]> {
        let of = |words: [u64; 2]| move || words.map(|word| [word; 8]).to_vec();
        Figure {
            name: "sample",
            own: Implementation::new(name, of(own)),
            one_by_one: vec![Implementation::new("sha2", of([1, 2]))],
        }
    }

    #[test]
    fn each_implementation_has_a_row_and_the_checksum_is_that_of_the_hashes() {
        for (name, expected) in [("avx2", vec!["avx2", "sha2"]), ("sha2", vec!["sha2"])] {
            let mut bench = Bench::new(2);
            bench.measure(&figure([1, 2], name)).expect("right hashes");
            let names: Vec<_> = bench.rows.iter().map(|row| row.implementation).collect();
            assert_eq!(names, expected);
            assert_eq!(bench.checksum, 3);
            assert!(bench.rows.iter().all(|row| row.hashes_per_second > 0.0));
        }
    }

    #[test]
    fn a_hash_that_is_not_the_general_hashers_ends_the_run() {
        for (own, at) in [([9, 2], 0), ([1, 9], 1)] {
            for name in ["avx2", "sha2"] {
                let mut bench = Bench::new(1);
                let failure = bench.measure(&figure(own, name)).expect_err("it is wrong");
                assert_eq!(failure.kind(), Kind::Mismatch);
                let expected = format!("{name} gives a wrong hash of input {at} of sample");
                assert!(failure.to_string().contains(&expected), "{failure}");
                assert!(bench.rows.is_empty());
            }
        }
    }
}

//! `clearway bench`: how fast one node clears with everything on, and whether its log holds.

mod clock;
mod compare;
mod core;
mod hash;
mod reproduce;
mod statistics;
mod verify;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clearway_load::report::Report;

use crate::commands::demo::{Files, GENERATED, finish, quick_help};
use crate::commands::generate::Shape;
use crate::commands::trial::Trial;
use crate::failure::{Failure, Kind};
use crate::share::{self, PriorityArg};
use crate::ui::ReportFile;

/// Payments of a whole run, and of a quick one.
const PAYMENTS: u32 = 2_000_000;
const PAYMENTS_QUICK: u32 = 400_000;

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    after: Option<After>,
    #[command(flatten)]
    args: Args,
}

/// What is done with the reports of earlier runs, and what is measured alone.
#[derive(clap::Subcommand, Debug)]
enum After {
    /// Two reports side by side
    Compare(compare::Args),
    /// The recorded run once more: exit code 4 when it is slower than the tolerance allows
    Reproduce(reproduce::Args),
    /// Signatures verified a second on one core: each backend, several keys, batches, faults
    Verify(verify::Args),
    /// Hashes a second on one core: challenges of signatures, nodes of trees, envelopes
    Hash(hash::Args),
}

/// What only the generator of payments obeys.
const OF_THE_GENERATOR: [&str; 5] = [
    "quick",
    "account_count",
    "count",
    "zipf",
    "overdraft_permille",
];

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new(GENERATED).args(OF_THE_GENERATOR).multiple(true))]
pub(crate) struct Args {
    /// Validators; one for now
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1))]
    nodes: u32,
    #[arg(long, help = quick_help(PAYMENTS_QUICK, "a minute"))]
    quick: bool,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    files: Files,
    /// Payments a second at even distances (open loop), or `max` (closed loop)
    #[arg(long, default_value = "max", value_parser = parse_rate)]
    rate: Rate,
    /// Connections of each load process
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// Streams in flight on each connection
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=32))]
    streams: u16,
    /// Envelopes on a stream
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u16).range(1..=8192))]
    stream_len: u16,
    /// Load processes beside the node's; 0 for threads of this process
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
    processes: u16,
    /// One stream, one after the other: the same payments give the same balances every time
    #[arg(long, conflicts_with_all = ["processes", "rate", "connections", "streams"])]
    ordered: bool,
    /// Payers send no hints (x of R) with their signatures: the node finds every R itself
    #[arg(long)]
    no_hints: bool,
    /// A node setting, for example --set verify_workers=2
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
    /// Fail with exit code 4 unless this holds, for example 'tps_final>60000' or 'p99_us<100000'
    #[arg(long = "assert", value_name = "CLAIM", value_parser = parse_claim)]
    claims: Vec<Claim>,
    /// Keep data, genesis and keys in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Cores that this may keep busy, node, load and replay together [default: all]
    #[arg(long)]
    cores: Option<NonZeroUsize>,
    #[command(flatten)]
    priority: PriorityArg,
    #[command(flatten)]
    report: ReportFile,
}

/// How payments are offered.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Rate {
    Max,
    PerSecond(f64),
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let rate: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is neither a number nor `max`"))?;
    if rate.is_finite() && (1.0..=1e8).contains(&rate) {
        Ok(Rate::PerSecond(rate))
    } else {
        Err("a rate lies between 1 and 100000000".to_owned())
    }
}

/// `key=value`.
pub(crate) fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// A figure of the report and its bound.
#[derive(Clone, Debug)]
struct Claim {
    text: String,
    figure: fn(&Report) -> f64,
    above: bool,
    bound: f64,
}

type Figure = (&'static str, fn(&Report) -> f64);

#[expect(
    clippy::cast_precision_loss,
    reason = "figures of a run stay far below 2^53"
)]
const FIGURES: [Figure; 9] = [
    ("tps_final", |report| report.tps_final),
    ("p50_us", |report| report.response_us.p50 as f64),
    ("p99_us", |report| report.response_us.p99 as f64),
    ("p999_us", |report| report.response_us.p999 as f64),
    ("cpu_seconds", |report| report.cpu_seconds),
    ("cpu_us_per_payment", |report| {
        1e6 * report.cpu_seconds / (report.settled + report.rejected).max(1) as f64
    }),
    ("memory_peak_bytes", |report| {
        match report.memory_peak_bytes {
            // The system does not say: no claim about it holds.
            0 => f64::NAN,
            bytes => bytes as f64,
        }
    }),
    ("bytes_written", |report| report.bytes_written as f64),
    ("settled", |report| report.settled as f64),
];

fn parse_claim(text: &str) -> Result<Claim, String> {
    let names: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    let wrong = || {
        format!(
            "write FIGURE>NUMBER or FIGURE<NUMBER with one of {}",
            names.join(", ")
        )
    };
    let place = text.find(['<', '>']).ok_or_else(wrong)?;
    let bound: f64 = text[place + 1..].trim().parse().map_err(|_| wrong())?;
    // Such a claim would hold, or be missed, whatever was measured.
    if !(bound.is_finite() && bound >= 0.0) {
        return Err(format!(
            "{bound} is no bound of a figure; write a number from 0 on"
        ));
    }
    let name = text[..place].trim();
    let (_, figure) = FIGURES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(wrong)?;
    Ok(Claim {
        text: text.to_owned(),
        figure: *figure,
        above: text.as_bytes()[place] == b'>',
        bound,
    })
}

impl Claim {
    fn holds(&self, report: &Report) -> bool {
        let value = (self.figure)(report);
        if self.above {
            value > self.bound
        } else {
            value < self.bound
        }
    }
}

impl Args {
    /// Takes no more of the processor than these arguments allow.
    fn take_share(&self) -> Result<(), Failure> {
        self.priority.take(self.cores, share::Default::All)?;
        Ok(())
    }

    /// The claims that a run does not fulfil.
    fn missed(&self, report: &Report) -> Vec<String> {
        let missed = self.claims.iter().filter(|claim| !claim.holds(report));
        missed.map(|claim| claim.text.clone()).collect()
    }

    /// The run that these arguments ask for.
    fn trial(&self) -> Result<Trial, Failure> {
        let count = if self.quick { PAYMENTS_QUICK } else { PAYMENTS };
        let generator = self.shape.generator(count)?;
        let whole = |number: u16| usize::from(number);
        // One stream after the other needs one connection.
        let alone = |number: u16| if self.ordered { 1 } else { whole(number) };
        Ok(Trial {
            source: self.files.source(generator),
            seed: self.shape.seed,
            connections: alone(self.connections),
            streams_in_flight: alone(self.streams),
            stream_len: whole(self.stream_len),
            rate: match self.rate {
                Rate::Max => None,
                Rate::PerSecond(rate) => Some(rate),
            },
            processes: whole(self.processes),
            ordered: self.ordered,
            hints: !self.no_hints,
            settings: self.settings.clone(),
            keep: self.keep.clone(),
        })
    }
}

pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    match &bench.after {
        None => measure(&bench.args),
        Some(After::Compare(args)) => compare::run(args),
        Some(After::Reproduce(args)) => reproduce::run(args),
        Some(After::Verify(args)) => verify::run(args),
        Some(After::Hash(args)) => hash::run(args),
    }
}

fn measure(args: &Args) -> Result<(), Failure> {
    args.take_share()?;
    let trial = args.trial()?;
    let place = args.report.open()?;
    let report = trial.run()?;
    finish(&report, place)?;
    match args.missed(&report) {
        missed if missed.is_empty() => Ok(()),
        missed => Err(Failure::new(
            Kind::Threshold,
            format!("missed: {}", missed.join(", ")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_settings_and_claims_are_read_or_refused() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("50000"), Ok(Rate::PerSecond(50_000.0)));
        for text in ["", "fast", "0", "-5", "inf", "nan"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        assert_eq!(parse_setting("a.b = c"), Ok(("a.b".into(), "c".into())));
        assert!(parse_setting("a.b").is_err());
        let claim = parse_claim("p99_us < 100000").expect("it is one");
        assert!(!claim.above && (claim.bound - 100_000.0).abs() < 1e-9);
        for text in ["", "tps_final", "speed>1", "tps_final>fast", "tps_final=1"] {
            assert!(parse_claim(text).is_err(), "{text}");
        }
        for bound in [
            "nan", "NaN", "-nan", "inf", "-inf", "infinity", "1e999", "-1", "", " ", ">1", "=1",
        ] {
            for claim in ["tps_final>", "tps_final<", "p99_us >"] {
                let text = format!("{claim}{bound}");
                assert!(parse_claim(&text).is_err(), "{text}");
            }
        }
        for text in [
            ">1",
            " >1",
            "tps_final,p99_us>1",
            "TPS_FINAL>1",
            "settled>1<2",
        ] {
            assert!(parse_claim(text).is_err(), "{text}");
        }
    }
}

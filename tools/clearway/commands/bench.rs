//! `clearway bench`: how fast one node clears with everything on, and whether its log holds.

mod claim;
mod clock;
mod compare;
mod core;
mod hash;
mod page;
mod ramp;
mod reproduce;
mod statistics;
mod verify;
mod work;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clearway_load::report::Report;
use clearway_types::limits::STREAM_ENVELOPES_MAX;

use self::claim::{Claim, parse_claim};
use crate::commands::demo::{Files, GENERATED, finish, quick_help};
use crate::commands::generate::{PAYMENTS_MAX, Shape};
use crate::commands::page_file::PageFile;
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
    /// A recorded run as a page for a browser: charts of latency and rate, all figures
    Page(page::Args),
    /// Signatures verified a second on one core: each backend, several keys, batches, faults
    Verify(verify::Args),
    /// Hashes a second on one core: challenges of signatures, nodes of trees, envelopes
    Hash(hash::Args),
}

/// Settings of the node that a run has values of its own for.
const OWN_SETTINGS: [&str; 3] = ["listen", "admin_listen", "data_dir"];
/// What only the generator of payments obeys.
const OF_THE_GENERATOR: [&str; 9] = [
    "quick",
    "account_count",
    "count",
    "duration",
    "ramp",
    "zipf",
    "overdraft_permille",
    "workload",
    "invalid_permille",
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
    work: work::WorkArgs,
    #[command(flatten)]
    files: Files,
    /// Payments a second at even distances (open loop), or `max` (closed loop)
    #[arg(long, default_value = "max", value_parser = parse_rate)]
    rate: Rate,
    /// Seconds that payments are offered at the rate, in place of --count
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["count", "quick"])]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration: Option<u32>,
    /// Find the highest rate that is held within a bound, for example 'p99<50ms': runs of 5
    /// seconds each, or of --duration, up to three at a rate
    #[arg(long, value_name = "BOUND", value_parser = ramp::parse_bound)]
    #[arg(conflicts_with_all = ["rate", "count", "quick", "ordered", "claims", "keep", "html"])]
    ramp: Option<ramp::Bound>,
    /// Connections of each load process
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// Streams in flight on each connection
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=32))]
    streams: u16,
    /// Envelopes on a stream
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u16).range(1..=8192))]
    stream_len: u16,
    /// Payments in flight at most, over all streams, in place of --stream-len (closed loop)
    #[arg(long, value_name = "COUNT")]
    #[arg(conflicts_with_all = ["stream_len", "rate", "ramp", "ordered"])]
    in_flight: Option<NonZeroUsize>,
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
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_run_setting)]
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
    #[command(flatten)]
    page: PageFile,
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

/// The same of the node that a run starts in this process.
fn parse_run_setting(text: &str) -> Result<(String, String), String> {
    let setting = parse_setting(text)?;
    match OWN_SETTINGS.contains(&setting.0.as_str()) {
        false => Ok(setting),
        true => Err(format!(
            "the run takes {} itself: any free port, and --keep DIR or a temporary folder",
            setting.0
        )),
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
        let rate = match self.rate {
            Rate::Max => None,
            Rate::PerSecond(rate) => Some(rate),
        };
        let count = match (self.duration, rate) {
            (Some(seconds), Some(rate)) => payments_in(seconds, rate)?,
            (Some(_), None) => {
                let message = "--duration is the time of an open loop: give its --rate too, or \
                               --count for as fast as answers come";
                return Err(Failure::usage(message));
            }
            (None, _) if self.quick => PAYMENTS_QUICK,
            (None, _) => PAYMENTS,
        };
        self.trial_of(rate, count)
    }

    /// A run of these arguments at a rate, with `count` payments unless they name another number.
    fn trial_of(&self, rate: Option<f64>, count: u32) -> Result<Trial, Failure> {
        let generator = self.work.apply(self.shape.generator(count)?)?;
        let group = generator.pattern.group();
        let stream_len = self.stream_len()?;
        if !stream_len.is_multiple_of(group) {
            return Err(Failure::usage(format!(
                "{group} payments of this --workload belong on one stream, and a stream would have \
                 {stream_len}: give a multiple of {group} as --stream-len, or another --in-flight"
            )));
        }
        let whole = |number: u16| usize::from(number);
        // One stream after the other needs one connection.
        let alone = |number: u16| if self.ordered { 1 } else { whole(number) };
        Ok(Trial {
            source: self.files.source(generator),
            seed: self.shape.seed,
            connections: alone(self.connections),
            streams_in_flight: alone(self.streams),
            stream_len,
            rate,
            processes: whole(self.processes),
            ordered: self.ordered,
            hints: !self.no_hints,
            settings: self.settings.clone(),
            keep: self.keep.clone(),
        })
    }

    /// Envelopes on a stream: as asked, or its share of `--in-flight`.
    fn stream_len(&self) -> Result<usize, Failure> {
        let Some(in_flight) = self.in_flight else {
            return Ok(self.stream_len.into());
        };
        let processes = usize::from(self.processes.max(1));
        let streams = processes * usize::from(self.connections) * usize::from(self.streams);
        let len = in_flight.get() / streams;
        if !(1..=STREAM_ENVELOPES_MAX).contains(&len) || len * streams != in_flight.get() {
            return Err(Failure::usage(format!(
                "--in-flight {in_flight} cannot be shared by {streams} streams (--connections x \
                 --streams x --processes): give a multiple of {streams}, at most {}",
                streams * STREAM_ENVELOPES_MAX
            )));
        }
        Ok(len)
    }
}

/// Payments in these seconds at a rate.
fn payments_in(seconds: u32, rate: f64) -> Result<u32, Failure> {
    let count = (f64::from(seconds) * rate).round();
    if (1.0..=f64::from(PAYMENTS_MAX)).contains(&count) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies within the bounds"
        )]
        return Ok(count as u32);
    }
    Err(Failure::usage(format!(
        "{seconds} s at {rate} payments a second are {count} payments; a run has 1 to \
         {PAYMENTS_MAX}: shorten --duration"
    )))
}

pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    match &bench.after {
        None => measure(&bench.args),
        Some(After::Compare(args)) => compare::run(args),
        Some(After::Reproduce(args)) => reproduce::run(args),
        Some(After::Page(args)) => page::run(args),
        Some(After::Verify(args)) => verify::run(args),
        Some(After::Hash(args)) => hash::run(args),
    }
}

fn measure(args: &Args) -> Result<(), Failure> {
    args.take_share()?;
    if let Some(bound) = &args.ramp {
        return ramp::run(args, bound);
    }
    let trial = args.trial()?;
    let (place, page) = (args.report.open()?, args.page.create()?);
    let report = trial.run()?;
    finish(&report, place, page)?;
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
    fn rates_and_settings_are_read_or_refused() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("50000"), Ok(Rate::PerSecond(50_000.0)));
        for text in ["", "fast", "0", "-5", "inf", "nan"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        assert_eq!(parse_setting("a.b = c"), Ok(("a.b".into(), "c".into())));
        for text in [
            "a.b",
            "listen=127.0.0.1:7400",
            "data_dir = /tmp",
            "admin_listen=x",
        ] {
            assert!(parse_run_setting(text).is_err(), "{text}");
        }
    }
}

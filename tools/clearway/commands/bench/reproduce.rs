//! `clearway bench reproduce REPORT`: the recorded run once more, and whether it gives the same.

use std::path::PathBuf;

use clap::Parser as _;
use clearway_load::report::Report;
use serde::Serialize;

use super::compare::{Change, changes, differences, load, table};
use crate::failure::{Failure, Kind};
use crate::ui::{self, Output};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Report of the run, as `bench --json FILE` wrote it
    report: PathBuf,
    /// How much slower it may be, percent
    #[arg(long, default_value_t = 10.0, value_parser = parse_percent)]
    tolerance: f64,
    /// The same for the median latency and the 99th percentile, which move more; never less than
    /// --tolerance
    #[arg(long, default_value_t = 30.0, value_parser = parse_percent)]
    latency_tolerance: f64,
    #[command(flatten)]
    output: Output,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse();
    let percent: f64 = number.map_err(|_| format!("`{text}` is no percentage"))?;
    if (0.0..=100.0).contains(&percent) {
        Ok(percent)
    } else {
        Err("a tolerance lies between 0 and 100".to_owned())
    }
}

#[derive(Serialize)]
struct Reproduction {
    reproduced: bool,
    same_work: bool,
    /// Figures that are worse than the tolerance allows, with both values.
    slower: Vec<String>,
    /// Claims that the recorded run was started with, which this one does not fulfil.
    missed: Vec<String>,
    changes: Vec<Change>,
    differs: Vec<String>,
}

/// The arguments of a recorded `bench`, read as the command line reads them.
#[derive(clap::Parser, Debug)]
struct Recorded {
    #[command(flatten)]
    args: super::Args,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let before = load(&args.report)?;
    let mut recorded = recorded(&before.arguments)?;
    // The kept folder holds the recorded run's own log; this one gets a folder for its time.
    let kept = recorded.keep.take();
    ui::note(&format!("rerun    {}", before.arguments.join(" ")));
    if let Some(kept) = kept {
        ui::note(&format!("         without --keep {}", kept.display()));
    }
    recorded.take_share()?;
    let after = recorded.trial()?.run()?;
    let mut verdict = verdict(&before, &after, args);
    verdict.missed = recorded.missed(&after);
    verdict.reproduced &= verdict.missed.is_empty();
    args.output.result("reproduction", &verdict, || {
        let differs = verdict.differs.iter().map(|text| ("differs", text.clone()));
        let word = if verdict.reproduced { "yes" } else { "NO" };
        let slower = verdict.slower.iter().map(|text| ("slower", text.clone()));
        let missed = verdict.missed.iter().map(|text| ("missed", text.clone()));
        let end = [("reproduced", word.to_owned())];
        let rows = differs.chain(slower).chain(missed).chain(end);
        table(&verdict.changes) + "\n\n" + &ui::rows(rows)
    })?;
    judge(&verdict, &after)
}

fn recorded(arguments: &[String]) -> Result<super::Args, Failure> {
    let fail = |message| Err(Failure::new(Kind::Failed, message));
    if arguments.first().is_none_or(|command| command != "bench") {
        return fail("the report is not one of `clearway bench`: run its own command again".into());
    }
    match Recorded::try_parse_from(arguments) {
        Ok(recorded) => Ok(recorded.args),
        Err(error) => fail(format!(
            "the recorded arguments are not understood: {error}"
        )),
    }
}

/// The same work, checked, and not slower than allowed.
fn verdict(before: &Report, after: &Report, args: &Args) -> Reproduction {
    let same_work = before.workload.hash == after.workload.hash;
    let slower = slower(before, after, args);
    Reproduction {
        reproduced: same_work
            && after.checks.all()
            && after.check_sums().is_ok()
            && slower.is_empty(),
        same_work,
        slower,
        missed: Vec::new(),
        changes: changes(before, after),
        differs: differences(before, after),
    }
}

/// The rate, and how long payments took, where they are worse than allowed.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a run stay far below 2^53"
)]
fn slower(before: &Report, after: &Report, args: &Args) -> Vec<String> {
    let left = |percent: f64| 1.0 - percent / 100.0;
    let latency_percent = args.latency_tolerance.max(args.tolerance);
    let mut slower = Vec::new();
    let (recorded, rate) = (before.tps_final, after.tps_final);
    if rate < recorded * left(args.tolerance) {
        let percent = args.tolerance;
        slower.push(format!(
            "tps_final {rate:.1} is more than {percent} % below {recorded:.1}"
        ));
    }
    let (recorded, now) = (&before.response_us, &after.response_us);
    let latencies = [
        ("p50_us", recorded.p50, now.p50),
        ("p99_us", recorded.p99, now.p99),
    ];
    for (name, recorded, now) in latencies {
        // As a rate is: with 50 percent allowed, it may take twice as long.
        if recorded as f64 <= now as f64 * left(latency_percent) - 1.0 {
            slower.push(format!(
                "{name} {now} is slower than {recorded} by more than {latency_percent} %"
            ));
        }
    }
    slower
}

fn judge(verdict: &Reproduction, after: &Report) -> Result<(), Failure> {
    let (kind, message) = if verdict.reproduced {
        return Ok(());
    } else if !after.checks.all() {
        (
            Kind::Mismatch,
            "the history stored by the rerun failed its checks".to_owned(),
        )
    } else if let Err(error) = after.check_sums() {
        (
            Kind::Mismatch,
            format!("the rerun does not add up: {error}"),
        )
    } else if !verdict.same_work {
        let message = "the payments are not the recorded ones: use the same files and seed";
        (Kind::Mismatch, message.to_owned())
    } else if !verdict.slower.is_empty() {
        let slower = verdict.slower.join("; ");
        (Kind::Threshold, format!("slower than recorded: {slower}"))
    } else {
        let missed = verdict.missed.join(", ");
        let message = format!("missed, as the recorded run was asked to fulfil: {missed}");
        (Kind::Threshold, message)
    };
    Err(Failure::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_percentages() {
        for (text, percent) in [("10", 10.0), ("10%", 10.0), ("2.5 %", 2.5), ("0", 0.0)] {
            assert_eq!(parse_percent(text), Ok(percent), "{text}");
        }
        for text in ["", "-1", "101", "much", "nan"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn recorded_arguments_are_read_as_the_command_line_reads_them() {
        let read = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            recorded(&words)
        };
        let args = read("bench --quick --seed 7 --json x.json").expect("arguments of bench");
        assert!(args.quick);
        for text in ["", "demo --quick", "bench --speed", "bench compare a b"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

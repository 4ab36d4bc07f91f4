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
struct Verdict {
    reproduced: bool,
    same_work: bool,
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
    let recorded = recorded(&before.arguments)?;
    ui::note(&format!("rerun    {}", before.arguments.join(" ")));
    recorded.take_share()?;
    let after = recorded.trial()?.run()?;
    let verdict = verdict(&before, &after, args.tolerance);
    args.output.result("reproduction", &verdict, || {
        let differs = verdict.differs.iter().map(|text| ("differs", text.clone()));
        let word = if verdict.reproduced { "yes" } else { "NO" };
        let end = [("reproduced", word.to_owned())];
        table(&verdict.changes) + "\n\n" + &ui::rows(differs.chain(end))
    })?;
    judge(&verdict, &after, args.tolerance)
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
fn verdict(before: &Report, after: &Report, tolerance_percent: f64) -> Verdict {
    let same_work = before.workload.hash == after.workload.hash;
    let floor = before.tps_final * (1.0 - tolerance_percent / 100.0);
    Verdict {
        reproduced: same_work && after.checks.all() && after.tps_final >= floor,
        same_work,
        changes: changes(before, after),
        differs: differences(before, after),
    }
}

fn judge(verdict: &Verdict, after: &Report, tolerance_percent: f64) -> Result<(), Failure> {
    let (kind, message) = if verdict.reproduced {
        return Ok(());
    } else if !after.checks.all() {
        (
            Kind::Mismatch,
            "the history stored by the rerun failed its checks".to_owned(),
        )
    } else if !verdict.same_work {
        let message = "the payments are not the recorded ones: use the same files and seed";
        (Kind::Mismatch, message.to_owned())
    } else {
        let message = format!("more than {tolerance_percent} % slower than recorded");
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

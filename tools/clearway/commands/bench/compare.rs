//! `clearway bench compare A B`: two reports side by side, and what else differed between them.

use std::path::{Path, PathBuf};

use clearway_load::report::{REPORT_VERSION, Report};
use clearway_load::{digest, distinct, sums};
use serde::{Deserialize, Serialize};

use super::claim::{FIGURES, Figure};
use crate::failure::{Failure, Kind};
use crate::ui::{self, Output};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Report of the first run, as `bench --json FILE` wrote it
    before: PathBuf,
    /// Report of the second run
    after: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// One figure of two runs.
#[derive(Serialize)]
pub(super) struct Change {
    figure: &'static str,
    before: f64,
    after: f64,
    /// `None` where the first figure is 0.
    change_percent: Option<f64>,
}

#[derive(Serialize)]
struct Comparison {
    changes: Vec<Change>,
    /// What was not the same, as `name: before -> after`.
    differs: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (before, after) = (load(&args.before)?, load(&args.after)?);
    let comparison = Comparison {
        changes: changes(&before, &after),
        differs: differences(&before, &after),
    };
    args.output.result("comparison", &comparison, || {
        let mut text = table(&comparison.changes);
        text.push('\n');
        for difference in &comparison.differs {
            text.push_str("\ndiffers  ");
            text.push_str(difference);
        }
        text
    })
}

/// Reads a report of a run whose history passed its checks and whose figures add up.
///
/// # Errors
/// No such file, no report, one of another version, or one that nobody should believe.
pub(super) fn load(path: &Path) -> Result<Report, Failure> {
    let shown = path.display();
    let text = clearway_node::read::text(path)
        .map_err(|error| Failure::of_file(&error, format!("{shown}: {error}; check the path")))?;
    let no_report = |error| {
        let what = "is no report; give a file that `clearway bench --json FILE` wrote";
        Failure::new(Kind::Failed, format!("{shown} {what}: {error}"))
    };
    let Version { schema, version } = serde_json::from_str(&text).map_err(no_report)?;
    if schema.as_deref() != Some(SCHEMA) {
        let schema = schema.map_or("no schema".to_owned(), |schema| {
            format!("the schema {schema:?}")
        });
        let message = format!(
            "{shown} is no report: it has {schema}, a report has {SCHEMA:?}; give a file that \
             `clearway bench --json FILE` wrote of one run"
        );
        return Err(Failure::new(Kind::Failed, message));
    }
    if version != Some(REPORT_VERSION) {
        let version = version.unwrap_or_default();
        let message = format!(
            "{shown} is a report of version {version}, this program reads version \
             {REPORT_VERSION}: measure again"
        );
        return Err(Failure::new(Kind::Failed, message));
    }
    let value = distinct::from_str(&text).map_err(|error| {
        let message = format!("{shown} is not as it was written: {error}");
        Failure::new(Kind::Mismatch, message)
    })?;
    digest::check(&value).map_err(|error| {
        let message = format!("{shown} is not as it was written: {error}");
        Failure::new(Kind::Mismatch, message)
    })?;
    sums::check(&value).map_err(|error| {
        let message = format!("{shown} does not add up: {error}");
        Failure::new(Kind::Mismatch, message)
    })?;
    let report: Report = serde_json::from_value(value).map_err(no_report)?;
    if !report.checks.all() {
        let checks = report.checks;
        let message = format!(
            "{shown} is of a run whose stored history failed its checks (conserved {}, roots \
             equal {}, replay ok {}): its figures say nothing",
            checks.conserved, checks.roots_equal, checks.replay_ok
        );
        return Err(Failure::new(Kind::Mismatch, message));
    }
    Ok(report)
}

/// What [`ui::to_json`] makes of the name that `bench` and `demo` give.
const SCHEMA: &str = "clearway/run/1";

/// These stand alone, so that another version's fields need not be known.
#[derive(Deserialize)]
struct Version {
    schema: Option<String>,
    version: Option<u32>,
}

/// The figures of both runs.
pub(super) fn changes(before: &Report, after: &Report) -> Vec<Change> {
    let change = |(name, figure): &Figure| {
        let (before, after) = (figure(before), figure(after));
        let ratio = (before != 0.0).then(|| 100.0 * (after / before - 1.0));
        Change {
            figure: name,
            before,
            after,
            change_percent: ratio,
        }
    };
    FIGURES.iter().map(change).collect()
}

/// A line a figure.
pub(super) fn table(changes: &[Change]) -> String {
    let row = |change: &Change| {
        let percent = change
            .change_percent
            .map_or_else(String::new, |percent| format!("{percent:+.1} %"));
        vec![
            change.figure.to_owned(),
            format!("{:.1}", change.before),
            format!("{:.1}", change.after),
            percent,
        ]
    };
    let head = ["figure", "before#", "after#", "change#"];
    ui::table(&head, changes.iter().map(row))
}

/// What was not the same in two runs: machine, program, load, settings.
pub(super) fn differences(before: &Report, after: &Report) -> Vec<String> {
    let facts = |report: &Report| {
        let (machine, load) = (&report.machine, &report.load);
        let mut facts = vec![
            ("commit".to_owned(), report.commit.clone()),
            ("workload".to_owned(), report.workload.name.clone()),
            ("workload hash".to_owned(), report.workload.hash.clone()),
            ("cpu".to_owned(), machine.cpu.clone()),
            ("cores".to_owned(), machine.cores.to_string()),
            ("kernel".to_owned(), machine.kernel.clone()),
            ("durability".to_owned(), report.durability.clone()),
            ("backend".to_owned(), report.backend.clone()),
            ("nodes".to_owned(), report.nodes.to_string()),
            ("rate".to_owned(), load.rate.clone()),
            ("connections".to_owned(), load.connections.to_string()),
            ("streams".to_owned(), load.streams_in_flight.to_string()),
            ("stream_len".to_owned(), load.stream_len.to_string()),
            ("hints".to_owned(), load.hints.to_string()),
            ("processes".to_owned(), load.processes.to_string()),
        ];
        let settings = report.config.iter();
        // The folder is a new temporary one in each run.
        let settings = settings.filter(|(name, _)| *name != "data_dir");
        facts.extend(settings.map(|(name, value)| (format!("setting {name}"), value.clone())));
        facts
    };
    let after: std::collections::BTreeMap<_, _> = facts(after).into_iter().collect();
    let mut differences = Vec::new();
    for (name, before) in facts(before) {
        let after = after.get(&name).map_or("absent", String::as_str);
        if before != after {
            differences.push(format!("{name}: {before} -> {after}"));
        }
    }
    differences
}

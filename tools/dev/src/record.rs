//! `cargo dev record`: reports of `clearway bench`, `clearway bench hash` and
//! `cargo dev bench-verify` become rows of `benches/results`.

mod hashing;
mod ramp;
mod recording;
mod run;
mod verification;

pub(crate) use self::recording::Recording;

use crate::error::DevError;
use crate::shared::{digest, distinct};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Appends the rows of the reports to the file of their machine, day and commit.
pub(crate) fn run(root: &Path, recording: &Recording) -> Result<(), DevError> {
    let now = seconds_since_1970();
    let (day, date) = (day(now), format!("{}T{}Z", day(now), time(now)));
    let mut runs = Vec::new();
    for path in &recording.reports {
        let fault = |fault| DevError::Report {
            path: path.clone(),
            fault,
        };
        let text = fs::read_to_string(path).map_err(|source| DevError::File {
            path: path.clone(),
            source,
        })?;
        let report = distinct::from_str(&text).map_err(|error| fault(error.to_string()))?;
        runs.push(rows_as_written(&report, recording, &date).map_err(fault)?);
    }
    let of_first = |fault| DevError::Report {
        path: recording.reports[0].clone(),
        fault,
    };
    let rows = medians(&runs).map_err(of_first)?;
    let commit = rows.first().and_then(|row| row["commit"].as_str());
    let commit = commit.ok_or_else(|| of_first("it has no figure".to_owned()))?;
    let folder = root.join("benches/results").join(&recording.machine);
    if !folder.join("machine.md").is_file() {
        return Err(DevError::MachineUnknown {
            path: folder.join("machine.md"),
        });
    }
    let path = folder.join(format!("{day}-{}.jsonl", &commit[..7]));
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let mut options = OpenOptions::new();
    options
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|source| DevError::File {
            path: path.clone(),
            source,
        })?;
    println!("{} rows added to {}", rows.len(), path.display());
    crate::perf::write(root)
}

/// The rows of a report that is the one that was written.
fn rows_as_written(
    report: &Value,
    recording: &Recording,
    date: &str,
) -> Result<Vec<Value>, String> {
    digest::check(report).map_err(|error| format!("it is not as it was written: {error}"))?;
    rows(report, recording, date)
}

/// The rows of a report, or why it may not be recorded.
fn rows(report: &Value, recording: &Recording, date: &str) -> Result<Vec<Value>, String> {
    if report["schema"] == ramp::SCHEMA {
        return ramp::rows(report, recording, date);
    }
    recording::check_build(report)?;
    if report["schema"] == verification::SCHEMA {
        return verification::rows(report, recording, date);
    }
    if report["schema"] == hashing::SCHEMA {
        return hashing::rows(report, recording, date);
    }
    run::rows(report, recording, date)
}

/// Each run has the figures of the others: a stage that was too short to be measured is missing.
fn check_names(runs: &[Vec<Value>]) -> Result<(), String> {
    let has = |run: &[Value], name: &Value| run.iter().any(|row| row["name"] == *name);
    for (number, run) in (1..).zip(runs) {
        let mut others = runs.iter().flatten().map(|row| &row["name"]);
        if let Some(name) = others.find(|name| !has(run, name)) {
            return Err(format!(
                "report {number} of {} has no figure {name}, which another has: measure it again, \
                 or record them apart",
                runs.len()
            ));
        }
    }
    Ok(())
}

/// One row a figure: the median of its values and their range. Runs that differ in anything but
/// values are not runs of the same thing.
fn medians(runs: &[Vec<Value>]) -> Result<Vec<Value>, String> {
    check_names(runs)?;
    let mut rows = runs[0].clone();
    for (index, row) in rows.iter_mut().enumerate() {
        let same: Vec<&Value> = runs.iter().map(|run| &run[index]).collect();
        let fixed = ["name", "conditions", "commit", "date"];
        let differs = |field: &&str| same.iter().any(|other| other[*field] != row[*field]);
        if let Some(field) = fixed.iter().find(|field| differs(field)) {
            return Err(format!("the reports differ in {field}: record them apart"));
        }
        let mut values: Vec<f64> = same
            .iter()
            .filter_map(|row| row["value"].as_f64())
            .collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        row["value"] = json!(median);
        row["conditions"]["runs"] = json!(values.len());
        if let [low, .., high] = values[..] {
            row["range"] = json!([low, high]);
        }
    }
    Ok(rows)
}

fn seconds_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

/// The time of day of a moment in UTC, as in `23:59:59`: of a day's results the later one counts.
fn time(seconds: u64) -> String {
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// The day of a moment in UTC, as in `2026-01-31`.
fn day(seconds: u64) -> String {
    let mut day_count = seconds / 86_400;
    let mut year = 1970;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    while day_count >= 365 + u64::from(is_leap(year)) {
        day_count -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day_count < length {
            break;
        }
        day_count -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", day_count + 1)
}

#[cfg(test)]
mod tests {
    use super::recording::samples::{recording, report};
    use super::*;

    #[test]
    fn several_runs_become_medians_and_other_conditions_are_refused() {
        let run = |tps: f64, seed: u32| {
            let mut report = report();
            report["tps_final"] = json!(tps);
            report["seconds"] = json!(2_000_000.0 / tps);
            report["seed"] = json!(seed);
            rows(&report, &recording(), "2026-01-31").expect("the report is right")
        };
        let of = |runs: &[Vec<Value>]| medians(runs).map(|rows| rows[0].clone());
        let row = of(&[run(3.0, 7), run(1.0, 7), run(2.0, 7)]).expect("runs of one thing");
        assert_eq!(
            (&row["value"], &row["range"]),
            (&json!(2.0), &json!([1.0, 3.0]))
        );
        assert_eq!(row["conditions"]["runs"], 3);
        crate::perf::check_row(&row.to_string()).expect("a right row");
        let even = of(&[run(3.0, 7), run(1.0, 7)]).expect("runs of one thing");
        assert_eq!(even["value"], 2.0);
        assert_eq!(of(&[run(3.0, 7)]).expect("one run")["range"], Value::Null);
        assert!(of(&[run(3.0, 7), run(3.0, 8)]).is_err(), "another seed");
    }

    #[test]
    fn a_stage_that_one_report_lacks_is_named() {
        let whole = rows(&report(), &recording(), "2026-01-31").expect("the report is right");
        let mut short = whole.clone();
        short.retain(|row| !row["name"].to_string().contains("stage=verify"));
        for (runs, number) in [([whole.clone(), short.clone()], 2), ([short, whole], 1)] {
            let error = medians(&runs).expect_err("not runs of the same thing");
            let names = format!("report {number} of 2 has no figure");
            assert!(error.contains(&names), "{error}");
            assert!(error.contains("stage=verify"), "{error}");
        }
    }

    #[test]
    fn a_run_that_proves_nothing_is_not_recorded() {
        let rows_of: [(&str, Value); 10] = [
            // Figures that contradict others.
            ("/tps_final", json!(61_100.5)),
            ("/sent", json!(2_000_004)),
            ("/response_us/p50", json!(4001)),
            ("/stage_cpu_seconds/verify", json!(90.0)),
            ("/checks/replay_ok", json!(false)),
            ("/checks/conserved", json!("not run")),
            ("/commit", json!("unknown")),
            ("/commit", Value::Null),
            ("/settled", Value::Null),
            ("/response_us/p99", json!("fast")),
        ];
        for (pointer, value) in rows_of {
            let mut report = report();
            *report.pointer_mut(pointer).expect("in the sample") = value;
            assert!(
                rows(&report, &recording(), "2026-01-31").is_err(),
                "{pointer}"
            );
        }
        let mut sealed = report();
        let error = rows_as_written(&sealed, &recording(), "2026-01-31").expect_err("no digest");
        assert!(error.contains("no digest"), "{error}");
        digest::seal(sealed.as_object_mut().expect("an object"));
        rows_as_written(&sealed, &recording(), "2026-01-31").expect("as it was written");
        sealed["seed"] = json!(8);
        let error = rows_as_written(&sealed, &recording(), "2026-01-31").expect_err("edited");
        assert!(error.contains("edited or damaged"), "{error}");
        let mut dirty = report();
        dirty["dirty"] = json!(true);
        assert!(rows(&dirty, &recording(), "2026-01-31").is_err());
    }

    #[test]
    fn days_follow_the_calendar() {
        let rows = [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_767_225_599, "2025-12-31"),
            (1_767_225_600, "2026-01-01"),
            (4_107_542_400, "2100-03-01"),
        ];
        for (seconds, text) in rows {
            assert_eq!(day(seconds), text, "{seconds}");
        }
    }
}

//! `cargo dev record`: reports of `clearway bench`, `clearway bench hash` and
//! `cargo dev bench-verify` become rows of `benches/results`.

mod hashing;
mod verification;

use crate::error::DevError;
use crate::shared::{digest, sums};
use serde_json::{Map, Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the person who measured says about a run.
#[derive(Debug, clap::Args)]
pub(crate) struct Recording {
    /// Folder of the machine in benches/results; its machine.md must stand there already.
    #[arg(long)]
    machine: String,
    /// The command that gives the figures again.
    #[arg(long)]
    command: String,
    /// A further condition of the run, as in `load=closed-loop`.
    #[arg(long = "condition", value_name = "NAME=VALUE", value_parser = condition)]
    conditions: Vec<(String, String)>,
    /// Reports that the command wrote with `--json FILE`, one a run; the median of each figure is
    /// recorded.
    #[arg(required = true)]
    reports: Vec<PathBuf>,
}

/// What a figure depends on, and where the report says it; what it does not say is left out.
const CONDITIONS: &[(&str, &str)] = &[
    ("nodes", "/nodes"),
    ("backend", "/backend"),
    ("durability", "/durability"),
    ("workload", "/workload/name"),
    ("accounts", "/workload/accounts"),
    ("seed", "/seed"),
    ("rate", "/load/rate"),
    ("ordered", "/load/ordered"),
    ("processes", "/load/processes"),
    ("streams_in_flight", "/load/streams_in_flight"),
    ("stream_len", "/load/stream_len"),
    ("hints", "/load/hints"),
];

/// What is recorded of a report: end of the name, unit, pointer to the value, and whether it is
/// divided by the number of settled payments.
const FIGURES: &[(&str, &str, &str, bool)] = &[
    ("tps_final", "payments/s", "/tps_final", false),
    ("response_us_p50", "us", "/response_us/p50", false),
    ("response_us_p99", "us", "/response_us/p99", false),
    ("response_us_p999", "us", "/response_us/p999", false),
    ("memory_peak_bytes", "bytes", "/memory_peak_bytes", false),
    ("cpu_us_per_payment", "us", "/cpu_seconds", true),
    ("written_bytes_per_payment", "bytes", "/bytes_written", true),
];

/// Appends the rows of the reports to the file of their machine, day and commit.
pub(crate) fn run(root: &Path, recording: &Recording) -> Result<(), DevError> {
    let now = seconds_since_1970();
    let (day, date) = (day(now), format!("{}T{}Z", day(now), time(now)));
    let mut runs = Vec::new();
    let mut commit = None;
    for path in &recording.reports {
        let fault = |fault| DevError::Report {
            path: path.clone(),
            fault,
        };
        let text = fs::read_to_string(path).map_err(|source| DevError::File {
            path: path.clone(),
            source,
        })?;
        let report: Value =
            serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
        runs.push(rows(&report, recording, &date).map_err(fault)?);
        commit = report["commit"].as_str().map(str::to_owned);
    }
    let rows = medians(&runs).map_err(|fault| DevError::Report {
        path: recording.reports[0].clone(),
        fault,
    })?;
    let commit = commit.expect("a report without a commit gives no rows");
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

/// The rows of a report, or why it may not be recorded.
fn rows(report: &Value, recording: &Recording, date: &str) -> Result<Vec<Value>, String> {
    let commit = report["commit"].as_str().unwrap_or_default();
    if commit.len() < 7 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!(
            "commit {commit:?} is none; measure a build of a clean checkout"
        ));
    }
    if report["dirty"] == json!(true) {
        return Err("the build had uncommitted changes; commit them and measure again".into());
    }
    if !digest::check(report).map_err(|error| format!("it is not as it was written: {error}"))? {
        println!("a report has no digest, as those of earlier programs: an edit is not noticed");
    }
    if report["schema"] == verification::SCHEMA {
        return verification::rows(report, recording, date);
    }
    if report["schema"] == hashing::SCHEMA {
        return hashing::rows(report, recording, date);
    }
    let failed = report["checks"].as_object().map(|checks| {
        let failed = checks.iter().filter(|(_, passed)| **passed != json!(true));
        failed.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    });
    match failed.as_deref() {
        None => return Err("it has no `checks`".into()),
        Some([]) => {}
        Some(names) => return Err(format!("these checks did not pass: {}", names.join(", "))),
    }
    sums::check(report).map_err(|error| format!("it does not add up: {error}"))?;
    let settled = number(report, "/settled")?;
    let conditions = conditions(report, recording, CONDITIONS);
    let prefix = match number(report, "/nodes")? {
        1.0 => "one_node".to_owned(),
        4.0 => "four_nodes".to_owned(),
        count => format!("{count}_nodes"),
    };
    // Without a rate the load follows the answers; latency has a meaning only with one.
    let prefix = match report.pointer("/load/rate") {
        Some(Value::String(rate)) if rate != "max" => format!("{prefix}_open_loop"),
        _ => prefix,
    };
    let row = |(name, unit, pointer, per_payment): &(&str, &str, &str, bool)| {
        let value = number(report, pointer)?;
        // The only per-payment second is CPU time, told in microseconds.
        let scale = if *unit == "us" { 1e6 } else { 1.0 };
        let value = if *per_payment {
            value * scale / settled
        } else {
            value
        };
        Ok(json!({
            "suite": "pipeline", "name": format!("{prefix}_{name}"), "value": value, "unit": unit,
            "conditions": conditions, "command": recording.command, "commit": commit, "date": date,
            "machine": recording.machine,
        }))
    };
    let mut rows: Vec<Value> = FIGURES.iter().map(row).collect::<Result<_, String>>()?;
    let replayed = settled + number(report, "/rejected")?;
    let seconds = number(report, "/replay_seconds")?;
    let mut replay = row(&("replay_tps", "payments/s", "/replay_seconds", false))?;
    replay["name"] = json!("replay_tps");
    replay["value"] = json!(replayed / seconds);
    rows.push(replay);
    // A report may tell the CPU time of each stage; each becomes a row of its own.
    for stage in report["stage_cpu_seconds"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
    {
        let name = format!("stage_cpu_us_per_payment/stage={stage}");
        rows.push(row(&(
            &name,
            "us",
            &format!("/stage_cpu_seconds/{stage}"),
            true,
        ))?);
    }
    Ok(rows)
}

/// The conditions that the person named, and those of the table that the report says.
fn conditions(report: &Value, recording: &Recording, table: &[(&str, &str)]) -> Value {
    let named = recording.conditions.iter();
    let mut conditions: Map<String, Value> = named
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    for (name, pointer) in table {
        if let Some(value) = report.pointer(pointer).filter(|value| !value.is_null()) {
            conditions.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(conditions)
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

fn number(report: &Value, pointer: &str) -> Result<f64, String> {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.ok_or_else(|| format!("it has no number at {pointer}"))
}

fn condition(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
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
    use super::*;

    fn recording() -> Recording {
        Recording {
            machine: "two-cores".into(),
            command: "clearway bench".into(),
            conditions: vec![("load".into(), "closed-loop".into())],
            reports: Vec::new(),
        }
    }

    fn report() -> Value {
        json!({
            "tps_final": 61_000.5, "seconds": 2_000_000.0 / 61_000.5,
            "sent": 2_000_003, "copies_sent": 2_000_003, "settled": 2_000_000, "rejected": 3,
            "codes": {"Settled": 2_000_000, "InsufficientFunds": 3}, "cpu_seconds": 40.0,
            "response_us": {"p1": 1, "p50": 900, "p99": 4000, "p999": 9000, "p100": 9001},
            "service_us": {"p1": 1, "p50": 900, "p99": 4000, "p999": 9000, "p100": 9001},
            "bytes_written": 500_000_000, "memory_peak_bytes": 1, "replay_seconds": 20.0,
            "signatures_verified": 2_000_003, "signatures_fallback": 0, "hints_used": 0,
            "height": 9, "disk": {"durable": true, "sync_us_p50": 1, "sync_us_max": 2},
            "balances_root": "0a".repeat(32),
            "load": {"connections": 4, "streams_in_flight": 8, "stream_len": 2048},
            "machine": {"cores": 2, "memory_bytes": 0},
            "workload": {"name": "zipf", "accounts": 9, "payments": 2_000_003},
            "nodes": 1, "backend": "portable", "durability": "fdatasync", "seed": 7,
            "checks": {"conserved": true, "roots_equal": true, "replay_ok": true},
            "stage_cpu_seconds": {"verify": 36.0, "execute": 4.0}, "commit": "0123abcdef",
        })
    }

    #[test]
    fn a_report_becomes_rows_that_the_page_can_read() {
        let rows = rows(&report(), &recording(), "2026-01-31").expect("the report is right");
        assert_eq!(
            rows.len(),
            FIGURES.len() + 3,
            "the replay and two stages beside the figures"
        );
        for row in &rows {
            crate::perf::check_row(&row.to_string()).expect("a right row");
            assert_eq!(row["conditions"]["load"], "closed-loop");
            assert_eq!(row["conditions"]["backend"], "portable");
            assert_eq!(row["conditions"]["accounts"], 9);
        }
        let value = |name: &str| {
            rows.iter()
                .find(|r| r["name"] == name)
                .map(|r| r["value"].clone())
        };
        assert_eq!(value("one_node_tps_final"), Some(json!(61_000.5)));
        assert_eq!(value("one_node_cpu_us_per_payment"), Some(json!(20.0)));
        assert_eq!(
            value("one_node_written_bytes_per_payment"),
            Some(json!(250.0))
        );
        assert_eq!(value("replay_tps"), Some(json!(100_000.15)));
    }

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
    fn an_open_loop_has_figures_of_its_own() {
        let mut report = report();
        report["load"]["rate"] = json!("20000");
        let rows = rows(&report, &recording(), "2026-01-31").expect("the report is right");
        assert_eq!(rows[1]["name"], "one_node_open_loop_response_us_p50");
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
        digest::seal(sealed.as_object_mut().expect("an object"));
        rows(&sealed, &recording(), "2026-01-31").expect("as it was written");
        sealed["seed"] = json!(8);
        let error = rows(&sealed, &recording(), "2026-01-31").expect_err("edited");
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

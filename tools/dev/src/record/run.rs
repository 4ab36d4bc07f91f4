//! Reports of `clearway bench` and `demo` become rows: rate, latency, cost, and each stage's part.

use serde_json::{Map, Value, json};

use super::recording::{Recording, check_build, conditions, number};
use crate::shared::sums;

/// What a figure depends on, and where the report says it; what it does not say is left out.
pub(super) const CONDITIONS: &[(&str, &str)] = &[
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

/// A run whose history passed its checks and whose figures add up.
pub(super) fn check(report: &Value) -> Result<(), String> {
    check_build(report)?;
    let failed = report["checks"].as_object().map(|checks| {
        let failed = checks.iter().filter(|(_, passed)| **passed != json!(true));
        failed.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    });
    match failed.as_deref() {
        None => return Err("it has no `checks`".into()),
        Some([]) => {}
        Some(names) => return Err(format!("these checks did not pass: {}", names.join(", "))),
    }
    sums::check(report).map_err(|error| format!("it does not add up: {error}"))
}

/// The rows of a run of `bench`.
pub(super) fn rows(
    report: &Value,
    recording: &Recording,
    date: &str,
) -> Result<Vec<Value>, String> {
    check(report)?;
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
            "conditions": conditions, "command": recording.command, "commit": report["commit"],
            "date": date, "machine": recording.machine,
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

#[cfg(test)]
mod tests {
    use super::super::recording::samples::{recording, report};
    use super::*;

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
    fn an_open_loop_has_figures_of_its_own() {
        let mut report = report();
        report["load"]["rate"] = json!("20000");
        let rows = rows(&report, &recording(), "2026-01-31").expect("the report is right");
        assert_eq!(rows[1]["name"], "one_node_open_loop_response_us_p50");
    }
}

//! Reports of `cargo dev bench-verify` become rows: an implementation on a kind of input each.

use serde_json::{Value, json};

use super::recording::{Recording, conditions, number};

/// What marks a report of this kind.
pub(super) const SCHEMA: &str = "clearway/bench_verify/1";

/// Classes of keys, and the figure that they belong to.
const FIGURES: &[(&str, &str)] = &[
    ("shared32", "verify_shared_keys"),
    ("shared1024", "verify_shared_keys"),
    ("distinct_cached", "verify_cached_keys"),
    ("distinct", "verify_distinct_keys"),
    ("single", "verify_single_known_keys"),
    ("hinted", "verify_with_hints"),
];

/// Where some signatures are invalid, of whatever class.
const WITH_INVALID: &str = "verify_with_invalid";

/// What a batch of valid signatures takes: what the rate costs in latency.
const BATCH_US: &str = "verify_batch_us";

/// What a rate depends on besides its row, and where the report says it.
const CONDITIONS: &[(&str, &str)] = &[
    ("seed", "/seed"),
    ("rounds", "/rounds"),
    ("one_core_pinned", "/pinned"),
    ("clock", "/clock"),
    ("rivals_built_with", "/builds/rivals/flags"),
];

/// The rows of a report, or why it may not be recorded.
pub(super) fn rows(
    report: &Value,
    recording: &Recording,
    date: &str,
) -> Result<Vec<Value>, String> {
    let conditions = conditions(report, recording, CONDITIONS);
    let rows = report["rows"].as_array().ok_or("it has no `rows`")?;
    let mut found = Vec::new();
    for row in rows {
        let text = |field| row[field].as_str().ok_or(format!("a row has no {field}"));
        let keys = text("keys")?;
        let figure = FIGURES.iter().find(|(class, _)| *class == keys);
        let (_, figure) = figure.ok_or(format!("keys {keys:?} belong to no figure"))?;
        let invalid = number(row, "/invalid_percent")?;
        let figure = if invalid > 0.0 { WITH_INVALID } else { figure };
        let (len, implementation) = (number(row, "/batch_len")?, text("implementation")?);
        let rate = number(row, "/signatures_per_second")?;
        let mut push = |name: String, value: f64, unit: &str| {
            found.push(json!({
                "suite": "kernels", "name": name, "value": value,
                "unit": unit, "conditions": conditions, "command": recording.command,
                "commit": report["commit"], "date": date, "machine": recording.machine,
            }));
        };
        let input = format!("keys={keys} n={len}");
        let callers = report["callers"].as_u64().filter(|callers| *callers > 1);
        let callers = callers.map_or_else(String::new, |callers| format!("callers={callers} "));
        let by = format!("{callers}implementation={implementation}");
        let name = format!("{figure}/{input} invalid={invalid} {by}");
        push(name, rate, "signatures/s");
        if invalid == 0.0 && row["rival"] == json!(false) && callers.is_empty() {
            push(format!("{BATCH_US}/{input} {by}"), 1e6 * len / rate, "us");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_implementation_and_input_becomes_a_row_that_the_page_can_read() {
        let recording = Recording {
            machine: "two-cores".into(),
            command: "cargo dev bench-verify".into(),
            conditions: Vec::new(),
            reports: Vec::new(),
        };
        let mut report = json!({
            "schema": SCHEMA, "commit": "0123abcdef", "seed": 7, "rounds": 3, "pinned": true,
            "rows": [{
                "implementation": "avx2", "keys": "shared32", "batch_len": 8192,
                "invalid_percent": 0.1, "signatures_per_second": 390_000.5,
            }],
        });
        let found = rows(&report, &recording, "2026-01-31").expect("the report is right");
        crate::perf::check_row(&found[0].to_string()).expect("a right row");
        let name = "verify_with_invalid/keys=shared32 n=8192 invalid=0.1 implementation=avx2";
        assert_eq!(found[0]["name"], name);
        assert_eq!(found[0]["value"], json!(390_000.5));
        assert_eq!(found[0]["conditions"]["seed"], 7);
        report["rows"][0]["invalid_percent"] = json!(0.0);
        report["rows"][0]["rival"] = json!(false);
        let found = rows(&report, &recording, "2026-01-31").expect("the report is right");
        assert_eq!(
            found.len(),
            2,
            "a batch of ours has its latency beside the rate"
        );
        assert_eq!(
            found[1]["name"],
            "verify_batch_us/keys=shared32 n=8192 implementation=avx2"
        );
        let micros = found[1]["value"].as_f64().expect("a number");
        assert!((micros - 21_005.0).abs() < 1.0, "{micros}");
        report["callers"] = json!(16);
        let found = rows(&report, &recording, "2026-01-31").expect("the report is right");
        assert_eq!(found.len(), 1, "no latency where callers share the device");
        let name = found[0]["name"].as_str().expect("a name");
        assert!(name.ends_with(" callers=16 implementation=avx2"), "{name}");
        report["rows"][0]["keys"] = json!("lost");
        let refused = rows(&report, &recording, "2026-01-31").expect_err("no such class");
        assert!(refused.contains("lost"), "{refused}");
    }
}

//! Reports of `clearway bench hash` become rows: an implementation of a kind of hash each.

use serde_json::{Value, json};

use super::recording::{Recording, conditions, number};

/// What marks a report of this kind.
pub(super) const SCHEMA: &str = "clearway/bench_hash/1";

/// Kinds of hash; the scoreboard's goals go by these names.
const FIGURES: &[&str] = &["sha512_208_bytes", "sha256_node", "envelope_digests"];

/// What a rate depends on besides its row, and where the report says it.
const CONDITIONS: &[(&str, &str)] = &[
    ("rounds", "/rounds"),
    ("one_core_pinned", "/pinned"),
    ("clock", "/clock"),
];

/// The rows of a report, or why it may not be recorded.
pub(super) fn rows(
    report: &Value,
    recording: &Recording,
    date: &str,
) -> Result<Vec<Value>, String> {
    let conditions = conditions(report, recording, CONDITIONS);
    let rows = report["rows"].as_array().ok_or("it has no `rows`")?;
    let row = |row: &Value| {
        let text = |field| row[field].as_str().ok_or(format!("a row has no {field}"));
        let (figure, implementation) = (text("figure")?, text("implementation")?);
        if !FIGURES.contains(&figure) {
            return Err(format!("{figure:?} is no known figure"));
        }
        Ok(json!({
            "suite": "kernels", "name": format!("{figure}/implementation={implementation}"),
            "value": number(row, "/hashes_per_second")?, "unit": "hashes/s",
            "conditions": conditions, "command": recording.command, "commit": report["commit"],
            "date": date, "machine": recording.machine,
        }))
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_implementation_becomes_a_row_that_the_page_can_read() {
        let recording = Recording {
            machine: "two-cores".into(),
            command: "clearway bench hash".into(),
            conditions: Vec::new(),
            reports: Vec::new(),
        };
        let row = |figure: &str, implementation: &str, hashes_per_second: f64| {
            json!({
                "figure": figure, "implementation": implementation,
                "hashes_per_second": hashes_per_second, "spread_percent": 1.5,
            })
        };
        let mut report = json!({
            "schema": SCHEMA, "commit": "0123abcdef", "rounds": 25, "pinned": true,
            "clock": "processor time", "rows": [
                row("sha512_208_bytes", "avx2", 5_000_000.5),
                row("sha256_node", "sha_ni_x2", 17_000_000.0),
                row("envelope_digests", "sha2", 4_000_000.0),
            ],
        });
        let found = rows(&report, &recording, "2026-01-31").expect("it is right");
        let names = [
            "sha512_208_bytes/implementation=avx2",
            "sha256_node/implementation=sha_ni_x2",
            "envelope_digests/implementation=sha2",
        ];
        assert_eq!(found.len(), names.len());
        for (row, name) in found.iter().zip(names) {
            crate::perf::check_row(&row.to_string()).expect("a right row");
            assert_eq!(row["name"], name);
            assert_eq!(row["unit"], "hashes/s");
            assert_eq!(
                row["conditions"],
                json!({ "rounds": 25, "one_core_pinned": true, "clock": "processor time" })
            );
        }
        assert_eq!(found[0]["value"], json!(5_000_000.5));
        report["rows"][0]["figure"] = json!("lost");
        let refused = rows(&report, &recording, "2026-01-31").expect_err("no such figure");
        assert!(refused.contains("lost"), "{refused}");
        report["rows"] = Value::Null;
        rows(&report, &recording, "2026-01-31").expect_err("nothing was measured");
    }
}

//! One measured figure as a line of JSON, with everything that a published figure must name.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A figure. The file that holds it is `benches/results/<machine>/<day>-<commit>.jsonl`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// `kernels`, `stages`, `pipeline` or `first-run`.
    pub(crate) suite: String,
    /// What was measured, parameters after a slash: `crypto::verify_batch/backend=portable n=1024`.
    pub(crate) name: String,
    /// The median where it was measured more than once.
    pub(crate) value: f64,
    /// Lowest and highest of the measurements behind the median.
    #[serde(default)]
    pub(crate) range: Option<[f64; 2]>,
    pub(crate) unit: String,
    /// What the figure depends on: nodes, signatures, durability, keys, batch size, load.
    pub(crate) conditions: BTreeMap<String, Value>,
    /// The command that gives the figure again.
    pub(crate) command: String,
    /// The commit that was measured, in hex.
    pub(crate) commit: String,
    /// Day or second of the measurement in UTC: `2026-01-31` or `2026-01-31T12:00:00Z`.
    pub(crate) date: String,
    pub(crate) machine: String,
}

/// Suites in the order in which PERF.md shows them, each with its heading.
pub(crate) const SUITES: &[(&str, &str)] = &[
    ("pipeline", "End to end"),
    ("stages", "Stage by stage"),
    ("kernels", "Kernels"),
    ("first-run", "First run"),
];

/// How the names of others' implementations begin; `portable` is our gate over one of them.
const RIVALS: &[&str] = &["ed25519-", "sha2"];

const COMMIT_DIGITS_MIN: usize = 7;
const COMMIT_DIGITS_MAX: usize = 40;

impl Row {
    /// Reads one line and checks each field.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let row: Self = serde_json::from_str(line).map_err(|error| error.to_string())?;
        row.check()?;
        Ok(row)
    }

    fn check(&self) -> Result<(), String> {
        let named = [
            ("name", &self.name),
            ("unit", &self.unit),
            ("command", &self.command),
            ("machine", &self.machine),
        ];
        for (field, text) in named {
            if text.trim().is_empty() {
                return Err(format!("`{field}` is empty"));
            }
        }
        if !SUITES.iter().any(|(suite, _)| *suite == self.suite) {
            let known: Vec<&str> = SUITES.iter().map(|(suite, _)| *suite).collect();
            return Err(format!(
                "suite {:?} is none of {}",
                self.suite,
                known.join(", ")
            ));
        }
        if let Some([low, high]) = self.range
            && !(low <= self.value && self.value <= high)
        {
            let value = self.value;
            return Err(format!(
                "value {value} lies outside its range [{low}, {high}]"
            ));
        }
        if !is_commit(&self.commit) {
            return Err(format!(
                "commit {:?} is not 7 to 40 hex digits",
                self.commit
            ));
        }
        if !is_date(&self.date) {
            return Err(format!("date {:?} is not like 2026-01-31", self.date));
        }
        if self.conditions.is_empty() {
            return Err("`conditions` is empty; a figure without them says nothing".into());
        }
        Ok(())
    }

    /// The day of the measurement: the first part of its date.
    pub(crate) fn day(&self) -> &str {
        self.date.split('T').next().unwrap_or_default()
    }

    /// Whose figure it is, where several implementations have one.
    pub(crate) fn implementation(&self) -> Option<&str> {
        let mut parameters = self.name.split('/').nth(1)?.split(' ');
        parameters.find_map(|parameter| parameter.strip_prefix("implementation="))
    }

    /// Whether it is somebody else's figure, measured beside ours.
    pub(crate) fn is_rival(&self) -> bool {
        let name = self.implementation().unwrap_or_default();
        RIVALS.iter().any(|rival| name.starts_with(rival))
    }

    /// The name without the implementation.
    pub(crate) fn figure(&self) -> String {
        let Some(name) = self.implementation() else {
            return self.name.clone();
        };
        let bare = self.name.replace(&format!("implementation={name}"), "");
        bare.trim_end_matches([' ', '/']).to_owned()
    }
}

fn is_commit(text: &str) -> bool {
    (COMMIT_DIGITS_MIN..=COMMIT_DIGITS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// `dddd-dd-dd`, or the same with `Tdd:dd:ddZ`.
fn is_date(text: &str) -> bool {
    ["0000-00-00", "0000-00-00T00:00:00Z"].iter().any(|shape| {
        text.len() == shape.len()
            && text
                .bytes()
                .zip(shape.bytes())
                .all(|(byte, wanted)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte == wanted,
                })
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A row that is right in every field.
    pub(crate) fn sample() -> Value {
        json!({
            "suite": "pipeline", "name": "one node, closed loop", "value": 61_234.5,
            "unit": "transfers/s", "conditions": {"nodes": 1, "signatures": "on"},
            "command": "clearway bench", "commit": "0123abc", "date": "2026-01-31",
            "machine": "two-cores",
        })
    }

    /// The sample with some fields changed.
    pub(crate) fn row(changes: &[(&str, Value)]) -> Row {
        let mut row = sample();
        for (field, value) in changes {
            row[*field] = value.clone();
        }
        Row::parse(&row.to_string()).expect("the changed sample is right")
    }

    #[test]
    fn an_implementation_is_told_apart_from_its_figure() {
        for (name, figure, implementation, is_rival) in [
            (
                "verify/n=64 implementation=avx2",
                "verify/n=64",
                Some("avx2"),
                false,
            ),
            (
                "verify/n=64 implementation=ed25519-zebra",
                "verify/n=64",
                Some("ed25519-zebra"),
                true,
            ),
            (
                "sha256_node/implementation=sha2",
                "sha256_node",
                Some("sha2"),
                true,
            ),
            (
                "sha256_node/implementation=sha_ni_x2",
                "sha256_node",
                Some("sha_ni_x2"),
                false,
            ),
            ("restart_seconds", "restart_seconds", None, false),
        ] {
            let row = row(&[("name", json!(name))]);
            let found = (row.figure(), row.implementation(), row.is_rival());
            assert_eq!(
                found,
                (figure.to_owned(), implementation, is_rival),
                "{name}"
            );
        }
    }

    #[test]
    fn a_row_is_read_only_when_each_field_is_right() {
        let rows = [
            ("value", json!(1.0), true),
            ("date", json!("2026-01-31T12:00:00Z"), true),
            ("date", json!("2026-1-31"), false),
            ("date", json!("2026-01-31 12:00"), false),
            ("commit", json!("0123ab"), false),
            ("commit", json!("unknown"), false),
            ("suite", json!("guesses"), false),
            ("conditions", json!({}), false),
            ("unit", json!(" "), false),
            ("command", json!(""), false),
            ("value", json!("61k"), false),
            ("extra", json!(1), false),
            ("range", json!([61_000, 62_000]), true),
            ("range", json!([61_235, 62_000]), false),
            ("range", json!([62_000, 61_000]), false),
        ];
        for (field, value, is_right) in rows {
            let mut row = sample();
            row[field] = value.clone();
            let parsed = Row::parse(&row.to_string());
            assert_eq!(parsed.is_ok(), is_right, "{field} = {value}: {parsed:?}");
        }
    }

    #[test]
    fn no_field_may_be_left_out() {
        let fields: Vec<String> = sample()
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        for field in fields {
            let mut row = sample();
            row.as_object_mut().expect("an object").remove(&field);
            assert!(Row::parse(&row.to_string()).is_err(), "without {field}");
        }
    }
}

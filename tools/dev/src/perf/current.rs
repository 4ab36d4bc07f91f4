//! Which rows stay on the pages: of each question the newest answer.

use super::row::Row;

/// What a run of the whole pipeline is about. Other conditions say how it was measured: under new
/// ones the same question is answered anew.
const ASKED: &[&str] = &["nodes", "backend", "hints", "rate", "workload", "accounts"];

/// The rows that stay. `rows` come oldest first, and so does what is returned.
///
/// A run of the pipeline gives all of its figures, so a newer one replaces the older whole, with
/// the figures that are no longer measured. A run of kernels may give a part: there each figure is
/// replaced by its own newer one, by name.
pub(super) fn current(rows: &[Row]) -> Vec<&Row> {
    let mut kept: Vec<&Row> = Vec::new();
    for row in rows {
        let is_replaced = |older: &Row| {
            question(older) == question(row) && (older.name == row.name || run(older) != run(row))
        };
        kept.retain(|older| !is_replaced(older));
        kept.push(row);
    }
    kept
}

/// Rows of one run have this in common.
pub(super) fn run(row: &Row) -> (&str, &str, &str) {
    (&row.date, &row.commit, &row.command)
}

fn question(row: &Row) -> String {
    if row.suite != "pipeline" {
        return format!("{}: {}", row.suite, row.name);
    }
    let quick = if row.command.contains("--quick") {
        "quick"
    } else {
        "full"
    };
    let asked = ASKED.iter().map(|name| {
        let value = row.conditions.get(*name);
        value.map_or_else(String::new, ToString::to_string)
    });
    format!("{quick} {}", asked.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;
    use serde_json::{Value, json};

    /// Whether the older of two rows stays beside the newer.
    fn check(claim: &str, older: &[(&str, Value)], newer: &[(&str, Value)], stays: bool) {
        let older = row(older);
        let mut newer = row(newer);
        newer.date = "2026-02-01".into();
        let rows = [older, newer];
        let kept = current(&rows);
        assert_eq!(kept.contains(&&rows[0]), stays, "{claim}");
        assert!(kept.contains(&&rows[1]), "{claim}: the newest always stays");
    }

    #[test]
    fn a_newer_answer_replaces_an_older_one_of_the_same_question() {
        let conditions = |value: Value| [("conditions", value)];
        let with = |name: &'static str, value: Value| conditions(json!({"nodes": 1, name: value}));
        let kernel = |name: &str| [("suite", json!("kernels")), ("name", json!(name))];
        check("the same again", &[], &[], false);
        for name in ["order.pace_ms", "payments", "runs", "stream_len", "seed"] {
            let (older, newer) = (with(name, json!(1)), with(name, json!(2)));
            check(name, &older, &newer, false);
        }
        for name in ASKED {
            let (older, newer) = (with(name, json!("x")), with(name, json!("y")));
            check(name, &older, &newer, true);
        }
        let quick = [("command", json!("clearway bench --quick"))];
        check("a short run beside a long one", &quick, &[], true);
        let lost = [("name", json!("lost"))];
        check("a figure that is measured no more", &lost, &[], false);
        check("a part of the kernels", &kernel("a"), &kernel("b"), true);
        check("a kernel anew", &kernel("a"), &kernel("a"), false);
    }

    #[test]
    fn a_run_keeps_all_of_its_figures() {
        let rows = ["a", "b", "c"].map(|name| row(&[("name", json!(name))]));
        assert_eq!(current(&rows).len(), rows.len());
    }
}

//! The page itself: one section a machine, one table a suite, and what is still missing.

use super::results::Machine;
use super::row::{Row, SUITES};
use super::targets::Target;
use serde_json::Value;
use std::fmt::Write;

const HEAD: &str = "\
# Performance

This page is rendered by `cargo dev perf` from the results in `benches/results`; a test compares it
with them. Do not edit it: record a result, then render.

## Rules of measuring

* A figure names its machine, commit and command, and under its conditions: nodes, signatures,
  durability, keys, batch size and load. What is not measured is not claimed.
* Latency counts from the intended send time of an open load at a stated rate. Beside it stands one
  closed-loop maximum.
* Warm up first; take the median of at least three runs; state p50, p99 and p99.9, and beside them
  CPU seconds, bytes written and peak memory.
* A ratio between two systems is measured side by side in one run, on a machine that builds nothing.
* Results are only ever added. The tables show the newest row of each figure.
";

const HOW_TO_RECORD: &str = "\
## How to record a result

A result is a line of `benches/results/<machine>/<day>-<commit>.jsonl`:

```json
{\"suite\": \"pipeline\", \"name\": \"...\", \"value\": 1.0, \"unit\": \"...\",
 \"conditions\": {\"nodes\": 1}, \"command\": \"...\", \"commit\": \"...\",
 \"date\": \"2026-01-31\", \"machine\": \"<machine>\"}
```

(on one line). The machine's folder holds `machine.md`, its hardware in words. For a run of
`clearway bench --json FILE`, `cargo dev record` writes the rows; it refuses a report whose checks
did not pass.
";

/// Renders PERF.md.
pub(crate) fn page(machines: &[Machine], targets: &[Target]) -> String {
    let mut out = String::from(HEAD);
    for machine in machines {
        write_machine(&mut out, machine, targets);
    }
    write_missing(&mut out, machines, targets);
    out.push('\n');
    out.push_str(HOW_TO_RECORD);
    out
}

fn write_machine(out: &mut String, machine: &Machine, targets: &[Target]) {
    put(
        out,
        format_args!("\n## On `{}`\n\n{}\n", machine.name, machine.description),
    );
    for (suite, heading) in SUITES {
        let rows = newest(machine.rows.iter().filter(|row| row.suite == *suite));
        if rows.is_empty() {
            continue;
        }
        put(out, format_args!("\n### {heading}\n"));
        for group in rows.chunk_by(|a, b| setting(a) == setting(b)) {
            write_group(out, group, targets);
        }
    }
}

/// The figures of one command under the same conditions.
fn write_group(out: &mut String, rows: &[&Row], targets: &[Target]) {
    put(
        out,
        format_args!(
            "\n`{}`: {}.\n\n",
            rows[0].command.replace('`', "'"),
            conditions(rows[0])
        ),
    );
    let (compared, alone): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| implementation(row).is_some());
    if !alone.is_empty() {
        write_figures(out, &alone, targets);
    }
    if !compared.is_empty() {
        write_comparison(out, &compared, targets);
    }
}

/// A row a figure.
fn write_figures(out: &mut String, rows: &[&Row], targets: &[Target]) {
    out.push_str("| figure | value | range | goal | measured |\n|---|--:|--:|---|---|\n");
    for row in rows {
        put(
            out,
            format_args!(
                "| {} | {} {} | {} | {} | {} |\n",
                cell(&row.name),
                grouped(row.value),
                cell(&row.unit),
                range(row).unwrap_or_default(),
                goal(row, targets),
                measured(row),
            ),
        );
    }
}

/// A row a figure and a column an implementation of it, with the figure of each.
fn write_comparison(out: &mut String, rows: &[&Row], targets: &[Target]) {
    let mut columns: Vec<&str> = rows.iter().filter_map(|row| implementation(row)).collect();
    columns.sort_unstable();
    columns.dedup();
    put(
        out,
        format_args!(
            "| figure | {} | goal | measured |\n|---|{}---|---|\n",
            columns.join(" | "),
            "--:|".repeat(columns.len()),
        ),
    );
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| by_numbers(&figure(row)));
    for rows in rows.chunk_by(|a, b| figure(a) == figure(b)) {
        let values = columns.iter().map(|column| {
            let row = rows.iter().find(|row| implementation(row) == Some(column));
            row.map_or_else(String::new, |row| match range(row) {
                Some(range) => format!("{} ({range})", grouped(row.value)),
                None => grouped(row.value),
            })
        });
        put(
            out,
            format_args!(
                "| {}, {} | {} | {} | {} |\n",
                cell(&figure(rows[0])),
                cell(&rows[0].unit),
                values.collect::<Vec<_>>().join(" | "),
                goal(rows[0], targets),
                measured(rows[0]),
            ),
        );
    }
}

/// Whose figure it is, where several implementations have one.
fn implementation(row: &Row) -> Option<&str> {
    let mut parameters = row.name.split('/').nth(1)?.split(' ');
    parameters.find_map(|parameter| parameter.strip_prefix("implementation="))
}

/// The name without the implementation.
fn figure(row: &Row) -> String {
    let Some(name) = implementation(row) else {
        return row.name.clone();
    };
    let bare = row.name.replace(&format!("implementation={name}"), "");
    bare.trim_end_matches([' ', '/']).to_owned()
}

/// What sorts names by the numbers in them.
fn by_numbers(name: &str) -> String {
    let parts = name.split_inclusive(|c: char| !c.is_ascii_digit());
    parts.map(|part| format!("{part:0>12}")).collect()
}

fn goal(row: &Row, targets: &[Target]) -> &'static str {
    let goal = targets.iter().find(|target| covers(target, row));
    goal.map_or("", |target| target.goal)
}

fn range(row: &Row) -> Option<String> {
    let [low, high] = row.range?;
    Some(format!("{} to {}", grouped(low), grouped(high)))
}

fn measured(row: &Row) -> String {
    format!("{}, {}", row.day(), &row.commit[..7])
}

fn write_missing(out: &mut String, machines: &[Machine], targets: &[Target]) {
    let is_measured = |target: &&Target| {
        machines
            .iter()
            .flat_map(|machine| &machine.rows)
            .any(|row| covers(target, row))
    };
    let missing: Vec<&Target> = targets
        .iter()
        .filter(|target| !is_measured(target))
        .collect();
    if missing.is_empty() {
        return;
    }
    out.push_str("\n## Not measured yet\n\n| suite | figure | goal |\n|---|---|---|\n");
    for target in missing {
        put(
            out,
            format_args!("| {} | {} | {} |\n", target.suite, target.name, target.goal),
        );
    }
}

/// The newest row of each figure, by name. `rows` come oldest first.
fn newest<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<&'a Row> {
    let mut kept: Vec<&Row> = Vec::new();
    for row in rows {
        let key = |row: &Row| (row.name.clone(), conditions(row));
        kept.retain(|older| key(older) != key(row));
        kept.push(row);
    }
    kept.sort_by(|a, b| (setting(a), &a.name).cmp(&(setting(b), &b.name)));
    kept
}

/// What the rows of one table share.
fn setting(row: &Row) -> (String, &str) {
    (conditions(row), &row.command)
}

fn covers(target: &Target, row: &Row) -> bool {
    let plain = row.name.split('/').next().unwrap_or_default();
    target.suite == row.suite && (target.name == row.name || target.name == plain)
}

fn conditions(row: &Row) -> String {
    // How often it was measured does not make it another figure.
    let conditions = row.conditions.iter().filter(|(name, _)| *name != "runs");
    let parts = conditions.map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Text that cannot break out of its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Three significant digits below a thousand, whole and in groups of three above.
fn grouped(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        _ if value.fract() == 0.0 || magnitude >= 100.0 => 0,
        _ if magnitude >= 10.0 => 1,
        _ if magnitude >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let digits = text.trim_start_matches('-');
    if decimals > 0 || digits.len() <= 3 {
        return text;
    }
    let mut out = if value < 0.0 {
        String::from("-")
    } else {
        String::new()
    };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn put(out: &mut String, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args)
        .expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::sample;
    use super::*;
    use serde_json::json;

    fn row(changes: &[(&str, Value)]) -> Row {
        let mut row = sample();
        for (field, value) in changes {
            row[*field] = value.clone();
        }
        Row::parse(&row.to_string()).expect("the changed sample is right")
    }

    fn machine(rows: Vec<Row>) -> Machine {
        Machine {
            name: "two-cores".into(),
            description: "Two cores.".into(),
            rows,
        }
    }

    const GOALS: &[Target] = &[
        Target {
            suite: "pipeline",
            name: "one node, closed loop",
            goal: "fast",
        },
        Target {
            suite: "kernels",
            name: "verify",
            goal: "faster",
        },
    ];

    #[test]
    fn a_measured_figure_stands_beside_its_goal_and_the_rest_is_listed_as_missing() {
        let page = page(&[machine(vec![row(&[])])], GOALS);
        let line = "| one node, closed loop | 61,234 transfers/s |  | fast | 2026-01-31, 0123abc |";
        assert!(page.contains(line), "{page}");
        assert!(page.contains(": nodes 1, signatures on.\n"), "{page}");
        assert!(page.contains("| kernels | verify | faster |"), "{page}");
        assert!(
            !page.contains("| pipeline | one node, closed loop | fast |"),
            "{page}"
        );
    }

    #[test]
    fn parameters_after_a_slash_do_not_hide_a_figure_from_its_goal() {
        let name = json!("verify/backend=portable n=1024");
        let page = page(
            &[machine(vec![row(&[
                ("suite", json!("kernels")),
                ("name", name),
            ])])],
            GOALS,
        );
        assert!(!page.contains("| kernels | verify | faster |"), "{page}");
    }

    #[test]
    fn implementations_of_one_figure_stand_side_by_side() {
        let measured = |name: &str, value: f64| {
            row(&[
                ("suite", json!("kernels")),
                ("name", json!(name)),
                ("value", json!(value)),
            ])
        };
        let mut rows = vec![
            measured("verify/n=64 implementation=ours", 4000.0),
            measured("verify/n=64 implementation=theirs", 1000.0),
            measured("verify/n=9 implementation=theirs", 3.0),
            measured("hash/implementation=ours", 2.0),
            measured("verify/alone", 7.0),
        ];
        rows[1].range = Some([900.0, 1100.0]);
        let page = page(&[machine(rows)], GOALS);
        let lines = [
            "| figure | ours | theirs | goal | measured |",
            "|---|--:|--:|---|---|",
            "| hash, transfers/s | 2 |  |  | 2026-01-31, 0123abc |\n\
             | verify/n=9, transfers/s |  | 3 | faster | 2026-01-31, 0123abc |\n\
             | verify/n=64, transfers/s | 4,000 | 1,000 (900 to 1,100) | faster | 2026-01-31, \
             0123abc |\n",
            "| verify/alone | 7 transfers/s |  | faster | 2026-01-31, 0123abc |",
        ];
        for line in lines {
            assert!(page.contains(line), "{line} in {page}");
        }
    }

    #[test]
    fn only_the_newest_row_of_a_figure_is_shown_but_other_conditions_stay() {
        let older = row(&[("value", json!(1.0))]);
        let newer = row(&[("value", json!(2.0)), ("date", json!("2026-02-01"))]);
        let other = row(&[("value", json!(3.0)), ("conditions", json!({"nodes": 4}))]);
        let page = page(&[machine(vec![older, other, newer])], GOALS);
        let shown = [
            ("| 1 transfers/s |", false),
            ("| 2 transfers/s |", true),
            ("| 3 transfers/s |", true),
        ];
        for (text, is_shown) in shown {
            assert_eq!(page.contains(text), is_shown, "{text} in {page}");
        }
    }

    #[test]
    fn a_median_shows_its_range_and_replaces_whatever_was_measured_less_often() {
        let runs = |count| json!({"nodes": 1, "runs": count});
        let once = row(&[("value", json!(1.0)), ("conditions", runs(1))]);
        let median = row(&[
            ("value", json!(2.0)),
            ("range", json!([1.5, 2.5])),
            ("conditions", runs(3)),
        ]);
        let page = page(&[machine(vec![once, median])], GOALS);
        assert!(page.contains("| 2 transfers/s | 1.50 to 2.50 |"), "{page}");
        assert!(!page.contains("| 1 transfers/s |"), "{page}");
    }

    #[test]
    fn values_are_rounded_for_people() {
        let rows = [
            (0.0, "0"),
            (0.1304, "0.130"),
            (3.456, "3.46"),
            (42.42, "42.4"),
            (999.4, "999"),
            (1000.0, "1,000"),
            (61_234.5, "61,234"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
            (-0.5, "-0.500"),
        ];
        for (value, text) in rows {
            assert_eq!(grouped(value), text, "{value}");
        }
    }
}

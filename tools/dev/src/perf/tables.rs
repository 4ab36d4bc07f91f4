//! The full tables of a machine: one a suite, a group for each command and its conditions.

use super::current::current;
use super::results::Machine;
use super::row::{Row, SUITES};
use super::text::{cell, conditions, grouped, measured, put};

/// Renders `benches/results/<machine>/README.md`.
pub(super) fn page(machine: &Machine) -> String {
    let mut out = format!(
        "# Results on `{}`\n\nRendered by `cargo dev perf`; do not edit it. The goals stand in \
         [PERF.md](../../../PERF.md).\n\n{}\n",
        machine.name, machine.description
    );
    let rows = current(&machine.rows);
    for (suite, heading) in SUITES {
        let mut rows: Vec<&Row> = rows
            .iter()
            .copied()
            .filter(|row| row.suite == *suite)
            .collect();
        if rows.is_empty() {
            continue;
        }
        rows.sort_by(|a, b| (setting(a), &a.name).cmp(&(setting(b), &b.name)));
        put(&mut out, format_args!("\n## {heading}\n"));
        for group in rows.chunk_by(|a, b| setting(a) == setting(b)) {
            write_group(&mut out, group);
        }
    }
    out
}

/// The figures of one command under the same conditions.
fn write_group(out: &mut String, rows: &[&Row]) {
    put(
        out,
        format_args!(
            "\n`{}`: {}.\n\n",
            rows[0].command.replace('`', "'"),
            conditions(rows[0])
        ),
    );
    let (compared, alone): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.implementation().is_some());
    if !alone.is_empty() {
        write_figures(out, &alone);
    }
    if !compared.is_empty() {
        write_comparison(out, &compared);
    }
}

/// A row a figure.
fn write_figures(out: &mut String, rows: &[&Row]) {
    out.push_str("| figure | value | range | measured |\n|---|--:|--:|---|\n");
    for row in rows {
        put(
            out,
            format_args!(
                "| {} | {} {} | {} | {} |\n",
                cell(&row.name),
                grouped(row.value),
                cell(&row.unit),
                range(row).unwrap_or_default(),
                measured(row),
            ),
        );
    }
}

/// A row a figure and a column an implementation of it, with the figure of each.
fn write_comparison(out: &mut String, rows: &[&Row]) {
    let mut columns: Vec<&str> = rows.iter().filter_map(|row| row.implementation()).collect();
    columns.sort_unstable();
    columns.dedup();
    put(
        out,
        format_args!(
            "| figure | {} | measured |\n|---|{}---|\n",
            columns.join(" | "),
            "--:|".repeat(columns.len()),
        ),
    );
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| by_numbers(&row.figure()));
    for rows in rows.chunk_by(|a, b| a.figure() == b.figure()) {
        let values = columns.iter().map(|column| {
            let row = rows.iter().find(|row| row.implementation() == Some(column));
            row.map_or_else(String::new, |row| match range(row) {
                Some(range) => format!("{} ({range})", grouped(row.value)),
                None => grouped(row.value),
            })
        });
        put(
            out,
            format_args!(
                "| {}, {} | {} | {} |\n",
                cell(&rows[0].figure()),
                cell(&rows[0].unit),
                values.collect::<Vec<_>>().join(" | "),
                measured(rows[0]),
            ),
        );
    }
}

/// What sorts names by the numbers in them.
fn by_numbers(name: &str) -> String {
    let parts = name.split_inclusive(|c: char| !c.is_ascii_digit());
    parts.map(|part| format!("{part:0>12}")).collect()
}

fn range(row: &Row) -> Option<String> {
    let [low, high] = row.range?;
    Some(format!("{} to {}", grouped(low), grouped(high)))
}

/// What the rows of one table share.
fn setting(row: &Row) -> (String, &str) {
    (conditions(row), &row.command)
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;
    use serde_json::json;

    fn page_of(rows: Vec<Row>) -> String {
        page(&Machine {
            name: "two-cores".into(),
            description: "Two cores.".into(),
            rows,
        })
    }

    #[test]
    fn a_figure_stands_below_its_command_and_conditions() {
        let page = page_of(vec![row(&[])]);
        let parts = [
            "# Results on `two-cores`",
            "Two cores.",
            "## End to end",
            "`clearway bench`: nodes 1, signatures on.\n",
            "| one node, closed loop | 61,234 transfers/s |  | 2026-01-31, 0123abc |",
        ];
        for part in parts {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("## Kernels"), "an empty suite: {page}");
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
        let page = page_of(rows);
        let lines = [
            "| figure | ours | theirs | measured |\n|---|--:|--:|---|\n",
            "| hash, transfers/s | 2 |  | 2026-01-31, 0123abc |\n\
             | verify/n=9, transfers/s |  | 3 | 2026-01-31, 0123abc |\n\
             | verify/n=64, transfers/s | 4,000 | 1,000 (900 to 1,100) | 2026-01-31, 0123abc |\n",
            "| verify/alone | 7 transfers/s |  | 2026-01-31, 0123abc |",
        ];
        for line in lines {
            assert!(page.contains(line), "{line} in {page}");
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
        let page = page_of(vec![once, median]);
        assert!(page.contains("| 2 transfers/s | 1.50 to 2.50 |"), "{page}");
        assert!(!page.contains("| 1 transfers/s |"), "{page}");
    }
}

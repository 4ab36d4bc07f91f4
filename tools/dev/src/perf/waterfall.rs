//! Where the processor time of a payment goes: one bar a stage, each beginning where the one before
//! ended.

use super::row::Row;
use super::text::put;

/// The name of a stage's figure, before the stage.
const FIGURE: &str = "one_node_stage_cpu_us_per_payment/stage=";
/// All of it, by the process's own clock.
const TOTAL: &str = "one_node_cpu_us_per_payment";

/// Stages in the order of the walk, and what their threads do.
const STAGES: &[(&str, &str)] = &[
    ("load", "the client: sends, takes answers"),
    ("ingest", "QUIC in and out, frames"),
    ("verify", "hashes, signatures, copies in flight"),
    ("order", "seals batches; the engine"),
    ("feedback", "tells ordering what is durable and executed"),
    ("news", "the name of `feedback` in older runs"),
    ("execute", "the ledger, roots"),
    ("store", "writes and syncs the log"),
    ("answers", "routes answers to their streams"),
    ("receipts", "the name of `answers` in older runs"),
    ("checkpointer", "segments, indexes, checkpoints"),
    ("keeper", "the name of `checkpointer` in older runs"),
    ("other", "threads without a stage's name"),
];

/// Columns of the widest bar.
const COLUMNS: f64 = 44.0;

/// Draws the stages of the run of `command`, when it has them.
pub(super) fn write(out: &mut String, rows: &[&Row], command: &str) {
    let of_run = |row: &&Row| row.command == command;
    let value = |name: &str| {
        let row = rows.iter().filter(|row| of_run(row));
        let mut row = row.filter(|row| row.name == name);
        row.next().map(|row| row.value)
    };
    let is_stage = |row: &&&Row| of_run(row) && row.name.starts_with(FIGURE);
    let sum: f64 = rows.iter().filter(is_stage).map(|row| row.value).sum();
    let Some(total) = value(TOTAL).filter(|_| sum > 0.0) else {
        return;
    };
    put(
        out,
        format_args!(
            "\nProcessor time of a payment at full load, client included: {total:.2} us. By stage \
             (medians, so\nthe sum may differ a little from the whole):\n\n```text\n",
        ),
    );
    let mut start = 0.0;
    for (stage, what) in stages(rows, is_stage) {
        let us = value(&format!("{FIGURE}{stage}")).unwrap_or_default();
        let bar = bar(start / sum, (start + us) / sum);
        let line = format!("{stage:<12}{us:>5.2}  {bar:<48}{what}");
        put(out, format_args!("{}\n", line.trim_end()));
        start += us;
    }
    out.push_str("```\n");
}

/// The stages that the run has: those of the walk, then any that this page does not know.
fn stages<'a>(
    rows: &[&'a Row],
    is_stage: impl Fn(&&&'a Row) -> bool,
) -> Vec<(&'a str, &'static str)> {
    let measured = rows.iter().filter(is_stage);
    let names: Vec<&str> = measured
        .filter_map(|row| row.name.strip_prefix(FIGURE))
        .collect();
    let known = STAGES.iter().filter(|(stage, _)| names.contains(stage));
    let mut stages: Vec<(&str, &str)> = known.copied().collect();
    for name in names {
        if !stages.iter().any(|(stage, _)| *stage == name) {
            stages.push((name, ""));
        }
    }
    stages
}

/// A bar between two shares of the whole; nothing is too short to be seen.
fn bar(start: f64, end: f64) -> String {
    let column = |share: f64| (share * COLUMNS).round();
    let (from, to) = (column(start), column(end));
    let mut bar = String::new();
    let mut at = 0.0;
    while at < from {
        bar.push(' ');
        at += 1.0;
    }
    while at < to {
        bar.push('█');
        at += 1.0;
    }
    if from >= to {
        bar.push('▏');
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;
    use serde_json::json;

    fn stage(name: &str, us: f64) -> Row {
        row(&[
            ("name", json!(format!("{FIGURE}{name}"))),
            ("value", json!(us)),
            ("unit", json!("us")),
        ])
    }

    #[test]
    fn bars_follow_each_other_in_the_order_of_the_walk() {
        let total = row(&[("name", json!(TOTAL)), ("value", json!(4.0))]);
        let rows = [
            stage("strange", 1.0),
            stage("verify", 2.0),
            stage("load", 1.0),
            stage("other", 0.0),
            total,
        ];
        let rows: Vec<&Row> = rows.iter().collect();
        let mut out = String::new();
        write(&mut out, &rows, "clearway bench");
        let bars: Vec<&str> = out
            .lines()
            .skip_while(|l| *l != "```text")
            .skip(1)
            .collect();
        let (quarter, half) = ("█".repeat(11), "█".repeat(22));
        let space = |columns: usize| " ".repeat(columns);
        let starts = [
            format!("load         1.00  {quarter}{}", space(1)),
            format!("verify       2.00  {}{half}{}", space(11), space(1)),
            format!("other        0.00  {}▏", space(33)),
            format!("strange      1.00  {}{quarter}", space(33)),
        ];
        for (line, start) in bars.iter().zip(&starts) {
            assert!(line.starts_with(start), "{line}\n{start}");
        }
        assert_eq!(bars[starts.len()..], ["```"]);
        let mut none = String::new();
        write(&mut none, &rows, "another command");
        assert_eq!(none, "", "another run's stages are not its own");
    }
}

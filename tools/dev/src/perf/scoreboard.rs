//! PERF.md: by machine the goals, what was reached of each, and where the processor time goes.

use super::current::{current, run};
use super::goals::{FULL_LOAD, GOALS, Goal, Wanted};
use super::results::Machine;
use super::row::Row;
use super::text::{cell, grouped, measured, put, with_unit};
use super::waterfall;

const HEAD: &str = "\
# Performance

This page is rendered by `cargo dev perf` from the results in `benches/results`; a test compares it
with them. Do not edit it: record a result, then render. What every figure depends on stands in the
full tables of each machine.

The goals were set for two cores of a server with AVX-512 IFMA, client and node together; a machine
with less is held to the same. A goal is met or **missed**; what is only stated has none.
";

const RULES: &str = "\
## Rules of measuring

* A figure names its machine, commit, command and conditions: nodes, signatures, durability, keys,
  batch size and load. What is not measured is not claimed.
* Latency counts from the intended send time of an open load at a stated rate. Beside it stands one
  closed-loop maximum.
* Warm up first; take the median of at least three runs; state p50, p99 and p99.9, and beside them
  CPU seconds, bytes written and peak memory.
* A ratio between two systems is measured side by side in one run, on a machine that builds nothing.
* Results are only ever added. The pages show the newest answer to each question: what is measured
  anew under other settings replaces the older figure, unless it asks something else (another rate,
  backend, number of nodes or accounts, with or without hints, a short run or a long one).

## How to record a result

A result is a line of `benches/results/<machine>/<day>-<commit>.jsonl`:

```json
{\"suite\": \"pipeline\", \"name\": \"...\", \"value\": 1.0, \"unit\": \"...\",
 \"conditions\": {\"nodes\": 1}, \"command\": \"...\", \"commit\": \"...\",
 \"date\": \"2026-01-31\", \"machine\": \"<machine>\"}
```

(on one line). The machine's folder holds `machine.md`, its hardware in words. For a run of
`clearway bench --json FILE`, `cargo dev record` writes the rows; it refuses a report whose checks
did not pass. Goals stand in `tools/dev/src/perf/goals.rs`.
";

/// Renders PERF.md.
pub(super) fn page(machines: &[Machine]) -> String {
    let mut out = String::from(HEAD);
    let mut missing: Vec<&Goal> = GOALS.iter().collect();
    for machine in machines {
        let rows = current(&machine.rows);
        let scores: Vec<Score<'_>> = GOALS
            .iter()
            .filter_map(|goal| Score::of(goal, &rows))
            .collect();
        missing.retain(|goal| !scores.iter().any(|score| std::ptr::eq(score.goal, *goal)));
        write_machine(&mut out, machine, &scores);
        waterfall::write(&mut out, &rows, FULL_LOAD);
    }
    write_missing(&mut out, &missing);
    out.push('\n');
    out.push_str(RULES);
    out
}

/// A goal beside what was measured.
struct Score<'a> {
    goal: &'a Goal,
    row: &'a Row,
    /// The best of others on the same input in the same run.
    rival: Option<&'a Row>,
}

impl<'a> Score<'a> {
    fn of(goal: &'a Goal, rows: &[&'a Row]) -> Option<Self> {
        let is_less = |a: &&Row, b: &&Row| a.value.total_cmp(&b.value);
        let best = |rows: &mut dyn Iterator<Item = &'a Row>| match goal.wanted {
            Wanted::AtMost(_) => rows.min_by(is_less),
            Wanted::AtLeast(_) | Wanted::Stated => rows.max_by(is_less),
        };
        let mut ours = rows.iter().copied().filter(|row| goal.is_for(row));
        let row = best(&mut ours)?;
        let mut rivals = rows.iter().copied().filter(|other| {
            other.figure() == row.figure() && other.is_rival() && run(other) == run(row)
        });
        let rival = best(&mut rivals);
        Some(Self { goal, row, rival })
    }

    fn share(&self) -> Option<f64> {
        self.goal.wanted.share(self.row.value)
    }

    /// How many times the rival's figure.
    fn ratio(&self) -> Option<f64> {
        self.rival.map(|rival| self.row.value / rival.value)
    }

    /// Whether the goal and the ratio are reached; nothing where there is no goal.
    fn is_met(&self) -> Option<bool> {
        let ratio = self.goal.rival_ratio.map(|wanted| {
            let reached = self.ratio();
            reached.is_some_and(|reached| reached >= wanted)
        });
        let value = self.share().map(|share| share >= 1.0);
        match (value, ratio) {
            (None, None) => None,
            (value, ratio) => Some(value.unwrap_or(true) && ratio.unwrap_or(true)),
        }
    }

    fn line(&self) -> String {
        let share = self.share().map(|share| {
            // Cut, not rounded: 100 % is said only of a goal that is met.
            let percent = (share * 100.0).floor();
            let verdict = if share >= 1.0 { "met" } else { "**missed**" };
            format!("{} %, {verdict}", grouped(percent))
        });
        format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            cell(self.goal.label),
            self.goal.wanted_text(),
            with_unit(self.row.value, &self.row.unit),
            share.unwrap_or_default(),
            self.rival_text(),
            measured(self.row),
        )
    }

    fn rival_text(&self) -> String {
        let (Some(rival), Some(ratio)) = (self.rival, self.ratio()) else {
            return String::new();
        };
        let name = rival.implementation().unwrap_or_default();
        let beside = format!("{} {name}: {ratio:.2} x", grouped(rival.value));
        match self.goal.rival_ratio {
            Some(wanted) if ratio < wanted => format!("{beside} of {wanted} x, **missed**"),
            Some(wanted) => format!("{beside} of {wanted} x, met"),
            None => beside,
        }
    }
}

impl Goal {
    /// Whether the row is this goal's figure.
    fn is_for(&self, row: &Row) -> bool {
        let is_ours = match self.implementation {
            Some(name) => row.implementation() == Some(name),
            None => !row.is_rival() && row.implementation() != Some("gpu"),
        };
        is_ours
            && self.suite == row.suite
            && self.unit == row.unit
            && self.name == row.figure()
            && self.command.is_none_or(|command| command == row.command)
    }

    fn wanted_text(&self) -> String {
        match self.wanted {
            Wanted::AtLeast(value) => format!("at least {}", with_unit(value, self.unit)),
            Wanted::AtMost(value) => format!("at most {}", with_unit(value, self.unit)),
            Wanted::Stated => "stated".into(),
        }
    }
}

fn write_machine(out: &mut String, machine: &Machine, scores: &[Score<'_>]) {
    let name = &machine.name;
    put(
        out,
        format_args!("\n## On `{name}`\n\n{}\n", machine.description),
    );
    let verdicts: Vec<bool> = scores.iter().filter_map(Score::is_met).collect();
    let met_count = verdicts.iter().filter(|is_met| **is_met).count();
    put(
        out,
        format_args!(
            "\n**{met_count} of {} goals are met.** Every figure of this machine, with ranges and \
             conditions:\n[benches/results/{name}](benches/results/{name}/README.md).\n\n",
            verdicts.len(),
        ),
    );
    out.push_str(
        "| figure | goal | now | of the goal | best rival in the same run | measured |\n\
         |---|--:|--:|--:|--:|---|\n",
    );
    for score in scores {
        out.push_str(&score.line());
    }
}

fn write_missing(out: &mut String, missing: &[&Goal]) {
    if missing.is_empty() {
        return;
    }
    out.push_str("\n## Not measured yet\n\n| figure | goal |\n|---|--:|\n");
    for goal in missing {
        put(
            out,
            format_args!("| {} | {} |\n", cell(goal.label), goal.wanted_text()),
        );
    }
}

#[cfg(test)]
#[path = "scoreboard_tests.rs"]
mod tests;

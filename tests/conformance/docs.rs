//! Pages that are written from the code: a page that says anything else turns red.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::run;

/// Set, the pages are written instead of compared: `cargo dev docs`.
const WRITE: &str = "CLEARWAY_WRITE_DOCS";

/// Compares a page below the repository's root with what the code says, or writes it.
fn page(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(&path, text).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = || found.lines().zip(text.lines()).enumerate();
    let differs = lines().find(|(_, (found, expected))| found != expected);
    assert!(
        found == text,
        "{} is not what the code says, from line {}: run `cargo dev docs`",
        path.display(),
        differs.map_or(lines().count(), |(at, _)| at) + 1,
    );
}

#[test]
fn the_page_of_metrics_is_the_list_of_a_running_node() {
    let dir = tempdir().expect("a temporary folder");
    let listed = run(dir.path(), &["inspect", "metrics", "--json"]).expect(0);
    let listed = listed.json("metrics");
    page(
        "deploy/METRICS.md",
        &metrics(listed["result"].as_array().expect("a list")),
    );
}

const METRICS: &str = "\
# Metrics

Written by `cargo dev docs` from the tables in the code. `GET /metrics` on `admin_listen` gives them
as Prometheus text; `clearway inspect metrics` lists them.

A name is `clearway_`, the stop or part that counts, what is counted, the unit where it is not a
number, and `_total` where the figure only grows. Names and meanings stay; what is no longer counted
goes. Times are quantiles since the start of the node, to 1 %, beside their number (`_count_total`)
and their sum (`_sum_seconds_total`); quantile 1 is the longest. Labels have few values and never
name an account or a member. Figures of a GPU (`clearway_gpu_*`) are there where one is used.
";

/// The page: a table for each first word of the names.
fn metrics(listed: &[Value]) -> String {
    let mut page = METRICS.to_owned();
    let mut part = "";
    for metric in listed {
        let text = |field: &str| metric[field].as_str().expect("text");
        let name = text("name");
        let words = name.strip_prefix("clearway_").expect("the prefix");
        let first = words.split('_').next().expect("a word");
        if first != part {
            part = first;
            let head = "| metric | kind | labels | meaning |\n|---|---|---|---|";
            writeln!(page, "\n## {part}\n\n{head}").expect("memory takes text");
        }
        let (kind, labels, help) = (text("kind"), text("labels"), text("help"));
        let help = help.replace('|', "\\|");
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").expect("memory takes text");
    }
    page
}

//! Pages that are written from the code: a page that says anything else turns red.

// A build without GPU support lacks most of its figures.
#[cfg(feature = "gpu")]
mod dashboards;
pub(crate) mod protocol;

use std::fmt::Write as _;
use std::path::Path;

use clearway_types::code::{ResultCode, Trace};
use clearway_types::drop_reason::DropReason;
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
    let written = metrics(listed["result"].as_array().expect("a list"));
    if cfg!(feature = "gpu") {
        return page("deploy/METRICS.md", &written);
    }
    // Of the GPU's figures such a build has one.
    let whole = include_str!("../../deploy/METRICS.md");
    let lacks = written
        .lines()
        .find(|line| whole.lines().all(|other| other != *line));
    assert_eq!(lacks, None, "it is not on the page");
    let gpu = written
        .lines()
        .filter(|line| line.contains("`clearway_gpu_"));
    let gpu: Vec<&str> = gpu.filter(|line| line.starts_with('|')).collect();
    assert!(
        matches!(gpu[..], [one] if one.contains("`clearway_gpu_ready`")),
        "{gpu:?}"
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
name an account or a member. Figures of a GPU (`clearway_gpu_*`) are 0 where none is used; a
program that was built without GPU support has `clearway_gpu_ready` alone.
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

#[test]
fn the_page_of_codes_is_the_tables_of_codes_and_reasons() {
    page("deploy/CODES.md", &codes());
}

const CODES: &str = "\
# Result codes and drop reasons

Written by `cargo dev docs` from `crates/types`; a test compares it. Do not edit it.

Where several codes apply, the first of this list is answered. \"Then\" says what the answer means
for the same bytes, and for a new envelope in their place:

| then | means |
|---|---|
| used up | The answer is kept with the identifier: the same bytes get it again until they end. |
| refused again | Nothing is kept. The same bytes are refused whenever they come; another envelope \
may be signed at once. |
| may pass | Nothing is kept, and the cause may end while the envelope lives. Sign another only \
after its end: anybody with the old bytes can still send them. |
| send again | Nothing is kept: send the same bytes again a little later. |

## Result codes

| code | name | what happened | what to do | then |
|--:|---|---|---|---|
";

const DROPS: &str = "
## Drop reasons

An envelope that never reaches the order is answered with a code, at height 0. Most such codes have
a reason here, with a counter (`clearway_ingest_drops_total{reason}`). What a check of the header
refuses, and the other members of a chain of which one was refused, has none: the door counts it in
`clearway_ingest_refusals_other_total`.

| reason | what happened | answered |
|---|---|---|
";

fn codes() -> String {
    let mut page = CODES.to_owned();
    for code in ResultCode::ALL {
        let (what, remedy) = code.help().split_once(": ").unwrap_or((code.help(), ""));
        let (number, name) = (code.as_u16(), format!("{code:?}"));
        let anchor = code.help_page().strip_prefix("deploy/CODES.md#");
        let anchor = anchor.expect("this page");
        let cells = [
            format!("<a id=\"{anchor}\"></a>{number}"),
            format!("`{name}`"),
            sentence(what),
            sentence(remedy),
            then(code.trace()).to_owned(),
        ];
        writeln!(page, "| {} |", cells.join(" | ")).expect("memory takes text");
    }
    page.push_str(DROPS);
    for reason in DropReason::ALL {
        let answered = ResultCode::ALL.iter();
        let answered = answered.filter(|code| DropReason::of(**code) == Some(*reason));
        let answered: Vec<_> = answered
            .map(|code| format!("[`{code:?}`](#{code:?})"))
            .collect();
        let (name, what) = (reason.name(), reason.help());
        let row = format!("<a id=\"drop-{name}\"></a>`{name}` | {what}");
        writeln!(page, "| {row} | {} |", answered.join(", ")).expect("memory takes text");
    }
    page
}

/// What a result leaves behind, to who holds the envelope.
fn then(trace: Trace) -> &'static str {
    match trace {
        Trace::Remembered => "used up",
        Trace::Forgotten => "refused again",
        Trace::MayPass => "may pass",
        Trace::Transient => "send again",
    }
}

/// With a capital at its start and a full stop at its end.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let text: String = first.into_iter().chain(chars).collect();
    match text.ends_with('.') || text.is_empty() {
        true => text,
        false => format!("{text}."),
    }
}

#[test]
fn a_sentence_begins_large_and_ends() {
    for (text, wanted) in [
        ("clear it", "Clear it."),
        ("`kind` is unknown", "`kind` is unknown."),
        ("Done.", "Done."),
        ("", ""),
    ] {
        assert_eq!(sentence(text), wanted);
    }
}

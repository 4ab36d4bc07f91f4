//! Every result code, drop reason and counter is documented and named in a test, and what a node
//! counts is shown.

use crate::Finding;
use crate::lex::{has_word, is_word};
use crate::tree::{SourceFile, Tree, indent_of};
use std::collections::BTreeSet;

/// Enums whose every variant is an outcome that somebody outside can see.
const OUTCOME_ENUMS: &[&str] = &["ResultCode", "DropReason"];
/// Types of fields that count something.
const COUNTER_TYPES: &[&str] = &["AtomicU64", "Counter", "Gauge", "Histogram"];
/// Kinds of the rows of a `metrics!` table.
const ROW_KINDS: &[&str] = &["total", "gauge", "gauge_ms", "seconds", "family", "times"];
/// Types that count, however a field wraps them.
const COUNTERS: &[&str] = &["Counter", "Family", "Times"];
/// What runs in a node: its counters stand in tables, from which the metrics page follows.
const SHOWN_BY_TABLES: &[&str] = &[
    "gpu", "ingest", "verify", "order", "execute", "store", "node",
];
/// Test code that only checks the house, and so proves nothing about an outcome.
const HOUSE: &str = "tests/tidy/";

/// One outcome: where it is declared, and whether a doc line stands above it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    name: String,
    line_number: usize,
    is_documented: bool,
}

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let tested = words_of_tests(tree);
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for file in tree
        .rust_files()
        .filter(|file| !file.path.starts_with(HOUSE))
    {
        for name in OUTCOME_ENUMS {
            let variants = variants_of(file, name);
            if !variants.is_empty() {
                seen.insert(*name);
            }
            findings.extend(judge(file, "outcome", variants, &tested));
        }
        if file.name() == "metrics.rs" {
            findings.extend(judge(file, "counter", counters_of(file), &tested));
        } else if is_shown_by_tables(file) {
            findings.extend(judge(file, "counter", rows_of_tables(file), &tested));
        }
        if is_shown_by_tables(file) {
            findings.extend(hidden_counters(file));
        }
    }
    for name in OUTCOME_ENUMS.iter().filter(|name| !seen.contains(*name)) {
        let message = format!("no `enum {name}` with variants found; the rule must see it");
        findings.push(Finding::at("crates", 1, "outcome", message));
    }
    findings
}

fn judge(
    file: &SourceFile,
    rule: &'static str,
    outcomes: Vec<Outcome>,
    tested: &BTreeSet<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for outcome in outcomes {
        let mut fault =
            |message| findings.push(Finding::at(&file.path, outcome.line_number, rule, message));
        if !outcome.is_documented {
            fault(format!(
                "{} has no doc line; say what it means and what to do",
                outcome.name
            ));
        }
        if !tested.contains(&outcome.name) {
            fault(format!(
                "{} is named in no test; test that it happens",
                outcome.name
            ));
        }
    }
    findings
}

/// All identifiers that stand in test code.
fn words_of_tests(tree: &Tree) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for file in tree
        .rust_files()
        .filter(|file| !file.path.starts_with(HOUSE))
    {
        let marks = file.test_lines();
        for (line, _) in file.code.lines().zip(marks).filter(|(_, is_test)| *is_test) {
            let split = line.split(|c| !is_word(c)).filter(|word| !word.is_empty());
            words.extend(split.map(str::to_owned));
        }
    }
    words
}

/// The variants of `enum name`, when the file declares it: in the enum itself, or in the table
/// that the file hands to the macro which writes the enum.
fn variants_of(file: &SourceFile, name: &str) -> Vec<Outcome> {
    let declares = |line: &str| has_word(line, "enum") && has_word(line, name);
    if !file.code.lines().any(declares) {
        return Vec::new();
    }
    let opens = |line: &str| declares(line) || is_macro_call(line);
    members_of(file, opens, |line| {
        let word = line.split(|c| !is_word(c)).next().unwrap_or_default();
        word.starts_with(|c: char| c.is_ascii_uppercase())
            .then(|| word.to_owned())
    })
}

/// Whether the line opens a macro call at the top of a file, as in `codes! {`.
fn is_macro_call(line: &str) -> bool {
    let name = line.trim_end().strip_suffix("! {");
    name.is_some_and(|name| !name.is_empty() && name.chars().all(is_word))
}

fn is_shown_by_tables(file: &SourceFile) -> bool {
    let below = |name| file.path.starts_with(&format!("crates/{name}/src/"));
    SHOWN_BY_TABLES.iter().any(below)
}

/// Counters beside the tables: nobody would ever see them.
fn hidden_counters(file: &SourceFile) -> Vec<Finding> {
    let lines = file.code.lines().zip(file.test_lines()).enumerate();
    let hidden = lines.filter(|(_, (line, is_test))| {
        let kind = line.split_once(": ").map(|(_, kind)| kind);
        let holds = |kind: &str| COUNTERS.iter().any(|name| has_word(kind, name));
        // What is not a field: a static is read by name, a function lends a row of a table.
        let is_field = !line.contains("static ") && !has_word(line, "fn");
        !is_test && is_field && kind.is_some_and(holds)
    });
    hidden
        .map(|(index, _)| {
            let message = "a counter beside the tables is not shown; make it a row of `metrics!`";
            Finding::at(&file.path, index + 1, "shown", message.to_owned())
        })
        .collect()
}

/// The counters of every struct in a metrics file.
fn counters_of(file: &SourceFile) -> Vec<Outcome> {
    members_of(
        file,
        |line| has_word(line, "struct"),
        |line| {
            let (name, kind) = line.trim_start_matches("pub ").split_once(": ")?;
            let mut kinds = COUNTER_TYPES.iter().chain(ROW_KINDS);
            let is_counter = kinds.any(|counter| has_word(kind, counter));
            is_counter.then(|| name.to_owned())
        },
    )
}

/// The rows of the `metrics!` tables of a file that holds other things, too.
fn rows_of_tables(file: &SourceFile) -> Vec<Outcome> {
    // A struct of a table names the stage that it counts for.
    let opens = |line: &str| has_word(line, "struct") && has_word(line, "in");
    members_of(file, opens, |line| {
        let (name, kind) = line.trim_start_matches("pub ").split_once(": ")?;
        let is_row = ROW_KINDS.iter().any(|row| has_word(kind, row));
        is_row.then(|| name.to_owned())
    })
}

/// Members at one indent below each declaration that `declares` accepts.
fn members_of(
    file: &SourceFile,
    declares: impl Fn(&str) -> bool,
    member: impl Fn(&str) -> Option<String>,
) -> Vec<Outcome> {
    let texts: Vec<&str> = file.text.lines().collect();
    let lines: Vec<&str> = file.code.lines().collect();
    let mut outcomes = Vec::new();
    let mut index = 0;
    while index < lines.len() {
        if !(declares(lines[index]) && lines[index].trim_end().ends_with('{')) {
            index += 1;
            continue;
        }
        let indent = indent_of(lines[index]);
        index += 1;
        while index < lines.len()
            && !(lines[index].trim() == "}" && indent_of(lines[index]) == indent)
        {
            let name = Some(lines[index])
                .filter(|line| indent_of(line) == indent + 4)
                .and_then(|line| member(line.trim()));
            if let Some(name) = name {
                let is_documented = is_documented(&texts, index);
                outcomes.push(Outcome {
                    name,
                    line_number: index + 1,
                    is_documented,
                });
            }
            index += 1;
        }
    }
    outcomes
}

/// Whether a doc line stands above line `index`, attributes and plain comments skipped.
fn is_documented(texts: &[&str], index: usize) -> bool {
    let above = texts[..index].iter().rev().map(|line| line.trim());
    let mut above = above.skip_while(|line| line.starts_with("#[") || line.starts_with("// "));
    above.next().is_some_and(|line| line.starts_with("/// "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    const CODES: &str = "\
pub enum ResultCode {
    /// Done.
    Ok = 0,
    Bare = 1,
    /// Shown.
    #[x]
    Unnamed = 2,
    /// Fields.
    Deep {
        /// Inner.
        Inner: u8,
    },
}
";
    const DROPS: &str = "\
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        pub enum DropReason {
            $($(#[doc = $doc])+ $name,)+
        }
    };
}

reasons! {
    /// Too long.
    Oversize => Big;
}
";
    const METRICS: &str = "\
pub struct Metrics {
    /// Frames in.
    pub frame_count: AtomicU64,
    pub drop_count: AtomicU64,
    /// Other.
    pub name: String,
}
";

    const TABLE: &str = "\
clearway_flow::metrics! {
    /// Figures.
    pub struct Figures in \"verify\" {
        /// Frames in.
        frames: total,
        /// Never tested.
        lost: family(\"reason\", names()),
    }
    + {
        /// Hidden.
        hidden: Counter,
        /// Hidden, too.
        all: [Counter; 3],
        /// Hidden behind two wrappers.
        by_name: Mutex<BTreeMap<u64, Arc<Family>>>,
        /// Of other workers, and shown by them.
        workers: Vec<Arc<WorkerTimes>>,
    }
}
";

    #[test]
    fn rows_of_a_table_are_counters_and_a_counter_beside_it_is_hidden() {
        let tree = Tree::of(&[
            (
                "crates/types/src/code.rs",
                "pub enum ResultCode {\n    /// Done.\n    Ok,\n}\n",
            ),
            ("crates/types/src/drop.rs", DROPS),
            ("crates/verify/src/metrics.rs", TABLE),
            ("tests/stages/main.rs", "fn a() { Ok; Oversize; frames }\n"),
        ]);
        let expected = [
            ("crates/verify/src/metrics.rs", 7, "counter"),
            ("crates/verify/src/metrics.rs", 11, "shown"),
            ("crates/verify/src/metrics.rs", 13, "shown"),
            ("crates/verify/src/metrics.rs", 15, "shown"),
        ];
        assert_eq!(rules(&check(&tree)), expected);
    }

    #[test]
    fn rows_of_a_table_beside_other_code_are_counters_too() {
        let table = TABLE.split("    + {").next().expect("a table");
        let source = format!("{table}}}\n\npub struct Other {{\n    lost: Counter,\n}}\n");
        let tree = Tree::of(&[
            (
                "crates/types/src/code.rs",
                "pub enum ResultCode {\n    /// Done.\n    Ok,\n}\n",
            ),
            ("crates/types/src/drop.rs", DROPS),
            ("crates/node/src/clock.rs", &source),
            ("crates/client/src/clock.rs", &source),
            ("tests/stages/main.rs", "fn a() { Ok; Oversize; frames }\n"),
        ]);
        let expected = [
            ("crates/node/src/clock.rs", 7, "counter"),
            ("crates/node/src/clock.rs", 12, "shown"),
        ];
        assert_eq!(rules(&check(&tree)), expected);
    }

    #[test]
    fn undocumented_and_untested_outcomes_are_found() {
        let tests = "fn a() { x(Ok, Bare, Deep, frame_count); }\n// Unnamed\n";
        let tree = Tree::of(&[
            ("crates/types/src/code.rs", CODES),
            ("crates/types/src/drop.rs", DROPS),
            ("crates/x/src/metrics.rs", METRICS),
            (
                "crates/x/src/other.rs",
                "fn f() { Oversize; drop_count; Unnamed }\n",
            ),
            ("tests/stages/main.rs", tests),
            (
                "tests/tidy/src/a.rs",
                "fn f() { Oversize; drop_count; Unnamed }\n",
            ),
        ]);
        assert_eq!(
            rules(&check(&tree)),
            [
                ("crates/types/src/code.rs", 4, "outcome"),
                ("crates/types/src/code.rs", 7, "outcome"),
                ("crates/types/src/drop.rs", 11, "outcome"),
                ("crates/x/src/metrics.rs", 4, "counter"),
                ("crates/x/src/metrics.rs", 4, "counter"),
            ]
        );
    }

    #[test]
    fn a_rule_that_sees_no_enum_says_so() {
        let findings = check(&Tree::of(&[("crates/types/src/code.rs", CODES)]));
        let blind = findings.iter().filter(|f| f.path == "crates").count();
        assert_eq!(blind, 1, "{findings:?}");
    }
}

//! The shape of the tree and of its files: top level, scripts, lengths of lines and files, headings
//! of decisions.

use crate::Finding;
use crate::lex::has_word;
use crate::tree::{SourceFile, Tree, indent_of};

/// What stands at the top level: nothing else, and nothing of it missing.
const TOP_ENTRIES: &[&str] = &[
    ".cargo",
    ".ci",
    ".deny.toml",
    ".github",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "PERF.md",
    "README.md",
    "benches",
    "crates",
    "deploy",
    "shaders",
    "tests",
    "tools",
];

/// Folders in which a script may stand; anything else is a subcommand of `cargo dev`. Clients in
/// other languages are no scripts of ours: they are what the protocol's page is held to.
const SCRIPT_FOLDERS: &[&str] = &[".ci/", "deploy/", "tests/clients/"];
const SCRIPT_EXTENSIONS: &[&str] = &["sh", "bash", "py", "pl", "rb", "js", "ps1", "bat"];

/// rustfmt's width; it leaves comments and strings alone, so they are checked here.
const LINE_COLUMNS_MAX: usize = 100;
/// "About 600": a file beyond it holds a second idea.
const FILE_LINES_MAX: usize = 650;
/// "A screen, about 70": beyond this no screen shows it.
const FUNCTION_LINES_MAX: usize = 100;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = check_top(tree);
    for file in &tree.files {
        findings.extend(check_script(file));
        if file.name() == "DECISIONS.md" {
            findings.extend(check_decisions(file));
        }
        if file.is("rs") || file.is("wgsl") {
            findings.extend(check_lengths(file));
        }
    }
    findings
}

fn check_top(tree: &Tree) -> Vec<Finding> {
    let stray = tree
        .top_entries
        .iter()
        .filter(|name| !TOP_ENTRIES.contains(&name.as_str()));
    let stray = stray.map(|name| {
        let message = "does not belong at the top level; move it into the folder of its kind";
        Finding::at(name, 1, "top-level", message)
    });
    let missing = TOP_ENTRIES
        .iter()
        .filter(|name| !tree.top_entries.iter().any(|e| e == *name));
    let missing =
        missing.map(|name| Finding::at(name, 1, "top-level", "is missing; bring it back"));
    stray.chain(missing).collect()
}

fn check_script(file: &SourceFile) -> Option<Finding> {
    let is_script = SCRIPT_EXTENSIONS.iter().any(|extension| file.is(extension))
        || (file.text.starts_with("#!") && !file.text.starts_with("#!["));
    let is_placed = SCRIPT_FOLDERS
        .iter()
        .any(|folder| file.path.starts_with(folder));
    (is_script && !is_placed).then(|| {
        let message = "stray script; make it a subcommand of `cargo dev`, or put it in deploy/";
        Finding::at(&file.path, 1, "script", message)
    })
}

fn check_lengths(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let line_count = file.text.lines().count();
    if line_count > FILE_LINES_MAX {
        findings.push(Finding::at(
            &file.path,
            line_count,
            "file-length",
            format!("{line_count} lines; split where a second idea begins (at most about 600)"),
        ));
    }
    findings.extend(check_columns(file));
    findings.extend(check_functions(file));
    findings
}

fn check_columns(file: &SourceFile) -> impl Iterator<Item = Finding> {
    file.text_lines().filter_map(|(line_number, line)| {
        let columns = line.chars().count();
        (columns > LINE_COLUMNS_MAX).then(|| {
            let message = format!("{columns} columns; break the line (at most {LINE_COLUMNS_MAX})");
            Finding::at(&file.path, line_number, "line-length", message)
        })
    })
}

/// A decision is a heading with its number, since others name it by that: 1, 2, 3 in order.
fn check_decisions(file: &SourceFile) -> Vec<Finding> {
    let mut findings: Vec<Finding> = check_columns(file).collect();
    let headings = file
        .text_lines()
        .filter(|(_, line)| line.starts_with("## "));
    for (number, (line_number, line)) in (1..).zip(headings) {
        if !line.starts_with(&format!("## {number}. ")) {
            let message =
                format!("write `## {number}. The choice` as the heading of this decision");
            findings.push(Finding::at(&file.path, line_number, "decisions", message));
        }
    }
    findings
}

/// Functions that no screen holds. Formatted code closes a body at the indent of its `fn`.
fn check_functions(file: &SourceFile) -> Vec<Finding> {
    let lines: Vec<&str> = file.code.lines().collect();
    let mut findings = Vec::new();
    for (index, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| has_word(line, "fn"))
    {
        let indent = indent_of(line);
        let ends = |text: &str| text.trim_end().ends_with(['{', ';', '}', ',']);
        let Some(open) = (index..lines.len())
            .find(|&at| ends(lines[at]) && (at == index || indent_of(lines[at]) == indent))
        else {
            continue;
        };
        let opens = |at: usize| lines[at].trim_end().ends_with('{');
        if !opens(open) {
            continue;
        }
        let Some(close) = (open + 1..lines.len())
            .find(|&at| indent_of(lines[at]) == indent && lines[at].trim().starts_with('}'))
        else {
            continue;
        };
        let line_count = close - index + 1;
        if line_count > FUNCTION_LINES_MAX {
            let message = format!("{line_count} lines in one function; a screen holds about 70");
            findings.push(Finding::at(
                &file.path,
                index + 1,
                "function-length",
                message,
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    fn only(rule: &str, tree: &Tree) -> Vec<(String, usize)> {
        let findings = check(tree);
        let hits = rules(&findings)
            .into_iter()
            .filter(|(_, _, fired)| *fired == rule);
        hits.map(|(path, line_number, _)| (path.to_owned(), line_number))
            .collect()
    }

    #[test]
    fn a_stray_and_a_missing_top_entry_are_found() {
        let kept: Vec<(&str, &str)> = TOP_ENTRIES
            .iter()
            .skip(1)
            .map(|&name| (name, ""))
            .chain([("notes.txt", "")])
            .collect();
        let strays = only("top-level", &Tree::of(&kept));
        assert_eq!(
            strays,
            [("notes.txt".into(), 1), (TOP_ENTRIES[0].into(), 1)]
        );
    }

    #[test]
    fn scripts_stand_in_their_folders_only() {
        let rows = [
            (".ci/run", "#!/usr/bin/env bash\n", false),
            ("deploy/local.sh", "", false),
            ("tools/build.sh", "", true),
            ("crates/gen.py", "", true),
            (
                "tests/clients/python/client.py",
                "#!/usr/bin/env python3\n",
                false,
            ),
            ("tests/gen.py", "", true),
            ("tests/doit", "#!/bin/sh\n", true),
            ("tests/x/main.rs", "#![allow(x)]\n", false),
        ];
        for (path, text, found) in rows {
            let hits = only("script", &Tree::of(&[(path, text)]));
            assert_eq!(!hits.is_empty(), found, "{path}");
        }
    }

    #[test]
    fn lines_and_files_have_their_bound() {
        let at_bound = format!("{}\n", "x".repeat(LINE_COLUMNS_MAX)).repeat(FILE_LINES_MAX);
        let wide = "é".repeat(LINE_COLUMNS_MAX);
        let over = format!("{at_bound}y{wide}\n");
        let tree = Tree::of(&[("a.rs", &at_bound), ("b.rs", &wide), ("c.rs", &over)]);
        assert_eq!(
            only("line-length", &tree),
            [("c.rs".into(), FILE_LINES_MAX + 1)]
        );
        assert_eq!(
            only("file-length", &tree),
            [("c.rs".into(), FILE_LINES_MAX + 1)]
        );
    }

    #[test]
    fn decisions_are_counted_and_have_their_width() {
        let wide = "x".repeat(LINE_COLUMNS_MAX + 1);
        let text = format!("# Decisions\n\n## 1. One\n\n{wide}\n\n## 3. Three\n## Four\n");
        let tree = Tree::of(&[
            ("crates/a/DECISIONS.md", &text),
            ("crates/a/OTHER.md", &text),
        ]);
        let path = "crates/a/DECISIONS.md".to_owned();
        assert_eq!(only("line-length", &tree), [(path.clone(), 5)]);
        assert_eq!(only("decisions", &tree), [(path.clone(), 7), (path, 8)]);
    }

    #[test]
    fn a_long_function_is_found_where_it_starts() {
        let body = "        let a = 1;\n".repeat(FUNCTION_LINES_MAX - 2);
        let fits = format!("impl A {{\n    fn f(&self) {{\n{body}    }}\n}}\n");
        let long =
            format!("impl A {{\n    fn f(\n        a: u8,\n    ) -> u8 {{\n{body}    }}\n}}\n");
        let many = "fn one() {}\n".repeat(FUNCTION_LINES_MAX + 1);
        let declared = format!("trait T {{\n    fn f(&self);\n{body}}}\n");
        let tree = Tree::of(&[
            ("a.rs", &fits),
            ("b.rs", &long),
            ("c.rs", &many),
            ("d.rs", &declared),
        ]);
        assert_eq!(only("function-length", &tree), [("b.rs".into(), 2)]);
    }
}

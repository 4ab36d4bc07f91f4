//! Every fuzz body has its target and a test that runs it; every target has its body.

use crate::Finding;
use crate::lex::{has_word, is_word};
use crate::tree::Tree;

const TARGETS: &str = "tests/fuzz/fuzz_targets/";
const MANIFEST: &str = "tests/fuzz/Cargo.toml";
const PREFIX: &str = "fuzz_";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut bodies = Vec::new();
    for (path, line_number, body) in bodies_of(tree) {
        let mut fault =
            |message: String| findings.push(Finding::at(path, line_number, "fuzz", message));
        let target = format!("{TARGETS}{}.rs", body.trim_start_matches(PREFIX));
        if !tree
            .file(&target)
            .is_some_and(|file| has_word(&file.code, body))
        {
            fault(format!("{body} has no fuzz target; call it in {target}"));
        }
        if !is_tested(tree, body) {
            fault(format!(
                "{body} runs in no test; run it on seeded mutants of good bytes"
            ));
        }
        bodies.push(body);
    }
    for file in tree
        .files
        .iter()
        .filter(|file| file.path.starts_with(TARGETS))
    {
        let target = file.name().trim_end_matches(".rs");
        let mut fault = |message: String| {
            findings.push(Finding::at(&file.path, 1, "fuzz", message));
        };
        if !bodies.contains(&format!("{PREFIX}{target}").as_str()) {
            fault(format!(
                "no crate has a function `pub fn {PREFIX}{target}`; write the body there"
            ));
        }
        let manifest = tree
            .file(MANIFEST)
            .map(|file| file.text.as_str())
            .unwrap_or_default();
        if !manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")) {
            fault(format!(
                "is not listed in {MANIFEST}; add its [[bin]] and its feature"
            ));
        }
    }
    findings
}

/// Public functions whose name starts with the prefix: path, line, name.
fn bodies_of(tree: &Tree) -> Vec<(&str, usize, &str)> {
    let crates = tree
        .rust_files()
        .filter(|file| !file.path.starts_with("tests/"));
    crates
        .flat_map(|file| {
            file.code_lines().filter_map(|(line_number, line)| {
                let name = line
                    .trim()
                    .strip_prefix("pub fn ")?
                    .split(|c| !is_word(c))
                    .next()?;
                name.starts_with(PREFIX)
                    .then_some((file.path.as_str(), line_number, name))
            })
        })
        .collect()
}

fn is_tested(tree: &Tree, body: &str) -> bool {
    let sources = tree
        .rust_files()
        .filter(|file| !file.path.starts_with("tests/fuzz/"));
    sources
        .filter(|file| has_word(&file.code, body))
        .any(|file| {
            file.code_lines()
                .zip(file.test_lines())
                .any(|((_, line), is_test)| is_test && has_word(line, body))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn a_body_without_target_or_test_and_a_target_without_body_are_found() {
        let tree = Tree::of(&[
            (
                "crates/a/src/fuzz.rs",
                "pub fn fuzz_whole(d: &[u8]) {}\npub fn fuzz_bare() {}\n",
            ),
            ("crates/a/tests/mutants.rs", "fn t() { fuzz_whole(x); }\n"),
            (
                "tests/fuzz/fuzz_targets/whole.rs",
                "fuzz_target!(|d: &[u8]| fuzz_whole(d));\n",
            ),
            (
                "tests/fuzz/fuzz_targets/lost.rs",
                "fuzz_target!(|d: &[u8]| fuzz_lost(d));\n",
            ),
            (MANIFEST, "path = \"fuzz_targets/whole.rs\"\n"),
        ]);
        let body = ("crates/a/src/fuzz.rs", 2, "fuzz");
        let target = ("tests/fuzz/fuzz_targets/lost.rs", 1, "fuzz");
        assert_eq!(rules(&check(&tree)), [body, body, target, target]);
    }
}

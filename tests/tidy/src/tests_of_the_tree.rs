//! How tests are written here: none is skipped, and none waits for a clock.

use crate::Finding;
use crate::lex::is_word;
use crate::tree::Tree;

/// Files that drive real processes from outside and so may poll them, with the reason.
const MAY_SLEEP: &[(&str, &str)] = &[];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_files() {
        let may_sleep = MAY_SLEEP.iter().any(|(path, _)| *path == file.path);
        for ((line_number, line), is_test) in file.code_lines().zip(file.test_lines()) {
            if line.contains("#[ignore") {
                let message = "a skipped test proves nothing; make it run, or take it out";
                findings.push(Finding::at(
                    &file.path,
                    line_number,
                    "ignored-test",
                    message,
                ));
            }
            if is_test && !may_sleep && calls_sleep(line) {
                let message = "a test that sleeps is slow or wrong; wait for the event itself";
                findings.push(Finding::at(
                    &file.path,
                    line_number,
                    "sleeping-test",
                    message,
                ));
            }
        }
    }
    findings
}

fn calls_sleep(line: &str) -> bool {
    line.match_indices("sleep(")
        .any(|(start, _)| !line[..start].chars().next_back().is_some_and(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn skipped_and_sleeping_tests_are_found() {
        let source = "fn a() {\n    thread::sleep(x);\n}\n#[cfg(test)]\nmod tests {\n    \
                      #[test]\n    #[ignore = \"slow\"]\n    fn b() {\n        \
                      std::thread::sleep(x);\n        no_sleep(x); // sleep(1)\n    }\n}\n";
        let tree = Tree::of(&[("crates/x/src/a.rs", source)]);
        assert_eq!(
            rules(&check(&tree)),
            [
                ("crates/x/src/a.rs", 7, "ignored-test"),
                ("crates/x/src/a.rs", 9, "sleeping-test")
            ]
        );
    }
}

//! Unsafe code stands only in the files listed here, each with its reason.

use crate::Finding;
use crate::lex::has_word;
use crate::tree::Tree;

/// The files that may hold unsafe code, and why they must.
/// The head of each names the test that attacks it.
const UNSAFE_FILES: &[(&str, &str)] = &[
    (
        "crates/crypto/src/hash/sha_ni.rs",
        "vector instructions exist only where they were detected",
    ),
    (
        "crates/crypto/src/simd/avx2/field.rs",
        "vector kernels: their instructions exist only where they were detected",
    ),
    (
        "crates/crypto/src/simd/avx2/words.rs",
        "vector kernels: their instructions exist only where they were detected",
    ),
    (
        "crates/crypto/src/simd/ifma8/unit.rs",
        "vector instructions exist only where they were detected",
    ),
    (
        "crates/gpu/src/pipeline_cache.rs",
        "a driver takes back what it gave: wgpu cannot know that it is the same",
    ),
    (
        "crates/store/src/mapped.rs",
        "memory maps: the compiler cannot know what a file does",
    ),
    (
        "crates/verify/tests/allocations.rs",
        "a counting allocator: implementing one is unsafe",
    ),
    (
        "tests/harness/recorder/preload.rs",
        "stands in for functions of the C library: only raw pointers cross there",
    ),
    (
        "tools/clearway/leave.rs",
        "only a call of the C library ends a process without exit handlers",
    ),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    check_against(tree, UNSAFE_FILES)
}

fn check_against(tree: &Tree, listed: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_files() {
        let is_listed = listed.iter().any(|(path, _)| *path == file.path);
        let mut lines = file
            .code_lines()
            .filter(|(_, line)| has_word(line, "unsafe"));
        match lines.next() {
            Some((line_number, _)) if !is_listed => findings.push(Finding::at(
                &file.path,
                line_number,
                "unsafe-list",
                "unsafe code in a file that is not listed; find a safe way, or list the file with \
                 its reason in tests/tidy/src/unsafety.rs",
            )),
            None if is_listed => findings.push(Finding::at(
                &file.path,
                1,
                "unsafe-list",
                "is listed and holds no unsafe code; take it off the list",
            )),
            _ => {}
        }
    }
    for (path, _) in listed.iter().filter(|(path, _)| tree.file(path).is_none()) {
        findings.push(Finding::at(
            path,
            1,
            "unsafe-list",
            "is listed and is not in the tree",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn unsafe_code_is_found_outside_the_list_and_the_list_stays_true() {
        let tree = Tree::of(&[
            (
                "a.rs",
                "//! Words: unsafe.\nfn f() { g(\"unsafe\"); }\n#![deny(unsafe_code)]\n",
            ),
            ("b.rs", "fn f() {\n    unsafe { g() }\n}\n"),
            ("c.rs", "unsafe impl Send for A {}\n"),
            ("d.rs", "fn f() {}\n"),
        ]);
        let listed = [("c.rs", "why"), ("d.rs", "why"), ("e.rs", "why")];
        assert_eq!(
            rules(&check_against(&tree, &listed)),
            [
                ("b.rs", 2, "unsafe-list"),
                ("d.rs", 1, "unsafe-list"),
                ("e.rs", 1, "unsafe-list")
            ]
        );
    }

    #[test]
    fn every_listed_file_has_a_reason() {
        for (path, reason) in UNSAFE_FILES {
            assert!(
                reason.split_whitespace().count() >= 3,
                "{path} says {reason:?}"
            );
        }
    }
}

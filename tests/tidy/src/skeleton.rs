//! The same skeleton in every stage crate, determinism lints where bytes must agree, and shaders
//! that stand in the kernel table.

use crate::Finding;
use crate::tree::Tree;

/// The stops of the walk.
const STAGES: &[&str] = &["ingest", "verify", "order", "execute", "store"];
/// What each stage crate has, whatever else it has.
const STAGE_FILES: &[&str] = &[
    "DECISIONS.md",
    "src/config.rs",
    "src/error.rs",
    "src/lib.rs",
    "src/metrics.rs",
    "src/stage.rs",
];
/// What the head of a stage's `lib.rs` tells, in this order.
const STAGE_HEADINGS: &[&str] = &["In", "Out", "Never", "Limits", "Cost"];

/// Crates whose results are the same bytes on every machine.
const DETERMINISTIC: &[&str] = &["types", "execute"];
/// The lints that hold it.
const DETERMINISM_LINTS: &[&str] = &[
    "clippy::float_arithmetic",
    "clippy::iter_over_hash_type",
    "clippy::arithmetic_side_effects",
    "clippy::host_endian_bytes",
];

/// The only file that may include a shader's text.
const KERNEL_TABLE: &str = "crates/gpu/src/kernels.rs";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for stage in STAGES {
        findings.extend(check_stage(tree, stage));
    }
    for name in DETERMINISTIC {
        findings.extend(check_determinism(
            tree,
            &format!("crates/{name}/src/lib.rs"),
        ));
    }
    findings.extend(check_shaders(tree));
    findings
}

fn check_stage(tree: &Tree, stage: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in STAGE_FILES {
        let path = format!("crates/{stage}/{name}");
        if tree.file(&path).is_none() {
            let message = "every stage crate has this file; see crates/STYLE.md, \"Add a stage\"";
            findings.push(Finding::at(&path, 1, "stage-skeleton", message));
        }
    }
    let Some(lib) = tree.file(&format!("crates/{stage}/src/lib.rs")) else {
        return findings;
    };
    let told: Vec<&str> = lib
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("//! # ").map(str::trim))
        .filter(|heading| STAGE_HEADINGS.contains(heading))
        .collect();
    if told != STAGE_HEADINGS {
        let message = format!(
            "the head has the headings {told:?}; it needs `//! # ...` for {STAGE_HEADINGS:?}, in \
             this order"
        );
        findings.push(Finding::at(&lib.path, 1, "stage-skeleton", message));
    }
    findings
}

fn check_determinism(tree: &Tree, path: &str) -> Vec<Finding> {
    let code = tree
        .file(path)
        .map(|file| file.code.as_str())
        .unwrap_or_default();
    let missing = DETERMINISM_LINTS
        .iter()
        .filter(|lint| !code.contains(*lint));
    let message = |lint| format!("deny {lint} at the top: other machines must get the same bytes");
    missing
        .map(|lint| Finding::at(path, 1, "determinism", message(lint)))
        .collect()
}

fn check_shaders(tree: &Tree) -> Vec<Finding> {
    let table = tree
        .file(KERNEL_TABLE)
        .map(|file| file.text.as_str())
        .unwrap_or_default();
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is("wgsl")) {
        if !table.contains(file.name()) {
            let message = format!("is not in the kernel table {KERNEL_TABLE}; add its row");
            findings.push(Finding::at(&file.path, 1, "kernel-table", message));
        }
    }
    for file in tree.rust_files().filter(|file| file.path != KERNEL_TABLE) {
        for (line_number, line) in file.text_lines() {
            if line.contains("include_str!") && line.contains(concat!(".wg", "sl")) {
                let message = format!("shaders are included in {KERNEL_TABLE} alone");
                findings.push(Finding::at(
                    &file.path,
                    line_number,
                    "kernel-table",
                    message,
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    const HEAD: &str = "//! # In\n//! x\n//! # Out\n//! # Never\n//! # Limits\n//! # Cost\n";

    #[test]
    fn a_whole_stage_passes_and_each_gap_is_found() {
        let mut files: Vec<(String, &str)> = STAGE_FILES
            .iter()
            .map(|name| (format!("crates/store/{name}"), HEAD))
            .collect();
        let check_files = |files: &[(String, &str)]| {
            let samples: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), *t)).collect();
            check_stage(&Tree::of(&samples), "store").len()
        };
        assert_eq!(check_files(&files), 0);
        for index in 0..files.len() {
            let mut fewer = files.clone();
            fewer.remove(index);
            assert_eq!(check_files(&fewer), 1, "without {}", files[index].0);
        }
        let swapped = "//! # Out\n//! # In\n//! # Never\n//! # Limits\n//! # Cost\n";
        for (head, gap_count) in [("//! Nothing at all.\n", 1), (swapped, 1), (HEAD, 0)] {
            for file in &mut files {
                file.1 = head;
            }
            assert_eq!(check_files(&files), gap_count, "{head}");
        }
    }

    #[test]
    fn a_missing_determinism_lint_is_named() {
        let all = DETERMINISM_LINTS.join(", ");
        let path = "crates/types/src/lib.rs";
        let full = format!("#![deny({all})]\n");
        assert!(check_determinism(&Tree::of(&[(path, &full)]), path).is_empty());
        let commented = format!("// #![deny({all})]\n");
        let findings = check_determinism(&Tree::of(&[(path, &commented)]), path);
        assert_eq!(
            findings.len(),
            DETERMINISM_LINTS.len(),
            "a comment denies nothing"
        );
    }

    #[test]
    fn a_shader_outside_the_table_is_found() {
        let include = concat!("const A: &str = include_str!(\"../x.wg", "sl\");\n");
        let tree = Tree::of(&[
            (KERNEL_TABLE, include),
            ("crates/node/src/a.rs", include),
            (concat!("shaders/kernels/x.wg", "sl"), "// Adds.\n"),
            (concat!("shaders/kernels/y.wg", "sl"), "// Adds.\n"),
        ]);
        let found = [
            (concat!("shaders/kernels/y.wg", "sl"), 1, "kernel-table"),
            ("crates/node/src/a.rs", 1, "kernel-table"),
        ];
        assert_eq!(rules(&check_shaders(&tree)), found);
    }
}

//! A dependency that no source of its package names is built for nothing.

use crate::Finding;
use crate::lex::has_word;
use crate::manifests::OWN_WORKSPACES;
use crate::tree::{SourceFile, Tree};

/// Named by no source, and needed all the same: manifest, dependency, reason.
const NEEDED: &[(&str, &str, &str)] = &[
    (
        GPU,
        "serde_json",
        "its tests take in a module of crypto's by its path",
    ),
    (
        GPU,
        "flate2",
        "its tests take in a module of crypto's by its path",
    ),
    (
        GPU,
        "curve25519-dalek",
        "its tests take in a module of crypto's by its path",
    ),
];
const GPU: &str = "crates/gpu/Cargo.toml";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let apart = |path: &str| OWN_WORKSPACES.iter().any(|own| path.starts_with(own));
    let manifests: Vec<&SourceFile> = tree
        .files
        .iter()
        .filter(|file| file.name() == "Cargo.toml" && !apart(&file.path))
        .collect();
    let folders: Vec<&str> = manifests.iter().map(|file| folder_of(file)).collect();
    let mut findings = Vec::new();
    for manifest in &manifests {
        let folder = folder_of(manifest);
        // The nearest manifest above a source is that of its package.
        let is_ours = |path: &str| {
            let above = folders.iter().filter(|other| path.starts_with(**other));
            !apart(path) && above.max_by_key(|other| other.len()) == Some(&folder)
        };
        let sources: Vec<&SourceFile> = tree
            .rust_files()
            .filter(|file| is_ours(&file.path))
            .collect();
        for (line_number, name) in dependencies(manifest) {
            let word = name.replace('-', "_");
            let is_named = sources.iter().any(|file| has_word(&file.code, &word));
            let is_needed = NEEDED
                .iter()
                .any(|(path, needed, _)| *path == manifest.path && *needed == name);
            if !is_named && !is_needed {
                let message = format!("no source of this package names {name}; take it out");
                findings.push(Finding::at(&manifest.path, line_number, "unused", message));
            }
        }
    }
    findings
}

/// With its slash; empty for the root's.
fn folder_of(manifest: &SourceFile) -> &str {
    manifest.path.strip_suffix("Cargo.toml").unwrap_or_default()
}

/// Each dependency of the package with its line, in all sections but the workspace's.
fn dependencies(manifest: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let mut is_section = false;
    manifest
        .text_lines()
        .filter_map(move |(line_number, line)| {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.starts_with('[') {
                let section = line.trim_matches(['[', ']']);
                is_section = !section.starts_with("workspace") && section.ends_with("dependencies");
                return None;
            }
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            (is_section && !name.is_empty()).then_some((line_number, name))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn a_dependency_that_no_source_of_its_package_names_is_found() {
        let root = "[workspace.dependencies]\nbytes = \"1\"\n[dependencies]\n\
                    bytes.workspace = true\nserde_json.workspace = true\n";
        let inner = "[dependencies]\nbytes = { workspace = true }\n\
                     [target.'cfg(unix)'.dev-dependencies]\ncrc32fast.workspace = true\n\
                     clearway-types.workspace = true\n";
        let tree = Tree::of(&[
            ("Cargo.toml", root),
            ("tools/main.rs", "use bytes::Bytes;\n// serde_json\n"),
            ("crates/a/Cargo.toml", inner),
            (
                "crates/a/src/lib.rs",
                "use clearway_types::x;\nfn f() { serde_json::y() }\n",
            ),
            ("crates/a/tests/b.rs", "use crc32fast::hash;\n"),
            (
                "tests/fuzz/Cargo.toml",
                "[dependencies]\nlibfuzzer-sys = \"0.4\"\n",
            ),
        ]);
        let found = [
            ("Cargo.toml", 5, "unused"),
            ("crates/a/Cargo.toml", 2, "unused"),
        ];
        assert_eq!(rules(&check(&tree)), found);
    }
}

//! Manifests: the shared lints are on everywhere, and versions stand in one place.

use crate::Finding;
use crate::tree::{SourceFile, Tree};

/// Workspaces of their own, which can inherit nothing: cargo-fuzz needs one, and the rivals of a
/// bench are built with other flags and versions.
pub(crate) const OWN_WORKSPACES: &[&str] = &["benches/rivals/", "tests/fuzz/"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let apart = |path: &str| OWN_WORKSPACES.iter().any(|own| path.starts_with(own));
    let manifests = tree
        .files
        .iter()
        .filter(|file| file.name() == "Cargo.toml" && !apart(&file.path));
    manifests.flat_map(check_manifest).collect()
}

fn check_manifest(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut section = String::new();
    let mut lints_inherited = false;
    for (line_number, line) in file.text_lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if section == "lints" && line.replace(' ', "") == "workspace=true" {
            lints_inherited = true;
        } else if is_dependency_section(&section) && line.contains('=') && !is_inherited(line) {
            findings.push(Finding::at(
                &file.path,
                line_number,
                "workspace-dependency",
                "name the version once, in the root's [workspace.dependencies], and write \
                 `name.workspace = true` here",
            ));
        }
    }
    if !lints_inherited {
        findings.push(Finding::at(
            &file.path,
            1,
            "workspace-lints",
            "add `[lints]` with `workspace = true`",
        ));
    }
    findings
}

fn is_dependency_section(section: &str) -> bool {
    !section.starts_with("workspace") && section.ends_with("dependencies")
}

fn is_inherited(line: &str) -> bool {
    let line = line.replace(' ', "");
    line.contains("workspace=true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn a_manifest_must_inherit_lints_and_versions() {
        let good = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n[dependencies]\n\
                    bytes.workspace = true\nb = { workspace = true, features = [\"x\"] }\n";
        let bad = "[package]\nname = \"b\"\n[dependencies]\nbytes = \"1\"\n\
                   [target.'cfg(unix)'.dev-dependencies]\nx = { version = \"1\" }\n";
        let root = "[workspace.dependencies]\nbytes = \"1\"\n[lints]\nworkspace = true\n";
        let tree = Tree::of(&[
            ("Cargo.toml", root),
            ("crates/a/Cargo.toml", good),
            ("crates/b/Cargo.toml", bad),
            ("tests/fuzz/Cargo.toml", bad),
            ("benches/rivals/Cargo.toml", bad),
        ]);
        assert_eq!(
            rules(&check(&tree)),
            [
                ("crates/b/Cargo.toml", 4, "workspace-dependency"),
                ("crates/b/Cargo.toml", 6, "workspace-dependency"),
                ("crates/b/Cargo.toml", 1, "workspace-lints"),
            ]
        );
    }
}

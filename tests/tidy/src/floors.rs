//! Lowest versions that may stand in `Cargo.lock`, for faults that an advisory list may not know.

use crate::Finding;
use crate::tree::Tree;
use cargo_metadata::semver::Version;

/// Package, lowest version allowed, and why. Advisories checked as of July 2026.
const FLOORS: &[(&str, Version, &str)] = &[
    (
        "quinn-proto",
        Version::new(0, 11, 14),
        "CVE-2026-31812: one packet ends the process",
    ),
    (
        "curve25519-dalek",
        Version::new(4, 1, 3),
        "timing of scalar subtraction, RUSTSEC-2024-0344",
    ),
    (
        "ed25519-dalek",
        Version::new(2, 0, 0),
        "double public key signing, RUSTSEC-2022-0093",
    ),
    (
        "rustls",
        Version::new(0, 23, 18),
        "panic on a fragmented hello, RUSTSEC-2024-0399",
    ),
];

/// Packages that may not stand in `Cargo.lock` at all, and what to use instead.
const BANNED: &[(&str, &str)] = &[("memmap", "it is unmaintained; use memmap2")];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files
        .iter()
        .filter(|file| file.name() == "Cargo.lock")
        .flat_map(|file| check_lock(&file.path, &file.text))
        .collect()
}

fn check_lock(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut name = "";
    for (index, line) in text.lines().enumerate() {
        let at = |message| Finding::at(path, index + 1, "floor", message);
        if let Some(value) = quoted(line, "name = ") {
            name = value;
            if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
                findings.push(at(format!("{name} may not be used: {why}")));
            }
        } else if let Some(value) = quoted(line, "version = ") {
            let Some((_, floor, why)) = FLOORS.iter().find(|(listed, _, _)| *listed == name) else {
                continue;
            };
            if Version::parse(value).map_or(true, |version| version < *floor) {
                findings.push(at(format!(
                    "{name} {value} lies below the floor {floor} ({why}); run `cargo update {name}`"
                )));
            }
        }
    }
    findings
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key).map(|value| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    fn lock(name: &str, version: &str) -> String {
        format!("version = 4\n\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")
    }

    #[test]
    fn a_version_below_its_floor_is_found_and_one_at_the_floor_is_not() {
        let rows = [
            ("quinn-proto", "0.11.13", 1),
            ("quinn-proto", "0.11.14", 0),
            ("quinn-proto", "0.11.14-beta.1", 1),
            ("quinn-proto", "nonsense", 1),
            ("rustls", "0.23.17", 1),
            ("rustls", "0.24.0", 0),
            ("curve25519-dalek", "4.1.2", 1),
            ("ed25519-dalek", "1.0.1", 1),
            ("memmap", "0.7.0", 1),
            ("memmap2", "0.1.0", 0),
        ];
        for (name, version, finding_count) in rows {
            let tree = Tree::of(&[("Cargo.lock", &lock(name, version))]);
            let findings = check(&tree);
            assert_eq!(
                rules(&findings).len(),
                finding_count,
                "{name} {version}: {findings:?}"
            );
        }
    }
}

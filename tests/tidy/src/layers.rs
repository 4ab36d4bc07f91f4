//! Layer ranks, and who may name which engine: checked over `cargo metadata`.

use crate::{Finding, TidyError};
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::path::Path;

/// Each package's layer. A package depends only on lower layers, never sideways.
/// `crates/README.md` draws the same picture.
const RANKS: &[(&str, u8)] = &[
    ("clearway-types", 0),
    ("clearway-flow", 1),
    ("clearway-crypto", 1),
    ("clearway-quic", 1),
    ("clearway-gpu", 2),
    ("clearway-client", 2),
    ("clearway-ingest", 3),
    ("clearway-verify", 3),
    ("clearway-order", 3),
    ("clearway-execute", 3),
    ("clearway-store", 3),
    ("clearway-node", 4),
    ("clearway-load", 5),
    ("clearway-replay", 5),
    ("clearway-tidy", 5),
    ("clearway-harness", 6),
    ("clearway-dev", 6),
    ("clearway", 7),
];

/// From this rank on stand tools and tests; the engine rule binds what lies below.
const RANK_OF_TOOLS: u8 = 5;

/// What only some packages may name: dependency (a trailing `*` stands for any ending), the
/// packages below the tools that may, and whether tools and tests may too.
const ENGINES: &[(&str, &[&str], bool)] = &[
    (
        "quinn*",
        &[
            "clearway-quic",
            "clearway-client",
            "clearway-ingest",
            "clearway-order",
            "clearway-node",
        ],
        true,
    ),
    ("rustls*", &["clearway-quic"], true),
    (
        "tokio*",
        &[
            "clearway-client",
            "clearway-ingest",
            "clearway-order",
            "clearway-node",
        ],
        true,
    ),
    ("axum*", &["clearway-node"], true),
    ("prometheus-client", &["clearway-node"], false),
    ("commonware-*", &["clearway-order"], false),
    ("wgpu*", &["clearway-gpu"], false),
    ("naga*", &["clearway-gpu"], false),
    ("memmap2", &["clearway-store"], false),
    ("ed25519-*", &["clearway-crypto"], true),
    ("blst", &["clearway-crypto"], true),
];

/// A workspace package with what it says it depends on.
#[derive(Debug)]
pub(crate) struct PackageDeps {
    name: String,
    manifest: String,
    /// Name of the dependency, and whether it is for tests alone.
    deps: Vec<(String, bool)>,
}

/// Reads the workspace's packages; resolves nothing, so it needs no network.
pub(crate) fn read_packages(root: &Path) -> Result<Vec<PackageDeps>, TidyError> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let packages = metadata.packages.iter().map(|package| PackageDeps {
        name: package.name.to_string(),
        manifest: package
            .manifest_path
            .strip_prefix(&metadata.workspace_root)
            .unwrap_or(&package.manifest_path)
            .to_string(),
        deps: package
            .dependencies
            .iter()
            .map(|dep| (dep.name.clone(), dep.kind == DependencyKind::Development))
            .collect(),
    });
    Ok(packages.collect())
}

pub(crate) fn check(packages: &[PackageDeps]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let at = |rule, message: String| Finding::at(&package.manifest, 1, rule, message);
        let Some(rank) = rank_of(&package.name) else {
            findings.push(at(
                "layer",
                format!(
                    "{} has no layer; give it one in tests/tidy/src/layers.rs",
                    package.name
                ),
            ));
            continue;
        };
        for (dep, for_tests) in &package.deps {
            if let Some(message) = layer_fault(&package.name, rank, dep, *for_tests) {
                findings.push(at("layer", message));
            }
            if let Some(message) = engine_fault(&package.name, rank, dep) {
                findings.push(at("engine", message));
            }
        }
    }
    findings
}

fn rank_of(name: &str) -> Option<u8> {
    RANKS
        .iter()
        .find(|(package, _)| *package == name)
        .map(|(_, rank)| *rank)
}

fn layer_fault(package: &str, rank: u8, dep: &str, for_tests: bool) -> Option<String> {
    let dep_rank = rank_of(dep)?;
    // The harness stands above the crates that it drives, and their tests may still call it.
    let is_test_help = for_tests && dep == "clearway-harness";
    (dep_rank >= rank && !is_test_help).then(|| {
        format!(
            "{package} (layer {rank}) depends on {dep} (layer {dep_rank}); depend downwards only: \
             move what both need into a lower crate, or let the node hand it in"
        )
    })
}

fn engine_fault(package: &str, rank: u8, dep: &str) -> Option<String> {
    let (pattern, allowed, tools_too) = ENGINES
        .iter()
        .find(|(pattern, _, _)| pattern_covers(pattern, dep))?;
    let is_allowed = allowed.contains(&package) || (*tools_too && rank >= RANK_OF_TOOLS);
    (!is_allowed).then(|| {
        format!(
            "{package} names {dep}, but {pattern} belongs to {} alone; go through their interface",
            allowed.join(", ")
        )
    })
}

fn pattern_covers(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |stem| name.starts_with(stem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    fn package(name: &str, deps: &[(&str, bool)]) -> PackageDeps {
        PackageDeps {
            name: name.into(),
            manifest: format!("{name}.toml"),
            deps: deps
                .iter()
                .map(|&(dep, for_tests)| (dep.into(), for_tests))
                .collect(),
        }
    }

    #[test]
    fn each_forbidden_edge_is_found_and_each_allowed_one_is_not() {
        let rows: &[(&str, &str, bool, Option<&str>)] = &[
            ("clearway-types", "clearway-flow", false, Some("layer")),
            ("clearway-flow", "clearway-crypto", false, Some("layer")),
            ("clearway-verify", "clearway-order", false, Some("layer")),
            ("clearway-verify", "clearway-order", true, Some("layer")),
            ("clearway-store", "clearway-node", false, Some("layer")),
            ("clearway-ingest", "clearway-client", false, None),
            ("clearway-store", "clearway-harness", true, None),
            ("clearway-store", "clearway-harness", false, Some("layer")),
            ("clearway-execute", "tokio", false, Some("engine")),
            ("clearway-execute", "tokio-util", true, Some("engine")),
            (
                "clearway-node",
                "commonware-consensus",
                false,
                Some("engine"),
            ),
            ("clearway-replay", "commonware-codec", false, Some("engine")),
            ("clearway-order", "commonware-consensus", false, None),
            ("clearway-crypto", "wgpu", false, Some("engine")),
            ("clearway-load", "tokio", false, None),
            ("clearway-node", "prometheus-client", false, None),
            (
                "clearway-harness",
                "prometheus-client",
                false,
                Some("engine"),
            ),
            ("clearway-store", "bytes", false, None),
            ("clearway-novelty", "bytes", false, Some("layer")),
        ];
        for &(name, dep, for_tests, rule) in rows {
            let findings = check(&[package(name, &[(dep, for_tests)])]);
            let fired: Vec<&str> = rules(&findings).into_iter().map(|(_, _, r)| r).collect();
            assert_eq!(
                fired,
                rule.into_iter().collect::<Vec<_>>(),
                "{name} -> {dep}"
            );
        }
    }
}

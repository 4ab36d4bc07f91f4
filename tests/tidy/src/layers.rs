//! Layer ranks, and who may name which engine: checked over `cargo metadata`, and what the page and
//! the manifest say of them.

use crate::tree::Tree;
use crate::{Finding, TidyError};
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::path::Path;

/// Each package's layer. A package depends only on lower layers, never sideways.
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
    ("clearway-profile", 5),
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
        &["clearway-quic", "clearway-client", "clearway-ingest"],
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
    ("hyper*", &["clearway-node"], true),
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

/// Where the layers and engines are shown to people.
pub(crate) const PAGE: &str = "crates/README.md";
/// Where each member's layer stands beside it.
const MANIFEST: &str = "Cargo.toml";

/// The tables of the page and the comments of the manifest say what the lists above say.
pub(crate) fn check_said(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let said = [(PAGE, rank_on_page as Said), (MANIFEST, rank_in_manifest)];
    for (path, rank_said) in said {
        let lines = tree
            .file(path)
            .into_iter()
            .flat_map(|file| file.text_lines());
        let mut seen = Vec::new();
        for (line_number, line) in lines {
            let Some((name, rank)) = rank_said(line) else {
                continue;
            };
            let package = format!("clearway-{name}");
            if rank_of(&package) != Some(rank) {
                let message =
                    format!("{name} is not in layer {rank}; see tests/tidy/src/layers.rs");
                findings.push(Finding::at(path, line_number, "layer-said", message));
            }
            seen.push(package);
        }
        let crates = RANKS.iter().filter(|(_, rank)| *rank < RANK_OF_TOOLS);
        for (package, rank) in crates.filter(|(package, _)| !seen.iter().any(|s| s == package)) {
            let message = format!("{package} of layer {rank} is missing from the list of layers");
            findings.push(Finding::at(path, 1, "layer-said", message));
        }
    }
    findings.extend(check_engines_said(tree));
    findings
}

/// Reads a crate's name and layer from a line.
type Said = fn(&str) -> Option<(&str, u8)>;

/// As in: | 0 | `types` | the words | ...
fn rank_on_page(line: &str) -> Option<(&str, u8)> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let rank = cells.next()?.parse().ok()?;
    let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    Some((name, rank))
}

/// As in: "crates/types",   # L0 the words
fn rank_in_manifest(line: &str) -> Option<(&str, u8)> {
    let (member, comment) = line.trim().strip_prefix("\"crates/")?.split_once("\",")?;
    let rank = comment.trim().strip_prefix("# L")?.split(' ').next()?;
    Some((member, rank.parse().ok()?))
}

/// Each engine has a row of the page with those that may name it, and no others.
fn check_engines_said(tree: &Tree) -> Vec<Finding> {
    let lines = tree
        .file(PAGE)
        .into_iter()
        .flat_map(|file| file.text_lines());
    let rows: Vec<(usize, Vec<&str>, &str)> = lines
        .filter_map(|(line_number, line)| {
            let (engines, holders) = line.strip_prefix('|')?.strip_suffix('|')?.split_once('|')?;
            Some((line_number, quoted(engines), holders))
        })
        .collect();
    let mut findings = Vec::new();
    for (engine, packages, tools_too) in ENGINES {
        let row = rows.iter().find(|(_, engines, _)| engines.contains(engine));
        let Some((line_number, _, holders)) = row else {
            let message = format!("{engine} has no row in the table of dependencies");
            findings.push(Finding::at(PAGE, 1, "engine-said", message));
            continue;
        };
        let wanted: Vec<&str> = packages
            .iter()
            .filter_map(|package| package.strip_prefix("clearway-"))
            .collect();
        if quoted(holders) != wanted || holders.contains("tools and tests") != *tools_too {
            let tools = if *tools_too {
                ", and tools and tests"
            } else {
                " alone"
            };
            let message = format!("{engine} belongs to `{}`{tools}", wanted.join("`, `"));
            findings.push(Finding::at(PAGE, *line_number, "engine-said", message));
        }
    }
    findings
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
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

    /// Page and manifest as the lists want them.
    fn said() -> (Vec<String>, Vec<String>) {
        let crates = RANKS.iter().filter(|(_, rank)| *rank < RANK_OF_TOOLS);
        let names =
            crates.map(|(name, rank)| (name.strip_prefix("clearway-").unwrap_or(name), rank));
        let (mut page, mut manifest) = (Vec::new(), Vec::new());
        for (name, rank) in names {
            page.push(format!(
                "| {rank} | `{name}` | what it holds | what never |"
            ));
            manifest.push(format!("  \"crates/{name}\", # L{rank} what it holds"));
        }
        for (engine, packages, tools_too) in ENGINES {
            let tools = if *tools_too {
                ", and tools and tests"
            } else {
                ""
            };
            let holders = packages.join("`, `").replace("clearway-", "");
            page.push(format!("| what it is: `{engine}` | `{holders}`{tools} |"));
        }
        (page, manifest)
    }

    fn said_rules(page: &[String], manifest: &[String]) -> Vec<&'static str> {
        let (page, manifest) = (page.join("\n"), manifest.join("\n"));
        let findings = check_said(&Tree::of(&[(PAGE, &page), (MANIFEST, &manifest)]));
        findings.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_page_or_manifest_that_says_something_else_is_found() {
        let (page, manifest) = said();
        assert_eq!(said_rules(&page, &manifest), [""; 0]);
        for index in 0..page.len() {
            let rule = match page[index].contains("what it holds") {
                true => "layer-said",
                false => "engine-said",
            };
            let mut fewer = page.clone();
            fewer.remove(index);
            assert_eq!(
                said_rules(&fewer, &manifest),
                [rule],
                "without {}",
                page[index]
            );
            let mut other = page.clone();
            other[index] = match rule {
                "layer-said" => other[index].replacen("| ", "| 9", 1),
                _ => other[index].replace(" | `", " | `verify`, `"),
            };
            assert_eq!(said_rules(&other, &manifest), [rule], "{}", other[index]);
        }
        for index in 0..manifest.len() {
            let mut other = manifest.clone();
            other[index] = other[index].replace("# L", "# L9");
            assert_eq!(
                said_rules(&page, &other),
                ["layer-said"],
                "{}",
                other[index]
            );
        }
    }
}

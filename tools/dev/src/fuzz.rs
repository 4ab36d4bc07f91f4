//! `cargo dev fuzz`: every cargo-fuzz target for a while, on the nightly toolchain.

use crate::cargo;
use crate::error::DevError;
use std::path::Path;
use std::process::Stdio;

/// Where the targets lie: one file each, the file's stem is the target's name.
const TARGETS: &str = "tests/fuzz/fuzz_targets";

/// Runs the named targets, or all, for `seconds` each; stops at the first finding.
pub(crate) fn run(root: &Path, seconds: u64, names: &[String]) -> Result<(), DevError> {
    let known = targets(root)?;
    let chosen = if names.is_empty() {
        known.clone()
    } else {
        names.to_vec()
    };
    for name in &chosen {
        if !known.contains(name) {
            let known = known.join(", ");
            return Err(DevError::FuzzTargetUnknown {
                name: name.clone(),
                known,
            });
        }
    }
    let mut probe = cargo::nightly(root, &["fuzz", "--version"]);
    let is_there = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) {
        return Err(DevError::FuzzMissing);
    }
    let limit = format!("-max_total_time={seconds}");
    for name in &chosen {
        println!("==> fuzz {name} for {seconds} s");
        let args = [
            "fuzz",
            "run",
            "--fuzz-dir",
            "tests/fuzz",
            name,
            "--",
            &limit,
        ];
        let status =
            cargo::nightly(root, &args)
                .status()
                .map_err(|source| DevError::NotStarted {
                    command: "cargo fuzz".into(),
                    source,
                })?;
        if !status.success() {
            return Err(DevError::FuzzFinding { name: name.clone() });
        }
    }
    Ok(())
}

/// Names of the targets, sorted.
fn targets(root: &Path) -> Result<Vec<String>, DevError> {
    let folder = root.join(TARGETS);
    let unreadable = |source| DevError::File {
        path: folder.clone(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

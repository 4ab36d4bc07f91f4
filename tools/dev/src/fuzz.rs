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
    for name in &chosen {
        run_target(root, seconds, name)?;
    }
    Ok(())
}

/// Builds one target, then runs it; the feature of its name brings the crates that it needs.
fn run_target(root: &Path, seconds: u64, name: &str) -> Result<(), DevError> {
    println!("==> fuzz {name} for {seconds} s");
    let chosen = ["--fuzz-dir", "tests/fuzz", "--features", name, name];
    let limit = format!("-max_total_time={seconds}");
    if !cargo_fuzz(root, "build", &chosen, &[])? {
        return Err(DevError::FuzzNotBuilt {
            name: name.to_owned(),
        });
    }
    if !cargo_fuzz(root, "run", &chosen, &["--", &limit])? {
        return Err(DevError::FuzzFinding {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// Runs `cargo fuzz` and says whether it succeeded.
fn cargo_fuzz(
    root: &Path,
    action: &str,
    chosen: &[&str],
    options: &[&str],
) -> Result<bool, DevError> {
    let args: Vec<&str> = ["fuzz", action]
        .iter()
        .chain(chosen)
        .chain(options)
        .copied()
        .collect();
    let command = format!("cargo +nightly {}", args.join(" "));
    let status = cargo::nightly(root, &args).status();
    status
        .map(|status| status.success())
        .map_err(DevError::not_started(command))
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

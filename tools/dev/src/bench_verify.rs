//! `cargo dev bench-verify`: our verification and the rivals', in turn in one run.

mod join;

use crate::cargo;
use crate::error::DevError;
use crate::shared::digest;
use cargo_metadata::MetadataCommand;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How much is compared, and where the result goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Comparison {
    /// Few rows: ends within a minute, after the builds.
    #[arg(long)]
    quick: bool,
    /// Write the rows and how both programs were built as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Further options of `clearway bench verify`, behind `--`.
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// The rivals' own package, outside the workspace, and its folder for what is built.
const RIVALS: &str = "benches/rivals/Cargo.toml";
const RIVALS_LOCK: &str = "benches/rivals/Cargo.lock";
const RIVALS_TARGET: &str = "rivals";
/// The crates that are compared with.
const RIVAL_CRATES: &[&str] = &[
    "ed25519-zebra",
    "ed25519-dalek",
    "ed25519-simd",
    "curve25519-dalek",
];
/// With the processor's own instructions, each at its best: they choose AVX-512 when it is built.
const RIVAL_FLAGS: &str = "-C target-cpu=native";
/// What the manifest of the rivals says besides.
const RIVAL_PROFILE: &[(&str, &str)] = &[
    ("lto", "\"fat\""),
    ("codegen-units", "1"),
    ("panic", "\"abort\""),
];

/// Builds both programs, measures, and prints every row beside the best rival.
pub(crate) fn run(root: &Path, comparison: &Comparison) -> Result<(), DevError> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let target = metadata.target_directory.into_std_path_buf();
    let own_flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    build_ours(root)?;
    build_rivals(root, &target.join(RIVALS_TARGET))?;
    let path = target.join("bench-verify.json");
    measure(&target, &path, comparison)?;
    let mut report = read(&path)?;
    digest::check(&report).map_err(|fault| DevError::Report {
        path: path.clone(),
        fault: fault.to_string(),
    })?;
    let rival_flags = rival_flags();
    join::join(&mut report, &own_flags, &rival_flags).map_err(|fault| DevError::Report {
        path: path.clone(),
        fault,
    })?;
    report["builds"] = json!({
        "clearway": { "flags": own_flags, "command": command_line(&OURS) },
        "rivals": { "flags": rival_flags, "versions": versions(&read_text(root, RIVALS_LOCK)?) },
    });
    if let Some(report) = report.as_object_mut() {
        digest::seal(report);
    }
    println!("{}", join::table(&report));
    if let Some(path) = &comparison.json {
        write(path, &report)?;
    }
    Ok(())
}

const OURS: [&str; 4] = ["build", "--release", "--bin", "clearway"];

fn build_ours(root: &Path) -> Result<(), DevError> {
    cargo::finished("build", cargo::command(root, &OURS), &command_line(&OURS))
}

fn build_rivals(root: &Path, target: &Path) -> Result<(), DevError> {
    let target = target.to_string_lossy();
    let args = [
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        RIVALS,
        "--target-dir",
        &target,
    ];
    let mut command = cargo::command(root, &args);
    // The flags bind this build alone; ours runs on machines that it was not built on.
    command
        .env("RUSTFLAGS", RIVAL_FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let shown = format!("RUSTFLAGS='{RIVAL_FLAGS}' {}", command_line(&args));
    cargo::finished("build of the rivals", command, &shown)
}

fn measure(target: &Path, json: &Path, comparison: &Comparison) -> Result<(), DevError> {
    let program = target.join("release").join("clearway");
    let rivals = target
        .join(RIVALS_TARGET)
        .join("release")
        .join("clearway-rivals");
    let mut command = Command::new(&program);
    command.args(["bench", "verify", "--json"]).arg(json);
    command.arg("--rivals").arg(&rivals);
    if comparison.quick {
        command.arg("--quick");
    }
    // Its table has no ratios yet.
    command.args(&comparison.options).stdout(Stdio::null());
    let (program, rivals) = (program.display(), rivals.display());
    let shown = format!("{program} bench verify --rivals {rivals}");
    cargo::finished("bench verify", command, &shown)
}

fn command_line(args: &[&str]) -> String {
    format!("cargo {}", args.join(" "))
}

/// The flags of the rivals and what their manifest says, as a row carries them.
fn rival_flags() -> String {
    let profile = RIVAL_PROFILE.iter();
    let profile = profile.map(|(name, value)| format!("{name}={}", value.trim_matches('"')));
    let parts: Vec<String> = std::iter::once(RIVAL_FLAGS.to_owned())
        .chain(profile)
        .collect();
    parts.join(" ")
}

/// Versions of the rivals, from the lines of a lock file.
fn versions(lock: &str) -> Value {
    let mut versions = json!({});
    let lines: Vec<&str> = lock.lines().collect();
    for pair in lines.windows(2) {
        let quoted = |line: &str, field: &str| {
            let value = line.strip_prefix(field)?.strip_prefix(" = ")?;
            Some(value.trim_matches('"').to_owned())
        };
        if let (Some(name), Some(version)) = (quoted(pair[0], "name"), quoted(pair[1], "version"))
            && RIVAL_CRATES.contains(&name.as_str())
        {
            versions[name] = json!(version);
        }
    }
    versions
}

fn read(path: &Path) -> Result<Value, DevError> {
    let text = fs::read_to_string(path).map_err(|source| DevError::File {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|error| DevError::Report {
        path: path.to_owned(),
        fault: error.to_string(),
    })
}

fn read_text(root: &Path, name: &str) -> Result<String, DevError> {
    let path = root.join(name);
    fs::read_to_string(&path).map_err(|source| DevError::File { path, source })
}

fn write(path: &Path, report: &Value) -> Result<(), DevError> {
    let text = format!("{report:#}\n");
    fs::write(path, text).map_err(|source| DevError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn the_flags_of_a_row_are_those_of_the_manifest() {
        let manifest = read_text(&root(), RIVALS).expect("it is there");
        let profile = manifest.split("[profile.release]").nth(1);
        let profile = profile.expect("it has a release profile");
        for (name, value) in RIVAL_PROFILE {
            let line = format!("\n{name} = {value}\n");
            assert!(profile.contains(&line), "{name} in {profile}");
        }
        let expected = "-C target-cpu=native lto=fat codegen-units=1 panic=abort";
        assert_eq!(rival_flags(), expected);
    }

    #[test]
    fn every_rival_has_one_locked_version() {
        let versions = versions(&read_text(&root(), RIVALS_LOCK).expect("it is there"));
        for name in RIVAL_CRATES {
            assert!(versions[name].is_string(), "{name} in {versions}");
        }
        let major = |name: &str| versions[name].as_str().and_then(|text| text.chars().next());
        assert_eq!(major("ed25519-zebra"), Some('5'));
        assert_eq!(major("ed25519-dalek"), Some('3'));
    }
}

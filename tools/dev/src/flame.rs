//! `cargo dev flame`: where one stage spends its processor time in a bench run that is always the
//! same.

use crate::cargo;
use crate::error::DevError;
use cargo_metadata::MetadataCommand;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which stage, and compared with what.
#[derive(Debug, clap::Args)]
pub(crate) struct Flame {
    /// Stage as its threads are named: ingest, verify, order, execute, store, load or another;
    /// every thread without it.
    stage: Option<String>,
    /// Draw what changed since this .folded profile, which an earlier run wrote.
    #[arg(long, value_name = "OLD.folded")]
    diff: Option<PathBuf>,
    /// Folder of the pictures; `flame` in the target folder without it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The run: the same payments, keys and settings each time.
const RUN: &[&str] = &["clearway", "bench", "--quick"];
/// The name where no stage is.
const ALL: &str = "all";

/// Builds the program in release and profiles the run: a flame graph, and its stacks for `--diff`.
pub(crate) fn run(root: &Path, flame: &Flame) -> Result<(), DevError> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let target = metadata.target_directory.into_std_path_buf();
    let out = flame.out.clone().unwrap_or_else(|| target.join("flame"));
    fs::create_dir_all(&out).map_err(|source| DevError::File {
        path: out.clone(),
        source,
    })?;
    let build = ["build", "--release", "--bin", "clearway"];
    let shown = "cargo build --release --bin clearway";
    cargo::finished("build", cargo::command(root, &build), shown)?;
    let mut command = Command::new(target.join("release").join("clearway"));
    command.args(arguments(flame, &out)).stdin(Stdio::null());
    let shown = format!("{command:?}");
    cargo::finished("flame", command, &shown)
}

/// What the program is called with.
fn arguments(flame: &Flame, out: &Path) -> Vec<String> {
    let name = flame.stage.as_deref().unwrap_or(ALL);
    let file = |ending: &str| out.join(format!("{name}.{ending}")).display().to_string();
    let mut words = vec!["profile".to_owned()];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    option("--out", file("svg"));
    option("--out", file("folded"));
    if let Some(stage) = &flame.stage {
        option("--stage", stage.clone());
    }
    if let Some(old) = &flame.diff {
        option("--diff", old.display().to_string());
    }
    words.push("--".to_owned());
    words.extend(RUN.iter().map(|word| (*word).to_owned()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_has_its_files_and_a_diff_its_old_profile() {
        let flame = |stage: Option<&str>, diff: Option<&str>| Flame {
            stage: stage.map(str::to_owned),
            diff: diff.map(PathBuf::from),
            out: None,
        };
        let rows = [
            (
                flame(None, None),
                "profile --out d/all.svg --out d/all.folded -- clearway bench --quick",
            ),
            (
                flame(Some("verify"), Some("old.folded")),
                "profile --out d/verify.svg --out d/verify.folded --stage verify \
                 --diff old.folded -- clearway bench --quick",
            ),
        ];
        for (flame, expected) in rows {
            assert_eq!(arguments(&flame, Path::new("d")).join(" "), expected);
        }
    }
}

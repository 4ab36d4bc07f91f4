//! Starting cargo from a program that cargo itself started.

use crate::error::DevError;
use std::path::Path;
use std::process::{Command, Stdio};

/// What `cargo run` sets for the program that it runs. Passed on, it makes build scripts that watch
/// the environment run again, and so builds things twice.
const INHERITED_PREFIXES: &[&str] = &[
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_PRIMARY_",
];

/// A cargo command that runs in `root` as if a person had typed it there.
pub(crate) fn command(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    without_inherited(command.args(args).current_dir(root));
    command
}

/// Takes from a command what cargo told this program of itself.
pub(crate) fn without_inherited(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if is_inherited(&name) {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// Whether this machine's cargo has a subcommand that does not come with it.
pub(crate) fn has(root: &Path, subcommand: &str) -> bool {
    let mut command = command(root, &[subcommand, "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Like [`command`], on the nightly toolchain whatever toolchain runs this program.
pub(crate) fn nightly(root: &Path, args: &[&str]) -> Command {
    let mut command = command(root, &["+nightly"]);
    command
        .args(args)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .env_remove("RUSTC");
    command
}

/// Runs a command to its end; `step` and what is shown of the command stand in the failure.
pub(crate) fn finished(
    step: &'static str,
    mut command: Command,
    shown: &str,
) -> Result<(), DevError> {
    let status = command
        .status()
        .map_err(DevError::not_started(shown.to_owned()))?;
    match status.success() {
        true => Ok(()),
        false => Err(DevError::StepFailed {
            step,
            command: shown.to_owned(),
        }),
    }
}

fn is_inherited(name: &str) -> bool {
    // Cargo's own library path for this program; no other program needs it.
    name == "LD_LIBRARY_PATH"
        || INHERITED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subcommand_is_there_or_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, is_there) in [("tree", true), ("no-such-subcommand", false)] {
            assert_eq!(has(root, name), is_there, "{name}");
        }
    }

    #[test]
    fn settings_of_the_user_stay_and_those_of_cargo_run_go() {
        for (name, gone) in [
            ("CARGO_PKG_NAME", true),
            ("CARGO_MANIFEST_DIR", true),
            ("LD_LIBRARY_PATH", true),
            ("CARGO_TARGET_DIR", false),
            ("CARGO_BUILD_JOBS", false),
            ("CARGO_HOME", false),
            ("PATH", false),
        ] {
            assert_eq!(is_inherited(name), gone, "{name}");
        }
    }
}

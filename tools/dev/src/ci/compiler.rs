//! This program as the compiler of our own crates: `cargo` calls it in place of `rustc`.
//!
//! Clippy's driver compiles, so that what is built for the tests is linted by the same pass. Then
//! rustdoc reads the crate with the arguments that the compiler had: `cargo doc` would check every
//! dependency once more for it, which takes longer than all tests of the crates.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

/// The folder that the pages go to; without it none are made.
const PAGES: &str = "DEV_CI_PAGES";

/// What makes cargo call this program, clippy with warnings as errors.
pub(crate) fn environment() -> Vec<(&'static str, OsString)> {
    let this = env::current_exe().map_or_else(|_| "clippy-driver".into(), OsString::from);
    vec![
        ("RUSTC_WORKSPACE_WRAPPER", this),
        ("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings".into()),
    ]
}

/// What has pages made beside.
pub(crate) fn with_pages(target_dir: &Path) -> (&'static str, OsString) {
    (PAGES, target_dir.join("doc").into())
}

/// The arguments from the compiler's name on, where cargo calls this program as the compiler.
pub(crate) fn called_as_compiler() -> Option<Vec<String>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let is_compiler = Path::new(args.first()?).file_stem()? == "rustc";
    is_compiler.then_some(args)
}

/// Compiles, then has the crate's pages made.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let mut compile = Command::new("clippy-driver");
    compile.args(args);
    let code = code_of(&mut compile);
    let (Some(pages), true) = (env::var_os(PAGES), code == 0) else {
        return ExitCode::from(code);
    };
    let is_program = env::var_os("CARGO_BIN_NAME").is_some();
    match pages_of(&args[1..], is_program) {
        Some(page_args) => {
            let mut document = Command::new(beside(&args[0], "rustdoc"));
            document.args(page_args).arg("--out-dir").arg(pages);
            ExitCode::from(code_of(&mut document))
        }
        None => ExitCode::SUCCESS,
    }
}

/// What rustdoc is called with, for each library and program of ours once: a library as it is
/// built for others, a program as it is built for its own tests, which each of them has.
fn pages_of(args: &[String], is_program: bool) -> Option<Vec<String>> {
    let source = args.iter().find(|arg| arg.ends_with(".rs"))?;
    let is_example = source.split('/').any(|part| part == "examples");
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let is_wanted = match has("--test") {
        true => is_program && !is_example,
        false => has("lib"),
    };
    if !is_wanted {
        return None;
    }
    let mut kept: Vec<String> = vec!["--document-private-items".into(), "-Dwarnings".into()];
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-C" | "--out-dir" => drop(args.next()),
            "--test" => {}
            _ if arg.starts_with("-C") || arg.starts_with("--emit") => {}
            _ => kept.push(arg.clone()),
        }
    }
    Some(kept)
}

/// Another program of the compiler's toolchain.
fn beside(compiler: &str, name: &str) -> PathBuf {
    Path::new(compiler).with_file_name(name)
}

/// The exit code; 1 where there is none.
fn code_of(command: &mut Command) -> u8 {
    let code = |status: ExitStatus| status.code().and_then(|code| u8::try_from(code).ok());
    match command.status() {
        Ok(status) => code(status).unwrap_or(1),
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            eprintln!("error: cannot start {program}: {error}; `rustup component add clippy`?");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(line: &str, is_program: bool) -> Option<String> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        pages_of(&args, is_program).map(|args| args.join(" "))
    }

    #[test]
    fn a_library_and_a_program_have_pages_once() {
        for (line, is_program, wanted) in [
            ("--crate-type lib src/lib.rs", false, true),
            ("--test src/lib.rs", false, false),
            ("--test src/main.rs", true, true),
            ("--crate-type bin src/main.rs", true, false),
            ("--crate-type bin build.rs", false, false),
            ("--test tests/conformance/main.rs", false, false),
            ("--test examples/pay.rs", true, false),
            ("--crate-type lib - --print=cfg", false, false),
        ] {
            assert_eq!(pages(line, is_program).is_some(), wanted, "{line}");
        }
    }

    #[test]
    fn rustdoc_gets_what_it_reads_and_nothing_that_writes() {
        let line = "--crate-name a --edition=2024 src/lib.rs --crate-type lib \
                    --emit=dep-info,metadata,link -C opt-level=1 -Cdebuginfo=1 --warn=missing_docs \
                    --cfg f --out-dir deps -L dependency=deps --extern b=deps/libb.rmeta";
        let kept = "--document-private-items -Dwarnings --crate-name a --edition=2024 src/lib.rs \
                    --crate-type lib --warn=missing_docs --cfg f -L dependency=deps \
                    --extern b=deps/libb.rmeta";
        assert_eq!(pages(line, false).as_deref(), Some(kept));
    }
}

//! `cargo dev ci`: the steps, each with its time.

mod binaries;
pub(crate) mod compiler;

use crate::cargo;
use crate::error::DevError;
use crate::perf;
use crate::tally::Tally;
use binaries::Binary;
use cargo_metadata::MetadataCommand;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

/// One check that is a cargo command.
struct Step {
    name: &'static str,
    args: &'static [&'static str],
}

/// After the house rules, which run in this process.
const FMT: Step = Step {
    name: "fmt",
    args: &["fmt", "--all", "--check"],
};

/// Everything is built, linted and documented once; see [`compiler`].
const BUILD: Step = Step {
    name: "build, clippy and docs",
    args: &[
        "test",
        "--workspace",
        "--all-targets",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ],
};

/// After the tests, with what was built for them.
const AFTER: &[Step] = &[
    // The program and `node` change: everything below them is built already. So do their choice of
    // devices and what they say of it, which these tests look at. The others have run with a GPU.
    Step {
        name: "tests without gpu",
        args: &[
            "test",
            "--workspace",
            "--no-default-features",
            "--test",
            "conformance",
            "--no-fail-fast",
            "--",
            "bench_verify::",
            "command_line::",
            "docs::",
            "node::",
        ],
    },
    Step {
        name: "doctests",
        args: &["test", "--workspace", "--doc", "--no-fail-fast"],
    },
];

/// What may stand in the dependency tree, where the machine has the tool. Advisories would need the
/// network.
const DENY: Step = Step {
    name: "deny",
    args: &["deny", "check", "bans", "licenses", "sources"],
};

/// Runs every step until one fails. The last line that anything prints is the tests' count.
pub(crate) fn run(root: &Path) -> ExitCode {
    let mut tally = Tally::default();
    let outcome = run_steps(root, &mut tally);
    if let Err(error) = &outcome {
        tally.failed_count = tally.failed_count.max(1);
        eprintln!("error: {error}");
    }
    println!("{tally}");
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_steps(root: &Path, tally: &mut Tally) -> Result<(), DevError> {
    timed("tidy", || tidy(root))?;
    if cargo::has(root, DENY.args[0]) {
        timed(DENY.name, || run_step(root, &DENY, tally))?;
    } else {
        println!("==> deny left out: `cargo install cargo-deny` brings it");
    }
    timed(FMT.name, || run_step(root, &FMT, tally))?;
    let tests = timed(BUILD.name, || build(root))?;
    timed("tests", || binaries::run(&tests, tally))?;
    for step in AFTER {
        timed(step.name, || run_step(root, step, tally))?;
    }
    Ok(())
}

/// Builds all that the tests need, with the pages of our crates.
fn build(root: &Path) -> Result<Vec<Binary>, DevError> {
    let target_dir = MetadataCommand::new().no_deps().exec()?.target_directory;
    let (name, pages) = compiler::with_pages(target_dir.as_std_path());
    let mut command = command(root, &BUILD);
    command.env(name, pages);
    let (mut child, said) = BUILD.start(command)?;
    let tests = binaries::read(root, said).map_err(DevError::output_lost(BUILD.shown()))?;
    BUILD.succeeded(child.wait())?;
    if tests.is_empty() {
        return Err(DevError::NoTests);
    }
    Ok(tests)
}

/// Prints what the house rules find; then, whether the pages of figures are current. Tests compare
/// the pages that are written from the code.
pub(crate) fn tidy(root: &Path) -> Result<(), DevError> {
    let findings = clearway_tidy::check(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        return Err(DevError::Findings {
            count: findings.len(),
        });
    }
    perf::check(root)
}

fn timed<T>(name: &str, step: impl FnOnce() -> Result<T, DevError>) -> Result<T, DevError> {
    println!("==> {name}");
    let started = Instant::now();
    let outcome = step();
    let word = if outcome.is_ok() { "ok" } else { "failed" };
    println!(
        "==> {name} {word} in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    outcome
}

/// Runs one cargo command, passing its output on and counting the tests in it.
fn run_step(root: &Path, step: &Step, tally: &mut Tally) -> Result<(), DevError> {
    let (mut child, output) = step.start(command(root, step))?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(DevError::output_lost(step.shown()))?;
        let line = String::from_utf8_lossy(&line);
        tally.on_line(&line);
        println!("{line}");
    }
    step.succeeded(child.wait())
}

/// Our crates are compiled alike in every step, or one would build what another has built.
fn command(root: &Path, step: &Step) -> Command {
    let mut command = cargo::command(root, step.args);
    command.envs(compiler::environment());
    command
}

impl Step {
    fn shown(&self) -> String {
        format!("cargo {}", self.args.join(" "))
    }

    /// The command and what it prints.
    fn start(&self, mut command: Command) -> Result<(Child, ChildStdout), DevError> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(DevError::not_started(self.shown()))?;
        let output = child.stdout.take().expect("it was started with a pipe");
        Ok((child, output))
    }

    fn succeeded(&self, status: io::Result<ExitStatus>) -> Result<(), DevError> {
        match status
            .map_err(DevError::output_lost(self.shown()))?
            .success()
        {
            true => Ok(()),
            false => Err(DevError::StepFailed {
                step: self.name,
                command: self.shown(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tested_without_gpu_are_modules_that_are_there_without_it() {
        let modules = include_str!("../../../tests/conformance/main.rs");
        let step = AFTER.iter().find(|step| step.name == "tests without gpu");
        let mut arguments = step.expect("a step").args.split(|word| *word == "--");
        let filters = arguments.next_back().expect("after the dashes");
        assert!(!filters.is_empty());
        for filter in filters {
            let module = filter.strip_suffix("::").expect("the name of a module");
            // No attribute stands before it.
            let line = format!(";\nmod {module};\n");
            assert!(modules.contains(&line), "no mod {module}");
        }
    }
}

//! `cargo dev ci`: the steps, each with its time.

use crate::cargo;
use crate::error::DevError;
use crate::perf;
use crate::tally::Tally;
use std::io::{BufRead, BufReader, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::thread;
use std::time::Instant;

/// One check that is a cargo command.
struct Step {
    name: &'static str,
    args: &'static [&'static str],
    /// Environment for this step alone.
    env: &'static [(&'static str, &'static str)],
}

/// Our own crates are compiled by clippy's driver, as `cargo clippy -- -D warnings` calls it: what
/// is built for the tests is linted by the same pass, which spares a second one over all that it
/// depends on. Each step that builds them has it, or would build them once more.
const LINTED: &[(&str, &str)] = &[
    ("RUSTC_WORKSPACE_WRAPPER", "clippy-driver"),
    ("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings"),
];

/// After the house rules, which run in this process.
const FMT: Step = Step {
    name: "fmt",
    args: &["fmt", "--all", "--check"],
    env: &[],
};

const BUILD: Step = Step {
    name: "build and clippy",
    args: &["test", "--workspace", "--all-targets", "--no-run"],
    env: LINTED,
};

const TESTS: Step = Step {
    name: "tests",
    args: &["test", "--workspace", "--all-targets", "--no-fail-fast"],
    env: LINTED,
};

/// While the tests run, with what they leave of the processor: most of them wait for processes,
/// disks and time. It touches no program that a test runs.
const DOCS: Step = Step {
    name: "docs",
    args: &[
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ],
    env: &[("RUSTDOCFLAGS", "-D warnings")],
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
        env: LINTED,
    },
    Step {
        name: "doctests",
        args: &["test", "--workspace", "--doc", "--no-fail-fast"],
        env: LINTED,
    },
];

/// What may stand in the dependency tree, where the machine has the tool. Advisories would need the
/// network.
const DENY: Step = Step {
    name: "deny",
    args: &["deny", "check", "bans", "licenses", "sources"],
    env: &[],
};

/// How many tests of a binary run at once. Those of real processes mostly wait for them, so a core
/// has time for two.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

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
    for step in [&FMT, &BUILD] {
        timed(step.name, || run_step(root, step, tally))?;
    }
    let (tests, beside) = thread::scope(|scope| {
        let beside = scope.spawn(|| run_beside(root, &DOCS));
        let tests = timed(TESTS.name, || run_step(root, &TESTS, tally));
        (tests, beside.join().expect("it does not panic"))
    });
    tests.and(beside)?;
    for step in AFTER {
        timed(step.name, || run_step(root, step, tally))?;
    }
    Ok(())
}

/// Runs one cargo command at low priority; what it prints is shown where it fails.
fn run_beside(root: &Path, step: &Step) -> Result<(), DevError> {
    let started = Instant::now();
    let mut command = cargo::at_low_priority(root, step.args);
    command.envs(step.env.iter().copied());
    let shown = format!("cargo {}", step.args.join(" "));
    let output = command.output().map_err(|source| DevError::NotStarted {
        command: shown.clone(),
        source,
    })?;
    let seconds = started.elapsed().as_secs_f64();
    if output.status.success() {
        println!("==> {} ok in {seconds:.1} s, beside the tests", step.name);
        return Ok(());
    }
    println!("==> {} failed in {seconds:.1} s", step.name);
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Err(DevError::StepFailed {
        step: step.name,
        command: shown,
    })
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

fn timed(name: &str, step: impl FnOnce() -> Result<(), DevError>) -> Result<(), DevError> {
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
    let shown = format!("cargo {}", step.args.join(" "));
    let mut command = cargo::command(root, step.args);
    command.envs(step.env.iter().copied());
    if std::env::var_os(TEST_THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        command.env(TEST_THREADS, (2 * cores).to_string());
    }
    let mut child =
        command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| DevError::NotStarted {
                command: shown.clone(),
                source,
            })?;
    let output = child
        .stdout
        .take()
        .expect("the child was started with a pipe");
    let lost = |source| DevError::OutputLost {
        command: shown.clone(),
        source,
    };
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(lost)?;
        let line = String::from_utf8_lossy(&line);
        tally.on_line(&line);
        // Line by line: steps beside this one have their say between.
        writeln!(std::io::stdout(), "{line}").map_err(lost)?;
    }
    let status = child.wait().map_err(lost)?;
    if status.success() {
        Ok(())
    } else {
        Err(DevError::StepFailed {
            step: step.name,
            command: shown,
        })
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

//! Runs the program in a folder of its own and looks at what it says.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use clearway_harness::{folder, output_within};
use serde_json::Value;

/// Longest time that a command may take which has nothing to do but refuse.
const BRIEFLY: Duration = Duration::from_secs(20);

/// Longest time that any command of these tests may take, on a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What a run of the program gave.
pub(crate) struct Run {
    /// How it was called, for messages of failed tests.
    pub(crate) call: String,
    /// Exit code.
    pub(crate) code: i32,
    /// The result.
    pub(crate) stdout: String,
    /// Progress and errors.
    pub(crate) stderr: String,
}

/// The program in `dir`, with none of the caller's settings.
pub(crate) fn program(dir: &Path) -> Command {
    folder::program(env!("CARGO_BIN_EXE_clearway"), dir)
}

/// Runs the program with `arguments` in `dir`.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Run {
    run_within(dir, &[], arguments, TIMEOUT)
}

/// The end of a program that was started with both outputs piped.
pub(crate) fn end_of(child: Child, arguments: &[&str]) -> Run {
    finished(arguments, &output_within(child, TIMEOUT))
}

/// As [`run`] with these environment variables, for what must end soon: a node that starts where
/// it should refuse would run for ever.
pub(crate) fn run_briefly(dir: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    run_within(dir, variables, arguments, BRIEFLY)
}

fn run_within(
    dir: &Path,
    variables: &[(&str, &str)],
    arguments: &[&str],
    timeout: Duration,
) -> Run {
    let child = program(dir)
        .envs(variables.iter().copied())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    finished(arguments, &output_within(child, timeout))
}

fn finished(arguments: &[&str], output: &Output) -> Run {
    Run {
        call: arguments.join(" "),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Run {
    /// Fails the test unless the exit code is this one.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "clearway {}\nstdout: {}\nstderr: {}",
            self.call, self.stdout, self.stderr
        );
        self
    }

    /// Standard output as JSON objects, one a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let read = |line: &str| {
            let value = serde_json::from_str(line);
            value.unwrap_or_else(|error| panic!("clearway {}: {error}: {line}", self.call))
        };
        self.stdout.lines().map(read).collect()
    }

    /// The only JSON object of standard output that has this schema.
    pub(crate) fn json(&self, schema: &str) -> Value {
        let mut lines = self.lines();
        lines.retain(|line| line["schema"] == format!("clearway/{schema}/1"));
        assert_eq!(lines.len(), 1, "clearway {}: {}", self.call, self.stdout);
        lines.remove(0)
    }

    /// Standard error on one line: terminals wrap messages, tests should not mind.
    pub(crate) fn said(&self) -> String {
        let words = self
            .stderr
            .split_whitespace()
            .filter(|word| !matches!(*word, "│" | "×"));
        words.collect::<Vec<_>>().join(" ")
    }
}

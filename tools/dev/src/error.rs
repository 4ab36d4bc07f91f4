//! Why a check could not run or did not pass.

use std::io;
use std::path::PathBuf;

/// Why a `cargo dev` command ends with a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error("cannot read the workspace: {0}; run this inside a checkout of Clearway")]
    Metadata(#[from] cargo_metadata::Error),
    #[error("{0}")]
    Tidy(#[from] clearway_tidy::TidyError),
    #[error("{count} findings; each line above says what to do")]
    Findings { count: usize },
    #[error("cannot start `{command}`: {source}; is it installed and on the PATH?")]
    NotStarted { command: String, source: io::Error },
    #[error("cannot read the output of `{command}`: {source}")]
    OutputLost { command: String, source: io::Error },
    #[error("the build named no program of tests; this cargo says it in another way")]
    NoTests,
    #[error("step {step} failed; run `{command}` to see it alone")]
    StepFailed { step: &'static str, command: String },
    #[error("cannot read or write {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}:{line_number}: {fault}; mend the row, results are never typed by hand")]
    Row {
        path: PathBuf,
        line_number: usize,
        fault: String,
    },
    #[error("{path} is not what benches/results gives; run `cargo dev perf` and commit it")]
    PerfStale { path: PathBuf },
    #[error("{path} cannot be recorded: {fault}")]
    Report { path: PathBuf, fault: String },
    #[error("{path} is missing; write the machine's hardware into it first")]
    MachineUnknown { path: PathBuf },
    #[error("no fuzz target named {name}; there are: {known}")]
    FuzzTargetUnknown { name: String, known: String },
    #[error(
        "cargo-fuzz on nightly is missing; run `rustup toolchain install nightly` and \
             `cargo install cargo-fuzz`"
    )]
    FuzzMissing,
    #[error("the fuzz target {name} does not build; the lines above say why")]
    FuzzNotBuilt { name: String },
    #[error("the fuzz target {name} found a fault; its input lies in tests/fuzz/artifacts/{name}")]
    FuzzFinding { name: String },
}

impl DevError {
    /// For `map_err` where a command is started.
    pub(crate) fn not_started(command: String) -> impl FnOnce(io::Error) -> Self {
        |source| Self::NotStarted { command, source }
    }

    /// For `map_err` where a command's output or end is waited for.
    pub(crate) fn output_lost(command: String) -> impl FnOnce(io::Error) -> Self {
        |source| Self::OutputLost { command, source }
    }
}

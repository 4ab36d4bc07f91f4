//! `cargo dev`: the maintainers' checks, cheap first.

mod bench_gpu;
mod bench_verify;
mod cargo;
mod chaos;
mod ci;
mod docs;
mod error;
mod flame;
mod fuzz;
mod perf;
mod record;
mod shared;
mod tally;

use cargo_metadata::MetadataCommand;
use clap::{Parser, Subcommand};
use error::DevError;
use std::path::PathBuf;
use std::process::ExitCode;

/// The maintainers' checks of Clearway.
#[derive(Debug, Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that must be green: format, house rules, clippy, tests, docs, doctests.
    ///
    /// Stops at the first step that fails. The last line counts the tests of all binaries; a step
    /// other than the tests counts as one failure when it fails.
    Ci,
    /// The house rules, and whether PERF.md is current (a second or two).
    Tidy,
    /// Writes PERF.md and the tables of each machine from the results in benches/results.
    Perf {
        /// Only say whether the pages are what the results give.
        #[arg(long)]
        check: bool,
    },
    /// Writes the pages that follow from the code: CODES.md, METRICS.md and PROTOCOL.md in deploy.
    Docs {
        /// Only say whether the pages are what the code gives.
        #[arg(long)]
        check: bool,
    },
    /// Adds the report of a `clearway bench` run to benches/results and renders the pages.
    Record(record::Recording),
    /// Measures signature verification beside the rivals' in one run.
    ///
    /// Builds the program in release and the rivals of benches/rivals at their best, lets
    /// `clearway bench verify` ask them in turn with ours, on one core and the same signatures, and
    /// adds to each row its ratio to the best rival on the same input.
    BenchVerify(bench_verify::Comparison),
    /// Tests a GPU, then measures everything that PERF.md says of GPUs.
    ///
    /// Ten million signatures against the rule first; then signatures a second by keys and batch,
    /// the batch from which the GPU is faster, nodes of trees, and payments end to end.
    BenchGpu(bench_gpu::Measurement),
    /// Plays every command under what others do to a process: readers that go, full disks, limits,
    /// signals, a foreign environment, odd arguments.
    Chaos(chaos::Chaos),
    /// Profiles a bench run, one stage of it or all: a flame graph in the target folder.
    ///
    /// The stacks are written too, for `--diff` of a later run. A stage's busy and waiting time
    /// stands in the report of the run itself; this shows what it does while it is busy.
    Flame(flame::Flame),
    /// Runs the fuzz targets with cargo-fuzz on the nightly toolchain.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Targets to run; all when none is named.
        targets: Vec<String>,
    },
}

fn main() -> ExitCode {
    if let Some(args) = ci::compiler::called_as_compiler() {
        return ci::compiler::run(&args);
    }
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, DevError> {
    let root = workspace_root()?;
    match command {
        Command::Ci => return Ok(ci::run(&root)),
        Command::Tidy => ci::tidy(&root)?,
        Command::Perf { check: true } => perf::check(&root)?,
        Command::Perf { check: false } => perf::write(&root)?,
        Command::Docs { check: true } => docs::check(&root)?,
        Command::Docs { check: false } => docs::write(&root)?,
        Command::Record(recording) => record::run(&root, &recording)?,
        Command::BenchGpu(measurement) => bench_gpu::run(&root, &measurement)?,
        Command::BenchVerify(comparison) => bench_verify::run(&root, &comparison)?,
        Command::Chaos(chaos) => chaos::run(&root, &chaos)?,
        Command::Flame(flame) => flame::run(&root, &flame)?,
        Command::Fuzz { seconds, targets } => fuzz::run(&root, seconds, &targets)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The workspace that the current folder belongs to.
fn workspace_root() -> Result<PathBuf, DevError> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    Ok(metadata.workspace_root.into_std_path_buf())
}

//! `cargo dev bench-gpu`: every figure that waits for a GPU, and the checks that come before them.

use crate::cargo;
use crate::error::DevError;
use cargo_metadata::MetadataCommand;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// What is run, and where the reports go.
#[derive(Debug, clap::Args)]
pub(crate) struct Measurement {
    /// Few signatures and small batches: shows that everything runs, in some minutes.
    #[arg(long)]
    quick: bool,
    /// Take a driver that computes on the processor: a rehearsal, its figures mean nothing.
    #[arg(long)]
    allow_software_adapter: bool,
    /// Folder of the reports; `bench-gpu` in the target folder without it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Signatures that must get the rule's verdict before anything is measured.
const DIFFERENTIAL: &str = "10000000";
const DIFFERENTIAL_QUICK: &str = "20000";
/// Batches in which a device may win, and those around which the processor does.
const BATCHES: &str = "1024,8192,65536,262144,1048576";
const BATCHES_QUICK: &str = "1024";
const CROSSOVER: &str = "16,64,256,1024,4096";

/// Tests on the device, then the figures: signatures by keys and batch, the crossover, nodes of
/// trees, and payments end to end.
pub(crate) fn run(root: &Path, measurement: &Measurement) -> Result<(), DevError> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let target = metadata.target_directory.into_std_path_buf();
    let out = measurement.out.clone();
    let out = out.unwrap_or_else(|| target.join("bench-gpu"));
    fs::create_dir_all(&out).map_err(|source| DevError::File {
        path: out.clone(),
        source,
    })?;
    let count = if measurement.quick {
        DIFFERENTIAL_QUICK
    } else {
        DIFFERENTIAL
    };
    let tests = ["test", "--release", "--package", "clearway-gpu"];
    let mut command = cargo::command(root, &tests);
    command
        .env("CLEARWAY_REQUIRE", "gpu")
        .env("CLEARWAY_DIFFERENTIAL", count);
    finished("tests on the GPU", command)?;
    let rate = [
        "run",
        "--release",
        "--package",
        "clearway-gpu",
        "--example",
        "node_rate",
    ];
    let mut command = cargo::command(root, &rate);
    command
        .args(measurement.allow_software_adapter.then_some("--"))
        .args(measurement.software());
    finished("nodes of trees", command)?;
    let build = ["build", "--release", "--bin", "clearway"];
    finished("build", cargo::command(root, &build))?;

    let program = target.join("release").join("clearway");
    let clearway = |step, arguments: &[&str], report: &str| {
        let mut command = Command::new(&program);
        command.args(arguments).arg("--json").arg(out.join(report));
        println!("==> {step}");
        finished(step, command)
    };
    finished("doctor", with(&program, &["doctor"]))?;
    let batches = if measurement.quick {
        BATCHES_QUICK
    } else {
        BATCHES
    };
    let on_gpu = [
        &["bench", "verify", "--backend", "gpu"][..],
        measurement.software(),
    ]
    .concat();
    let measured = |batches| [&on_gpu[..], &["--invalid", "0,1", "--batch", batches]].concat();
    clearway("signatures", &measured(batches), "verify.json")?;
    let callers = thread::available_parallelism().map_or(1, usize::from);
    let callers = callers.to_string();
    let known = ["--keys", "shared32", "--invalid", "0", "--batch", batches];
    let at_once = [&on_gpu[..], &known, &["--callers", &callers]].concat();
    clearway("signatures, callers at once", &at_once, "callers.json")?;
    let on_cpu = [
        "bench",
        "verify",
        "--keys",
        "shared32",
        "--invalid",
        "0",
        "--batch",
        CROSSOVER,
    ];
    clearway("crossover, the processor", &on_cpu, "crossover-cpu.json")?;
    let small = ["--keys", "shared32", "--invalid", "0", "--batch", CROSSOVER];
    let small = [&on_gpu[..], &small].concat();
    clearway("crossover, the GPU", &small, "crossover-gpu.json")?;
    for (backend, report) in [
        ("backend=gpu", "bench-gpu.json"),
        ("backend=auto", "bench-auto.json"),
    ] {
        let mut arguments = vec!["bench", "--set", backend];
        if measurement.allow_software_adapter {
            arguments.extend(["--set", "allow_software_adapter=true"]);
        }
        arguments.extend(measurement.quick.then_some("--quick"));
        clearway("payments end to end", &arguments, report)?;
    }
    println!("reports: {}", out.display());
    Ok(())
}

impl Measurement {
    fn software(&self) -> &'static [&'static str] {
        match self.allow_software_adapter {
            true => &["--allow-software-adapter"],
            false => &[],
        }
    }
}

fn with(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn finished(step: &'static str, mut command: Command) -> Result<(), DevError> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null());
    cargo::finished(step, command, &shown)
}

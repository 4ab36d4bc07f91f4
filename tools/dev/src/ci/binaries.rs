//! The programs of tests: which there are, and running them two at a time.

use crate::cargo;
use crate::error::DevError;
use crate::tally::Tally;
use cargo_metadata::{Artifact, Message, TargetKind};
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// Programs that run at once: one computes while another waits for processes, disks and time.
const AT_ONCE: usize = 2;

/// How many tests of a program run at once: one more than there are cores, unless the caller says.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// One program of tests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    /// Its source, below the root.
    source: String,
    program: PathBuf,
    /// Its package's, as cargo has it.
    folder: PathBuf,
    /// What runs it alone.
    command: String,
}

/// The programs of tests among what cargo says that it built, in cargo's order.
pub(crate) fn read(root: &Path, said: impl Read) -> io::Result<Vec<Binary>> {
    let mut binaries = Vec::new();
    for message in Message::parse_stream(BufReader::new(said)) {
        match message? {
            Message::CompilerArtifact(artifact) => binaries.extend(binary_of(root, &artifact)),
            Message::TextLine(line) => println!("{line}"),
            _ => {}
        }
    }
    Ok(binaries)
}

fn binary_of(root: &Path, artifact: &Artifact) -> Option<Binary> {
    let program = artifact
        .executable
        .as_ref()
        .filter(|_| artifact.profile.test)?;
    let folder = artifact.manifest_path.parent()?;
    let target = &artifact.target;
    let source = target
        .src_path
        .strip_prefix(root)
        .unwrap_or(&target.src_path);
    let which = match target.kind.first()? {
        TargetKind::Lib => "--lib".to_owned(),
        TargetKind::Bin => format!("--bin {}", target.name),
        TargetKind::Example => format!("--example {}", target.name),
        TargetKind::Bench => format!("--bench {}", target.name),
        _ => format!("--test {}", target.name),
    };
    Some(Binary {
        source: source.to_string(),
        program: program.clone().into_std_path_buf(),
        folder: folder.to_path_buf().into_std_path_buf(),
        command: format!("cargo test --workspace {which}"),
    })
}

/// Runs them all, [`AT_ONCE`] at a time; what each prints is shown when it ends, and a word at
/// once of a test that takes long.
///
/// # Errors
/// The first program that failed, after all have run.
pub(crate) fn run(binaries: &[Binary], tally: &mut Tally) -> Result<(), DevError> {
    let next = Mutex::new(binaries.iter());
    let ended = Mutex::new((tally, Ok(())));
    let work = || {
        loop {
            let Some(binary) = next.lock().expect("no thread panics").next() else {
                return;
            };
            let started = Instant::now();
            println!("==> {}", binary.source);
            let outcome = run_one(binary);
            let mut ended = ended.lock().expect("no thread panics");
            let (tally, result) = &mut *ended;
            let outcome = outcome.and_then(|(lines, passed)| {
                lines.iter().for_each(|line| tally.on_line(line));
                println!("{}", lines.join("\n"));
                passed
            });
            let word = if outcome.is_ok() { "ok" } else { "failed" };
            let seconds = started.elapsed().as_secs_f64();
            println!("==> {} {word} in {seconds:.1} s", binary.source);
            if result.is_ok() {
                *result = outcome;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    ended.into_inner().expect("no thread panics").1
}

/// What a program printed, and whether its tests passed.
type Ended = (Vec<String>, Result<(), DevError>);

fn run_one(binary: &Binary) -> Result<Ended, DevError> {
    let not_started = || DevError::not_started(binary.program.display().to_string());
    let output_lost = || DevError::output_lost(binary.command.clone());
    let (reader, writer) = io::pipe().map_err(not_started())?;
    let mut command = Command::new(&binary.program);
    let errors = writer.try_clone().map_err(not_started())?;
    command
        .current_dir(&binary.folder)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors);
    if std::env::var_os(TEST_THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        command.env(TEST_THREADS, (cores + 1).to_string());
    }
    cargo::without_inherited(&mut command);
    let mut child = command.spawn().map_err(not_started())?;
    // It holds the pipe's other end, which would never end.
    drop(command);
    let mut lines = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(output_lost())?;
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains("has been running for over") {
            println!("{}: {line}", binary.source);
        }
        lines.push(line);
    }
    let status = child.wait().map_err(output_lost())?;
    let passed = match status.success() {
        true => Ok(()),
        false => Err(DevError::StepFailed {
            step: "tests",
            command: binary.command.clone(),
        }),
    };
    Ok((lines, passed))
}

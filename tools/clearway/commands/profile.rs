//! `clearway profile`: where a running node, or a command, spends its processor time.

mod command;
mod place;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clearway_load::stage_cpu;
use clearway_profile::flame::Words;
use clearway_profile::{Folded, HERTZ, Profile, ProfileError, command_line, listener, record};
use serde::Serialize;

use self::command::Command;
use self::place::{Form, Place, parse_place};
use crate::failure::{Failure, Kind};
use crate::limits::Limits;
use crate::ui::{self, Output};

/// Seconds of a process; a command is sampled until it ends.
const SECONDS: u32 = 30;
/// Longest profile: an hour of two busy cores is 1.4 million samples, and few different stacks.
const SECONDS_MAX: u32 = 3600;
/// Stages that people are shown; JSON has all.
const STAGES_SHOWN: usize = 12;

/// Where a running node, or a command, spends its processor time, as a flame graph
///
/// The kernel takes the samples (perf_event_open), 199 a second of each thread that runs; the
/// process is not stopped and not changed. It needs the process's own user or root, and
/// kernel.perf_event_paranoid of 2 or less; time in the kernel is seen as root, or at 1 or less.
/// Linux on x86-64 alone. The first frame is the thread's stage: verify for verify-0 and verify-1.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("subject").args(["pid", "target", "command"]).required(true))]
pub(crate) struct Args {
    /// Process number of a running node, or of any other process
    #[arg(long)]
    pid: Option<u32>,
    /// Door or admin address of a node on this machine
    #[arg(long, value_name = "ADDRESS")]
    target: Option<SocketAddr>,
    /// Seconds to sample; 30 without it, and a command until it ends (an hour at most). A command
    /// that is not over then is waited for
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(SECONDS_MAX)))]
    seconds: Option<u32>,
    /// Only threads of this stage, for example verify
    #[arg(long)]
    stage: Option<String>,
    /// File to write: .svg flame graph, .folded stacks as text, .pb or .pb.gz for pprof; may be
    /// given several times
    #[arg(long, value_name = "FILE", value_parser = parse_place, default_value = "flame.svg")]
    out: Vec<Place>,
    /// Draw what changed since this .folded profile: red takes more of the time than it did, blue
    /// less
    #[arg(long, value_name = "OLD.folded")]
    diff: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    /// A command to start and to sample, without the processes that it starts; `clearway` is this
    /// program, and with --json its output goes to standard error
    #[arg(last = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let draws = args.out.iter().any(|place| place.form == Form::Svg);
    if args.diff.is_some() && !draws {
        let message = "--diff is drawn: name an .svg file with --out";
        return Err(Failure::usage(message));
    }
    let old = args.diff.as_deref().map(read_folded).transpose()?;
    // Before the work, which would be lost without a place for it.
    let files: Vec<_> = args.out.iter().map(Place::open).collect::<Result<_, _>>()?;
    let (subject, profile, ended) = args.sampled()?;
    let profile = match &args.stage {
        Some(stage) => profile.of_stage(stage).map_err(failure)?,
        None => profile,
    };
    let report = Report::new(args, &subject, &profile);
    let words = Words {
        title: subject.name,
        subtitle: report.subtitle(),
    };
    for file in files {
        file.write(&profile, old.as_ref(), &words)?;
    }
    let told = args.output.result("profile", &report, || report.to_text());
    told.and(ended)
}

/// What is sampled.
struct Subject {
    pid: u32,
    /// Its command line.
    name: String,
}

impl Args {
    /// The samples, and how the command ended where there is one.
    fn sampled(&self) -> Result<(Subject, Profile, Result<(), Failure>), Failure> {
        let at_most = |usual: u32| Duration::from_secs(self.seconds.unwrap_or(usual).into());
        if self.command.is_empty() {
            let pid = self.process()?;
            let name = command_line(pid).map_err(failure)?;
            let profile = watched(pid, at_most(SECONDS))?;
            return Ok((Subject { pid, name }, profile, Ok(())));
        }
        let mut command = Command::start(&self.command, self.output.json)?;
        let profile = command.record(at_most(SECONDS_MAX))?;
        let (pid, name) = (command.pid(), self.command.join(" "));
        Ok((Subject { pid, name }, profile, command.wait()?))
    }

    fn process(&self) -> Result<u32, Failure> {
        match (self.pid, self.target) {
            (Some(pid), _) => Ok(pid),
            (None, Some(address)) => listener(address).map_err(failure),
            (None, None) => Err(Failure::usage("name a process with --pid or --target")),
        }
    }
}

/// Samples a process that others have started, with a bar on a terminal.
fn watched(pid: u32, at_most: Duration) -> Result<Profile, Failure> {
    let bar = ui::progress(at_most.as_secs(), "seconds sampled");
    let start = Instant::now();
    // One file is open for each thread.
    Limits::raised();
    let profile = record(pid, at_most, stage_of, &mut || {
        bar.set_position(start.elapsed().as_secs());
        true
    });
    bar.finish_and_clear();
    profile.map_err(failure)
}

/// A thread that carries no stage's name stands for itself.
fn stage_of(thread: &str) -> &str {
    stage_cpu::stage(thread).unwrap_or(thread)
}

/// What is not there is not found; the rest could not be done.
fn failure(error: ProfileError) -> Failure {
    let kind = match error {
        ProfileError::NoProcess { .. }
        | ProfileError::NoListener { .. }
        | ProfileError::NoStage { .. } => Kind::NotFound,
        _ => Kind::Failed,
    };
    Failure::new(kind, error)
}

fn read_folded(path: &Path) -> Result<Folded, Failure> {
    let at = |error: &dyn std::fmt::Display| format!("--diff {}: {error}", path.display());
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::of_file(&error, format!("{}; check the path", at(&error))))?;
    Folded::parse(&text).map_err(|error| Failure::new(Kind::Failed, at(&error)))
}

#[derive(Serialize)]
struct Report {
    pid: u32,
    command: String,
    sampler: &'static str,
    /// Whether time in the kernel is in it.
    kernel: bool,
    hertz: u64,
    seconds: f64,
    samples: u64,
    samples_lost: u64,
    stacks_cut: u64,
    threads_unseen: usize,
    stages: Vec<Stage>,
    files: Vec<String>,
}

#[derive(Serialize)]
struct Stage {
    stage: String,
    samples: u64,
}

impl Report {
    fn new(args: &Args, subject: &Subject, profile: &Profile) -> Self {
        let stages = profile.stages().into_iter().map(|(stage, samples)| Stage {
            stage: stage.to_owned(),
            samples,
        });
        let files = args.out.iter();
        Self {
            pid: subject.pid,
            command: subject.name.clone(),
            sampler: profile.sampler,
            kernel: profile.has_kernel,
            hertz: HERTZ,
            seconds: (profile.lasted.as_secs_f64() * 1e3).round() / 1e3,
            samples: profile.samples(),
            samples_lost: profile.samples_lost,
            stacks_cut: profile.stacks_cut.values().sum(),
            threads_unseen: profile.threads_unseen,
            stages: stages.collect(),
            files: files
                .map(|place| place.path.display().to_string())
                .collect(),
        }
    }

    /// Who took the samples, and of what.
    fn sampler(&self) -> String {
        let kernel = match self.kernel {
            true => "with its time in the kernel",
            false => "without its time in the kernel, which this user may not see",
        };
        let Self { sampler, hertz, .. } = self;
        format!("{sampler}, {hertz} a second of each thread that runs, {kernel}")
    }

    fn subtitle(&self) -> String {
        let Self {
            samples, seconds, ..
        } = self;
        format!("{samples} samples in {seconds:.1} s: {}", self.sampler())
    }

    fn to_text(&self) -> String {
        let count = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let faults = [
            count(self.samples_lost, "lost"),
            count(self.stacks_cut, "with the upper part of their stack alone"),
            count(
                self.threads_unseen as u64,
                "threads unseen: no memory to sample them",
            ),
        ];
        let samples = std::iter::once(self.samples.to_string());
        let samples: Vec<_> = samples.chain(faults.into_iter().flatten()).collect();
        let shown = self.stages.iter().take(STAGES_SHOWN).map(|stage| {
            let percent = 100.0 * stage.samples as f64 / self.samples as f64;
            format!("{} {percent:.1} %", stage.stage)
        });
        ui::rows([
            ("process", format!("{}, {}", self.pid, self.command)),
            ("sampler", self.sampler()),
            ("seconds", format!("{:.1}", self.seconds)),
            ("samples", samples.join(", ")),
            ("stages", shown.collect::<Vec<_>>().join(", ")),
            ("written", self.files.join(", ")),
        ])
    }
}

//! `clearway replay DIR`: checks a stored history again from its first block.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clearway_replay::{Halt, Options, Progress, ReplayError, Roots, Summary, Watch};
use clearway_store::Reader;
use clearway_types::genesis::Genesis;
use clearway_types::units::Height;
use serde::Serialize;

use crate::backends::BackendArgs;
use crate::commands::log::{self, LogArgs, LogEnd};
use crate::failure::{Failure, Kind};
use crate::share::{self, PriorityArg};
use crate::ui::{self, Output};

mod roots;

use roots::{Checker, Recorder};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    backend: BackendArgs,
    /// Last height to check; a log that ends before it does not pass
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// Write what was computed of each block to this new file: later replays can be held to it
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Hold each block to what an earlier replay has recorded, as far as that goes
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Cores that this may keep busy [default: half of them, so that a node beside it has the rest]
    #[arg(long)]
    cores: Option<NonZeroUsize>,
    #[command(flatten)]
    priority: PriorityArg,
    #[command(flatten)]
    output: Output,
}

/// A summary with the time it took.
#[derive(Serialize)]
pub(crate) struct Timed {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    pub(crate) seconds: f64,
}

/// A replay and where the log ends.
#[derive(Serialize)]
struct Replayed {
    #[serde(flatten)]
    timed: Timed,
    log_end: LogEnd,
    /// Blocks whose roots were written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<u64>,
    /// Blocks that are as they were recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<u64>,
    /// Blocks that were asked for, or recorded, and are not there.
    #[serde(skip)]
    missing: Option<Failure>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let genesis = args.log.genesis()?;
    let (reader, log_end) = args.log.open(&genesis)?;
    args.priority.take(args.cores, share::Default::Half)?;
    let (gate, backend) = args.backend.open()?;
    let options = Options {
        verified_by: Some((gate, backend)),
        to: args.to.map(Height),
        ..Options::default()
    };
    let hash = genesis.hash();
    let mut watcher = Watcher::new(reader.durable().0);
    let record = args.record.as_deref();
    watcher.recorder = record
        .map(|path| Recorder::create(path, hash))
        .transpose()?;
    let check = args.check.as_deref();
    watcher.checker = check.map(|path| Checker::open(path, hash)).transpose()?;
    let timed = watch(&reader, &genesis, &options, &mut watcher)?;
    let height = timed.summary.height.0;
    // What was found wrong goes before what was not reached.
    let is_whole = timed.summary.difference.is_none();
    let checker = watcher.checker;
    let checked = checker.map(|checker| checker.finish(is_whole && args.to.is_none()));
    let recorder = watcher.recorder.filter(|_| is_whole);
    let recorded = recorder.map(Recorder::finish).transpose()?;
    let (checked, lost) = match checked {
        None => (None, Ok(())),
        Some(Ok(count)) => (Some(count), Ok(())),
        Some(Err(lost)) => (None, Err(lost)),
    };
    let replayed = Replayed {
        timed,
        log_end,
        recorded,
        checked,
        missing: lost.and_then(|()| reaches(height, args.to)).err(),
    };
    args.output
        .result("replay", &replayed, || shown(&replayed))?;
    replayed.verdict()
}

impl Replayed {
    fn verdict(self) -> Result<(), Failure> {
        let summary = self.timed.summary;
        if let Some(difference) = summary.difference {
            return Err(Failure::new(Kind::Mismatch, difference));
        }
        if !summary.conserved {
            return Err(Failure::new(Kind::Mismatch, "money is not conserved"));
        }
        self.log_end.check()?;
        self.missing.map_or(Ok(()), Err)
    }
}

/// Draws a bar, and has each block recorded and compared where that is asked for.
struct Watcher {
    bar: indicatif::ProgressBar,
    recorder: Option<Recorder>,
    checker: Option<Checker>,
    /// Why it cannot go on.
    failure: Option<Failure>,
}

impl Watcher {
    fn new(record_count: u64) -> Self {
        Self {
            bar: ui::progress(record_count, "replay"),
            recorder: None,
            checker: None,
            failure: None,
        }
    }

    fn look(&mut self, roots: &Roots) -> Result<Result<(), Halt>, Failure> {
        if let Some(recorder) = &mut self.recorder {
            recorder.write(roots)?;
        }
        match &mut self.checker {
            Some(checker) => checker.check(roots),
            None => Ok(Ok(())),
        }
    }
}

impl Watch for Watcher {
    fn progress(&mut self, progress: Progress) {
        self.bar.set_position(progress.record);
        self.bar
            .set_message(format!("replay height {}", progress.height));
    }

    fn block(&mut self, roots: &Roots) -> Result<(), Halt> {
        self.look(roots).unwrap_or_else(|failure| {
            self.failure = Some(failure);
            Err(Halt::Stop)
        })
    }
}

/// Fails where the log ended before the height that was asked for.
fn reaches(height: u64, to: Option<u64>) -> Result<(), Failure> {
    match to.filter(|&to| to > height) {
        None => Ok(()),
        Some(to) => {
            let message = format!(
                "the log ends at height {height}, before --to {to}: what is there is in order"
            );
            Err(Failure::new(Kind::NotFound, message))
        }
    }
}

/// Replays with a bar on stderr.
pub(crate) fn replay(
    reader: &Reader,
    genesis: &Genesis,
    options: &Options,
) -> Result<Timed, Failure> {
    let mut watcher = Watcher::new(reader.durable().0);
    watch(reader, genesis, options, &mut watcher)
}

fn watch(
    reader: &Reader,
    genesis: &Genesis,
    options: &Options,
    watcher: &mut Watcher,
) -> Result<Timed, Failure> {
    let start = Instant::now();
    let summary = clearway_replay::replay(reader, genesis, options, watcher);
    watcher.bar.finish_and_clear();
    if let Some(failure) = watcher.failure.take() {
        return Err(failure);
    }
    let summary = summary.map_err(|error| match error {
        ReplayError::History(error) => log::history_failure(error),
        ReplayError::Gate(error) => Failure::new(Kind::NotFound, error),
        other => Failure::new(Kind::Failed, other),
    })?;
    Ok(Timed {
        summary,
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn shown(replayed: &Replayed) -> String {
    let Replayed { timed, log_end, .. } = replayed;
    let summary = &timed.summary;
    let ok = summary.ok() && log_end.check().is_ok() && replayed.missing.is_none();
    let [end, watermark] = log_end.rows();
    let yes = |value: bool| if value { "yes" } else { "NO" }.to_owned();
    let mut rows = vec![
        ("blocks", summary.blocks.to_string()),
        ("height", summary.height.to_string()),
        ("envelopes", summary.envelopes.to_string()),
        ("settled", summary.settled.to_string()),
        ("rejected", summary.rejected.to_string()),
        ("signatures", summary.signatures_verified.to_string()),
        ("certificates", summary.certificates_verified.to_string()),
        ("state roots", summary.state_roots_compared.to_string()),
        ("backend", summary.backend.clone()),
        ("execution head", summary.exec_head.clone()),
        ("balances root", summary.balances_root.clone()),
        ("seconds", format!("{:.1}", timed.seconds)),
        ("conserved", yes(summary.conserved)),
        ("roots equal", yes(summary.roots_equal())),
        end,
        watermark,
    ];
    let roots = [
        ("recorded", replayed.recorded),
        ("as recorded", replayed.checked),
    ];
    let blocks = |(name, count): (_, Option<u64>)| Some((name, format!("{} blocks", count?)));
    rows.extend(roots.into_iter().filter_map(blocks));
    rows.push(("replay", if ok { "ok" } else { "FAILED" }.to_owned()));
    ui::rows(rows)
}

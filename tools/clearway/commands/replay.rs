//! `clearway replay DIR`: checks a stored history again from its first block.

use std::num::NonZeroUsize;
use std::time::Instant;

use clearway_replay::{Options, ReplayError, Summary};
use clearway_store::Reader;
use clearway_types::genesis::Genesis;
use clearway_types::units::Height;
use serde::Serialize;

use crate::backends::BackendArgs;
use crate::commands::log::{self, LogArgs, LogEnd};
use crate::failure::{Failure, Kind};
use crate::share::{self, PriorityArg};
use crate::ui::{self, Output};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    backend: BackendArgs,
    /// Last height to check; a log that ends before it does not pass
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
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
    let timed = replay(&reader, &genesis, &options)?;
    let replayed = Replayed { timed, log_end };
    args.output
        .result("replay", &replayed, || shown(&replayed))?;
    let Replayed { timed, log_end } = replayed;
    match timed.summary.difference {
        None if timed.summary.conserved => {
            log_end.check()?;
            reaches(timed.summary.height.0, args.to)
        }
        None => Err(Failure::new(Kind::Mismatch, "money is not conserved")),
        Some(difference) => Err(Failure::new(Kind::Mismatch, difference)),
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
    let start = Instant::now();
    let bar = ui::progress(reader.durable().0, "replay");
    let summary = clearway_replay::replay(reader, genesis, options, &mut |progress| {
        bar.set_position(progress.record);
        bar.set_message(format!("replay height {}", progress.height));
    });
    bar.finish_and_clear();
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
    let Replayed { timed, log_end } = replayed;
    let summary = &timed.summary;
    let ok = summary.ok() && log_end.check().is_ok();
    let [end, watermark] = log_end.rows();
    let yes = |value: bool| if value { "yes" } else { "NO" }.to_owned();
    ui::rows([
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
        ("replay", if ok { "ok" } else { "FAILED" }.to_owned()),
    ])
}

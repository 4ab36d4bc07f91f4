//! `clearway bench verify`: signatures a second on one core, by backend, keys, batch and faults.

mod contender;
mod inputs;
mod plan;
mod rival;

use std::path::{Path, PathBuf};
use std::process::Command;

use clearway_crypto::gate::{BackendId, Gate};
use clearway_load::machine::Machine;
use clearway_load::report::COMMIT;
use serde::Serialize;

use self::contender::{Contender, Ours};
use self::inputs::{Inputs, Maker};
use self::plan::{Keys, Plan, Shape};
use self::rival::Rivals;
use super::clock::Clock;
use super::core::{Pinned, UNPINNED};
use super::statistics;
use crate::backends::BackendArgs;
use crate::failure::{Failure, Kind};
use crate::limits;
use crate::ui::{self, ReportFile, ReportPlace};

/// Timed rounds of each row, and of a quick run.
const ROUNDS: u32 = 5;
const ROUNDS_QUICK: u32 = 3;

/// Callers at once check the same signatures.
const SEEN_BY_OTHERS: &str = "to the second of several callers no key is new: name other --keys \
                              than `distinct`, or leave --callers out";

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Few rows: ends within a minute
    #[arg(long)]
    quick: bool,
    /// The backend named alone; all of the processor without one
    #[command(flatten)]
    backend: BackendArgs,
    /// What is signed, where faults are, and of which kind
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Whose signatures; all classes without it
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    keys: Vec<Keys>,
    /// Signatures of a batch
    #[arg(long, value_name = "N", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    batch: Vec<u32>,
    /// Share of invalid signatures, percent
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', value_parser = parse_percent)]
    invalid: Vec<f64>,
    /// Timed rounds of each row; 5 without it, 3 in a quick run
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Threads that ask a device at once, as a node's workers do
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=256))]
    callers: u32,
    /// The program of benches/rivals, which takes turns; `cargo dev bench-verify` builds it
    #[arg(long, value_name = "PROGRAM")]
    rivals: Option<PathBuf>,
    #[command(flatten)]
    report: ReportFile,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number"))?;
    match (0.0..=100.0).contains(&percent) {
        true => Ok(percent),
        false => Err("a share lies between 0 and 100".to_owned()),
    }
}

/// What was measured on one machine in one run.
#[derive(Serialize)]
struct Report {
    machine: Machine,
    commit: &'static str,
    seed: u64,
    rounds: u32,
    /// Threads that asked a device at once.
    callers: u32,
    /// Whether everything was measured on one core.
    pinned: bool,
    /// Which one.
    core: Option<usize>,
    /// Which seconds: other programs on the machine do not count.
    clock: &'static str,
    /// Rivals that could not be measured here, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    rows: Vec<Row>,
}

/// One implementation on one kind of input.
#[derive(Serialize)]
struct Row {
    implementation: String,
    /// Somebody else's.
    rival: bool,
    #[serde(flatten)]
    shape: Shape,
    /// Which seconds the rate is by.
    clock: Clock,
    /// Median of the rounds.
    signatures_per_second: f64,
    /// Distance of the fastest and the slowest round, in percent of the median.
    spread_percent: f64,
    /// The same while nothing is held against the source yet: the price of its first bad batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    signatures_per_second_unwarned: Option<f64>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let place = args.report.open()?;
    let (gate, chosen) = args.backend.open()?;
    let chosen = args.backend.backend.is_some().then_some(chosen);
    let plan = Plan::new(args.quick, &args.keys, &args.batch, &args.invalid);
    if args.callers > 1 && plan.shapes.iter().any(|shape| shape.keys == Keys::Distinct) {
        return Err(Failure::new(Kind::Usage, SEEN_BY_OTHERS));
    }
    let usual = if args.quick { ROUNDS_QUICK } else { ROUNDS };
    let rounds = args.rounds.unwrap_or(usual);
    limits::check_memory("this measurement", plan.memory_bytes(rounds))?;
    let mut contenders = ours(&gate, chosen, &plan, args.callers);
    // Threads that a pinned one starts stay on its core.
    let core = match args.callers {
        1 => Pinned::choose(),
        _ => None,
    };
    let rivals = rivals(args.rivals.as_deref(), core.as_ref())?;
    for rival in rivals.iter().flat_map(Rivals::implementations) {
        contenders.push(Box::new(rival));
    }
    let mut maker = Maker::new(args.seed);
    let bar = ui::progress(plan.shapes.len() as u64, "measuring");
    let mut rows = Vec::new();
    for shape in &plan.shapes {
        // Made before the clock runs, on all cores.
        let inputs = maker.inputs(shape, rounds as usize + 1);
        let pinned = core.as_ref().map(Pinned::enter).transpose()?;
        rows.extend(measure(&mut contenders, shape, &inputs, rounds as usize)?);
        drop(pinned);
        bar.inc(1);
    }
    bar.finish_and_clear();
    drop(contenders);
    let notes = rivals.map_or(Ok(Vec::new()), Rivals::finish)?;
    let report = Report {
        machine: Machine::detect(),
        commit: COMMIT,
        seed: args.seed,
        rounds,
        callers: args.callers,
        pinned: core.is_some(),
        core: core.map(|core| core.number()),
        clock: "processor time of the measuring thread; wall time for devices",
        notes,
        rows,
    };
    finish(&report, place)
}

fn ours<'g>(
    gate: &'g Gate,
    chosen: Option<BackendId>,
    plan: &Plan,
    callers: u32,
) -> Vec<Box<dyn Contender + 'g>> {
    let backends: Vec<_> = match chosen {
        Some(chosen) => vec![chosen],
        None => gate.backends().map(|(id, _)| id).collect(),
    };
    let ours = backends
        .into_iter()
        .map(|id| Ours::new(gate, id, plan.unwarned, callers));
    ours.map(|ours| Box::new(ours) as Box<_>).collect()
}

/// Started on the core where all is measured, the program stays there.
fn rivals(program: Option<&Path>, core: Option<&Pinned>) -> Result<Option<Rivals>, Failure> {
    let _pinned = core.map(Pinned::enter).transpose()?;
    let started = program.map(|path| Rivals::start(Command::new(path)));
    started.transpose()
}

/// All rows of one kind of input: the contenders take turns, round by round.
fn measure(
    contenders: &mut [Box<dyn Contender + '_>],
    shape: &Shape,
    inputs: &Inputs,
    rounds: usize,
) -> Result<Vec<Row>, Failure> {
    let mut taking: Vec<_> = contenders
        .iter_mut()
        .filter(|contender| contender.takes(shape))
        .collect();
    // Rates by contender and pace.
    let mut rates = vec![[Vec::new(), Vec::new()]; taking.len()];
    // The first round brings keys, memory and caches to where they stay, and does not count.
    for round in 0..=rounds {
        let input = inputs.of_round(round);
        for (contender, rates) in taking.iter_mut().zip(&mut rates) {
            for (&pace, rates) in contender.paces(shape).iter().zip(rates) {
                let seconds = contender.round(input, pace)?;
                if round > 0 {
                    rates.push(statistics::rate(input.cases.len(), seconds));
                }
            }
        }
    }
    let rows = taking
        .iter()
        .zip(&rates)
        .map(|(contender, [first, more])| Row {
            implementation: contender.name().to_owned(),
            rival: contender.is_rival(),
            shape: *shape,
            clock: contender.clock(),
            signatures_per_second: statistics::median(first),
            spread_percent: statistics::spread_percent(first),
            signatures_per_second_unwarned: (!more.is_empty()).then(|| statistics::median(more)),
        });
    Ok(rows.collect())
}

fn finish(report: &Report, place: ReportPlace) -> Result<(), Failure> {
    if !report.pinned && report.callers == 1 {
        ui::note(UNPINNED);
    }
    for note in &report.notes {
        ui::note(note);
    }
    place.result("bench_verify", report, || shown(report))
}

fn shown(report: &Report) -> String {
    let head = [
        "implementation",
        "keys",
        "batch#",
        "invalid %#",
        "signatures/s#",
        "spread %#",
        "unwarned/s#",
    ];
    let rows = report.rows.iter().map(|row| {
        vec![
            row.implementation.clone(),
            row.shape.keys.name().to_owned(),
            row.shape.batch_len.to_string(),
            row.shape.invalid_percent.to_string(),
            format!("{:.0}", row.signatures_per_second),
            format!("{:.1}", row.spread_percent),
            row.signatures_per_second_unwarned
                .map_or_else(String::new, |rate| format!("{rate:.0}")),
        ]
    });
    ui::table(&head, rows)
}

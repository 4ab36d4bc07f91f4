//! `clearway demo`: from nothing to a replayed history, a table at the end.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clearway_load::files::{ACCOUNT_COLUMNS, PAYMENT_COLUMNS};
use clearway_load::text::grouped;
use clearway_load::worker::Source;
use clearway_load::workload::Generator;

use crate::commands::new_file::NewFile;
use crate::commands::page_file::{self, PageFile};
use crate::commands::trial::Trial;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::share::{self, PriorityArg};
use crate::ui::{self, ReportFile, ReportPlace};

/// Payments of the whole demonstration, and of the quick one.
const PAYMENTS: u32 = 250_000;
const PAYMENTS_QUICK: u32 = 60_000;
/// Accounts of the two.
const ACCOUNTS: u32 = 1_000_000;
const ACCOUNTS_QUICK: u32 = 100_000;
/// Rows at the end of a report's table that are checks.
const CHECK_ROWS: usize = 3;

/// What the list of commands says of it.
pub(crate) fn about() -> String {
    format!(
        "Start a node, clear {} payments, stop it, replay its log, print a table",
        grouped(f64::from(PAYMENTS))
    )
}

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new(GENERATED).args(["quick"]).multiple(true))]
pub(crate) struct Args {
    #[arg(long, help = quick_help(PAYMENTS_QUICK, "20 seconds"))]
    quick: bool,
    #[command(flatten)]
    files: Files,
    /// Seed of accounts, payments and keys
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Keep data, genesis and keys in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Cores that this may keep busy, node and replay included [default: all]
    #[arg(long)]
    cores: Option<NonZeroUsize>,
    #[command(flatten)]
    priority: PriorityArg,
    #[command(flatten)]
    report: ReportFile,
    #[command(flatten)]
    page: PageFile,
}

/// Group of the arguments that only the generator of payments obeys.
pub(crate) const GENERATED: &str = "generated";

/// Payments from files instead of a seed.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Files {
    #[arg(long, value_name = "FILE", requires = "accounts", conflicts_with = GENERATED)]
    #[arg(help = file_help(&PAYMENT_COLUMNS))]
    payments: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "payments", help = file_help(&ACCOUNT_COLUMNS))]
    accounts: Option<PathBuf>,
}

fn file_help(columns: &[&str]) -> String {
    format!("CSV or CSV.gz with the columns {}", columns.join(", "))
}

/// What `--quick` does, with the number it stands for.
pub(crate) fn quick_help(payments: u32, within: &str) -> String {
    format!(
        "Fewer payments, {}: ends within {within}",
        grouped(f64::from(payments))
    )
}

impl Files {
    /// The files, or else the generator's payments.
    pub(crate) fn source(&self, generator: Generator) -> Source {
        match (&self.payments, &self.accounts) {
            (Some(payments), Some(accounts)) => Source::Files {
                payments: payments.clone(),
                accounts: accounts.clone(),
            },
            _ => Source::Generated(generator),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    args.priority.take(args.cores, share::Default::All)?;
    let generator = Generator {
        seed: args.seed,
        account_count: if args.quick { ACCOUNTS_QUICK } else { ACCOUNTS },
        payment_count: if args.quick { PAYMENTS_QUICK } else { PAYMENTS },
        ..Generator::default()
    };
    let trial = Trial {
        source: args.files.source(generator),
        seed: args.seed,
        connections: 4,
        streams_in_flight: 4,
        stream_len: 2048,
        rate: None,
        processes: 0,
        ordered: false,
        hints: true,
        settings: Vec::new(),
        keep: args.keep.clone(),
    };
    let (place, page) = (args.report.open()?, args.page.create()?);
    finish(&trial.run()?, place, page)
}

/// Table or JSON, then the verdict.
pub(super) fn finish(
    report: &clearway_load::report::Report,
    place: ReportPlace,
    page: Option<NewFile>,
) -> Result<(), Failure> {
    let drawn = page_file::draw(page, report);
    place.result("run", report, || {
        let rows = report.rows();
        let (figures, checks) = rows.split_at(rows.len() - CHECK_ROWS);
        let mut text = ui::rows(figures.iter().cloned());
        // The verdict is the end of the table, word for word, so that a search finds it.
        for (name, value) in checks {
            text.push_str(&format!("\n{name} {value}"));
        }
        text
    })?;
    drawn?;
    if report.checks.all() {
        // A figure that contradicts another one is no measurement.
        return report.check_sums().or_fail(Kind::Mismatch);
    }
    let message = "the history that was stored is not the one that was answered: see the table";
    Err(Failure::new(Kind::Mismatch, message))
}

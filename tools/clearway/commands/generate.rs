//! `clearway gen workload|keys`: seeded payment files, and key files for load tests.

use std::path::PathBuf;

use clearway_load::cluster::{BANK_COUNT, Members, OPERATOR, bank};
use clearway_load::files;
use clearway_load::workload::Generator;
use clearway_node::keystore::{self, Keys, Protection};
use serde::Serialize;

use crate::failure::Failure;
use crate::ui::{self, Output};

/// Workloads and keys from a seed
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Write accounts and payments as CSV files that demo and bench read
    Workload(Workload),
    /// Write the key files of a load run's members: worth nothing outside such a run
    Keys(KeysArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct Workload {
    /// Payments file to write (.csv or .csv.gz)
    #[arg(long)]
    payments: PathBuf,
    /// Accounts file to write (.csv or .csv.gz)
    #[arg(long)]
    accounts: PathBuf,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct KeysArgs {
    /// Folder to fill
    folder: PathBuf,
    /// Seed of the run
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

/// Payments that a generated workload has at most.
pub(crate) const PAYMENTS_MAX: u32 = 200_000_000;

/// The shape of a generated workload.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Accounts
    #[arg(long, default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=16_000_000))]
    pub(crate) account_count: u32,
    /// Payments
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(PAYMENTS_MAX)))]
    pub(crate) count: Option<u32>,
    /// Slope of the popularity of payers and payees; with 0 all are as popular
    #[arg(long, default_value_t = 1.0)]
    pub(crate) zipf: f64,
    /// Payments in a thousand that ask for more than anybody has
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) overdraft_permille: u16,
}

impl Shape {
    /// The generator, with `count` payments unless the command line says otherwise.
    pub(crate) fn generator(&self, count: u32) -> Result<Generator, Failure> {
        if !(0.0..=4.0).contains(&self.zipf) {
            return Err(Failure::usage("--zipf lies between 0 and 4"));
        }
        Ok(Generator {
            seed: self.seed,
            account_count: self.account_count,
            payment_count: self.count.unwrap_or(count),
            exponent: self.zipf,
            overdraft_permille: self.overdraft_permille,
            ..Generator::default()
        })
    }
}

#[derive(Serialize)]
struct Written {
    accounts: usize,
    payments: usize,
    hash: String,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Workload(args) => workload(args),
        Command::Keys(args) => keys(args),
    }
}

fn workload(args: &Workload) -> Result<(), Failure> {
    let workload = args.shape.generator(1_000_000)?.generate();
    files::save(&workload, &args.payments, &args.accounts)?;
    let written = Written {
        accounts: workload.accounts.len(),
        payments: workload.payments.len(),
        hash: workload.digest().to_string(),
    };
    args.output.result("workload", &written, || {
        ui::rows([
            ("accounts", written.accounts.to_string()),
            ("payments", written.payments.to_string()),
            ("hash", written.hash.clone()),
        ])
    })
}

fn keys(args: &KeysArgs) -> Result<(), Failure> {
    let members = Members::new(args.seed);
    let mut written = Vec::new();
    for id in std::iter::once(OPERATOR).chain((0..BANK_COUNT).map(bank)) {
        let path = args.folder.join(format!("{id}.insecure-plaintext"));
        let keys = Keys::Member(members.key(id));
        keystore::save(&path, &keys, &Protection::InsecurePlaintext)?;
        written.push(path);
    }
    args.output.result("keys-written", &written, || {
        format!("{} key files in {}", written.len(), args.folder.display())
    })
}

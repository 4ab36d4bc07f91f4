//! What the payments of a generated run are: who pays whom, and by which kinds of envelopes.

use clap::ValueEnum;
use clearway_load::workload::{Generator, Pattern};

use crate::failure::Failure;

/// Arguments that only generated payments obey.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct WorkArgs {
    /// What is done between the accounts
    #[arg(long, value_enum, default_value_t = Work::Zipf)]
    workload: Work,
    /// Signatures in a thousand that are wrong: each is refused
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    invalid_permille: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Work {
    /// Transfers, skewed as --zipf says
    Zipf,
    /// Transfers, each account as likely as any other
    Uniform,
    /// Transfers, half of them from one account
    Hot,
    /// By turns a hold and the post of all of it
    Hold,
    /// Transfers by twos, which settle together or not at all
    Linked,
    /// By turns a transfer and the return of all of it
    Return,
}

impl WorkArgs {
    /// The generator of this work.
    pub(super) fn apply(self, generator: Generator) -> Result<Generator, Failure> {
        let is_uniform = self.workload == Work::Uniform;
        let skew = Generator::default().exponent;
        let is_skewed = |exponent: f64| exponent > 0.0 && (exponent - skew).abs() > f64::EPSILON;
        if is_uniform && is_skewed(generator.exponent) {
            let message = "--workload uniform has no slope: leave --zipf out, or --workload";
            return Err(Failure::usage(message));
        }
        Ok(Generator {
            pattern: match self.workload {
                Work::Zipf | Work::Uniform => Pattern::Transfers,
                Work::Hot => Pattern::HotDebtor,
                Work::Hold => Pattern::Holds,
                Work::Linked => Pattern::Linked,
                Work::Return => Pattern::Returns,
            },
            exponent: if is_uniform { 0.0 } else { generator.exponent },
            invalid_permille: self.invalid_permille,
            ..generator
        })
    }
}

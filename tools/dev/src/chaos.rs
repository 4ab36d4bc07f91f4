//! `cargo dev chaos`: every command under what others do to a process, for a while, by a seed.

use crate::cargo;
use crate::error::DevError;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The test that plays, which a usual test run gives a short seeded slice.
const TEST: &str = "several_at_once_do_no_more_harm_than_one";

/// How long, and in which order.
#[derive(Debug, clap::Args)]
pub(crate) struct Chaos {
    /// Seconds to play.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed of an earlier run, to play the same again; another each time without it.
    #[arg(long)]
    seed: Option<u64>,
}

/// Prints the seed, then plays; fails with the first command that ends as none may.
pub(crate) fn run(root: &Path, chaos: &Chaos) -> Result<(), DevError> {
    let seed = chaos.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}, {} s", chaos.seconds);
    let args = ["test", "--package", "clearway", "--test", "chaos", "--"];
    let args = [&args[..], &["--exact", TEST, "--nocapture"]].concat();
    let mut command = cargo::command(root, &args);
    command
        .env("CLEARWAY_SEED", seed.to_string())
        .env("CLEARWAY_SECONDS", chaos.seconds.to_string());
    let shown = format!("cargo dev chaos --seed {seed} --seconds {}", chaos.seconds);
    cargo::finished("chaos", command, &shown)
}

/// A seed that people can type.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| u64::from(since.subsec_nanos()) % 1_000_000)
}

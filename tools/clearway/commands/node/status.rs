//! `clearway node status`: how far a running node is.

use clearway_client::CLOCK_TOLERANCE;
use serde::Serialize;

use crate::commands::connect::Connect;
use crate::failure::Failure;
use crate::ui::{self, Output};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Status {
    genesis_hash: String,
    height: u64,
    exec_head: String,
    time_ms: u64,
    executed_height: u64,
    /// The node's own clock.
    clock_ms: u64,
    /// How far cluster time is ahead of it.
    clock_ahead_ms: u64,
    directory_height: u64,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let session = args.connect.open()?;
    let found = session.ask(async |client| client.status().await)?;
    let status = Status {
        genesis_hash: found.genesis.to_string(),
        height: found.height.0,
        exec_head: found.exec_head.to_string(),
        time_ms: found.time.0,
        executed_height: found.executed.0,
        clock_ms: found.clock.0,
        clock_ahead_ms: found.time.0.saturating_sub(found.clock.0),
        directory_height: found.directory_height.0,
    };
    args.output.result("node-status", &status, || {
        ui::rows([
            ("genesis hash", status.genesis_hash.clone()),
            ("height, durable", status.height.to_string()),
            ("height, executed", status.executed_height.to_string()),
            ("execution head", status.exec_head.clone()),
            ("cluster time", format!("{} ms", status.time_ms)),
            ("node's clock", format!("{} ms", status.clock_ms)),
            ("ahead of clock", ahead(status.clock_ahead_ms)),
            ("key directory of", status.directory_height.to_string()),
        ])
    })
}

/// How far cluster time is ahead of the node's clock, and what to do about it.
fn ahead(ms: u64) -> String {
    let what = match u128::from(ms) >= CLOCK_TOLERANCE.as_millis() {
        true => ": set the node's clock right, or wait until it has reached cluster time",
        false => "",
    };
    format!("{}.{} s{what}", ms / 1000, ms % 1000 / 100)
}

//! `clearway node status`: how far a running node is.

use serde::Serialize;

use crate::commands::connect::Connect;
use crate::failure::{Failure, Kind};
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
    directory_height: u64,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let session = args.connect.open()?;
    let found = session.ask(async |client| client.status().await)?;
    if found.genesis != session.genesis.hash() {
        let message = format!(
            "the node runs genesis {}, the file is {}: use the cluster's own genesis file",
            found.genesis,
            session.genesis.hash()
        );
        return Err(Failure::new(Kind::Mismatch, message));
    }
    let status = Status {
        genesis_hash: found.genesis.to_string(),
        height: found.height.0,
        exec_head: found.exec_head.to_string(),
        time_ms: found.time.0,
        executed_height: found.executed.0,
        directory_height: found.directory_height.0,
    };
    args.output.result("node-status", &status, || {
        ui::rows([
            ("genesis hash", status.genesis_hash.clone()),
            ("height, durable", status.height.to_string()),
            ("height, executed", status.executed_height.to_string()),
            ("execution head", status.exec_head.clone()),
            ("cluster time", format!("{} ms", status.time_ms)),
            ("key directory of", status.directory_height.to_string()),
        ])
    })
}

//! `clearway node init|run|status|config`: a validator's node.

pub(crate) mod init;
mod run;
pub(crate) mod show;
mod status;

use crate::failure::Failure;

/// A validator's node
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Make keys, genesis and configuration of a cluster of one node
    Init(init::Args),
    /// Run the node until it is asked to stop
    Run(run::Args),
    /// Ask a running node how far it is
    Status(status::Args),
    /// Show every setting, its value and where it comes from
    Config(show::Args),
}

impl Command {
    /// Whether GPU drivers may be loaded.
    pub(crate) fn looks_for_devices(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(args),
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::run(args),
        Command::Config(args) => show::run(args),
    }
}

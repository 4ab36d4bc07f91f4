//! `clearway node run`: a node in the foreground, until a signal asks it to stop.

use clearway_node::{Node, Readiness, genesis_file, keystore, log};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::backends;
use crate::commands::keys;
use crate::commands::node::show::ConfigArgs;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::signals::Ends;
use crate::{limits, streams, ui};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Log as JSON lines
    #[arg(long)]
    log_json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.config.load()?.config;
    limits::check(&config)?;
    start_log(&config.log, args.log_json)?;
    let genesis = genesis_file::load(&config.genesis)?;
    let unlock = keys::unlock(&config.keys, config.insecure_plaintext_keys)?;
    let validator = keystore::load_validator(&config.keys, &unlock)?;
    // Signals are caught before the first byte is taken in: a stop is graceful at any moment.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut ends = runtime.block_on(async { Ends::new() })?;
    let (gate, config) = backends::of_node(&config)?;
    let node = Node::start_with(&config, &genesis, &validator, gate).or_fail(Kind::Failed)?;
    let addresses = node.addresses();
    let told = ui::say(&ui::rows([
        ("door", addresses.door.to_string()),
        ("admin", addresses.admin.to_string()),
        ("genesis hash", genesis.hash().to_string()),
        ("height", node.durable_height().to_string()),
    ]));
    // Nobody would know where its door is; it stops in order all the same.
    if told.is_ok() {
        let mut readiness = node.readiness();
        runtime.block_on(async {
            tokio::select! {
                _ = ends.next() => {}
                _ = readiness.wait_for(|state| *state == Readiness::Failed) => {}
            }
        });
    }
    let stopped = node.stop().or_fail(Kind::Failed);
    told.and(stopped)
}

fn start_log(filter: &str, json: bool) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(log::directives(filter)).map_err(|error| {
        Failure::usage(format!(
            "setting `log`: {error}; write info or clearway=debug"
        ))
    })?;
    streams::start_log_thread();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| streams::LogLines)
        // A line that cannot be written is counted; saying so in the same place would not help.
        .log_internal_errors(false)
        // At level `trace` every link tells how long each of its messages took.
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(streams::is_coloured(&std::io::stderr()));
    let started = if json {
        log.json().try_init()
    } else {
        log.try_init()
    };
    started.or_fail(Kind::Failed)
}

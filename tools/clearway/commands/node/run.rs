//! `clearway node run`: a node in the foreground, until a signal asks it to stop.

use clearway_node::config::{Loaded, Origin};
use clearway_node::log::LINES_DROPPED;
use clearway_node::{Node, NodeError, Readiness, genesis_file, keystore, log};
use clearway_store::StoreError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::backends;
use crate::commands::log::kind_of;
use crate::commands::node::init::check_clock;
use crate::commands::node::show::ConfigArgs;
use crate::commands::passphrase;
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
    let loaded = args.config.load()?;
    let of_genesis = |failure: Failure| of_variables(failure, &loaded, &["genesis"]);
    let of_keys = |failure: Failure| of_variables(failure, &loaded, &["keys"]);
    let config = &loaded.config;
    limits::check(config)?;
    start_log(&config.log, args.log_json)?;
    // The operators' page writes dates, and its library panics at such a clock.
    check_clock()?;
    let genesis = genesis_file::load(&config.genesis).map_err(|error| of_genesis(error.into()))?;
    let unlock = passphrase::unlock(&config.keys, config.insecure_plaintext_keys);
    let validator = keystore::load_validator(&config.keys, &unlock.map_err(of_keys)?);
    let validator = validator.map_err(|error| of_keys(error.into()))?;
    // Signals are caught before the first byte is taken in: a stop is graceful at any moment.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut ends = runtime.block_on(async { Ends::new() })?;
    let parts = backends::parts_of(config)?;
    let node = Node::start_with(config, &genesis, &validator, parts);
    let node = node.map_err(|error| not_started(&error, &loaded))?;
    let addresses = node.addresses();
    let (door, admin) = (addresses.door, addresses.admin);
    let (hash, height) = (genesis.hash(), node.durable_height());
    let told = ui::say(&ui::rows([
        ("door", door.to_string()),
        ("admin", admin.to_string()),
        ("genesis hash", hash.to_string()),
        ("height", height.to_string()),
    ]));
    // Members know the door from their configuration: a full disk behind the output, which often
    // goes to the same file as the log, keeps nobody's payments from being cleared.
    if let Err(failure) = told {
        LINES_DROPPED.add(1);
        tracing::warn!(%failure, "the addresses are told here instead");
        tracing::info!(%door, %admin, genesis_hash = %hash, %height, "the node runs");
    }
    let mut readiness = node.readiness();
    runtime.block_on(async {
        tokio::select! {
            _ = ends.next() => {}
            _ = readiness.wait_for(|state| *state == Readiness::Failed) => {}
        }
    });
    node.stop().or_fail(Kind::Failed)
}

/// Why a node does not start. A variable or a flag may have named other files than the
/// configuration does: those that are not what they should be are told.
fn not_started(error: &NodeError, loaded: &Loaded) -> Failure {
    let (kind, files): (Kind, &[&str]) = match error {
        NodeError::Store(StoreError::ForeignGenesis { .. }) => {
            (Kind::Mismatch, &["genesis", "data_dir"])
        }
        NodeError::Store(error) if kind_of(error) == Kind::Mismatch => {
            (Kind::Mismatch, &["data_dir"])
        }
        NodeError::Recovery(_) => (Kind::Failed, &["genesis", "data_dir"]),
        NodeError::Genesis(_) | NodeError::Validators(_) => (Kind::Failed, &["genesis"]),
        NodeError::NotInGenesis => (Kind::Failed, &["genesis", "keys"]),
        NodeError::Store(_)
        | NodeError::History(_)
        | NodeError::LogBehind { .. }
        | NodeError::Record(_)
        | NodeError::Checkpoint(_)
        | NodeError::Divergence { .. } => (Kind::Failed, &["data_dir"]),
        _ => (Kind::Failed, &[]),
    };
    let mut shown = error.to_string();
    if matches!(error, NodeError::NotInGenesis) {
        let (genesis, keys) = (&loaded.config.genesis, &loaded.config.keys);
        let (genesis, keys) = (genesis.display(), keys.display());
        shown.push_str(&format!(" (genesis {genesis}, keys {keys})"));
    }
    of_variables(Failure::new(kind, shown), loaded, files)
}

/// The same with the variables that set these settings: nobody wrote them into the configuration.
fn of_variables(failure: Failure, loaded: &Loaded, keys: &[&str]) -> Failure {
    keys.iter()
        .fold(failure, |failure, key| match loaded.origins.get(key) {
            Some(Origin::Variable(name)) => {
                failure.adding(&format!("variable {name} sets `{key}`"))
            }
            _ => failure,
        })
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

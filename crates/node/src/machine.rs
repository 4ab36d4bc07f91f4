//! The machine: every stage between its links, put together over a disk and a clock. Nothing runs
//! yet: `assembly` gives each stage a thread and opens the door, a simulation steps them itself.

use std::sync::Arc;
use std::time::Duration;

use clearway_crypto::gate::Gate;
use clearway_execute::{ExecuteConfig, ExecuteMetrics, ExecuteStage, Ledger};
use clearway_flow::{InFlight, Latest, LinkReceiver, LinkSender, LinkStats};
use clearway_order::{Clock, EngineConfig, OrderConfig, OrderHandle, Orderer, Sinks, system_clock};
use clearway_store::{BlockIo, Reader, RealIo, Store, StoreOptions, Writer};
use clearway_types::directory::KeyDirectory;
use clearway_types::domain::DomainTag;
use clearway_types::genesis::Genesis;
use clearway_types::messages::{ExecutedBlock, OrderedBlock, Persist, Refusals};
use clearway_types::units::ValidatorNumber;
use clearway_verify::{VerifyConfig, VerifyError, VerifyStage};
use crossbeam::channel;
use tokio::sync::watch;

use crate::admin::Readiness;
use crate::backends::{self, BackendError};
use crate::checkpointer::{Checkpointer, Keep};
use crate::config::NodeConfig;
use crate::disk::Disk;
use crate::door::Frames;
use crate::error::NodeError;
use crate::keystore::ValidatorKeys;
use crate::log_index::LogIndex;
use crate::query::LedgerQuery;
use crate::recovery::{self, Recovered, recover};
use crate::stages::execute::{Execute, ExecuteLinks};
use crate::stages::order::{Feed, Feedback};
use crate::stages::store::{StoreLinks, Storing};
use crate::stages::verify::Verify;
use crate::topology::Links;
use crate::{CHECKPOINT_FOLDER, ENGINE_FOLDER, LOG_FOLDER};

/// What a node takes from its machine; a simulation gives its own.
pub struct Parts {
    /// The file system of log and checkpoints.
    pub io: Arc<dyn BlockIo>,
    /// Where the node reads time.
    pub clock: Clock,
    /// Who verifies signatures.
    pub gate: Gate,
}

impl Parts {
    /// What this configuration asks of this machine, and why a device was left out that the node
    /// would have taken. Hashing is chosen here, for the whole process.
    ///
    /// # Errors
    /// A backend or a hasher that is asked for by name is not there.
    pub fn of(config: &NodeConfig) -> Result<(Self, Option<BackendError>), BackendError> {
        let (gate, left_out) = backends::of(config)?;
        Ok((Self::real(gate), left_out))
    }

    /// The disk and the clocks of this machine, and these backends.
    #[must_use]
    pub fn real(gate: Gate) -> Self {
        Self {
            io: Arc::new(RealIo::new()),
            clock: system_clock(),
            gate,
        }
    }
}

/// Every stage of a node, between its links.
pub(crate) struct Machine {
    pub(crate) verify: Vec<Verify>,
    pub(crate) feed: Feed,
    pub(crate) feedback: Feedback,
    /// Feedback ends when this is dropped.
    pub(crate) stop_feedback: channel::Sender<()>,
    pub(crate) execute: Execute,
    pub(crate) store: Storing,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) kept: channel::Receiver<Keep>,
    pub(crate) door: DoorEnds,
    pub(crate) shared: Shared,
}

/// The ends of links that the door holds.
pub(crate) struct DoorEnds {
    pub(crate) frames: Frames,
    pub(crate) queries: LinkSender<LedgerQuery>,
    pub(crate) results: LinkReceiver<Arc<ExecutedBlock>>,
    pub(crate) refusals: LinkReceiver<Refusals>,
}

/// What several stages share, and what is shown of them.
pub(crate) struct Shared {
    pub(crate) links: Vec<Arc<LinkStats>>,
    pub(crate) clock: Clock,
    pub(crate) directory: Arc<Latest<KeyDirectory>>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) verify: VerifyStage,
    pub(crate) order: OrderHandle,
    pub(crate) execute: Arc<ExecuteMetrics>,
    pub(crate) reader: Reader,
    pub(crate) index: Arc<LogIndex>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) readiness: watch::Sender<Readiness>,
}

impl Machine {
    /// Opens the store, recovers the state and puts every stage between its links. The engine of
    /// ordering runs beside them, in a runtime.
    ///
    /// # Errors
    /// Whatever keeps a node from starting.
    pub(crate) fn new(
        config: &NodeConfig,
        genesis: &Genesis,
        keys: &ValidatorKeys,
        parts: Parts,
    ) -> Result<(Self, Orderer), NodeError> {
        let me = number(genesis, keys)?;
        if let Some(name) = backend(config) {
            // A node that cannot verify leaves the data directory as it is.
            parts.gate.find(name).map_err(VerifyError::from)?;
        }
        let (writer, reader, recovered) = open(config, genesis, &parts.io)?;
        let Parts { io, clock, gate } = parts;
        let links = Links::new(verify_workers(config));
        let link_stats = links.stats();
        let (ledger, index) = (recovered.ledger, recovered.index);
        let directory = Arc::new(Latest::new(ledger.directory()));
        let in_flight = Arc::new(InFlight::default());
        let verifier = verify_stage(config, genesis, gate, &directory, &in_flight, &links)?;
        let readiness = watch::Sender::new(Readiness::Starting);
        let disk = Disk::new(Arc::clone(&io), config.data_dir.clone(), readiness.clone());
        let disk = Arc::new(disk);
        let (tip, sinks) = (
            recovered.order.tip.clone(),
            (links.order_store.0, links.order_execute.0),
        );
        let place = (me, Arc::clone(&clock));
        let orderer = orderer(
            config,
            genesis,
            keys,
            place,
            recovered.order,
            (sinks, &disk),
        )?;
        let order = orderer.handle();
        let (frames, frame_receivers): (Vec<_>, Vec<_>) = links.ingest_verify.into_iter().unzip();
        let verify_out = (links.verify_order.0, links.verify_ingest.0);
        let worker = |frames| Verify::new(&verifier, frames, &verify_out, (&clock, &order));
        let verify = frame_receivers.into_iter().map(worker).collect();
        let (stop_feedback, stop) = channel::bounded(0);
        let (keep, kept) = channel::bounded(1);
        let execute_metrics = Arc::<ExecuteMetrics>::default();
        let execute_links = ExecuteLinks {
            blocks: links.order_execute.1,
            queries: links.query_execute.1,
            results: links.execute_store.0,
            heads: links.execute_order.0,
            keep,
        };
        let stage = execute_stage(config, ledger, &execute_metrics);
        let execute = Execute::new(execute_links, stage, tip, &directory);
        let store_links = StoreLinks {
            persist: links.order_store.1,
            executed: links.execute_store.1,
            persisted: links.store_order.0,
            receipts: links.store_ingest.0,
        };
        let checkpoints = config.data_dir.join(CHECKPOINT_FOLDER);
        let checkpointer = Checkpointer::new(
            io,
            (checkpoints, genesis.hash()),
            &writer,
            (&reader, &index),
            &disk,
        );
        let store = Storing::new(store_links, writer, &index, &disk);
        let machine = Self {
            verify,
            feed: Feed::new(links.verify_order.1, &order),
            feedback: Feedback::new(links.store_order.1, links.execute_order.1, stop, &order),
            stop_feedback,
            execute,
            store,
            checkpointer,
            kept,
            door: DoorEnds {
                frames: Frames::new(frames, *verifier.scheduler()),
                queries: links.query_execute.0,
                results: links.store_ingest.1,
                refusals: links.verify_ingest.1,
            },
            shared: Shared {
                links: link_stats,
                clock,
                directory,
                in_flight,
                verify: verifier,
                order,
                execute: execute_metrics,
                reader,
                index,
                disk,
                readiness,
            },
        };
        Ok((machine, orderer))
    }
}

/// Opens the store and recovers the state.
fn open(
    config: &NodeConfig,
    genesis: &Genesis,
    io: &Arc<dyn BlockIo>,
) -> Result<(Writer, Reader, Recovered), NodeError> {
    let mut options = StoreOptions::new(config.data_dir.join(LOG_FOLDER), genesis.hash().0);
    options.segment_bytes = config.store.segment_bytes;
    let (writer, reader, report) = Store::open(Arc::clone(io), options)?;
    recovery::tell(&report);
    let checkpoints = config.data_dir.join(CHECKPOINT_FOLDER);
    let recovered = recover(io, &checkpoints, &reader, genesis)?;
    tracing::info!(height = recovered.ledger.height().0, "state recovered");
    Ok((writer, reader, recovered))
}

fn execute_stage(
    config: &NodeConfig,
    ledger: Ledger,
    metrics: &Arc<ExecuteMetrics>,
) -> ExecuteStage {
    let settings = ExecuteConfig {
        snapshot_interval: config.store.checkpoint_blocks.into(),
        ..ExecuteConfig::default()
    };
    ExecuteStage::new(ledger, settings, Arc::clone(metrics))
}

fn verify_stage(
    config: &NodeConfig,
    genesis: &Genesis,
    gate: Gate,
    directory: &Arc<Latest<KeyDirectory>>,
    in_flight: &Arc<InFlight>,
    links: &Links,
) -> Result<VerifyStage, NodeError> {
    let settings = VerifyConfig {
        backend: backend(config).map(str::to_owned),
        workers: links.ingest_verify.len(),
        ..VerifyConfig::default()
    };
    let tag = DomainTag::new(genesis.hash());
    let (directory, in_flight) = (Arc::clone(directory), Arc::clone(in_flight));
    Ok(VerifyStage::new(
        &settings,
        Arc::new(gate),
        tag,
        directory,
        in_flight,
    )?)
}

/// Threads that verify: as configured, or one a core.
fn verify_workers(config: &NodeConfig) -> usize {
    match config.verify_workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers as usize,
    }
}

/// The backend that is asked for, without the number of a device; `None` for the fastest.
fn backend(config: &NodeConfig) -> Option<&str> {
    let name = config.backend.split(':').next();
    name.filter(|name| *name != "auto")
}

/// This validator's number in the genesis, by its connection key.
fn number(genesis: &Genesis, keys: &ValidatorKeys) -> Result<ValidatorNumber, NodeError> {
    let key = keys.connection.public_key();
    let mut rows = genesis.validators.iter();
    let row = rows.find(|row| row.public_key.0 == key);
    row.map(|row| row.number).ok_or(NodeError::NotInGenesis)
}

/// Where ordering puts what leaves it; a link that nobody takes from belongs to a stopping node.
fn sinks(persist: LinkSender<Persist>, blocks: LinkSender<OrderedBlock>) -> Sinks {
    Sinks {
        persist: Box::new(move |message| drop(persist.send(message))),
        block: Box::new(move |block| drop(blocks.send(block))),
    }
}

fn orderer(
    config: &NodeConfig,
    genesis: &Genesis,
    keys: &ValidatorKeys,
    (me, clock): (ValidatorNumber, Clock),
    recovery: clearway_order::Recovery,
    ((persist, blocks), disk): ((LinkSender<Persist>, LinkSender<OrderedBlock>), &Arc<Disk>),
) -> Result<Orderer, NodeError> {
    let sinks = sinks(persist, blocks);
    let mut order = OrderConfig::new(genesis, me)?;
    order.view_pace = Duration::from_millis(config.order.pace_ms.into());
    order.heartbeat = Duration::from_millis(config.order.heartbeat_ms.into());
    let journal = config.data_dir.join(ENGINE_FOLDER);
    let mut engine = EngineConfig::new(genesis, keys.vote.to_bytes(), journal);
    engine.journal_room = Arc::clone(disk) as _;
    Ok(Orderer::new(order, engine, recovery, sinks, clock)?)
}

#[cfg(test)]
mod tests;

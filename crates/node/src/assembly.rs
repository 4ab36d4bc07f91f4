//! How a node is put together: one method a stage, each taking its ends of the links.

use std::sync::Arc;
use std::time::Duration;

use clearway_crypto::gate::Gate;
use clearway_execute::{ExecuteConfig, ExecuteMetrics, ExecuteStage, Ledger};
use clearway_flow::{InFlight, Latest, LinkReceiver, LinkSender, LinkStats, WorkerTimes};
use clearway_ingest::{IngestMetrics, ReceiptRouter};
use clearway_order::{
    Clock, EngineConfig, FinalPoint, OrderConfig, OrderHandle, OrderMetrics, Orderer, Sinks,
};
use clearway_store::{BlockIo, Reader, Store, StoreMetrics, StoreOptions, StoreStage, Writer};
use clearway_types::directory::KeyDirectory;
use clearway_types::domain::DomainTag;
use clearway_types::genesis::Genesis;
use clearway_types::messages::{
    ExecHead, ExecutedBlock, FrameBatch, OrderedBlock, Persist, Persisted, Refusals, VerifiedBatch,
};
use clearway_types::units::ValidatorNumber;
use clearway_verify::{VerifyConfig, VerifyError, VerifyStage};
use crossbeam::channel;
use tokio::sync::watch;

use crate::admin::Readiness;
use crate::clock::{ClockMetrics, ClockWatch};
use crate::config::NodeConfig;
use crate::disk::{Disk, DiskMetrics};
use crate::door::{self, Frames};
use crate::error::NodeError;
use crate::gather::Figures;
use crate::keeper::{Keep, Keeper, KeeperMetrics};
use crate::keystore::ValidatorKeys;
use crate::log_index::LogIndex;
use crate::node::{Addresses, Node};
use crate::questions::Questions;
use crate::recovery::{self, Recovered, recover};
use crate::stages;
use crate::stages::execute::ExecuteLinks;
use crate::stages::store::StoreLinks;
use crate::threads::{Failure, Threads};
use crate::topology::Links;
use crate::{CHECKPOINT_FOLDER, ENGINE_FOLDER, LOG_FOLDER};

/// A node on its way up: the store is open, the state is back, no thread runs.
pub(crate) struct Starting<'a> {
    config: &'a NodeConfig,
    genesis: &'a Genesis,
    keys: &'a ValidatorKeys,
    me: ValidatorNumber,
    gate: Arc<Gate>,
    clock: Clock,
    io: Arc<dyn BlockIo>,
    writer: Writer,
    reader: Reader,
    recovered: Recovered,
}

/// What several stages share.
struct Shared {
    directory: Arc<Latest<KeyDirectory>>,
    in_flight: Arc<InFlight>,
    verify: VerifyStage,
    execute_metrics: Arc<ExecuteMetrics>,
    keeper_metrics: Arc<KeeperMetrics>,
}

impl<'a> Starting<'a> {
    /// Opens the store and recovers the state.
    pub(crate) fn new(
        io: Arc<dyn BlockIo>,
        config: &'a NodeConfig,
        genesis: &'a Genesis,
        keys: &'a ValidatorKeys,
        gate: Gate,
        clock: Clock,
    ) -> Result<Self, NodeError> {
        let me = number(genesis, keys)?;
        if let Some(name) = backend(config) {
            // A node that cannot verify leaves the data directory as it is.
            gate.find(name).map_err(VerifyError::from)?;
        }
        let mut options = StoreOptions::new(config.data_dir.join(LOG_FOLDER), genesis.hash().0);
        options.segment_bytes = config.store.segment_bytes;
        let (writer, reader, report) = Store::open(Arc::clone(&io), options)?;
        recovery::tell(&report);
        let checkpoints = config.data_dir.join(CHECKPOINT_FOLDER);
        let recovered = recover(&io, &checkpoints, &reader, genesis)?;
        tracing::info!(height = recovered.ledger.height().0, "state recovered");
        Ok(Self {
            config,
            genesis,
            keys,
            me,
            gate: Arc::new(gate),
            clock,
            io,
            writer,
            reader,
            recovered,
        })
    }

    /// Starts every stage, the door first: an address in use is found before anything runs.
    pub(crate) fn assemble(self) -> Result<Node, NodeError> {
        let links = Links::new(verify_workers(self.config));
        let link_stats = links.stats();
        let shared = self.shared(links.ingest_verify.len())?;
        let (frame_links, frame_receivers): (Vec<_>, Vec<_>) =
            links.ingest_verify.into_iter().unzip();
        let sinks = sinks(links.order_store.0, links.order_execute.0);
        let (config, genesis, keys) = (self.config, self.genesis, self.keys);
        let (writer, reader) = (self.writer, self.reader);
        let (ledger, index) = (self.recovered.ledger, self.recovered.index);
        let order = self.recovered.order;
        let tip = order.tip.clone();
        let readiness = watch::Sender::new(Readiness::Starting);
        let (io, shown) = (Arc::clone(&self.io), readiness.clone());
        let disk = Arc::new(Disk::new(io, config.data_dir.clone(), shown));
        let clock = Arc::clone(&self.clock);
        let place = (self.me, self.clock);
        let orderer = orderer(config, genesis, keys, place, order, (sinks, &disk))?;
        let order = orderer.handle();
        let clocks = ClockWatch::new(&clock, order.metrics());
        let queries = links.query_execute.0;
        let runtime = door::runtime()?;
        let (listener, admin) = door::listen_admin(&runtime, config.admin_listen)?;
        let frames = Frames::new(frame_links, *shared.verify.scheduler());
        let (directory, in_flight) = (&shared.directory, Arc::clone(&shared.in_flight));
        let state = (directory, &shared.execute_metrics);
        let questions = Questions::new(genesis, &reader, &index, (&queries, &clock), state);
        let opening = door::open(config, keys, directory, frames, questions, &in_flight);
        let ingest = runtime.block_on(opening)?;
        let failure = Failure::new(readiness.clone());
        let mut threads = Threads::new(failure.clone(), config.pin_threads);
        let verify_out = (links.verify_order.0, links.verify_ingest.0);
        let verify = (&shared.verify, &clock);
        start_verify(&mut threads, verify, frame_receivers, verify_out)?;
        let news = (
            links.verify_order.1,
            links.store_order.1,
            links.execute_order.1,
        );
        let stop_news = start_order(&mut threads, orderer, &order, news)?;
        let (keep, kept) = channel::bounded(1);
        let execute_links = ExecuteLinks {
            blocks: links.order_execute.1,
            queries: links.query_execute.1,
            results: links.execute_store.0,
            heads: links.execute_order.0,
            keep,
        };
        start_execute(&mut threads, config, &shared, execute_links, (ledger, tip))?;
        let keeper = Keeper {
            io: self.io,
            checkpoints: config.data_dir.join(CHECKPOINT_FOLDER),
            genesis: genesis.hash(),
            preparer: writer.preparer(),
            reader: reader.clone(),
            index: Arc::clone(&index),
            metrics: Arc::clone(&shared.keeper_metrics),
            disk: Arc::clone(&disk),
        };
        let store_links = StoreLinks {
            persist: links.order_store.1,
            executed: links.execute_store.1,
            persisted: links.store_order.0,
            receipts: links.store_ingest.0,
        };
        let disk_metrics = Arc::clone(disk.metrics());
        start_store(&mut threads, writer, store_links, Arc::clone(&index), disk)?;
        let (results, refusals) = (links.store_ingest.1, links.verify_ingest.1);
        start_receipts(&mut threads, ingest.router(), results, refusals)?;
        start_keeper(&mut threads, keeper, kept)?;

        let addresses = Addresses {
            door: ingest.local_addr(),
            admin,
        };
        let metrics = (
            ingest.metrics(),
            Arc::clone(order.metrics()),
            Arc::clone(reader.metrics()),
            disk_metrics,
        );
        let times = (threads.times(), clocks.metrics());
        let figures = shared.figures(link_stats, times, &index, metrics);
        door::serve_admin(&runtime, listener, readiness.subscribe(), clocks, &figures);
        let node = Node {
            runtime,
            ingest,
            order,
            stop_news,
            queries,
            in_flight,
            threads,
            failure,
            readiness,
            figures,
            index,
            addresses,
        };
        node.get_ready()
    }

    fn shared(&self, workers: usize) -> Result<Shared, NodeError> {
        let directory = Arc::new(Latest::new(self.recovered.ledger.directory()));
        let in_flight = Arc::new(InFlight::default());
        let config = VerifyConfig {
            backend: backend(self.config).map(str::to_owned),
            workers,
            ..VerifyConfig::default()
        };
        let tag = DomainTag::new(self.genesis.hash());
        let verify = VerifyStage::new(
            &config,
            Arc::clone(&self.gate),
            tag,
            Arc::clone(&directory),
            Arc::clone(&in_flight),
        )?;
        let (execute_metrics, keeper_metrics) = (Arc::default(), Arc::default());
        Ok(Shared {
            directory,
            in_flight,
            verify,
            execute_metrics,
            keeper_metrics,
        })
    }
}

impl Shared {
    fn figures(
        self,
        links: Vec<Arc<LinkStats>>,
        (workers, clock): (Vec<Arc<WorkerTimes>>, Arc<ClockMetrics>),
        index: &Arc<LogIndex>,
        (ingest, order, store, disk): (
            Arc<IngestMetrics>,
            Arc<OrderMetrics>,
            Arc<StoreMetrics>,
            Arc<DiskMetrics>,
        ),
    ) -> Arc<Figures> {
        Arc::new(Figures {
            links,
            workers,
            admin: Arc::default(),
            clock,
            ingest,
            verify: Arc::clone(self.verify.metrics()),
            backend: Arc::clone(self.verify.backend()),
            order,
            execute: self.execute_metrics,
            store,
            disk,
            keeper: self.keeper_metrics,
            in_flight: self.in_flight,
            index: Arc::clone(index),
        })
    }
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
    (sinks, disk): (Sinks, &Arc<Disk>),
) -> Result<Orderer, NodeError> {
    let mut order = OrderConfig::new(genesis, me)?;
    order.view_pace = Duration::from_millis(config.order.pace_ms.into());
    order.heartbeat = Duration::from_millis(config.order.heartbeat_ms.into());
    let journal = config.data_dir.join(ENGINE_FOLDER);
    let mut engine = EngineConfig::new(genesis, keys.vote.to_bytes(), journal);
    engine.journal_room = Arc::clone(disk) as _;
    Ok(Orderer::new(order, engine, recovery, sinks, clock)?)
}

/// Starts a thread for each link of frames.
fn start_verify(
    threads: &mut Threads,
    (stage, clock): (&VerifyStage, &Clock),
    frames: Vec<LinkReceiver<FrameBatch>>,
    out: (LinkSender<VerifiedBatch>, LinkSender<Refusals>),
) -> Result<(), NodeError> {
    for (number, frames) in frames.into_iter().enumerate() {
        let (stage, out, clock) = (stage.clone(), out.clone(), Arc::clone(clock));
        threads.start("verify", number, move |worker| {
            stages::verify::run(worker, &stage, &frames, &out.0, &out.1, &clock);
            Ok(())
        })?;
    }
    Ok(())
}

/// Starts the threads of ordering; news are brought until the sender returned is dropped.
fn start_order(
    threads: &mut Threads,
    orderer: Orderer,
    order: &OrderHandle,
    (verified, persisted, executed): (
        LinkReceiver<VerifiedBatch>,
        LinkReceiver<Vec<Persisted>>,
        LinkReceiver<ExecHead>,
    ),
) -> Result<channel::Sender<()>, NodeError> {
    let (stop, stopped) = channel::bounded(0);
    let feed = order.clone();
    threads.start("order", 0, move |worker| {
        stages::order::feed(worker, &verified, &feed);
        Ok(())
    })?;
    threads.start("order", 1, move |_| Ok(orderer.run()?))?;
    let told = order.clone();
    threads.start("news", 0, move |worker| {
        stages::order::bring_news(worker, &persisted, &executed, &stopped, &told);
        Ok(())
    })?;
    Ok(stop)
}

fn start_execute(
    threads: &mut Threads,
    config: &NodeConfig,
    shared: &Shared,
    links: ExecuteLinks,
    (ledger, tip): (Ledger, FinalPoint),
) -> Result<(), NodeError> {
    let snapshot_interval = config.store.checkpoint_blocks.into();
    let settings = ExecuteConfig {
        snapshot_interval,
        ..ExecuteConfig::default()
    };
    let stage = ExecuteStage::new(ledger, settings, Arc::clone(&shared.execute_metrics));
    let directory = Arc::clone(&shared.directory);
    threads.start("execute", 0, move |worker| {
        stages::execute::run(worker, &links, stage, tip, |version| {
            directory.publish(version)
        });
        Ok(())
    })
}

fn start_keeper(
    threads: &mut Threads,
    keeper: Keeper,
    kept: channel::Receiver<Keep>,
) -> Result<(), NodeError> {
    threads.start("keeper", 0, move |_| {
        keeper.run(&kept);
        Ok(())
    })
}

fn start_store(
    threads: &mut Threads,
    writer: Writer,
    links: StoreLinks,
    index: Arc<LogIndex>,
    disk: Arc<Disk>,
) -> Result<(), NodeError> {
    let stage = StoreStage::new(writer);
    threads.start("store", 0, move |worker| {
        stages::store::run(worker, &links, stage, &index, &disk)
    })
}

fn start_receipts(
    threads: &mut Threads,
    router: ReceiptRouter,
    results: LinkReceiver<Arc<ExecutedBlock>>,
    refusals: LinkReceiver<Refusals>,
) -> Result<(), NodeError> {
    threads.start("receipts", 0, move |worker| {
        stages::receipts::run(worker, &results, &refusals, &router);
        Ok(())
    })
}

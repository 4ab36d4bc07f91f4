//! A machine becomes a running node: a thread for each stage, and the door.

use std::sync::Arc;

use clearway_flow::WorkerTimes;
use clearway_ingest::IngestMetrics;
use clearway_order::Orderer;
use clearway_types::genesis::Genesis;

use crate::checkpointer::CheckpointerMetrics;
use crate::clock::{ClockMetrics, ClockWatch};
use crate::config::NodeConfig;
use crate::door;
use crate::error::NodeError;
use crate::gather::Figures;
use crate::keystore::ValidatorKeys;
use crate::machine::{DoorEnds, Machine, Shared};
use crate::node::{Addresses, Node};
use crate::questions::Questions;
use crate::stages;
use crate::stages::answers::Answering;
use crate::threads::{Failure, Threads};

/// Opens the door, then starts every stage: an address in use is found before anything runs.
pub(crate) fn assemble(
    (machine, orderer): (Machine, Orderer),
    config: &NodeConfig,
    genesis: &Genesis,
    keys: &ValidatorKeys,
) -> Result<Node, NodeError> {
    let Machine {
        verify,
        feed,
        feedback,
        stop_feedback,
        execute,
        store,
        mut checkpointer,
        kept,
        door,
        shared,
    } = machine;
    let DoorEnds {
        frames,
        queries,
        results,
        refusals,
    } = door;
    let clocks = ClockWatch::new(&shared.clock, shared.order.metrics());
    let runtime = door::runtime()?;
    let (listener, admin) = door::listen_admin(&runtime, config.admin_listen)?;
    let asking = (&queries, &shared.clock);
    let state = (&shared.directory, &shared.execute);
    let questions = Questions::new(genesis, &shared.reader, &shared.index, asking, state);
    let opening = door::open(
        config,
        keys,
        &shared.directory,
        frames,
        questions,
        &shared.in_flight,
    );
    let ingest = runtime.block_on(opening)?;
    let failure = Failure::new(shared.readiness.clone());
    let mut threads = Threads::new(failure.clone(), config.pin_threads);
    let checkpointer_metrics = Arc::clone(&checkpointer.metrics);
    for (number, verify) in verify.into_iter().enumerate() {
        threads.start("verify", number, move |worker| stages::run(verify, worker))?;
    }
    threads.start("order", 0, move |worker| stages::run(feed, worker))?;
    threads.start("order", 1, move |_| Ok(orderer.run()?))?;
    threads.start("feedback", 0, move |worker| stages::run(feedback, worker))?;
    threads.start("execute", 0, move |worker| stages::run(execute, worker))?;
    threads.start("store", 0, move |worker| stages::run(store, worker))?;
    let answering = Answering {
        results,
        refusals,
        router: ingest.router(),
    };
    threads.start("answers", 0, move |worker| stages::run(answering, worker))?;
    threads.start("checkpointer", 0, move |_| {
        checkpointer.run(&kept);
        Ok(())
    })?;

    let addresses = Addresses {
        door: ingest.local_addr(),
        admin,
    };
    let times = (threads.times(), clocks.metrics());
    let figures = figures(&shared, times, ingest.metrics(), checkpointer_metrics);
    door::serve_admin(
        &runtime,
        listener,
        shared.readiness.subscribe(),
        clocks,
        &figures,
    );
    Ok(Node {
        runtime,
        ingest,
        order: shared.order,
        stop_feedback,
        queries,
        in_flight: shared.in_flight,
        threads,
        failure,
        readiness: shared.readiness,
        figures,
        disk: shared.disk,
        index: shared.index,
        addresses,
    })
}

fn figures(
    shared: &Shared,
    (workers, clock): (Vec<Arc<WorkerTimes>>, Arc<ClockMetrics>),
    ingest: Arc<IngestMetrics>,
    checkpointer: Arc<CheckpointerMetrics>,
) -> Arc<Figures> {
    Arc::new(Figures {
        links: shared.links.clone(),
        workers,
        admin: Arc::default(),
        clock,
        ingest,
        verify: Arc::clone(shared.verify.metrics()),
        backend: Arc::clone(shared.verify.backend()),
        order: Arc::clone(shared.order.metrics()),
        execute: Arc::clone(&shared.execute),
        store: Arc::clone(shared.reader.metrics()),
        disk: Arc::clone(shared.disk.metrics()),
        checkpointer,
        in_flight: Arc::clone(&shared.in_flight),
        index: Arc::clone(&shared.index),
    })
}

//! One running node: what can be asked of it, and its orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clearway_crypto::gate::Gate;
use clearway_crypto::validators::ValidatorSet;
use clearway_execute::Ledger;
use clearway_flow::{InFlight, LinkSender};
use clearway_ingest::Ingest;
use clearway_order::OrderHandle;
use clearway_types::genesis::Genesis;
use clearway_types::units::Height;
use crossbeam::channel;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::admin::{self, Readiness};
use crate::assembly::assemble;
use crate::config::NodeConfig;
use crate::disk::Disk;
use crate::error::NodeError;
use crate::gather::Figures;
use crate::keystore::ValidatorKeys;
use crate::log_index::LogIndex;
use crate::machine::{Machine, Parts};
use crate::query::{LedgerQuery, ask};
use crate::threads::{DRAIN_TIMEOUT, Failure, LOOK_AROUND, Threads};

/// How long a start waits for the engine to read its journal. It takes milliseconds; an engine that
/// has nothing to ask for so long is not known to be damaged, and is no reason not to start.
const ENGINE_START_MAX: Duration = Duration::from_secs(10);

/// A running node.
pub struct Node {
    pub(crate) runtime: Runtime,
    pub(crate) ingest: Ingest,
    pub(crate) order: OrderHandle,
    pub(crate) stop_feedback: channel::Sender<()>,
    pub(crate) queries: LinkSender<LedgerQuery>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) threads: Threads,
    pub(crate) failure: Failure,
    pub(crate) readiness: watch::Sender<Readiness>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) index: Arc<LogIndex>,
    pub(crate) addresses: Addresses,
}

/// Where a node can be reached.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The members' door.
    pub door: SocketAddr,
    /// The operators' page.
    pub admin: SocketAddr,
}

impl Node {
    /// Recovers the data directory and starts every stage; ready for members when it returns.
    /// Signatures are verified by the processor.
    ///
    /// # Errors
    /// Whatever keeps it from starting, with what to do; nothing is left running then.
    pub fn start(
        config: &NodeConfig,
        genesis: &Genesis,
        keys: &ValidatorKeys,
    ) -> Result<Self, NodeError> {
        Self::start_with(config, genesis, keys, Parts::real(Gate::new()?))
    }

    /// The same over this disk and clock, with these backends.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_with(
        config: &NodeConfig,
        genesis: &Genesis,
        keys: &ValidatorKeys,
        parts: Parts,
    ) -> Result<Self, NodeError> {
        genesis.check()?;
        ValidatorSet::from_genesis(genesis)?;
        if !admin::private(config.admin_listen) {
            return Err(NodeError::AdminAddress {
                address: config.admin_listen,
            });
        }
        let machine = Machine::new(config, genesis, keys, parts)?;
        // The links' ends that assembly held are gone here: a start that fails can end its threads.
        assemble(machine, config, genesis, keys)?.when_ready()
    }

    /// Ready once the engine has read its journal, unless a stage has failed meanwhile. A node
    /// whose journal is damaged never was ready: it stops here and says why.
    fn when_ready(self) -> Result<Self, NodeError> {
        if !self.order.wait_engine_up(ENGINE_START_MAX)
            && let Some(error) = self.order.failure()
        {
            return Err(self.stop().err().unwrap_or(error.into()));
        }
        self.disk.on_start();
        Ok(self)
    }

    /// Where it can be reached.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Every figure of the metrics page.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// The last final block that is durable.
    #[must_use]
    pub fn durable_height(&self) -> Height {
        self.index.durable_height()
    }

    /// Asks the ledger between two blocks; `None` when the node has stopped by itself.
    pub fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Ledger) -> R + Send + 'static,
    ) -> Option<R> {
        ask(&self.queries, question)
    }

    /// The readiness, to be waited on; after `Failed`, [`Node::stop`] says why.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// Takes no more payments, answers those in flight, keeps the state and ends every thread.
    ///
    /// # Errors
    /// Why the node had stopped by itself, if it had.
    pub fn stop(self) -> Result<(), NodeError> {
        let Self {
            runtime,
            ingest,
            order,
            stop_feedback,
            queries,
            mut threads,
            ..
        } = self;
        let failed = || *self.readiness.borrow() == Readiness::Failed;
        if !failed() {
            tracing::info!("stopping: answering what is in flight");
            turn_to_stopping(&self.readiness);
            drain(&self.in_flight, &failed);
        }
        runtime.block_on(ingest.stop());
        // What is left unanswered may never be: a full disk, or a stage that has ended, gives the
        // lane no room, and the feed of a full lane would wait for ever.
        let goes_on = self.in_flight.is_empty() && !failed();
        if !goes_on || !threads.end_within("verify", DRAIN_TIMEOUT) {
            order.stop();
        }
        threads.join("verify");
        order.stop();
        threads.join("order");
        drop(stop_feedback);
        threads.join("feedback");
        drop((order, queries));
        for stage in ["execute", "store", "answers", "checkpointer"] {
            threads.join(stage);
        }
        drop(self.readiness);
        runtime.shutdown_timeout(Duration::from_secs(1));
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// From here on the node stops, unless it has failed meanwhile.
fn turn_to_stopping(readiness: &watch::Sender<Readiness>) {
    readiness.send_if_modified(|now| {
        let turns = *now != Readiness::Failed;
        if turns {
            *now = Readiness::Stopping;
        }
        turns
    });
}

/// Waits until everything taken in has been answered, at most for the timeout of a stop.
fn drain(in_flight: &InFlight, failed: &impl Fn() -> bool) {
    let until = Instant::now() + DRAIN_TIMEOUT;
    while !in_flight.is_empty() && !failed() && Instant::now() < until {
        std::thread::sleep(LOOK_AROUND);
    }
}

#[cfg(test)]
mod tests;

//! The threads of a node: started by name, watched for failure, joined at the end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clearway_flow::{Worker, WorkerTimes, spawn_worker};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::admin::Readiness;
use crate::error::NodeError;
use crate::topology::threads_named;

/// How often a stop looks whether it may go on.
pub(crate) const LOOK_AROUND: Duration = Duration::from_millis(2);
/// How long a stop waits for what is in flight to be answered.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the node stopped by itself, once it did; shared by all threads.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    cause: Arc<Mutex<Option<NodeError>>>,
    readiness: watch::Sender<Readiness>,
}

impl Failure {
    pub(crate) fn new(readiness: watch::Sender<Readiness>) -> Self {
        Self {
            cause: Arc::default(),
            readiness,
        }
    }

    /// Notes the first failure and says so on the operators' page.
    pub(crate) fn note(&self, error: NodeError) {
        tracing::error!(%error, "the node stops");
        let mut cause = self.cause.lock();
        cause.get_or_insert(error);
        drop(cause);
        self.readiness.send_replace(Readiness::Failed);
    }

    pub(crate) fn take(&self) -> Option<NodeError> {
        self.cause.lock().take()
    }
}

/// Started threads, in the order in which the walk ends.
pub(crate) struct Threads {
    failure: Failure,
    /// Core for the next thread; `None` leaves placement to the system.
    next_core: Option<usize>,
    times: Vec<Arc<WorkerTimes>>,
    handles: Vec<(&'static str, JoinHandle<()>)>,
}

impl Threads {
    pub(crate) fn new(failure: Failure, pin: bool) -> Self {
        Self {
            failure,
            next_core: pin.then_some(0),
            times: Vec::new(),
            handles: Vec::new(),
        }
    }

    /// Starts thread `number` of this name; a failure or panic of `body` ends the node.
    ///
    /// # Panics
    /// When no row of the topology has that name.
    pub(crate) fn start(
        &mut self,
        name: &'static str,
        number: usize,
        body: impl FnOnce(Worker) -> Result<(), NodeError> + Send + 'static,
    ) -> Result<(), NodeError> {
        assert!(threads_named(name).is_some(), "{name} has a row");
        let worker = Worker::new(name, number);
        self.times.push(worker.times());
        let failure = self.failure.clone();
        let core = self.next_core;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.next_core = core.map(|core| (core + 1) % cores);
        let handle = spawn_worker(worker, core, move |worker| {
            match catch_unwind(AssertUnwindSafe(|| body(worker))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failure.note(error),
                Err(_) => failure.note(NodeError::Panic { thread: name }),
            }
        })
        .map_err(NodeError::Thread)?;
        self.handles.push((name, handle));
        Ok(())
    }

    /// Where the workers' time went.
    pub(crate) fn times(&self) -> Vec<Arc<WorkerTimes>> {
        self.times.clone()
    }

    /// Waits until every thread of this name has ended, at most for `timeout`; whether they have.
    pub(crate) fn end_within(&self, name: &str, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut threads = self.handles.iter().filter(|(own, _)| *own == name);
        threads.all(|(_, handle)| {
            while !handle.is_finished() && Instant::now() < until {
                std::thread::sleep(LOOK_AROUND);
            }
            handle.is_finished()
        })
    }

    /// Waits for every thread of this name.
    pub(crate) fn join(&mut self, name: &str) {
        let (joined, rest) = std::mem::take(&mut self.handles)
            .into_iter()
            .partition(|(own, _)| *own == name);
        self.handles = rest;
        let joined: Vec<(&'static str, JoinHandle<()>)> = joined;
        for (name, handle) in joined {
            if handle.join().is_err() {
                self.failure.note(NodeError::Panic { thread: name });
            }
        }
    }
}

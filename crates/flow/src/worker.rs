//! A named thread that works for a stage, and the account of where its time goes.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::counter::Counter;
use crate::link::{LinkReceiver, LinkSender};

/// Where the time of one worker went, nanoseconds.
#[derive(Debug)]
pub struct WorkerTimes {
    /// Stage it works for.
    pub stage: &'static str,
    /// Number of the worker within its stage.
    pub worker: usize,
    /// Working.
    pub busy_ns: Counter,
    /// Waiting for something to do.
    pub wait_ns: Counter,
    /// Waiting for room on the next link.
    pub backpressure_ns: Counter,
}

/// The running side of a worker: its clock between two links.
#[derive(Debug)]
pub struct Worker {
    times: Arc<WorkerTimes>,
    since: Instant,
}

impl Worker {
    /// Starts the account of worker `worker` of `stage`.
    #[must_use]
    pub fn new(stage: &'static str, worker: usize) -> Self {
        let times = WorkerTimes {
            stage,
            worker,
            busy_ns: Counter::default(),
            wait_ns: Counter::default(),
            backpressure_ns: Counter::default(),
        };
        Self {
            times: Arc::new(times),
            since: Instant::now(),
        }
    }

    /// The account, for the metrics page.
    #[must_use]
    pub fn times(&self) -> Arc<WorkerTimes> {
        Arc::clone(&self.times)
    }

    /// Takes the next message; `None` when the link has ended.
    pub fn receive<T>(&mut self, link: &LinkReceiver<T>) -> Option<T> {
        self.waiting(|| link.receive())
    }

    /// Runs `wait`, which waits for something to do, and books its time.
    pub fn waiting<R>(&mut self, wait: impl FnOnce() -> R) -> R {
        self.book(|times| &times.busy_ns);
        let result = wait();
        self.book(|times| &times.wait_ns);
        result
    }

    /// Puts a message on the next link.
    ///
    /// # Errors
    /// The message, when nobody will take it any more.
    pub fn send<T>(&mut self, link: &LinkSender<T>, message: T) -> Result<(), T> {
        self.book(|times| &times.busy_ns);
        let result = link.send(message);
        self.book(|times| &times.backpressure_ns);
        result
    }

    /// Books a part of the work since the last booking as a wait for room: the work itself had to
    /// wait, and says how long.
    pub fn note_pressure(&mut self, waited: Duration) {
        let waited = waited.min(self.since.elapsed());
        self.times.backpressure_ns.add_ns(waited);
        self.since += waited;
    }

    fn book(&mut self, counter: impl FnOnce(&WorkerTimes) -> &Counter) {
        let now = Instant::now();
        counter(&self.times).add_ns(now.duration_since(self.since));
        self.since = now;
    }
}

/// Starts a worker's thread, named as its stage and pinned to `core` where one is given.
///
/// # Errors
/// The operating system's, when it has no thread left.
pub fn spawn_worker<R: Send + 'static>(
    worker: Worker,
    core: Option<usize>,
    body: impl FnOnce(Worker) -> R + Send + 'static,
) -> io::Result<JoinHandle<R>> {
    let name = format!("{}-{}", worker.times.stage, worker.times.worker);
    std::thread::Builder::new().name(name).spawn(move || {
        if let Some(core) = core {
            let pinned = core_affinity::set_for_current(core_affinity::CoreId { id: core });
            if !pinned {
                tracing::warn!(
                    core,
                    stage = worker.times.stage,
                    "cannot pin: thread runs anywhere"
                );
            }
        }
        body(worker)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::link;

    #[test]
    fn all_of_a_workers_time_is_booked_somewhere() {
        let (sender, receiver) = link("test_test", 4);
        let started = Instant::now();
        let mut worker = Worker::new("test", 0);
        worker.send(&sender, 1).expect("the receiver is there");
        assert_eq!(worker.receive(&receiver), Some(1));
        let elapsed = u64::try_from(started.elapsed().as_nanos()).expect("a short test");
        let times = worker.times();
        let booked = times.busy_ns.value() + times.wait_ns.value() + times.backpressure_ns.value();
        assert!(booked > 0 && booked <= elapsed, "{booked} of {elapsed} ns");
    }

    #[test]
    fn a_wait_within_the_work_is_no_work_and_no_longer_than_it() {
        let started = Instant::now();
        let mut worker = Worker::new("test", 0);
        worker.note_pressure(Duration::ZERO);
        let times = worker.times();
        assert_eq!(times.backpressure_ns.value(), 0);
        worker.note_pressure(Duration::MAX);
        worker.waiting(|| ());
        let elapsed = u64::try_from(started.elapsed().as_nanos()).expect("a short test");
        let [busy, pressure] = [&times.busy_ns, &times.backpressure_ns].map(|ns| ns.value());
        assert!(pressure > 0, "all of the time before");
        assert!(
            busy + pressure <= elapsed,
            "{busy} and {pressure} of {elapsed} ns"
        );
    }
}

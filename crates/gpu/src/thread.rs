//! The queue's thread: opens a device, tests it, serves callers, gives it up and tries again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

use crate::device::{Device, DeviceError};
use crate::lasting;
use crate::metrics::GpuMetrics;
use crate::queue::{BatchQueue, Doubt, Job, job_len_max, job_words_max};
use crate::self_test;

/// Makes a device anew.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn Device>, DeviceError> + Send>;

/// What the thread and its callers know of each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Whether jobs are answered now.
    ready: AtomicBool,
    /// Left by a caller that was answered wrongly or not at all.
    doubt: Mutex<Option<Doubt>>,
    /// Bounds of a job, by the device opened last.
    bounds: Mutex<Bounds>,
    pub(crate) metrics: GpuMetrics,
}

/// What a job may hold, and how long it may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) len_max: usize,
    pub(crate) words_max: usize,
    pub(crate) ring_len: usize,
    /// Longest time that a batch may take.
    pub(crate) timeout: Duration,
}

/// Times that the thread keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timings {
    /// Least time that a batch may take; twenty times what a full one took is the other bound.
    pub batch_min: Duration,
    /// Longest time that a job waits for others to share its batch.
    pub delay: Duration,
    /// Pause before a device that was given up is tried again; doubles up to `retry_max`.
    pub retry_min: Duration,
    /// Longest such pause.
    pub retry_max: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            batch_min: Duration::from_millis(50),
            delay: Duration::from_millis(1),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
        }
    }
}

impl Shared {
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// A caller gives the device up.
    pub(crate) fn distrust(&self, why: Doubt) {
        self.ready.store(false, Ordering::Release);
        *self.doubt.lock() = Some(why);
    }

    pub(crate) fn bounds(&self) -> Bounds {
        *self.bounds.lock()
    }
}

/// Runs until the callers are gone. The first device's fate goes to `first`; without one the
/// thread ends.
pub(crate) fn run(
    mut opener: Opener,
    timings: Timings,
    jobs: &Receiver<Job>,
    shared: &Arc<Shared>,
    first: &Sender<Result<(), Doubt>>,
) {
    let mut pause = timings.retry_min;
    let mut opened_before = false;
    loop {
        match open(&mut opener, timings, shared) {
            Ok(queue) => {
                drop(first.try_send(Ok(())));
                opened_before = true;
                let since = Instant::now();
                let Err(doubt) = serve(queue, jobs, shared) else {
                    return;
                };
                if since.elapsed() > timings.retry_max {
                    pause = timings.retry_min;
                }
                give_up(&doubt, pause, shared);
            }
            Err(doubt) if !opened_before => {
                drop(first.try_send(Err(doubt)));
                return;
            }
            Err(doubt) => give_up(&doubt, pause, shared),
        }
        if !wait_out(pause, jobs) {
            return;
        }
        pause = (2 * pause).min(timings.retry_max);
    }
}

/// A device that passed the self-test, with its bounds published.
fn open(opener: &mut Opener, timings: Timings, shared: &Shared) -> Result<BatchQueue, Doubt> {
    let mut device = opener()?;
    let full = self_test::pass(device.as_mut())?;
    let batch_timeout = timings.batch_min.max(20 * full);
    *shared.bounds.lock() = Bounds {
        len_max: job_len_max(device.as_ref()),
        words_max: job_words_max(device.as_ref()),
        ring_len: device.size().ring_len,
        timeout: batch_timeout,
    };
    shared.metrics.opened.add(1);
    *shared.doubt.lock() = None;
    shared.ready.store(true, Ordering::Release);
    Ok(BatchQueue::new(device, batch_timeout, timings.delay))
}

/// Serves until the callers are gone or the device is not believed.
fn serve(mut queue: BatchQueue, jobs: &Receiver<Job>, shared: &Shared) -> Result<(), Doubt> {
    let outcome = loop {
        if let Some(doubt) = shared.doubt.lock().take() {
            break Err(doubt);
        }
        if queue.is_idle() {
            match jobs.recv_timeout(IDLE_WAIT) {
                Ok(job) => queue.take(job),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            }
        }
        while queue.has_room()
            && let Ok(job) = jobs.try_recv()
        {
            queue.take(job);
        }
        if let Err(doubt) = queue.advance(MOMENT, &shared.metrics.batches) {
            break Err(doubt);
        }
    };
    shared.ready.store(false, Ordering::Release);
    if outcome.is_ok() {
        // The program may end next, and drivers must have let go by then.
        return outcome;
    }
    // A driver may hang while it lets go of what it failed: not here.
    lasting::let_go(queue);
    outcome
}

fn give_up(doubt: &Doubt, pause: Duration, shared: &Shared) {
    shared.ready.store(false, Ordering::Release);
    shared.metrics.doubts(doubt.kind()).add(1);
    tracing::warn!(
        reason = %doubt,
        retry_s = pause.as_secs_f64(),
        "the GPU is in quarantine; the CPU verifies alone"
    );
}

/// Waits before the next try and lets callers know at once that there is no device. False when
/// the callers are gone.
fn wait_out(pause: Duration, jobs: &Receiver<Job>) -> bool {
    let until = Instant::now() + pause;
    loop {
        match jobs.recv_deadline(until) {
            Ok(job) => drop(job),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// How often an idle thread looks whether it is distrusted.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Longest wait for results before new jobs are looked for.
const MOMENT: Duration = Duration::from_micros(200);

//! The backend `gpu`: advice from a device, verdicts with the CPU's word wherever there is doubt.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clearway_crypto::backend::{Backend, BatchVerdict, Item, Work};
use clearway_crypto::gate::{BackendId, Gate};
use clearway_flow::metric::Metric;
use crossbeam::channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use rand::RngExt as _;

use crate::adapter::AdapterChoice;
use crate::batch::{self, Batch};
use crate::canary::CANARIES_BATCH;
use crate::device::Size;
use crate::lasting;
use crate::metrics::GpuMetrics;
use crate::queue::{Answer, Doubt, Exchange, Job};
use crate::thread::{self as queue_thread, Bounds, Opener, Shared, Timings};
use crate::wgpu_device::WgpuDevice;

/// A device's queue as a backend of the gate.
pub struct Gpu {
    /// Nothing only while it is dropped.
    jobs: Option<Sender<Job>>,
    /// Closed when the queue's thread ends.
    ended: Receiver<()>,
    shared: Arc<Shared>,
    /// Memory of jobs that were answered.
    kept: Mutex<Vec<Exchange>>,
    cpu: Arc<Gate>,
    cpu_backend: BackendId,
}

/// Settings of a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GpuConfig {
    /// Which adapter.
    pub adapter: AdapterChoice,
    /// What the device holds.
    pub size: Size,
    /// How long things may take.
    pub timings: Timings,
    /// Folder where compiled kernels are kept; only this user may write there.
    pub kernels_in: Option<PathBuf>,
}

impl Default for GpuConfig {
    /// Batches of 32,768 payments and their canaries, 65,536 remembered keys: 130 MiB of the
    /// device's memory.
    fn default() -> Self {
        Self::sized(32_768 + CANARIES_BATCH, 65_536)
    }
}

impl GpuConfig {
    /// Settings with batches of this many payments and this many remembered keys.
    #[must_use]
    pub fn sized(items_max: usize, key_slots: usize) -> Self {
        Self {
            adapter: AdapterChoice::default(),
            size: Size {
                items_max,
                batch_words_max: Batch::words_max(items_max),
                key_slots,
                ring_len: 3,
            },
            timings: Timings::default(),
            kernels_in: None,
        }
    }

    /// The same for an adapter that computes on the CPU: smaller, and slower than any GPU.
    #[must_use]
    pub fn software(self) -> Self {
        let mut config = Self::sized(4096, 8192);
        config.adapter = AdapterChoice {
            software: true,
            ..self.adapter
        };
        config.timings.batch_min = Duration::from_secs(10);
        config.kernels_in = self.kernels_in;
        config
    }
}

impl Gpu {
    /// Opens a device, compiles its kernels and tests it: seconds.
    ///
    /// # Errors
    /// Why no device is used.
    pub fn open(config: GpuConfig, cpu: Arc<Gate>) -> Result<Self, Doubt> {
        let timings = config.timings;
        let opener = move || {
            let kept_in = config.kernels_in.as_deref();
            let device = WgpuDevice::open(config.adapter, config.size, kept_in)?;
            Ok(Box::new(device) as _)
        };
        Self::with_opener(Box::new(opener), timings, cpu)
    }

    /// The same over any kind of device.
    ///
    /// # Errors
    /// Why the device is not used.
    pub fn with_opener(opener: Opener, timings: Timings, cpu: Arc<Gate>) -> Result<Self, Doubt> {
        let (jobs, job_receiver) = bounded(JOBS_MAX);
        let (first, first_receiver) = bounded(1);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let (end, ended) = bounded(0);
        lasting::spawn("gpu-queue", move || {
            queue_thread::run(opener, timings, &job_receiver, &theirs, &first);
            drop(end);
        });
        let opened = first_receiver.recv_timeout(OPEN_TIMEOUT);
        opened.unwrap_or(Err(Doubt::Late(OPEN_TIMEOUT)))?;
        Ok(Self {
            jobs: Some(jobs),
            ended,
            shared,
            kept: Mutex::default(),
            cpu_backend: cpu.preferred(),
            cpu,
        })
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &GpuMetrics {
        &self.shared.metrics
    }

    /// The counters for the metrics page.
    #[must_use]
    pub fn gather(&self) -> Vec<Metric> {
        self.metrics().ready.set(self.is_ready().into());
        self.metrics().gather()
    }

    /// Whether a device answers now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready()
    }

    /// What the device says of each item; nothing where it cannot be believed.
    fn ask(&self, items: &[Item<'_>]) -> Vec<Option<Answer>> {
        let mut advice = vec![None; items.len()];
        if !self.shared.is_ready() {
            return advice;
        }
        let asked: Vec<Asked> = self
            .pack(items, self.shared.bounds())
            .filter_map(|(places, exchange)| self.send(places, exchange))
            .collect();
        for asked in asked {
            let Some(exchange) = self.wait(&asked) else {
                continue;
            };
            match exchange.answers() {
                Ok(answers) => {
                    for (&place, answer) in asked.places.iter().zip(answers) {
                        advice[place] = Some(answer);
                    }
                }
                Err(doubt) => self.shared.distrust(doubt),
            }
            self.keep(exchange);
        }
        advice
    }

    fn send(&self, places: Vec<usize>, exchange: Exchange) -> Option<Asked> {
        let (reply, answer) = bounded(1);
        let job = Job {
            exchange,
            reply,
            since: Instant::now(),
        };
        let timeout = self.timeout();
        self.jobs.as_ref()?.send_timeout(job, timeout).ok()?;
        Some(Asked {
            places,
            answer,
            timeout,
        })
    }

    /// The queue's answer, or nothing once it is overdue.
    fn wait(&self, asked: &Asked) -> Option<Exchange> {
        let reply = asked.answer.recv_timeout(asked.timeout);
        if reply.as_ref().is_err_and(|error| error.is_timeout()) {
            self.shared.distrust(Doubt::Caller("its answer was late"));
        }
        reply.ok()
    }

    /// Cuts items into jobs; those that no device hashes are left out.
    fn pack<'a>(
        &'a self,
        items: &'a [Item<'a>],
        bounds: Bounds,
    ) -> impl Iterator<Item = (Vec<usize>, Exchange)> + 'a {
        let mut places = (0..items.len())
            .filter(|&at| batch::fits(&items[at]))
            .peekable();
        std::iter::from_fn(move || {
            places.peek()?;
            let mut words = bounds.words_max;
            let len_max = items.len().min(bounds.len_max);
            let mut taken = Vec::with_capacity(len_max);
            let kept = self.kept.lock().pop();
            let mut exchange = kept.unwrap_or_default();
            while taken.len() < bounds.len_max
                && let Some(&at) = places.peek()
                && let Some(left) = words.checked_sub(batch::words_of_item(&items[at]))
            {
                words = left;
                exchange.packed.push(&items[at]);
                taken.extend(places.next());
            }
            Some((taken, exchange))
        })
    }

    /// Keeps a job's memory for one that comes.
    fn keep(&self, mut exchange: Exchange) {
        exchange.clear();
        let mut kept = self.kept.lock();
        if kept.len() < JOBS_MAX {
            kept.push(exchange);
        }
    }

    /// Time for all that may be ahead of a job and for itself, each batch as slow as it may be.
    fn timeout(&self) -> Duration {
        let waiting = self.jobs.as_ref().map_or(0, Sender::len);
        // The queue itself holds as much as fills a batch, and the job after that.
        let bounds = self.shared.bounds();
        let ahead = waiting + bounds.ring_len + 3;
        bounds.timeout * u32::try_from(ahead).expect("JOBS_MAX bounds it")
    }

    /// The CPU's verdicts on the items at these places: together where they may well be valid, one
    /// by one where that is unlikely.
    fn by_cpu(&self, items: &[Item<'_>], places: &[usize], together: bool, valid: &mut [bool]) {
        let chosen: Vec<Item<'_>> = places.iter().map(|&place| items[place]).collect();
        let verdicts = match together {
            true => self.cpu.verify(self.cpu_backend, &chosen),
            false => self.cpu.verify_each(self.cpu_backend, &chosen),
        };
        for (at, &place) in places.iter().enumerate() {
            valid[place] = verdicts.is_valid(at);
        }
    }

    /// Looks at a random part of what the device accepted; false when it accepted wrongly.
    fn sample_holds(&self, items: &[Item<'_>], advice: &[Option<Answer>]) -> bool {
        let mut rng = rand::rng();
        let mut drawn = places_of(advice, &[Some(Answer::Accepted)]);
        drawn.retain(|_| rng.random_ratio(1, SAMPLE));
        let mut valid = vec![true; items.len()];
        self.by_cpu(items, &drawn, false, &mut valid);
        self.metrics().sampled.add_count(drawn.len());
        !valid.contains(&false)
    }
}

impl Backend for Gpu {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn lanes(&self) -> usize {
        64
    }

    /// A device gives each signature its verdict.
    fn batch_pays(&self, _: &[Item<'_>]) -> bool {
        false
    }

    fn search_passes_max(&self) -> usize {
        1
    }

    fn verify_batch(&self, items: &[Item<'_>], work: &mut Work) -> BatchVerdict {
        let mut valid = vec![false; items.len()];
        self.verify_each(items, &mut valid, work);
        match valid.contains(&false) {
            true => BatchVerdict::SomeInvalid,
            false => BatchVerdict::AllValid,
        }
    }

    fn verify_each(&self, items: &[Item<'_>], valid: &mut [bool], work: &mut Work) {
        assert_eq!(items.len(), valid.len(), "one place a verdict");
        let mut advice = self.ask(items);
        if !self.sample_holds(items, &advice) {
            let why = Doubt::Caller("it accepted an invalid signature");
            self.shared.distrust(why);
            advice.fill(None);
        }
        let refused = places_of(&advice, &[Some(Answer::Refused)]);
        let unproven = places_of(&advice, &[Some(Answer::Unproven)]);
        let unanswered = places_of(&advice, &[None]);
        let together = [&unproven[..], &unanswered].concat();
        valid.fill(true);
        self.by_cpu(items, &refused, false, valid);
        self.by_cpu(items, &together, true, valid);
        let fallback = refused.len() + together.len();
        work.fallback += fallback;
        self.metrics().accepted.add_count(items.len() - fallback);
        self.metrics().refused.add_count(refused.len());
        self.metrics().unproven.add_count(unproven.len());
        self.metrics().unanswered.add_count(unanswered.len());
    }

    fn fallback(&self) -> Option<&'static str> {
        Some(self.cpu.name(self.cpu_backend))
    }

    fn own_type(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Drop for Gpu {
    /// Waits for the queue to let its device go: a driver that still works while the program ends
    /// may crash it.
    fn drop(&mut self) {
        self.jobs = None;
        let end = self.ended.recv_timeout(END_TIMEOUT);
        if end.is_err_and(|error| error.is_timeout()) {
            tracing::warn!("the GPU's driver does not let go; it is left behind");
        }
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("shared", &self.shared).finish()
    }
}

fn places_of(advice: &[Option<Answer>], wanted: &[Option<Answer>]) -> Vec<usize> {
    let places = (0..advice.len()).filter(|&place| wanted.contains(&advice[place]));
    places.collect()
}

/// A job that was sent, and the places of its items with the caller.
struct Asked {
    places: Vec<usize>,
    answer: Receiver<Exchange>,
    timeout: Duration,
}

/// One accepted signature in this many is verified again.
const SAMPLE: u32 = 1024;
/// Jobs that may wait for the queue, and that leave their memory: 11 MiB of a full batch.
const JOBS_MAX: usize = 16;
/// Longest wait for a driver to let go.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Opening compiles the kernels, which takes a driver seconds, and tests the device.
const OPEN_TIMEOUT: Duration = Duration::from_secs(300);

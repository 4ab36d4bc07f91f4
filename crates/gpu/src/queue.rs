//! The way of signatures over one device: batches out, results in, and whether to believe them.
//!
//! Nothing is lost here, because nothing is owned here: callers keep their signatures and verify
//! themselves whatever this queue does not answer.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use clearway_flow::Counter;
use crossbeam::channel::Sender;
use rand::seq::index;

use crate::batch::{Batch, Packed, Place, Signature};
use crate::canary::{CANARIES_BATCH, Canaries};
use crate::device::{Device, DeviceError};
use crate::keys::DeviceKeys;
use crate::layout::{
    EVIDENCE_WORDS, RESULT_ACCEPT, RESULT_COFACTOR, RESULT_EVIDENCE, RESULT_REJECT, RESULT_TAG,
    RESULT_WORDS,
};
use crate::twin::scalar::scalar_is_reduced;

/// Signatures of one caller, and where it waits for what the device finds of each.
///
/// Dropping a job is an answer too: the caller verifies by itself.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) exchange: Exchange,
    pub(crate) reply: Sender<Exchange>,
    pub(crate) since: Instant,
}

/// What goes to the queue and comes back: its memory is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) packed: Packed,
    /// What the device found, one an item, in order.
    found: Vec<Found>,
}

/// A result of this batch, with its evidence. Its place has been checked, the evidence has not.
#[derive(Clone, Copy, Debug)]
struct Found {
    answer: Answer,
    evidence: [u32; EVIDENCE_WORDS],
}

/// What a device says of one signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// It is valid, with evidence.
    Accepted,
    /// It is valid by the equation with its factor 8, which leaves no evidence.
    Unproven,
    /// It is not valid.
    Refused,
}

/// Why a device is not believed any longer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Doubt {
    /// It failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// It did not answer in time.
    #[error("no results after {0:?}")]
    Late(Duration),
    /// A result is of another batch or place, or of no kind.
    #[error("result {0} was not written for this batch")]
    Unwritten(usize),
    /// An acceptance does not carry what was computed.
    #[error("result {0} accepts without evidence")]
    Evidence(usize),
    /// A signature with a known verdict got the other one.
    #[error("the canary at {0} got the wrong verdict")]
    Canary(usize),
    /// The self-test's results are not the twin's.
    #[error("the self-test's result {0} is wrong")]
    SelfTest(usize),
    /// A caller's wait timed out, or it found an accepted signature invalid.
    #[error("a caller reports that {0}")]
    Caller(&'static str),
}

impl Doubt {
    /// A short word for each variant, for counters.
    pub const KINDS: [&'static str; 7] = [
        "device",
        "late",
        "unwritten",
        "evidence",
        "canary",
        "self_test",
        "caller",
    ];

    /// The word for this one.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let at = match self {
            Self::Device(_) => 0,
            Self::Late(_) => 1,
            Self::Unwritten(_) => 2,
            Self::Evidence(_) => 3,
            Self::Canary(_) => 4,
            Self::SelfTest(_) => 5,
            Self::Caller(_) => 6,
        };
        Self::KINDS[at]
    }
}

/// One live device.
pub(crate) struct BatchQueue {
    device: Box<dyn Device>,
    device_keys: DeviceKeys,
    canaries: Canaries,
    waiting: VecDeque<Job>,
    under_way: VecDeque<UnderWay>,
    free: Vec<usize>,
    nonce: u32,
    /// Memory for batches, and for their results.
    head: Vec<u32>,
    results: Vec<u32>,
    /// Longest time that a batch may take.
    timeout: Duration,
    /// Longest time that a job waits for others to share its batch.
    delay: Duration,
}

struct UnderWay {
    slot: usize,
    jobs: Vec<Job>,
    nonce: u32,
    canaries: Packed,
    /// Places of the canaries, ascending, and their verdicts.
    hidden: Vec<(usize, bool)>,
    since: Instant,
}

impl BatchQueue {
    /// A queue over this device. Its batches may take `timeout`.
    pub(crate) fn new(device: Box<dyn Device>, timeout: Duration, delay: Duration) -> Self {
        let size = device.size();
        assert!(
            size.key_slots >= size.items_max,
            "a slot for each key of a batch"
        );
        Self {
            device,
            device_keys: DeviceKeys::new(size.key_slots),
            canaries: Canaries::new(rand::random()),
            waiting: VecDeque::new(),
            under_way: VecDeque::new(),
            free: (0..size.ring_len).collect(),
            nonce: rand::random(),
            head: Vec::new(),
            results: Vec::new(),
            timeout,
            delay,
        }
    }

    /// Whether another job may be taken: what waits does not fill a batch yet.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting_len() < self.items_max()
    }

    /// Whether nothing waits and nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Takes a job; [`BatchQueue::advance`] starts it.
    pub(crate) fn take(&mut self, job: Job) {
        assert!(
            job.exchange.len() <= self.items_max(),
            "callers cut their jobs"
        );
        self.waiting.push_back(job);
    }

    /// Starts a batch where one is due, else waits a moment for the oldest one's results and
    /// answers its callers; batches that were believed are counted in `done`.
    pub(crate) fn advance(&mut self, moment: Duration, done: &Counter) -> Result<(), Doubt> {
        if self.is_due(Instant::now()) {
            return self.start();
        }
        let Some(oldest) = self.under_way.front() else {
            return Ok(());
        };
        let results = &mut self.results;
        if !self.device.collect(oldest.slot, moment, results)? {
            let waited = oldest.since.elapsed();
            return match waited > self.timeout {
                true => Err(Doubt::Late(waited)),
                false => Ok(()),
            };
        }
        let oldest = self.under_way.pop_front().expect("looked at above");
        let slot = oldest.slot;
        let jobs = read(oldest, &self.results)?;
        self.free.push(slot);
        done.add(1);
        for job in jobs {
            // A caller that waits no longer has verified by itself.
            drop(job.reply.send(job.exchange));
        }
        Ok(())
    }

    /// A batch is due at once on an idle device, else when it is half full or has waited.
    fn is_due(&self, now: Instant) -> bool {
        let Some(first) = self.waiting.front() else {
            return false;
        };
        let waited = now.saturating_duration_since(first.since) >= self.delay;
        let half_full = self.waiting_len() >= self.items_max() / 2;
        !self.free.is_empty() && (self.under_way.is_empty() || waited || half_full)
    }

    fn start(&mut self) -> Result<(), Doubt> {
        let jobs = self.take_jobs();
        let (canaries, verdicts) = self.canaries.draw();
        let mut sources: Vec<&Packed> = jobs.iter().map(|job| &job.exchange.packed).collect();
        let (order, places) = hide(&sources, &canaries);
        sources.push(&canaries);
        self.nonce = self.nonce.wrapping_add(1);
        let capacity = self.device.size().items_max;
        let keys = &mut self.device_keys;
        let head = mem::take(&mut self.head);
        let batch = Batch::lay_out(&sources, &order, keys, capacity, self.nonce, head);
        let slot = self.free.pop().expect("a batch is due with a free slot");
        self.device.submit(slot, &batch)?;
        self.head = batch.head;
        self.under_way.push_back(UnderWay {
            slot,
            jobs,
            nonce: self.nonce,
            canaries,
            hidden: places.into_iter().zip(verdicts).collect(),
            since: Instant::now(),
        });
        Ok(())
    }

    /// The waiting jobs that fit one batch, at least one.
    fn take_jobs(&mut self) -> Vec<Job> {
        let (mut items, mut words) = (0, self.words_max());
        let mut jobs = Vec::new();
        while let Some(job) = self.waiting.front() {
            let job_words = job.exchange.packed.words();
            items += job.exchange.len();
            if !jobs.is_empty() && (items > self.items_max() || job_words > words) {
                break;
            }
            words = words.saturating_sub(job_words);
            jobs.extend(self.waiting.pop_front());
        }
        jobs
    }

    fn waiting_len(&self) -> usize {
        self.waiting.iter().map(|job| job.exchange.len()).sum()
    }

    fn items_max(&self) -> usize {
        job_len_max(self.device.as_ref())
    }

    fn words_max(&self) -> usize {
        job_words_max(self.device.as_ref())
    }
}

/// Signatures that a job may have.
pub(crate) fn job_len_max(device: &dyn Device) -> usize {
    device.size().items_max - CANARIES_BATCH
}

/// Words that the signatures of a job may take.
pub(crate) fn job_words_max(device: &dyn Device) -> usize {
    device.size().batch_words_max - Batch::words_max(CANARIES_BATCH)
}

/// Puts canaries, the source after the asked ones, at random places among what is asked; gives the
/// order of all and the canaries' places.
fn hide(asked: &[&Packed], canaries: &Packed) -> (Vec<Place>, Vec<usize>) {
    let items = |(source, packed): (u32, &&Packed)| {
        let len = u32::try_from(packed.len()).expect("a batch fits a device's memory");
        (0..len).map(move |item| Place { source, item })
    };
    let len = asked.iter().map(|packed| packed.len()).sum::<usize>() + canaries.len();
    let last = u32::try_from(asked.len()).expect("fewer jobs than items");
    let mut asked = (0..).zip(asked).flat_map(items);
    let mut places = index::sample(&mut rand::rng(), len, canaries.len()).into_vec();
    places.sort_unstable();
    let mut order = Vec::with_capacity(len);
    for (&place, canary) in places.iter().zip(items((last, &canaries))) {
        order.extend(asked.by_ref().take(place - order.len()));
        order.push(canary);
    }
    order.extend(asked);
    (order, places)
}

/// The jobs with what the device found; or why none of it is believed.
fn read(batch: UnderWay, results: &[u32]) -> Result<Vec<Job>, Doubt> {
    let (results, _) = results.as_chunks::<RESULT_WORDS>();
    let mut known = batch.hidden.iter().zip(batch.canaries.signatures());
    let mut known_next = known.next();
    let mut jobs = batch.jobs;
    let mut open = jobs.iter_mut().map(|job| &mut job.exchange);
    let mut exchange = open.next().expect("a batch has a job");
    for (place, result) in results.iter().enumerate() {
        let found = Found::read(result, batch.nonce, place)?;
        match known_next {
            Some(((at, valid), canary)) if *at == place => {
                if !found.is_sound(canary) {
                    return Err(Doubt::Evidence(place));
                }
                if *valid != (found.answer == Answer::Accepted) {
                    return Err(Doubt::Canary(place));
                }
                known_next = known.next();
            }
            _ => {
                if exchange.found.len() == exchange.len() {
                    exchange = open.next().expect("a job for each result");
                }
                exchange.found.push(found);
            }
        }
    }
    Ok(jobs)
}

impl Found {
    fn read(result: &[u32; RESULT_WORDS], nonce: u32, place: usize) -> Result<Self, Doubt> {
        let answer = match result[0] {
            RESULT_ACCEPT => Answer::Accepted,
            RESULT_COFACTOR => Answer::Unproven,
            RESULT_REJECT => Answer::Refused,
            _ => return Err(Doubt::Unwritten(place)),
        };
        let place_word = u32::try_from(place).expect("a place in a batch");
        if result[RESULT_TAG] != nonce ^ place_word {
            return Err(Doubt::Unwritten(place));
        }
        let evidence = result[RESULT_EVIDENCE..].first_chunk();
        Ok(Self {
            answer,
            evidence: *evidence.expect("a result holds its evidence"),
        })
    }

    /// An acceptance must repeat all of R as the device computed it from S, k and A alone, and S
    /// must be below the group order. All else claims nothing.
    fn is_sound(&self, of: Signature<'_>) -> bool {
        let proven = || self.evidence == *of.r() && scalar_is_reduced(*of.s());
        self.answer != Answer::Accepted || proven()
    }
}

impl Exchange {
    /// Number of signatures.
    pub(crate) fn len(&self) -> usize {
        self.packed.len()
    }

    /// Takes all out and keeps the memory, which costs more to get anew than to fill.
    pub(crate) fn clear(&mut self) {
        self.packed.clear();
        self.found.clear();
    }

    /// What the device says of each item, in order. Callers judge, since they are many and the
    /// queue is one.
    ///
    /// # Errors
    /// When an acceptance is not sound: then the device is not to be believed.
    pub(crate) fn answers(&self) -> Result<impl Iterator<Item = Answer>, Doubt> {
        let mut pairs = self.found.iter().zip(self.packed.signatures());
        match pairs.position(|(found, signature)| !found.is_sound(signature)) {
            Some(at) => Err(Doubt::Evidence(at)),
            None => Ok(self.found.iter().map(|found| found.answer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Size;
    use crate::layout::HEAD_WORDS;
    use crate::twin::device::TwinDevice;

    #[test]
    fn a_job_of_as_many_payments_as_it_may_have_fits_a_batch_in_words_too() {
        let size = Size {
            items_max: 64,
            batch_words_max: Batch::words_max(64),
            key_slots: 64,
            ring_len: 1,
        };
        let device = TwinDevice::new(size);
        let payment_words = Batch::words_max(1) - HEAD_WORDS;
        let job_words = job_len_max(&device) * payment_words;
        assert_eq!(job_words_max(&device), job_words);
    }
}

//! The router of answers: results of blocks and refusals find the streams that wait for them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use clearway_flow::InFlight;
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::messages::{ExecutedBlock, Origin, OriginRun, Refusals, StreamKey};
use clearway_types::units::Height;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::answers::Answers;
use crate::config::IngestConfig;
use crate::members::{Member, Members};
use crate::metrics::IngestMetrics;

/// Takes results from a node thread; never blocks it beyond a short lock.
#[derive(Clone)]
pub struct AnswerRouter {
    shared: Arc<Shared>,
}

struct Shared {
    streams: Mutex<HashMap<StreamKey, Arc<WaitingStream>>>,
    next_key: AtomicU64,
    in_flight: Arc<InFlight>,
    members: Arc<Members>,
    metrics: Arc<IngestMetrics>,
    bad_signature_price: u32,
    height: watch::Sender<Height>,
}

/// A stream whose envelopes are on their way.
pub(crate) struct WaitingStream {
    pub(crate) key: StreamKey,
    member: Arc<Member>,
    answers: Mutex<Answers>,
    arrived: Notify,
}

impl AnswerRouter {
    pub(crate) fn new(
        config: &IngestConfig,
        in_flight: Arc<InFlight>,
        members: Arc<Members>,
        metrics: Arc<IngestMetrics>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                streams: Mutex::default(),
                next_key: AtomicU64::new(1),
                in_flight,
                members,
                metrics,
                bad_signature_price: config.bad_signature_price,
                height: watch::Sender::new(Height(0)),
            }),
        }
    }

    /// `verify_ingest`: answers envelopes that were refused before order, with height 0.
    ///
    /// The stage that refuses an envelope ends its flight and sends refusals for the places that
    /// joined it.
    pub fn on_refusals(&self, refusals: &Refusals) {
        let stream = self.find(refusals.stream);
        let mut bad_signature_count = 0;
        for &(index, code) in &refusals.items {
            self.shared.metrics.count_refusals(code, 1);
            bad_signature_count += u64::from(code == ResultCode::BadSignature);
            self.put(stream.as_ref(), index, Height(0), &[Outcome::new(code)]);
        }
        if let Some(stream) = stream {
            let extra = u64::from(self.shared.bad_signature_price.saturating_sub(1));
            if bad_signature_count > 0 {
                stream.member.charge(bad_signature_count * extra);
            }
            stream.arrived.notify_one();
        }
    }

    /// `store_ingest`: answers all envelopes of a block that is final and durable.
    ///
    /// # Panics
    /// When results and batches of the block do not match: execution gives one result per envelope.
    pub fn on_block(&self, executed: &Arc<ExecutedBlock>) {
        let mut first = 0;
        for batch in &executed.block.batches {
            let batch_range = first..first + batch.header.count as usize;
            let mut at = batch_range.start;
            for run in &batch.origins {
                let range = at..at + run.count as usize;
                at = range.end;
                self.answer_run(executed, run, range);
            }
            for (index, digests) in batch_range.clone().zip(&batch.digests) {
                for origin in self.shared.in_flight.finish(digests.leaf) {
                    self.answer_one(executed, origin, index);
                }
            }
            first = batch_range.end;
        }
        assert!(first == executed.results.len(), "one result per envelope");
        let height = executed.block.manifest.height;
        self.shared.members.on_height(height);
        self.shared.height.send_if_modified(|last| {
            let higher = height > *last;
            *last = height.max(*last);
            higher
        });
    }

    /// Heights of the blocks answered.
    pub(crate) fn heights(&self) -> watch::Receiver<Height> {
        self.shared.height.subscribe()
    }

    /// Enters a stream of `count` envelopes.
    pub(crate) fn open(&self, count: usize, member: Arc<Member>) -> Arc<WaitingStream> {
        let key = StreamKey(self.shared.next_key.fetch_add(1, Ordering::Relaxed));
        let count = u32::try_from(count).expect("streams are bounded");
        let stream = Arc::new(WaitingStream {
            key,
            member,
            answers: Mutex::new(Answers::new(count)),
            arrived: Notify::new(),
        });
        self.shared.streams.lock().insert(key, Arc::clone(&stream));
        stream
    }

    /// Forgets a stream; answers that still come are counted as undelivered.
    pub(crate) fn close(&self, key: StreamKey) {
        self.shared.streams.lock().remove(&key);
    }

    /// Refuses consecutive envelopes of a stream at the door.
    pub(crate) fn refuse(&self, stream: &WaitingStream, positions: Range<usize>, code: ResultCode) {
        let count = positions.len();
        let first = u32::try_from(positions.start).expect("streams are bounded");
        self.shared.metrics.count_refusals(code, count);
        self.shared.metrics.answers.add_count(count);
        stream
            .answers
            .lock()
            .put(first, Height(0), &vec![Outcome::new(code); count]);
        stream.arrived.notify_one();
    }

    /// Answers a run of places whose results stand at `range` of the block.
    fn answer_run(&self, executed: &ExecutedBlock, run: &OriginRun, range: Range<usize>) {
        let Some(stream) = self.find(run.stream) else {
            let undelivered = &self.shared.metrics.answers_undelivered;
            return undelivered.add_count(range.len());
        };
        let height = executed.block.manifest.height;
        self.shared.metrics.answers.add_count(range.len());
        let mut answers = stream.answers.lock();
        let mut at = range.start;
        let mut put = |at: usize, height, outcomes: &[Outcome]| {
            let offset = u32::try_from(at - range.start).expect("streams are bounded");
            answers.put(run.first_index + offset, height, outcomes);
        };
        let duplicates = &executed.duplicates;
        let from = duplicates.partition_point(|d| (d.index as usize) < range.start);
        for duplicate in &duplicates[from..] {
            let index = duplicate.index as usize;
            if index >= range.end {
                break;
            }
            if at < index {
                put(at, height, &executed.results[at..index]);
            }
            put(index, duplicate.height, &executed.results[index..=index]);
            at = index + 1;
        }
        if at < range.end {
            put(at, height, &executed.results[at..range.end]);
        }
        drop(answers);
        stream.arrived.notify_one();
    }

    /// Answers a place that joined the envelope at `index` of the block.
    fn answer_one(&self, executed: &ExecutedBlock, origin: Origin, index: usize) {
        let duplicates = &executed.duplicates;
        let found = duplicates.binary_search_by_key(&index, |d| d.index as usize);
        let height = match found {
            Ok(place) => duplicates[place].height,
            Err(_) => executed.block.manifest.height,
        };
        let stream = self.find(origin.stream);
        self.put(
            stream.as_ref(),
            origin.index,
            height,
            &executed.results[index..=index],
        );
        if let Some(stream) = stream {
            stream.arrived.notify_one();
        }
    }

    fn put(
        &self,
        stream: Option<&Arc<WaitingStream>>,
        first_index: u32,
        height: Height,
        outcomes: &[Outcome],
    ) {
        let metrics = &self.shared.metrics;
        match stream {
            Some(stream) => {
                stream.answers.lock().put(first_index, height, outcomes);
                metrics.answers.add_count(outcomes.len());
            }
            None => metrics.answers_undelivered.add_count(outcomes.len()),
        }
    }

    fn find(&self, key: StreamKey) -> Option<Arc<WaitingStream>> {
        self.shared.streams.lock().get(&key).map(Arc::clone)
    }
}

impl WaitingStream {
    /// The next bytes of the answer, as soon as there are some; `None` after the last.
    pub(crate) async fn next_answer(&self) -> Option<Bytes> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut answers = self.answers.lock();
                if let Some(bytes) = answers.take() {
                    return Some(bytes);
                }
                if answers.is_done() {
                    return None;
                }
            }
            arrived.await;
        }
    }
}

//! The stage behind a lock: the node's threads and the engine's tasks call it, answers wake them.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clearway_types::certificate::Certificate;
use clearway_types::messages::{ExecHead, OrderedBlock, Persist, Persisted, VerifiedBatch};
use clearway_types::units::{Digest, ValidatorNumber};
use tokio::sync::{Notify, oneshot};

use crate::error::OrderError;
use crate::metrics::OrderMetrics;
use crate::now::{Clock, Now};
use crate::rules::VoteDecision;
use crate::stage::{OrderStage, Outgoing, Proposal};

/// Where the stage's output goes. Both are called from the engine's thread too, so they must not
/// wait: give the links at least [`crate::PERSIST_IN_FLIGHT_MAX`] and
/// [`crate::BLOCKS_IN_FLIGHT_MAX`] places.
pub struct Sinks {
    /// `order_store`.
    pub persist: Box<dyn Fn(Persist) + Send + Sync>,
    /// `order_execute`.
    pub block: Box<dyn Fn(OrderedBlock) + Send + Sync>,
}

/// Ordering has ended; what was offered is given back.
#[derive(Debug)]
pub struct Stopped(pub VerifiedBatch);

/// Takes the digest of a proposal to the engine, which has a digest type of its own.
pub(crate) trait ProposalAnswer: Send {
    /// Whether the engine has given up the view.
    fn is_closed(&self) -> bool;
    /// Proposes `digest`.
    fn send(self: Box<Self>, digest: Digest);
}

/// A request to judge a manifest.
pub(crate) struct Judge {
    pub(crate) leader: ValidatorNumber,
    pub(crate) parent: Digest,
    pub(crate) digest: Digest,
}

/// What the engine has asked and the stage has not answered yet.
#[derive(Default)]
struct Requests {
    proposal: Option<(Digest, Box<dyn ProposalAnswer>)>,
    judge: Vec<(Judge, oneshot::Sender<bool>)>,
    certify: Vec<(Digest, oneshot::Sender<bool>)>,
}

struct State {
    stage: OrderStage,
    /// The newest certificate that the engine has reported.
    certificate: Option<Certificate>,
    requests: Requests,
    outgoing: VecDeque<Outgoing>,
    /// Uptime for which the timer is set.
    timer: Option<Duration>,
    /// Uptime at which it has to be.
    due: Option<Duration>,
    /// The engine has read its journal, or waits for room to go on with it.
    engine_up: bool,
    /// The engine is stopped for a while: its questions go unanswered.
    paused: bool,
    stopped: bool,
    failure: Option<OrderError>,
}

struct Shared {
    state: Mutex<State>,
    /// Signalled when the lane may have room, and on stop.
    room: Condvar,
    /// Signalled on stop alone.
    ended: Condvar,
    /// Signalled when the engine is up, and on stop.
    up: Condvar,
    /// Held while sending, so that messages leave in the order in which the stage made them.
    sending: Mutex<()>,
    /// Tells the timer that it is set too late.
    timer: Notify,
    /// Tells the engine's main task to end: on stop, and for a pause.
    stop: Notify,
    sinks: Sinks,
    clock: Clock,
    metrics: Arc<OrderMetrics>,
    /// [`OrderStage::pace_over`], nanoseconds; for those who must not wait for the lock.
    pace_over_ns: AtomicU64,
}

/// Ordering, as the node's threads see it; cheap to clone, callable from any thread.
#[derive(Clone)]
pub struct OrderHandle {
    shared: Arc<Shared>,
}

impl OrderHandle {
    pub(crate) fn new(
        stage: OrderStage,
        sinks: Sinks,
        clock: Clock,
        metrics: Arc<OrderMetrics>,
    ) -> Self {
        let state = State {
            stage,
            certificate: None,
            requests: Requests::default(),
            outgoing: VecDeque::new(),
            timer: None,
            due: None,
            engine_up: false,
            paused: false,
            stopped: false,
            failure: None,
        };
        let shared = Shared {
            state: Mutex::new(state),
            room: Condvar::new(),
            ended: Condvar::new(),
            up: Condvar::new(),
            sending: Mutex::new(()),
            timer: Notify::new(),
            stop: Notify::new(),
            sinks,
            clock,
            metrics,
            pace_over_ns: AtomicU64::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Puts verified envelopes into the lane; waits while the lane window is full, so that the
    /// caller's link fills up behind it. Gives the time that it waited.
    ///
    /// # Errors
    /// The batch, when ordering has ended.
    pub fn on_verified(&self, mut batch: VerifiedBatch) -> Result<Duration, Stopped> {
        let mut state = self.lock();
        let mut waited = Duration::ZERO;
        loop {
            if state.stopped {
                return Err(Stopped(batch));
            }
            match state.stage.on_verified(batch, self.now()) {
                Ok(()) => break,
                Err(refused) => batch = refused,
            }
            let since = self.now().uptime;
            let woken = self.shared.room.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            waited += self.now().uptime.saturating_sub(since);
        }
        self.settle(state);
        Ok(waited)
    }

    /// Tells that the store has made something durable.
    pub fn on_persisted(&self, persisted: Persisted) {
        self.update(|stage, now| stage.on_persisted(persisted, now));
    }

    /// Tells that a block was executed.
    pub fn on_executed(&self, head: ExecHead) {
        self.update(|stage, _| stage.on_executed(head));
    }

    /// Ends ordering: [`crate::Orderer::run`] returns, waiting callers get their batches back.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.requests = Requests::default();
        drop(state);
        self.shared.room.notify_all();
        self.shared.ended.notify_all();
        self.shared.up.notify_all();
        self.shared.stop.notify_one();
        self.shared.timer.notify_one();
    }

    /// Waits until the engine has read its journal and asks its first question, or has to wait for
    /// room on the disk, or ordering has ended; no longer than this. Whether ordering goes on.
    #[must_use]
    pub fn wait_engine_up(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let up = &self.shared.up;
        let waited =
            up.wait_timeout_while(state, timeout, |state| !(state.engine_up || state.stopped));
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    /// The engine has come as far as it can by itself.
    pub(crate) fn note_engine_up(&self) {
        self.note_up_in(&mut self.lock());
    }

    fn note_up_in(&self, state: &mut State) {
        if !state.engine_up {
            state.engine_up = true;
            self.shared.up.notify_all();
        }
    }

    /// Ends the engine, not ordering: what is taken in waits here until [`OrderHandle::resume`].
    pub(crate) fn pause(&self) {
        let mut state = self.lock();
        self.note_up_in(&mut state);
        state.paused = true;
        drop(state);
        self.shared.stop.notify_one();
    }

    /// An engine starts afresh: what the one before has asked is nobody's any more.
    pub(crate) fn resume(&self) {
        let mut state = self.lock();
        state.paused = false;
        state.requests = Requests::default();
        // A timer that nobody waits for is set anew.
        state.timer = None;
    }

    /// Waits for [`OrderHandle::stop`], no longer than this; whether it came.
    pub(crate) fn wait_stopped(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .shared
            .ended
            .wait_timeout_while(state, timeout, |state| !state.stopped);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    /// Why ordering ended by itself, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<OrderError> {
        self.lock().failure.clone()
    }

    /// Uptime before which no block is proposed: what comes until shortly before goes into the
    /// same one. Past, where a proposal is due as soon as there is something to propose.
    #[must_use]
    pub fn next_proposal(&self) -> Duration {
        Duration::from_nanos(self.shared.pace_over_ns.load(Ordering::Relaxed))
    }

    /// The stage's figures.
    #[must_use]
    pub fn metrics(&self) -> &Arc<OrderMetrics> {
        &self.shared.metrics
    }

    /// Asks for a proposal on `parent`; a new question replaces the one before.
    pub(crate) fn ask_proposal(&self, parent: Digest, answer: Box<dyn ProposalAnswer>) {
        let mut state = self.lock();
        self.note_up_in(&mut state);
        if !state.stopped {
            state.requests.proposal = Some((parent, answer));
        }
        self.settle(state);
    }

    /// Asks whether to vote for a manifest.
    pub(crate) fn ask_verify(&self, judge: Judge) -> oneshot::Receiver<bool> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.lock();
        self.note_up_in(&mut state);
        if !state.stopped {
            state.requests.judge.push((judge, answer));
        }
        self.settle(state);
        receiver
    }

    /// Asks to be told when a manifest and its batches are durable here.
    pub(crate) fn ask_certify(&self, digest: Digest) -> oneshot::Receiver<bool> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.lock();
        self.note_up_in(&mut state);
        if !state.stopped {
            state.requests.certify.push((digest, answer));
        }
        self.settle(state);
        receiver
    }

    /// Reports a finalization.
    pub(crate) fn on_final(&self, certificate: Certificate) {
        let mut state = self.lock();
        let newest = state.certificate.as_ref().map_or(0, |newest| newest.view);
        if certificate.view > newest {
            state.certificate = Some(certificate.clone());
        }
        drop(state);
        self.update(|stage, now| stage.on_final(certificate, now));
    }

    /// The newest certificate that the engine has reported since the start.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        self.lock().certificate.clone()
    }

    /// Does what the clock makes due; returns how long until the next time.
    pub(crate) fn on_timer(&self) -> Option<Duration> {
        let mut state = self.lock();
        let now = self.now();
        state.timer = None;
        state.stage.on_tick(now);
        if let Err(error) = self.answer(&mut state) {
            drop(state);
            self.fail(error);
            return None;
        }
        state.timer = state.due;
        let wait = state.due.map(|due| due.saturating_sub(now.uptime));
        self.send(state);
        wait
    }

    /// Waits until the timer has to be set anew.
    pub(crate) async fn timer_changed(&self) {
        self.shared.timer.notified().await;
    }

    /// Waits for [`OrderHandle::stop`], a failure or a pause.
    pub(crate) async fn stopped(&self) {
        while !self.is_to_end() {
            self.shared.stop.notified().await;
        }
    }

    fn is_to_end(&self) -> bool {
        let state = self.lock();
        state.stopped || state.paused
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Notes why ordering ends, once, and ends it.
    pub(crate) fn fail(&self, error: OrderError) {
        tracing::error!(%error, "ordering stops");
        let mut state = self.lock();
        state.failure.get_or_insert(error);
        drop(state);
        self.stop();
    }

    fn update(&self, change: impl FnOnce(&mut OrderStage, Now) -> Result<(), OrderError>) {
        let mut state = self.lock();
        if let Err(error) = change(&mut state.stage, self.now()) {
            drop(state);
            self.fail(error);
            return;
        }
        self.settle(state);
    }

    /// After each change: answers what can be answered, sends what has to leave, sets the timer.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        if let Err(error) = self.answer(&mut state) {
            drop(state);
            self.fail(error);
            return;
        }
        let late = match (state.due, state.timer) {
            (Some(due), Some(timer)) => due < timer,
            (due, _) => due.is_some(),
        };
        if late {
            state.timer = state.due;
            self.shared.timer.notify_one();
        }
        self.send(state);
    }

    fn answer(&self, state: &mut State) -> Result<(), OrderError> {
        if state.paused {
            state.due = None;
            state.outgoing.extend(state.stage.take_outgoing());
            return Ok(());
        }
        let now = self.now();
        let State {
            stage, requests, ..
        } = state;
        let mut due = stage.tick_due();
        let mut sooner = |until: Option<Duration>| {
            due = [due, until].into_iter().flatten().min();
        };
        if let Some((parent, answer)) = requests.proposal.take()
            && !answer.is_closed()
        {
            stage.check_parent(parent)?;
            match stage.poll_proposal(parent, now) {
                Proposal::Ready(digest) => {
                    answer.send(digest);
                    let over = stage.pace_over().unwrap_or_default().as_nanos();
                    let over_ns = u64::try_from(over).expect("584 years of uptime");
                    self.shared.pace_over_ns.store(over_ns, Ordering::Relaxed);
                }
                Proposal::Wait { until } => {
                    sooner(until);
                    requests.proposal = Some((parent, answer));
                }
            }
        }
        let judges = std::mem::take(&mut requests.judge);
        for (judge, answer) in judges.into_iter().filter(|(_, answer)| !answer.is_closed()) {
            match stage.verify(judge.leader, judge.parent, judge.digest, now) {
                VoteDecision::Accept => {
                    let _ = answer.send(true);
                }
                VoteDecision::Refuse(reason) => {
                    tracing::warn!(manifest = %judge.digest, reason, "proposal refused");
                    let _ = answer.send(false);
                }
                VoteDecision::Wait { until } => {
                    sooner(until);
                    requests.judge.push((judge, answer));
                }
            }
        }
        let certify = std::mem::take(&mut requests.certify);
        for (digest, answer) in certify
            .into_iter()
            .filter(|(_, answer)| !answer.is_closed())
        {
            if stage.is_certifiable(digest) {
                let _ = answer.send(true);
            } else {
                requests.certify.push((digest, answer));
            }
        }
        sooner(stage.tick_due());
        state.due = due;
        state.outgoing.extend(state.stage.take_outgoing());
        Ok(())
    }

    fn send(&self, state: MutexGuard<'_, State>) {
        let empty = state.outgoing.is_empty();
        drop(state);
        if empty {
            return;
        }
        let _turn = self
            .shared
            .sending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(message) = self.lock().outgoing.pop_front() else {
                break;
            };
            match message {
                Outgoing::Persist(persist) => (self.shared.sinks.persist)(persist),
                Outgoing::Block(block) => (self.shared.sinks.block)(block),
            }
        }
        // A block that became final made room in the lane.
        self.shared.room.notify_all();
    }

    fn now(&self) -> Now {
        (self.shared.clock)()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside the stage is a bug that must not go on unseen: later callers panic too.
        self.shared
            .state
            .lock()
            .expect("the stage does not panic while it is locked")
    }
}

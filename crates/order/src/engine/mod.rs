//! The BFT engine's adapter: the only module in Clearway, tests apart, that names an engine type.
//!
//! [`Orderer::run`] is the one place where the product instantiates the engine: it is large, and
//! every further instance costs a minute of compiling. `simulated` does it once more, for tests.
mod adapter;
mod certificate;
mod scheme;
// Not in the tests of this crate, which would compile one more instance of the engine for nothing.
#[cfg(all(feature = "simulation", not(test)))]
pub(crate) mod simulated;
mod storage;
mod transport;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use clearway_crypto::certificate::vote_namespace;
use clearway_types::certificate::Certificate;
use clearway_types::units::{Digest, Height};
use commonware_consensus::simplex::elector::RoundRobin;
use commonware_consensus::simplex::{self, Floor, ForwardPolicy, SkipPolicy};
use commonware_consensus::types::{Epoch, ViewDelta};
use commonware_cryptography::{Sha256, sha256};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_runtime::{Handle, Metrics, Runner as _, Spawner, Storage, tokio as runtime};
use commonware_utils::{NZDuration, NZU16, NZUsize, sys_rng};
use rand_core::CryptoRng;

use self::adapter::Adapter;
#[cfg(test)]
pub(crate) use self::certificate::from_engine;
pub(crate) use self::certificate::to_engine;
pub(crate) use self::scheme::{Keys, Scheme};
use self::storage::Journaled;
use self::transport::{NullBlocker, NullReceiver, NullSender};
use crate::config::{EngineConfig, OrderConfig};
use crate::error::OrderError;
use crate::handle::{OrderHandle, Sinks};
use crate::journal::{self, Journal, JournalError};
use crate::metrics::OrderMetrics;
use crate::now::Clock;
use crate::recovery::Recovery;
use crate::stage::OrderStage;

/// Views behind the newest final one whose certificates stay in the journal: more than can be
/// final and not yet stored, so that a restart hears of each of them again.
const VIEW_RETENTION: u64 = 128;
/// Names the engine's blobs in the journal.
const PARTITION: &str = "votes";
/// How long to wait before a full disk is looked at again.
const ROOM_PAUSE: Duration = Duration::from_millis(200);
/// How long the engine may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A validator's ordering, ready to run.
pub struct Orderer {
    handle: OrderHandle,
    keys: Keys,
    engine: EngineConfig,
    /// Where the first engine starts.
    floor: Floor<Scheme, sha256::Digest>,
}

impl Orderer {
    /// Checks keys, times and what the store has kept, and sets up the stage.
    ///
    /// # Errors
    /// Whatever does not fit together; nothing was started then.
    pub fn new(
        config: OrderConfig,
        engine: EngineConfig,
        recovery: Recovery,
        sinks: Sinks,
        clock: Clock,
    ) -> Result<Self, OrderError> {
        check_times(&config, &engine)?;
        let count = engine.validators.len();
        if count != 1 {
            return Err(OrderError::ClusterNotActive { count });
        }
        let namespace = vote_namespace(config.genesis);
        let keys = Keys::new(
            &namespace,
            &engine.validators,
            config.me,
            &engine.vote_secret,
        )?;
        if let Some(path) = journal::foreign(&engine.journal_dir) {
            return Err(OrderError::JournalForeign { path });
        }
        let metrics = Arc::new(OrderMetrics::default());
        if recovery.tip.height > Height(0) && !journal::is_there(&engine.journal_dir) {
            // Nobody but this machine has ever seen a vote of a single validator, and no receipt
            // left that the store does not hold: going on from the newest certificate is safe.
            tracing::warn!(
                height = recovery.tip.height.0,
                "the engine's journal is missing; going on from the newest stored certificate"
            );
            metrics.journals_lost.add(1);
        }
        let floor = floor(config.genesis, recovery.certificate.as_ref(), &keys)?;
        let stage = OrderStage::new(config, recovery, Arc::clone(&metrics));
        let handle = OrderHandle::new(stage, sinks, clock, metrics);
        Ok(Self {
            handle,
            keys,
            engine,
            floor,
        })
    }

    /// The way in for the node's threads.
    #[must_use]
    pub fn handle(&self) -> OrderHandle {
        self.handle.clone()
    }

    /// Orders until [`OrderHandle::stop`]; blocks the calling thread. While the journal's disk is
    /// full there is no engine, and one starts from the journal once there is room.
    ///
    /// # Errors
    /// Why it ended by itself: the node has to stop.
    pub fn run(self) -> Result<(), OrderError> {
        let mut is_mended = false;
        while self.wait_for_room() {
            self.handle.resume();
            let ended = catch_unwind(AssertUnwindSafe(|| self.run_engine()));
            let reason = match ended {
                Ok(None) => continue,
                Ok(Some(reason)) => reason,
                Err(panic) => panic_text(panic.as_ref()),
            };
            self.on_end(reason, &mut is_mended);
        }
        self.handle.failure().map_or(Ok(()), Err)
    }

    /// Waits for room for the journal; false when ordering has been stopped.
    fn wait_for_room(&self) -> bool {
        if self.handle.is_stopped() {
            return false;
        }
        let mut full = false;
        while !self.engine.journal_room.has_room_again() {
            if !full {
                self.handle.metrics().journal_pauses.add(1);
                self.handle.note_engine_up();
            }
            full = true;
            if self.handle.wait_stopped(ROOM_PAUSE) {
                return false;
            }
        }
        true
    }

    /// The engine ends by itself, by a panic, when its journal fails it. One that was out of room
    /// goes on from where it was: each start reads what the disk has, and no vote has left this
    /// machine. One that cannot be read is mended once: if that did not help, it is damaged where
    /// it is needed.
    fn on_end(&self, reason: String, is_mended: &mut bool) {
        if self.handle.is_stopped() {
            return;
        }
        if self.engine.journal_room.ran_out() {
            self.handle.pause();
            self.handle.wait_stopped(ROOM_PAUSE);
            return;
        }
        if !is_unreadable(&reason) {
            return self.handle.fail(OrderError::EngineStopped { reason });
        }
        if std::mem::replace(is_mended, true) || !self.mend() {
            let dir = self.engine.journal_dir.clone();
            self.handle.fail(OrderError::JournalDamaged { dir, reason });
        }
    }

    /// A single validator can do without its journal where the store has a certificate: nobody else
    /// has seen a vote of its, and the engine starts at that certificate. Whether there was a
    /// journal to move away.
    fn mend(&self) -> bool {
        let Floor::Finalized(newest) = self.newest_floor() else {
            return false;
        };
        if self.keys.validator_count() > 1 {
            return false;
        }
        let view = newest.proposal.round.view().get();
        match journal::set_aside(&self.engine.journal_dir) {
            Ok((_, 0)) => false,
            Ok((aside, files)) => {
                self.handle.metrics().journals_mended.add(1);
                tracing::warn!(
                    view,
                    files,
                    aside = %aside.display(),
                    "the engine's journal is damaged; going on without it from the newest stored \
                     certificate: check the disk"
                );
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the engine's damaged journal cannot be moved away");
                false
            }
        }
    }

    /// The engine in the runtime of the product.
    fn run_engine(&self) -> Option<String> {
        let runtime_config = runtime::Config::new()
            .with_worker_threads(self.engine.worker_count)
            .with_max_blocking_threads(self.engine.worker_count.max(4))
            .with_storage_directory(&self.engine.journal_dir);
        // Inside: the runtime keeps others out of the folder.
        runtime::Runner::new(runtime_config).start(async move |context| {
            match Journal::open(&self.engine.journal_dir) {
                Ok(journal) => self.run_in(Journaled::new(context, journal.into())).await,
                Err(error @ JournalError::Damaged { .. }) => Some(format!("{UNREADABLE}: {error}")),
                Err(error) => Some(error.to_string()),
            }
        })
    }

    /// The engine and the timer, until ordering stops or pauses; or why they ended by themselves.
    async fn run_in<E: EngineContext>(&self, context: E) -> Option<String> {
        let handle = self.handle.clone();
        let timer = handle.clone();
        let timer = context
            .child("timer")
            .spawn(move |context| run_timer(context, timer));
        let engine = self.start_engine(context.child("engine"));
        let ended = tokio::select! {
            // Without a choice by chance that no seed repeats.
            biased;
            () = handle.stopped() => None,
            _ = engine => Some("its engine task ended".to_owned()),
            _ = timer => Some("its timer task ended".to_owned()),
        };
        if context.stop(0, Some(STOP_TIMEOUT)).await.is_err() {
            tracing::warn!("the engine did not end in time and is cut off");
        }
        ended
    }

    /// Where an engine starts: at the newest certificate of the one before it, if there was one.
    /// Its journal has let go of the views far below that one.
    fn newest_floor(&self) -> Floor<Scheme, sha256::Digest> {
        let newest = self.handle.certificate();
        let newest = newest.and_then(|certificate| to_engine(&certificate, &self.keys));
        newest.map_or_else(|| self.floor.clone(), Floor::Finalized)
    }

    fn start_engine(&self, context: impl EngineContext) -> Handle<()> {
        let adapter = Adapter {
            handle: self.handle.clone(),
            keys: self.keys.clone(),
            room: Arc::clone(&self.engine.journal_room),
        };
        let config = simplex::Config {
            scheme: self.keys.scheme.clone(),
            elector: RoundRobin::<Sha256>::default(),
            blocker: NullBlocker::default(),
            automaton: adapter.clone(),
            relay: adapter.clone(),
            reporter: adapter,
            track_historical_votes: false,
            strategy: Sequential,
            partition: PARTITION.into(),
            mailbox_size: NZUsize!(1024),
            epoch: Epoch::zero(),
            floor: self.newest_floor(),
            replay_buffer: NZUsize!(1 << 20),
            write_buffer: NZUsize!(1 << 16),
            page_cache: CacheRef::new(NZU16!(4096), NZUsize!(256)),
            leader_timeout: self.engine.leader_timeout,
            certification_timeout: self.engine.certification_timeout,
            timeout_retry: self.engine.certification_timeout,
            view_retention: ViewDelta::new(VIEW_RETENTION),
            skip: SkipPolicy::Disabled,
            fetch_timeout: NZDuration!(Duration::from_secs(1)),
            fetch_retry_delay: Duration::from_millis(50),
            forward: ForwardPolicy::Disabled,
        };
        let silent = || (NullSender, NullReceiver);
        simplex::Engine::new(context, config).start(silent(), silent(), silent())
    }
}

/// What the engine runs in: tasks, time, storage and chance of one place, a machine's or a
/// simulation's.
trait EngineContext: commonware_runtime::Clock + CryptoRng + Spawner + Storage + Metrics {}

impl<E: commonware_runtime::Clock + CryptoRng + Spawner + Storage + Metrics> EngineContext for E {}

/// Where the engine logs its panics, which [`Orderer::run`] turns into errors.
pub const ENGINE_PANICS: &str = "commonware_runtime::utils::handle";

/// Whether the engine panics there: this source file is its own. [`Orderer::run`] turns such a
/// panic into an error, so the panic hook may leave it out.
#[must_use]
pub fn is_engine_source(file: &str) -> bool {
    file.contains("commonware-")
}

/// Wakes the stage when the clock makes something due.
async fn run_timer(context: impl EngineContext, handle: OrderHandle) {
    while !handle.is_stopped() {
        match handle.on_timer() {
            // Either end of the wait leads to the same question.
            Some(wait) => tokio::select! {
                biased;
                () = context.sleep(wait) => {}
                () = handle.timer_changed() => {}
            },
            None => handle.timer_changed().await,
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked without a message".into())
}

/// Pace <= heartbeat < leader time-out < certification time-out.
fn check_times(config: &OrderConfig, engine: &EngineConfig) -> Result<(), OrderError> {
    let rules = [
        (
            config.view_pace <= config.heartbeat,
            "view_pace",
            "it must not be above the heartbeat",
        ),
        (
            config.heartbeat < engine.leader_timeout,
            "heartbeat",
            "it must lie below the leader time-out, or idle views are given up",
        ),
        (
            engine.leader_timeout < engine.certification_timeout,
            "leader_timeout",
            "it must lie below the certification time-out",
        ),
        (
            engine.worker_count > 0,
            "worker_count",
            "at least one thread",
        ),
    ];
    let broken = rules.into_iter().find(|(holds, ..)| !holds);
    broken.map_or(Ok(()), |(_, field, help)| {
        Err(OrderError::Timing { field, help })
    })
}

/// How the reason begins where the journal's own files are damaged.
const UNREADABLE: &str = "unable to read";

/// Whether an engine ended with this reason because it could not read its journal.
fn is_unreadable(reason: &str) -> bool {
    [UNREADABLE, "replay", "open journal"]
        .iter()
        .any(|words| reason.contains(words))
}

/// Where the engine starts: at the newest stored certificate, or below it when its own journal
/// knows more. A lower floor than the journal's changes nothing.
fn floor(
    genesis: Digest,
    certificate: Option<&Certificate>,
    keys: &Keys,
) -> Result<Floor<Scheme, sha256::Digest>, OrderError> {
    let Some(certificate) = certificate else {
        return Ok(Floor::Genesis(sha256::Digest(genesis.0)));
    };
    let finalization = to_engine(certificate, keys);
    let valid =
        finalization.filter(|found| found.verify(&mut sys_rng(), &keys.scheme, &Sequential));
    let rejected = OrderError::CertificateRejected {
        view: certificate.view,
    };
    valid.map(Floor::Finalized).ok_or(rejected)
}

//! The real engine on real directories: finality, restarts, crashes, a lost journal, bad settings.
mod damaged;
mod full_disk;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clearway_crypto::certificate::{check, vote_namespace};
use clearway_crypto::validators::ValidatorSet;
use clearway_types::final_record::FinalRecord;
use clearway_types::messages::{OrderedBlock, Persist, Persisted};
use clearway_types::units::{Digest, Height, ValidatorNumber};

use super::{Record, config, execute, genesis, head_of, recover, secret, tags, verified};
use crate::{EngineConfig, OrderError, OrderHandle, Orderer, Sinks, system_clock};

/// Longest that any of these tests waits for one thing; they fail then.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the rest of the node has: a log that is durable at once, executed blocks, a switch that
/// keeps acknowledgements back.
#[derive(Default)]
struct Node {
    log: Vec<Record>,
    delivered: Vec<OrderedBlock>,
    head: Digest,
    /// Manifests are stored but never acknowledged.
    withhold: bool,
    /// Blocks are executed but their final records are not stored.
    forget_finals: bool,
}

struct Rig {
    node: Arc<(Mutex<Node>, Condvar)>,
    handle: OrderHandle,
    slot: Arc<Mutex<Option<OrderHandle>>>,
    feeder: feeder::Feeder,
    run: JoinHandle<Result<(), OrderError>>,
}

/// Takes what leaves the stage and answers from a thread of its own, as the node's links do.
mod feeder {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{JoinHandle, spawn};

    pub(super) type Job = Box<dyn FnOnce() + Send>;

    pub(super) struct Feeder {
        thread: JoinHandle<()>,
    }

    impl Feeder {
        pub(super) fn start() -> (Self, Sender<Job>) {
            let (sender, receiver) = channel::<Job>();
            let thread = spawn(move || receiver.into_iter().for_each(|job| job()));
            (Self { thread }, sender)
        }

        pub(super) fn join(self) {
            self.thread.join().expect("the feeder does not panic");
        }
    }
}

fn engine_config(dir: &Path) -> EngineConfig {
    let secret = secret(0).to_bytes();
    EngineConfig::new(&genesis(1), secret, dir.join("engine"))
}

/// Starts ordering on `dir` from `log`.
fn start(dir: &Path, node: Node) -> Rig {
    start_with(engine_config(dir), node)
}

fn start_with(engine: EngineConfig, node: Node) -> Rig {
    let order = crate::OrderConfig {
        propose_unsynced: true,
        ..config(1)
    };
    start_paced(order, engine, node)
}

fn start_paced(order: crate::OrderConfig, engine: EngineConfig, node: Node) -> Rig {
    let recovery = recover(&genesis(1), &node.log);
    let head = recovery.heads.last().expect("at least the genesis").head;
    let node = Arc::new((Mutex::new(Node { head, ..node }), Condvar::new()));
    let (feeder, jobs) = feeder::Feeder::start();
    let slot: Arc<Mutex<Option<OrderHandle>>> = Arc::default();
    let sinks = sinks(&node, &slot, jobs);
    let orderer = Orderer::new(order, engine, recovery, sinks, system_clock());
    let orderer = orderer.expect("a good configuration");
    let handle = orderer.handle();
    *slot.lock().expect("no panic") = Some(handle.clone());
    let run = std::thread::spawn(move || orderer.run());
    Rig {
        node,
        handle,
        slot,
        feeder,
        run,
    }
}

fn sinks(
    node: &Arc<(Mutex<Node>, Condvar)>,
    slot: &Arc<Mutex<Option<OrderHandle>>>,
    jobs: std::sync::mpsc::Sender<feeder::Job>,
) -> Sinks {
    let (store_node, store_slot, store_jobs) = (node.clone(), slot.clone(), jobs.clone());
    let persist = move |persist: Persist| {
        let (node, slot) = (store_node.clone(), store_slot.clone());
        let job: feeder::Job = Box::new(move || {
            let mut state = node.0.lock().expect("no panic");
            state.log.push(Record::of(&persist));
            let done = match persist {
                Persist::Batch(batch) => Persisted::Batch(batch.digest),
                Persist::Manifest { .. } if state.withhold => return node.1.notify_all(),
                Persist::Manifest { digest, .. } => Persisted::Manifest(digest),
            };
            drop(state);
            answer(&slot, |handle| handle.on_persisted(done));
        });
        let _ = store_jobs.send(job);
    };
    let (node, slot) = (node.clone(), slot.clone());
    let block = move |block: OrderedBlock| {
        let (node, slot) = (node.clone(), slot.clone());
        let job: feeder::Job = Box::new(move || {
            let mut state = node.0.lock().expect("no panic");
            state.delivered.push(block.clone());
            let executed = execute(state.head, block);
            state.head = executed.exec_head;
            if !state.forget_finals {
                state.log.push(Record::of_final(&executed));
            }
            node.1.notify_all();
            drop(state);
            answer(&slot, |handle| handle.on_executed(head_of(&executed)));
        });
        let _ = jobs.send(job);
    };
    Sinks {
        persist: Box::new(persist),
        block: Box::new(block),
    }
}

/// Tells the stage, unless the rig is being taken down.
fn answer(slot: &Mutex<Option<OrderHandle>>, tell: impl FnOnce(&OrderHandle)) {
    let handle = slot.lock().expect("no panic").clone();
    if let Some(handle) = handle {
        tell(&handle);
    }
}

impl Rig {
    fn submit(&self, tag: u64) {
        self.handle.on_verified(verified(tag, 1)).expect("running");
    }

    /// Waits until `done` holds of what the node has.
    fn wait(&self, what: &str, done: impl Fn(&Node) -> bool) {
        let since = Instant::now();
        let mut state = self.node.0.lock().expect("no panic");
        while !done(&state) {
            assert!(
                since.elapsed() < TIMEOUT,
                "no {what}: {:?}",
                self.handle.failure()
            );
            state = self
                .node
                .1
                .wait_timeout(state, TIMEOUT)
                .expect("no panic")
                .0;
        }
    }

    fn wait_for_tags(&self, count: usize) {
        self.wait("finality", |node| delivered_tags(node).len() >= count);
    }

    /// Stops ordering and gives back what the store holds.
    fn stop(self) -> Node {
        self.handle.stop();
        self.run.join().expect("no panic").expect("an orderly end");
        // The handle owns the sinks, which own the node and the feeder's queue.
        *self.slot.lock().expect("no panic") = None;
        drop(self.handle);
        let node = self.node;
        self.feeder.join();
        let node = Arc::into_inner(node).expect("all threads have ended");
        node.0.into_inner().expect("no panic")
    }
}

fn delivered_tags(node: &Node) -> Vec<u64> {
    node.delivered.iter().flat_map(tags).collect()
}

/// Final records form one chain, whose certificates verify without the engine; returns its tags.
fn audit(log: &[Record]) -> Vec<u64> {
    let set = ValidatorSet::from_genesis(&genesis(1)).expect("honest keys");
    let namespace = vote_namespace(genesis(1).hash());
    let mut certified = 0;
    for record in log {
        let Record::Final(bytes) = record else {
            continue;
        };
        let record = FinalRecord::decode(bytes).expect("own record");
        if let Some(certificate) = record.certificate {
            assert_eq!(certificate.payload, record.manifest);
            assert_eq!(check(&certificate, &set, &namespace), Ok(()));
            certified += 1;
        }
    }
    assert!(certified > 0, "no block has a certificate");
    let recovery = recover(&genesis(1), log);
    let mut manifests = std::collections::BTreeMap::new();
    let mut batches = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for record in log {
        match record {
            Record::Batch(bytes) => {
                let batch = crate::recover_batch(bytes).expect("own batch");
                batches.insert(batch.digest, batch);
            }
            Record::Manifest(bytes) => {
                let manifest = clearway_types::manifest::Manifest::decode(bytes).expect("own");
                manifests.insert(clearway_crypto::hash::manifest_digest(bytes), manifest);
            }
            Record::Final(bytes) => {
                let record = FinalRecord::decode(bytes).expect("own record");
                for named in &manifests[&record.manifest].batches {
                    let batch = &batches[&named.digest];
                    found.extend(batch.envelopes().map(first_eight));
                }
            }
        }
    }
    assert!(recovery.tip.height > Height(0));
    found
}

fn first_eight(envelope: &clearway_types::envelope::Envelope) -> u64 {
    let bytes = zerocopy::IntoBytes::as_bytes(envelope);
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

#[test]
fn a_single_validator_finalizes_and_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rig = start(dir.path(), Node::default());
    (0..5).for_each(|tag| rig.submit(tag));
    rig.wait_for_tags(5);
    let mut node = rig.stop();
    assert_eq!(delivered_tags(&node), [0, 1, 2, 3, 4]);
    node.delivered.clear();
    let rig = start(dir.path(), node);
    (5..8).for_each(|tag| rig.submit(tag));
    rig.wait_for_tags(3);
    let node = rig.stop();
    assert_eq!(audit(&node.log), (0..8).collect::<Vec<_>>());
}

/// The engine made blocks final, their final records were lost with the power.
#[test]
fn blocks_without_a_durable_final_record_are_delivered_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let forgetful = Node {
        forget_finals: true,
        ..Node::default()
    };
    let rig = start(dir.path(), forgetful);
    (0..3).for_each(|tag| rig.submit(tag));
    rig.wait_for_tags(3);
    let mut node = rig.stop();
    let before = std::mem::take(&mut node.delivered);
    node.forget_finals = false;
    let rig = start(dir.path(), node);
    rig.submit(3);
    rig.wait_for_tags(4);
    let node = rig.stop();
    assert_eq!(delivered_tags(&node), [0, 1, 2, 3]);
    for (first, second) in before.iter().zip(&node.delivered) {
        assert_eq!(
            first.digest, second.digest,
            "the same blocks at the same heights"
        );
    }
    assert_eq!(audit(&node.log), [0, 1, 2, 3]);
}

/// The proposal was notarized, but its manifest never became durable here: no vote to finalize.
#[test]
fn nothing_is_final_before_it_is_durable_and_a_restart_proposes_it_once() {
    for manifest_survives in [true, false] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let slow = Node {
            withhold: true,
            ..Node::default()
        };
        let rig = start(dir.path(), slow);
        (0..3).for_each(|tag| rig.submit(tag));
        rig.wait("batches", |node| {
            let batches = node
                .log
                .iter()
                .filter(|record| matches!(record, Record::Batch(_)));
            batches.count() > 0
        });
        rig.wait("a manifest", |node| {
            node.log
                .iter()
                .any(|record| matches!(record, Record::Manifest(_)))
        });
        let mut node = rig.stop();
        assert!(
            node.delivered.is_empty(),
            "a block was final before it was durable"
        );
        if !manifest_survives {
            node.log
                .retain(|record| !matches!(record, Record::Manifest(_)));
        }
        node.withhold = false;
        let kept = node
            .log
            .iter()
            .filter(|record| matches!(record, Record::Batch(_)))
            .count();
        let rig = start(dir.path(), node);
        rig.submit(3);
        rig.wait("the last envelope", |node| {
            delivered_tags(node).contains(&3)
        });
        let node = rig.stop();
        let mut tags = audit(&node.log);
        let len = tags.len();
        tags.dedup();
        assert_eq!(tags.len(), len, "an envelope was ordered twice");
        assert!(
            len > kept,
            "{len} envelopes of {kept} batches: a durable batch was lost"
        );
    }
}

#[test]
fn a_lost_journal_goes_on_from_the_newest_certificate() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rig = start(dir.path(), Node::default());
    (0..3).for_each(|tag| rig.submit(tag));
    rig.wait_for_tags(3);
    let mut node = rig.stop();
    std::fs::remove_dir_all(dir.path().join("engine")).expect("the journal");
    node.delivered.clear();
    let height = recover(&genesis(1), &node.log).tip.height;
    let rig = start(dir.path(), node);
    assert_eq!(rig.handle.metrics().journals_lost.value(), 1);
    rig.submit(3);
    rig.wait_for_tags(1);
    let node = rig.stop();
    assert_eq!(
        node.delivered[0].manifest.height,
        height.next(),
        "no height twice"
    );
    assert_eq!(audit(&node.log), [0, 1, 2, 3]);
}

#[test]
fn a_store_older_than_the_journal_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rig = start(dir.path(), Node::default());
    (0..3).for_each(|tag| rig.submit(tag));
    rig.wait_for_tags(3);
    rig.stop();
    let rig = start(dir.path(), Node::default());
    let ended = rig.run.join().expect("no panic");
    assert!(
        matches!(ended, Err(OrderError::StoreBehind { .. })),
        "{ended:?}"
    );
    let refused = rig.handle.on_verified(verified(9, 1));
    assert!(refused.is_err(), "nothing is taken in any more");
}

/// Copies of a live journal are what a kill leaves behind: the process is gone, its writes stay.
#[test]
fn copies_of_a_live_journal_restart_without_loss_or_doubling() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rig = start(dir.path(), Node::default());
    let mut images = Vec::new();
    for tag in 0..40 {
        rig.submit(tag);
        rig.wait("a block", |node| {
            node.log
                .iter()
                .filter(|record| matches!(record, Record::Final(_)))
                .count()
                >= usize::try_from(tag / 4).expect("small")
        });
        if tag % 8 == 7 {
            let image = tempfile::tempdir().expect("a temporary directory");
            copy_dir(&dir.path().join("engine"), &image.path().join("engine"));
            // The log is read after the journal was copied: what was voted for is in it.
            let log = rig.node.0.lock().expect("no panic").log.clone();
            images.push((image, log));
        }
    }
    rig.wait_for_tags(40);
    rig.stop();
    assert_eq!(images.len(), 5);
    for (image, log) in images {
        let node = Node {
            log,
            ..Node::default()
        };
        let before = node.log.clone();
        let rig = start(image.path(), node);
        rig.submit(1000);
        rig.wait("the new envelope", |node| {
            delivered_tags(node).contains(&1000)
        });
        let node = rig.stop();
        let tags = audit(&node.log);
        let stored: usize = before
            .iter()
            .map(|record| match record {
                Record::Batch(bytes) => (bytes.len() - 104) / 192,
                Record::Manifest(_) | Record::Final(_) => 0,
            })
            .sum();
        let expected: Vec<u64> = (0..stored as u64).chain([1000]).collect();
        assert_eq!(tags, expected, "each durable envelope once, in lane order");
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a writable directory");
    for entry in std::fs::read_dir(from).expect("a readable directory") {
        let entry = entry.expect("a readable entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_dir(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), &target) {
            // The live engine prunes old blobs while they are being copied.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    type Edit = fn(&mut crate::OrderConfig, &mut EngineConfig);
    let rows: [(&str, Edit); 4] = [
        ("view_pace", |o, _| o.view_pace = Duration::from_secs(1)),
        ("heartbeat", |o, _| o.heartbeat = Duration::from_millis(400)),
        ("leader_timeout", |_, e| {
            e.leader_timeout = e.certification_timeout
        }),
        ("worker_count", |_, e| e.worker_count = 0),
    ];
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (expected, edit) in rows {
        let (mut order, mut engine) = (config(1), engine_config(dir.path()));
        edit(&mut order, &mut engine);
        match refusal(order, engine, crate::Recovery::genesis(&genesis(1))) {
            OrderError::Timing { field, .. } => assert_eq!(field, expected),
            other => panic!("{expected}: {other}"),
        }
    }
}

fn refusal(
    order: crate::OrderConfig,
    engine: EngineConfig,
    recovery: crate::Recovery,
) -> OrderError {
    let sinks = Sinks {
        persist: Box::new(|_| {}),
        block: Box::new(|_| {}),
    };
    let orderer = Orderer::new(order, engine, recovery, sinks, system_clock());
    orderer.err().expect("it must be refused")
}

#[test]
fn foreign_keys_clusters_and_certificates_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let recovery = || crate::Recovery::genesis(&genesis(1));
    let mut engine = engine_config(dir.path());
    engine.vote_secret = secret(1).to_bytes();
    let mismatch = OrderError::SecretMismatch {
        number: ValidatorNumber(1),
    };
    assert_eq!(refusal(config(1), engine, recovery()), mismatch);
    let engine = EngineConfig::new(&genesis(4), secret(0).to_bytes(), dir.path().join("engine"));
    let cluster = OrderError::ClusterNotActive { count: 4 };
    let four = crate::Recovery::genesis(&genesis(4));
    assert_eq!(refusal(config(4), engine, four), cluster);
    let mut engine = engine_config(dir.path());
    engine.validators[0].vote_key = [0; 96];
    let key = OrderError::Key {
        number: ValidatorNumber(1),
        field: "bls_public_key",
    };
    assert_eq!(refusal(config(1), engine, recovery()), key);
    let mut forged = recovery();
    forged.certificate = Some(super::unsigned(7, Digest([1; 32])));
    let rejected = OrderError::CertificateRejected { view: 7 };
    assert_eq!(
        refusal(config(1), engine_config(dir.path()), forged),
        rejected
    );
    let outside = crate::OrderConfig::new(&genesis(1), ValidatorNumber(2));
    assert_eq!(
        outside.err(),
        Some(OrderError::NotAValidator {
            number: ValidatorNumber(2),
            count: 1
        })
    );
}

#[test]
fn a_full_lane_makes_the_caller_wait_and_stop_gives_the_batch_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sinks = Sinks {
        persist: Box::new(|_| {}),
        block: Box::new(|_| {}),
    };
    let recovery = crate::Recovery::genesis(&genesis(1));
    // Never run: nothing becomes final, so the lane only fills.
    let orderer = Orderer::new(
        config(1),
        engine_config(dir.path()),
        recovery,
        sinks,
        system_clock(),
    );
    let handle = orderer.expect("a good configuration").handle();
    let filler = handle.clone();
    let (sender, taken) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        for tag in 0.. {
            let batch = verified(tag, clearway_types::limits::BATCH_ENVELOPES_MAX);
            if let Err(stopped) = filler.on_verified(batch) {
                return stopped.0.origins[0].stream.0;
            }
            sender.send(tag).expect("the test listens");
        }
        unreachable!("the lane has an end");
    });
    let room = clearway_types::limits::LANE_WINDOW;
    for tag in 0..room as u64 {
        assert_eq!(taken.recv_timeout(TIMEOUT), Ok(tag));
    }
    while handle.metrics().lane_full.value() == 0 {
        std::thread::yield_now();
    }
    handle.stop();
    let refused = thread.join().expect("no panic");
    let accepted = room + taken.try_iter().count();
    assert_eq!(refused, accepted as u64, "the first that was not taken");
}

#[test]
fn an_engine_that_cannot_write_its_journal_ends_with_its_reason() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("engine"), b"a file, not a directory").expect("writable");
    let rig = start(dir.path(), Node::default());
    let ended = rig.run.join().expect("the panic is caught");
    assert!(
        matches!(ended, Err(OrderError::EngineStopped { .. })),
        "{ended:?}"
    );
    assert_eq!(rig.handle.failure(), ended.err());
}

//! A whole node on one thread: the engine, every stage, a simulated disk and clock. It loses power
//! at chosen steps, comes back, and keeps what it has promised; the same seed gives the same bytes.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clearway_client::{Draft, Identity, Signer};
use clearway_crypto::keys::SigningKey;
use clearway_crypto::validators::ValidatorSecret;
use clearway_order::{PowerCut, Simulation, simulate};
use clearway_store::history::History;
use clearway_store::testing::RecordingIo;
use clearway_types::amount::Amount;
use clearway_types::code::ResultCode;
use clearway_types::envelope::{Envelope, envelopes};
use clearway_types::messages::{ExecutedBlock, FrameBatch, SourceId, StreamKey};
use clearway_types::seeded::SplitMix;
use clearway_types::transfer::Transfer;
use clearway_types::units::{Height, ParticipantId, TimeMs, TransferId, UnixSeconds};
use zerocopy::IntoBytes as _;

use super::*;
use crate::config;
use crate::stages::Stage;
use crate::testing::{account, genesis_at, key};
use clearway_flow::Worker;
use clearway_ingest::FrameSink as _;
use clearway_store::Sequence;

/// When the simulated machine is switched on.
const START: TimeMs = TimeMs(1_700_000_000_000);
const PAYMENTS: usize = 10_000;
/// A stream is sent every this many milliseconds of cluster time.
const STREAM_PAUSE_MS: u64 = 600;
/// What a step of a stage takes on the simulated machine.
const STEP: Duration = Duration::from_micros(200);
/// How long the machine waits for the engine and the members when no stage has anything to do.
const IDLE: Duration = Duration::from_millis(1);
/// Power cuts of a run.
const CUTS: usize = 12;
/// Envelopes of a stream, and streams on their way at once: far below the lane window, so that no
/// step ever waits.
const STREAM_LEN: usize = 100;
const STREAMS_MAX: usize = 8;
/// More rounds than any life of the machine takes.
const ROUNDS_MAX: usize = 200_000;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What a member was told of its payments: height, code.
type Told = BTreeMap<TransferId, (Height, ResultCode)>;

/// A cluster of one validator and its members' payments, all from a seed.
struct World {
    config: NodeConfig,
    genesis: Genesis,
    keys: ValidatorKeys,
    payments: Vec<Envelope>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut config: NodeConfig = config::parse("", [], &[]).expect("settings").config;
        config.data_dir = "data".into();
        config.verify_workers = 1;
        config.store.segment_bytes = 1 << 20;
        config.store.checkpoint_blocks = 16;
        let mut vote = [0; 32];
        vote[31] = 92;
        let keys = ValidatorKeys {
            connection: SigningKey::from_seed(&[91; 32]),
            vote: ValidatorSecret::from_bytes(&vote).expect("a small scalar"),
        };
        let genesis = genesis_at(&keys, START);
        let payments = payments(&genesis, &mut SplitMix(seed));
        Self {
            config,
            genesis,
            keys,
            payments,
        }
    }

    fn machine(&self, io: &RecordingIo, clock: Clock) -> (Machine, Orderer) {
        let parts = Parts {
            io: Arc::new(io.clone()),
            clock,
            gate: Gate::new().expect("a backend"),
        };
        Machine::new(&self.config, &self.genesis, &self.keys, parts).expect("it starts")
    }
}

/// Signed payments of one unit between the three members' accounts. They live for an hour of
/// cluster time: longer than a run.
fn payments(genesis: &Genesis, random: &mut SplitMix) -> Vec<Envelope> {
    let signers: Vec<Signer> = (2..=4)
        .map(|number| {
            let identity = Identity::new(key(number), ParticipantId(number.into()), 0);
            Signer::new(identity, genesis.hash()).expect("randomness")
        })
        .collect();
    let ends = UnixSeconds(START.seconds().0 + genesis.rules.ttl_s_max);
    let ledger = genesis.ledgers[0].id;
    (0..PAYMENTS)
        .map(|number| {
            let from = random.below(3);
            let to = (from + 1 + random.below(2)) % 3;
            let place = |member: u64| account(2 + u32::try_from(member).expect("small"));
            let draft = Draft::transfer(place(from), place(to), Amount::new(1, ledger));
            // The last byte is the place in a chain.
            let id = TransferId(((number as u128 + 1) << 8).to_be_bytes());
            signers[usize::try_from(from).expect("small")].sign_as(draft, id, ends)
        })
        .collect()
}

/// The machine while power lasts.
struct Life {
    machine: Machine,
    worker: Worker,
    /// Streams on their way, with what they have not been answered.
    streams: BTreeMap<u64, Vec<Envelope>>,
    next_stream: u64,
    told: Told,
    /// Steps of stages until power goes.
    steps_left: usize,
}

impl Life {
    fn new(machine: Machine, told: Told) -> Self {
        Self {
            machine,
            worker: Worker::new("simulation", 0),
            streams: BTreeMap::new(),
            next_stream: 1,
            told,
            steps_left: usize::MAX,
        }
    }

    /// Members send what they have no answer to, each payment from its own time on.
    fn send(&mut self, unsent: &mut Peekable<impl Iterator<Item = Envelope>>, now: TimeMs) {
        let is_due = |payment: &Envelope| due(payment) <= now;
        while self.streams.len() < STREAMS_MAX {
            let due = std::iter::from_fn(|| unsent.next_if(is_due));
            let envelopes: Vec<Envelope> = due.take(STREAM_LEN).collect();
            if envelopes.is_empty() {
                return;
            }
            let stream = self.next_stream;
            self.next_stream += 1;
            let frame = FrameBatch {
                source: SourceId(stream % 4),
                member: ParticipantId(2),
                stream: StreamKey(stream),
                first_index: 0,
                slab: envelopes.as_bytes().to_vec().into(),
                hints: bytes::Bytes::new(),
            };
            let offered = self.machine.door.frames.offer(frame);
            assert!(offered.is_ok(), "the link has room");
            self.streams.insert(stream, envelopes);
        }
    }

    /// One step of each stage that has something to do, while there is power; how long that took.
    fn step(&mut self) -> Duration {
        let Self {
            machine,
            worker,
            steps_left,
            ..
        } = self;
        let before = *steps_left;
        for verify in &mut machine.verify {
            step(verify, worker, steps_left);
        }
        step(&mut machine.feed, worker, steps_left);
        step(&mut machine.store, worker, steps_left);
        step(&mut machine.feedback, worker, steps_left);
        step(&mut machine.execute, worker, steps_left);
        let steps = u32::try_from(before - *steps_left).expect("a step a stage");
        if self.steps_left == 0 {
            return steps * STEP;
        }
        let busy = self.answer() || steps > 0;
        // A state is kept once it is durable: until then it waits, as the thread would.
        let durable = self.machine.shared.index.durable_height();
        let due = self.machine.execute.point.height <= durable;
        match due.then(|| self.machine.kept.try_recv()) {
            Some(Ok(keep)) => {
                let checkpointer = &self.machine.checkpointer;
                checkpointer.on_keep(&keep);
                let height = keep.snapshot.height().0;
                assert_eq!(checkpointer.metrics.checkpoint_height.value(), height);
            }
            _ if !busy => self.machine.checkpointer.on_idle(Instant::now()),
            _ => {}
        }
        (steps * STEP).max(if busy { STEP } else { IDLE })
    }

    /// What the door's way back does: answers go to the streams.
    fn answer(&mut self) -> bool {
        let mut busy = false;
        while let Ok(block) = self.machine.door.results.try_receive() {
            self.on_block(&block);
            busy = true;
        }
        let refused = self.machine.door.refusals.try_receive();
        assert!(refused.is_err(), "every payment is in order: {refused:?}");
        busy
    }

    fn on_block(&mut self, executed: &ExecutedBlock) {
        let height = executed.block.manifest.height;
        let in_flight = &self.machine.shared.in_flight;
        let mut results = executed.results.iter();
        for batch in &executed.block.batches {
            for (envelope, digests) in batch.envelopes().zip(&batch.digests) {
                let outcome = results.next().expect("one result for each envelope");
                let first = (height, outcome.code);
                // A further copy repeats the code; where it was executed, the log says.
                let told = self.told.entry(envelope.body.id).or_insert(first);
                assert_eq!(told.1, outcome.code, "the answer to {:?}", envelope.body.id);
                in_flight.finish(digests.leaf);
            }
            for run in &batch.origins {
                self.streams.remove(&run.stream.0);
            }
        }
    }
}

/// When a payment is sent first: streams come one after the other.
fn due(payment: &Envelope) -> TimeMs {
    let number = u128::from_be_bytes(payment.body.id.0) >> 8;
    let number = u64::try_from(number - 1).expect("few payments");
    TimeMs(START.0 + number / STREAM_LEN as u64 * STREAM_PAUSE_MS)
}

/// Steps a stage if there is power and it has something to do.
fn step<S: Stage>(stage: &mut S, worker: &mut Worker, steps_left: &mut usize) {
    if *steps_left == 0 {
        return;
    }
    let Some(work) = stage.poll() else {
        return;
    };
    *steps_left -= 1;
    stage.step(work, worker).expect("the disk is sound");
}

/// When power goes: once `told` payments are answered and the stages have made `steps` more steps.
#[derive(Clone, Copy)]
struct Cut {
    told: usize,
    steps: usize,
}

/// Drives the machine until all payments are answered or power goes; also answers the time then.
async fn live(
    simulation: Simulation,
    world: &World,
    io: &RecordingIo,
    told: Told,
    cut: Option<Cut>,
) -> (Told, TimeMs) {
    let clock = simulation.clock();
    let (machine, orderer) = world.machine(io, Arc::clone(&clock));
    simulation.start(orderer);
    let mut life = Life::new(machine, told);
    let known = life.told.clone();
    let unsent = world
        .payments
        .iter()
        .filter(|payment| !known.contains_key(&payment.body.id));
    let mut unsent = unsent.copied().peekable();
    let mut cut = cut;
    for _ in 0..ROUNDS_MAX {
        if let Some(now) = cut.take_if(|cut| life.told.len() >= cut.told) {
            life.steps_left = now.steps;
        }
        life.send(&mut unsent, clock().time);
        let taken = life.step();
        if life.steps_left == 0 || life.told.len() == PAYMENTS {
            break;
        }
        simulation.pass(taken).await;
    }
    let order = &life.machine.shared.order;
    assert!(order.failure().is_none(), "{:?}", order.failure());
    order.stop();
    (life.told, clock().time)
}

/// Everything that a run leaves: the disk, what members were told, how it went.
struct Run {
    files: Files,
    told: Told,
    lives: usize,
    /// Payments that were answered when each life began.
    told_at: Vec<usize>,
    /// Cluster time that it took.
    took: Duration,
}

/// Runs a seed: power goes at steps that the seed chooses, until every payment is answered.
fn run(seed: u64, cuts: usize) -> Run {
    let world = World::new(seed);
    let mut random = SplitMix(seed ^ 0x5157);
    let (mut files, mut told) = (Files::new(), Told::new());
    let mut machine: Option<PowerCut> = None;
    let (mut lives, mut told_at) = (0, Vec::new());
    loop {
        let io = match lives {
            0 => RecordingIo::new(),
            _ => RecordingIo::over(std::mem::take(&mut files)),
        };
        let is_last = lives >= cuts;
        let mut below = |bound: usize| usize::try_from(random.below(bound as u64)).expect("small");
        // The last one comes early enough to leave work to the last life.
        let part = PAYMENTS / (cuts + 4);
        let power = (!is_last).then(|| Cut {
            told: lives * part + below(part),
            steps: 1 + below(40),
        });
        let before = told.clone();
        told_at.push(told.len());
        let body = async |simulation| live(simulation, &world, &io, before, power).await;
        let ((now_told, now), cut) = match machine.take() {
            None => simulate(seed, START, body),
            Some(cut) => cut.simulate(body),
        };
        (told, machine) = (now_told, Some(cut));
        lives += 1;
        let log = io.log();
        // What was not synced is kept or lost by the sector.
        (files, _) = log.random_image(*log.cuts().end(), &mut random);
        if is_last {
            let took = Duration::from_millis(now.0 - START.0);
            return Run {
                files,
                told,
                lives,
                told_at,
                took,
            };
        }
    }
}

/// The machine comes up once more and knows everything that was told.
fn check(seed: u64, run: &Run) {
    let world = World::new(seed);
    assert_eq!(run.told.len(), PAYMENTS, "every payment is answered");
    let io = RecordingIo::over(run.files.clone());
    let (machine, _) = world.machine(
        &io,
        Arc::new(|| clearway_order::Now {
            time: START,
            uptime: Duration::ZERO,
        }),
    );
    check_log(&machine, &run.told);
    let ledger = machine.execute.stage.ledger();
    assert!(ledger.conserved().all(|one| one.conserved));
    // Who received what: each payment counts once, in whichever life it settled.
    let mut balances: BTreeMap<_, u128> =
        (2..=4).map(|owner| (account(owner), 1_000_000)).collect();
    for payment in &world.payments {
        let (_, code) = run.told[&payment.body.id];
        assert_eq!(code, ResultCode::Settled);
        let transfer = Transfer::of(&payment.body);
        *balances.get_mut(&transfer.debit()).expect("a member's") -= 1;
        *balances.get_mut(&transfer.credit()).expect("a member's") += 1;
    }
    for (id, expected) in balances {
        let account = ledger.account(id).expect("it exists");
        let balance = account.credits_posted.get() - account.debits_posted.get();
        assert_eq!(balance, expected, "{id:?}");
    }
}

/// The log says of every payment what its payer was told.
fn check_log(machine: &Machine, told: &Told) {
    let mut found = 0;
    for block in History::new(&machine.shared.reader, Sequence::FIRST, Height(1)) {
        let block = block.expect("the log is whole");
        let all = block
            .batches
            .iter()
            .flat_map(|batch| envelopes(batch.envelopes()));
        for (envelope, outcome) in all.zip(&block.record.results) {
            if !outcome.remembered() {
                continue;
            }
            let (height, code) = told[&envelope.body.id];
            assert_eq!(outcome.code, code, "{:?}", envelope.body.id);
            // A payer that sent again after a power cut may have been told of the copy.
            assert!(block.record.height <= height, "{:?}", envelope.body.id);
            found += 1;
        }
    }
    assert_eq!(found, told.len(), "each payment is executed once");
}

#[test]
fn a_node_that_loses_power_keeps_every_promise_and_its_seed_repeats_it() {
    let seed = std::env::var("CLEARWAY_SEED");
    let seed = seed.map_or(1, |seed| seed.parse().expect("CLEARWAY_SEED is a number"));
    println!("CLEARWAY_SEED={seed}");
    let since = Instant::now();
    let first = run(seed, CUTS);
    // Power goes in the middle of the work, each time further on.
    let told_at = &first.told_at;
    assert_eq!(told_at.len(), CUTS + 1);
    assert!(
        told_at.is_sorted() && told_at[CUTS] < PAYMENTS,
        "{told_at:?}"
    );
    assert!(told_at[CUTS] > PAYMENTS / 2, "{told_at:?}");
    let (simulated, real) = (first.took, since.elapsed());
    println!(
        "{} lives: {simulated:.1?} of cluster time in {real:.1?}, {:.1} times as fast",
        first.lives,
        simulated.as_secs_f64() / real.as_secs_f64()
    );
    let streams = (PAYMENTS / STREAM_LEN) as u64;
    let sent_in = Duration::from_millis((streams - 1) * STREAM_PAUSE_MS);
    assert!(
        simulated >= sent_in,
        "payments come spread over {sent_in:?}"
    );
    check(seed, &first);
    let second = run(seed, CUTS);
    let differs = first.told.iter().zip(&second.told).find(|(a, b)| a != b);
    assert_eq!(differs, None, "told otherwise the second time");
    let names = |run: &Run| run.files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&first), names(&second));
    for (path, bytes) in &first.files {
        assert!(second.files[path] == *bytes, "{} differs", path.display());
    }
}

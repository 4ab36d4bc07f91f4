//! Measures ordering on a single validator: proposal to finality at idle and at a steady rate.
//!
//! `cargo run -p clearway-order --example order_latency [SECONDS] [BATCHES_PER_SECOND]` prints one
//! line a phase.
//! The store is simulated by an immediate acknowledgement; the engine's journal is real.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearway_crypto::hash;
use clearway_crypto::validators::ValidatorSecret;
use clearway_order::{
    EngineConfig, OrderConfig, OrderHandle, Orderer, Recovery, Sinks, system_clock,
};
use clearway_types::account::Role;
use clearway_types::genesis::{Genesis, GenesisParticipant, GenesisValidator, HexBytes, Rules};
use clearway_types::messages::{
    ExecHead, OrderedBlock, OriginRun, Persist, Persisted, StreamKey, VerifiedBatch,
};
use clearway_types::units::{Height, ParticipantId, TimeMs, ValidatorNumber};

type Job = Box<dyn FnOnce(&OrderHandle) + Send>;

/// What the measuring side keeps of delivered envelopes.
#[derive(Default)]
struct Seen {
    latencies: Mutex<Vec<Duration>>,
    envelopes: AtomicU64,
}

fn genesis(secret: &ValidatorSecret) -> Genesis {
    let identity = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    Genesis {
        name: "order latency".into(),
        time: TimeMs(0),
        rules: Rules::default(),
        validators: vec![GenesisValidator::new(
            ValidatorNumber(1),
            "v0".into(),
            "127.0.0.1:0".into(),
            clearway_types::hex::decode_array(identity).expect("hex"),
            secret.public_key(),
            secret.prove_possession(),
        )],
        participants: vec![GenesisParticipant {
            id: ParticipantId(1),
            role: Role::Operator,
            sponsor: ParticipantId(0),
            lei: String::new(),
            bic: String::new(),
            public_key: HexBytes([1; 32]),
        }],
        ledgers: Vec::new(),
        accounts: Vec::new(),
    }
}

fn sinks(jobs: Sender<Job>, seen: Arc<Seen>, start: Instant) -> Sinks {
    let persist_jobs = jobs.clone();
    let persist = move |persist: Persist| {
        let done = match persist {
            Persist::Batch(batch) => Persisted::Batch(batch.digest),
            Persist::Manifest { digest, .. } => Persisted::Manifest(digest),
        };
        let job: Job = Box::new(move |handle| handle.on_persisted(done));
        // The receiver goes away only at the end of the program.
        let _ = persist_jobs.send(job);
    };
    let block = move |block: OrderedBlock| {
        for slab in block.batches.iter().flat_map(|batch| &batch.slabs) {
            let sent = u64::from_le_bytes(slab[..8].try_into().expect("eight bytes"));
            let latency = start.elapsed().saturating_sub(Duration::from_nanos(sent));
            seen.latencies.lock().expect("no panic").push(latency);
            seen.envelopes
                .fetch_add((slab.len() / 192) as u64, Ordering::Relaxed);
        }
        let height = block.manifest.height;
        let job: Job = Box::new(move |handle| {
            let head = hash::sha256(&[&height.0.to_le_bytes()]);
            handle.on_executed(ExecHead { height, head });
        });
        let _ = jobs.send(job);
    };
    Sinks {
        persist: Box::new(persist),
        block: Box::new(block),
    }
}

fn verified(start: Instant, number: u64, count: u32) -> VerifiedBatch {
    let sent = u64::try_from(start.elapsed().as_nanos()).expect("a short program");
    let mut slab = vec![0; 192 * count as usize];
    slab[..8].copy_from_slice(&sent.to_le_bytes());
    slab[8..16].copy_from_slice(&number.to_le_bytes());
    let slab = Bytes::from(slab);
    VerifiedBatch {
        origins: vec![OriginRun {
            stream: StreamKey(1),
            first_index: 0,
            count,
        }],
        digests: hash::envelope_digests_all(&slab),
        slab,
        hints: Bytes::new(),
        directory_height: Height(0),
    }
}

/// Processor time of this process, user and system.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|f| f.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// Counters at the start of a phase.
struct Phase {
    began: Instant,
    cpu: Duration,
    blocks: u64,
    finality: Duration,
}

impl Phase {
    fn start(handle: &OrderHandle) -> Self {
        let metrics = handle.metrics();
        Self {
            began: Instant::now(),
            cpu: cpu(),
            blocks: metrics.blocks.value(),
            finality: metrics.finality.sum(),
        }
    }

    fn report(&self, name: &str, seen: &Seen, handle: &OrderHandle) {
        let (wall, used) = (self.began.elapsed(), cpu().saturating_sub(self.cpu));
        let mut latencies = std::mem::take(&mut *seen.latencies.lock().expect("no panic"));
        latencies.sort_unstable();
        let at = |part: usize| {
            let last = latencies.len().saturating_sub(1);
            let index = (latencies.len() * part / 1000).min(last);
            latencies.get(index).copied().unwrap_or_default()
        };
        let metrics = handle.metrics();
        let blocks = metrics.blocks.value() - self.blocks;
        let finality = metrics.finality.sum().saturating_sub(self.finality);
        println!(
            "{name}: {} batches, {blocks} blocks; taken to final p50 {:.2?} p99 {:.2?}; built to \
             final {:.2?} on average; processor {:.1} % of a core, {:.2} ms per block",
            latencies.len(),
            at(500),
            at(990),
            finality.div_f64(blocks.max(1) as f64),
            used.as_secs_f64() / wall.as_secs_f64() * 100.0,
            used.as_secs_f64() * 1e3 / blocks.max(1) as f64,
        );
    }
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().expect("a number"));
    let (seconds, rate) = (
        arguments.next().unwrap_or(5),
        arguments.next().unwrap_or(200),
    );
    let secret = ValidatorSecret::from_bytes(&[7; 32]).expect("a scalar");
    let genesis = genesis(&secret);
    let dir = std::env::temp_dir().join(format!("order-latency-{}", std::process::id()));
    let (jobs, receiver) = channel::<Job>();
    let (seen, start) = (Arc::new(Seen::default()), Instant::now());
    let orderer = Orderer::new(
        OrderConfig::new(&genesis, ValidatorNumber(1)).expect("validator 1"),
        EngineConfig::new(&genesis, secret.to_bytes(), dir.clone()),
        Recovery::genesis(&genesis),
        sinks(jobs, Arc::clone(&seen), start),
        system_clock(),
    );
    let orderer = orderer.expect("a good configuration");
    let handle = orderer.handle();
    let slot: Arc<OnceLock<OrderHandle>> = Arc::default();
    let _ = slot.set(handle.clone());
    std::thread::spawn(move || {
        let handle = slot.get().expect("set just above");
        receiver.into_iter().for_each(|job| job(handle));
    });
    let run = std::thread::spawn(move || orderer.run());
    for (name, every, count) in [
        ("heartbeat only", None, 1),
        ("one batch each 100 ms", Some(Duration::from_millis(100)), 1),
        (
            "steady rate",
            Some(Duration::from_secs(1) / u32::try_from(rate).expect("small")),
            300,
        ),
    ] {
        let phase = Phase::start(&handle);
        let mut next = phase.began;
        let mut number = 0;
        while phase.began.elapsed() < Duration::from_secs(seconds) {
            if let Some(every) = every {
                handle
                    .on_verified(verified(start, number, count))
                    .expect("running");
                number += 1;
                next += every;
            } else {
                next += Duration::from_millis(100);
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        phase.report(name, &seen, &handle);
    }
    handle.stop();
    run.join().expect("no panic").expect("an orderly end");
    println!("envelopes {}", seen.envelopes.load(Ordering::Relaxed));
    // The journal of a measurement is of no use to anybody.
    let _ = std::fs::remove_dir_all(dir);
}

//! Measures the stage on one core: `cargo run --release -p clearway-verify --example stage_rate`.
//!
//! Prints CPU time an envelope of frames of 32 signers, all valid, with a tenth of a per cent
//! invalid, and all expired (what everything but the signature costs). `-- smoke` runs small.

use std::collections::BTreeMap;
use std::sync::Arc;

use clearway_crypto::gate::Gate;
use clearway_crypto::keys::SigningKey;
use clearway_flow::{InFlight, Latest};
use clearway_types::account::KeyEntry;
use clearway_types::directory::KeyDirectory;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::{Body, Envelope, VERSION};
use clearway_types::kind::Kind;
use clearway_types::messages::{FrameBatch, SourceId, StreamKey};
use clearway_types::units::{Height, ParticipantId, TimeMs, TransferId};
use clearway_verify::{VerifyConfig, VerifyStage};
use rustix::time::{ClockId, clock_gettime};
use zerocopy::{FromZeros, IntoBytes};

const TAG: DomainTag = DomainTag([1; 16]);
const SIGNERS: u32 = 32;
const EXPIRES_S: u32 = 1000;

fn main() {
    let smoke = std::env::args().any(|argument| argument == "smoke");
    let (len, rounds) = if smoke { (64, 1) } else { (4096, 9) };
    let good: Vec<Envelope> = (0..len).map(envelope).collect();
    let mut bad = good.clone();
    for broken in bad.iter_mut().skip(500).step_by(1000) {
        broken.signature[0] ^= 1;
    }
    for (name, envelopes, now_s) in [
        ("all valid", &good, 1),
        ("1 in 1,000 invalid", &bad, 1),
        ("all expired", &good, EXPIRES_S),
    ] {
        measure(name, envelopes, TimeMs(u64::from(now_s) * 1000), rounds);
    }
}

fn measure(name: &str, envelopes: &[Envelope], now: TimeMs, rounds: u64) {
    let mut checksum = 0;
    let mut nanos = Vec::new();
    for round in 0..rounds {
        // A stage of its own for each round: nothing in flight, nothing remembered of the source.
        let stage = stage();
        let frame = FrameBatch {
            source: SourceId(round),
            member: ParticipantId(1),
            stream: StreamKey(round),
            first_index: 0,
            slab: envelopes.as_bytes().to_vec().into(),
            hints: Default::default(),
        };
        let since = cpu_ns();
        let verdict = stage.on_batch(&frame, now);
        nanos.push((cpu_ns() - since) / envelopes.len() as f64);
        checksum += verdict.verified.map_or(0, |batch| batch.digests.len());
    }
    nanos.sort_by(f64::total_cmp);
    let (best, median) = (nanos[0], nanos[nanos.len() / 2]);
    println!("stage {name:<20} best {best:>9.1} ns  median {median:>9.1} ns  checksum {checksum}");
}

fn stage() -> VerifyStage {
    let slots = |member: u32| {
        let entry = KeyEntry {
            public_key: key(member).public_key(),
            valid_from: Height(0),
            valid_to: Height(u64::MAX),
        };
        (ParticipantId(member), [Some(entry), None, None, None])
    };
    let directory = KeyDirectory {
        height: Height(0),
        participants: (1..=SIGNERS).map(slots).collect::<BTreeMap<_, _>>(),
    };
    let gate = Arc::new(Gate::new().expect("this machine computes rightly"));
    let directory = Arc::new(Latest::new(Arc::new(directory)));
    let in_flight = Arc::new(InFlight::default());
    VerifyStage::new(&VerifyConfig::default(), gate, TAG, directory, in_flight)
        .expect("the default settings are good")
}

fn key(member: u32) -> SigningKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&member.to_le_bytes());
    SigningKey::from_seed(&seed)
}

fn envelope(counter: u32) -> Envelope {
    let signer = 1 + counter % SIGNERS;
    let mut body = Body::new_zeroed();
    body.id = TransferId::new(TimeMs(1), u64::from(counter), 0);
    body.kind = Kind::Transfer as u8;
    body.version = VERSION;
    body.signer.set(signer);
    body.expires_at.set(EXPIRES_S);
    key(signer).sign_envelope(TAG, body)
}

/// CPU time of this thread, nanoseconds: other programs on the machine do not count.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

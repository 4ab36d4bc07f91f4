//! A counting allocator: the hot path allocates by the frame and the key, not by the envelope.
//!
//! Unsafe, because implementing an allocator is; it hands every call on to the system's.

#![allow(
    unsafe_code,
    reason = "an allocator that counts is an implementation of GlobalAlloc"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clearway_crypto::gate::Gate;
use clearway_crypto::keys::SigningKey;
use clearway_flow::{InFlight, Latest};
use clearway_types::account::KeyEntry;
use clearway_types::directory::KeyDirectory;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::{Body, VERSION};
use clearway_types::kind::Kind;
use clearway_types::messages::{FrameBatch, SourceId, StreamKey};
use clearway_types::units::{Height, ParticipantId, TimeMs, TransferId};
use clearway_verify::{VerifyConfig, VerifyStage};
use zerocopy::{FromZeros, IntoBytes};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `alloc`, which are the system's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above and so from the system, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TAG: DomainTag = DomainTag([1; 16]);

#[test]
fn a_frame_is_verified_without_an_allocation_for_each_envelope() {
    let key = SigningKey::from_seed(&[7; 32]);
    let stage = stage(&key);
    // The table of envelopes in flight grows by doubling: fill it before counting.
    allocations(&stage, &key, 1, 4096);
    let short = allocations(&stage, &key, 2, 1024);
    let long = allocations(&stage, &key, 3, 2048);
    println!("allocations: {short} for 1,024 envelopes, {long} for 2,048");
    assert!(long < 2048 / 8, "{long} allocations for 2,048 envelopes");
}

/// Allocations while a frame of `len` valid envelopes is verified.
fn allocations(stage: &VerifyStage, key: &SigningKey, stream: u64, len: u64) -> usize {
    let mut slab = Vec::new();
    for counter in 0..len {
        let mut body = Body::new_zeroed();
        body.id = TransferId::new(TimeMs(stream), counter, 0);
        body.kind = Kind::Transfer as u8;
        body.version = VERSION;
        body.signer.set(1);
        body.expires_at.set(1000);
        slab.extend_from_slice(key.sign_envelope(TAG, body).as_bytes());
    }
    let frame = FrameBatch {
        source: SourceId(1),
        member: ParticipantId(1),
        stream: StreamKey(stream),
        first_index: 0,
        slab: slab.into(),
        hints: Default::default(),
    };
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let verdict = stage.on_batch(&frame, TimeMs(5));
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    let passed = verdict.verified.map(|batch| batch.digests.len() as u64);
    assert_eq!(passed, Some(len));
    after - before
}

fn stage(key: &SigningKey) -> VerifyStage {
    let entry = KeyEntry {
        public_key: key.public_key(),
        valid_from: Height(0),
        valid_to: Height(u64::MAX),
    };
    let directory = KeyDirectory {
        height: Height(0),
        participants: BTreeMap::from([(ParticipantId(1), [Some(entry), None, None, None])]),
    };
    let gate = Arc::new(Gate::new().expect("this machine computes rightly"));
    let directory = Arc::new(Latest::new(Arc::new(directory)));
    let in_flight = Arc::new(InFlight::default());
    VerifyStage::new(&VerifyConfig::default(), gate, TAG, directory, in_flight)
        .expect("the default settings are good")
}

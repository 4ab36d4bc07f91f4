//! A stop ends in bounded time, whatever the lane waits for.

use std::sync::mpsc;

use bytes::Bytes;
use clearway_crypto::hash;
use clearway_order::OrderHandle;
use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::limits::BATCH_ENVELOPES_MAX;
use clearway_types::messages::{OriginRun, StreamKey, VerifiedBatch};
use clearway_types::units::Height;

use super::Node;
use crate::admin::Readiness;
use crate::error::NodeError;
use crate::testing::{Stand, TIMEOUT, wait};

/// Room for two full batches a segment.
const SEGMENT_BYTES: u64 = 4 << 20;

/// A full batch of envelopes that nobody signed: ordering does not look into them.
fn full_batch() -> VerifiedBatch {
    let slab = Bytes::from(vec![0; BATCH_ENVELOPES_MAX * ENVELOPE_BYTES]);
    let origin = OriginRun {
        stream: StreamKey(u64::MAX),
        first_index: 0,
        count: u32::try_from(BATCH_ENVELOPES_MAX).expect("small"),
    };
    VerifiedBatch {
        origins: vec![origin],
        digests: hash::envelope_digests_all(&slab),
        slab,
        hints: Bytes::new(),
        directory_height: Height(0),
    }
}

/// Fills the lane to its end; the thread ends with ordering.
fn fill_lane(order: &OrderHandle) -> std::thread::JoinHandle<()> {
    let (filler, batch) = (order.clone(), full_batch());
    let thread = std::thread::spawn(move || while filler.on_verified(batch.clone()).is_ok() {});
    wait("a full lane", || order.metrics().lane_full.value() > 0);
    thread
}

/// Frames, a batch each, that fill the link before the lane and one more place on each of its ends.
const FRAMES_WAITING: u64 = 70;

/// Stops a node whose lane is full, while a member's payments wait before it.
fn stop_behind_a_full_lane(stand: &Stand, node: Node) -> Result<(), NodeError> {
    let filler = fill_lane(&node.order);
    let member = stand.member(&node, 2);
    for _ in 0..FRAMES_WAITING {
        let (client, payments) = (member.client.clone(), member.payments(2, 3, 1));
        // It is never answered.
        member
            .runtime
            .spawn(async move { client.submit(&payments).await });
    }
    let mut links = node.figures.links.iter();
    let link = links.find(|link| link.name == "verify_order");
    let link = link.expect("it is there");
    wait("a full link before the lane", || link.depth() >= 64);
    let (told, stopped) = mpsc::channel();
    std::thread::spawn(move || told.send(node.stop()));
    let stopped = stopped.recv_timeout(TIMEOUT).expect("the stop ends");
    filler.join().expect("no panic");
    member.runtime.shutdown_background();
    stopped
}

#[test]
fn a_stop_behind_a_full_disk_ends() {
    let stand = Stand::new(SEGMENT_BYTES);
    let node = stand.start();
    stand.io.set_capacity_bytes(0);
    stop_behind_a_full_lane(&stand, node).expect("nothing failed");
}

#[test]
fn a_stop_of_a_node_that_failed_while_its_disk_was_full_ends() {
    let stand = Stand::new(SEGMENT_BYTES);
    let node = stand.start();
    stand.io.set_capacity_bytes(0);
    node.order.on_verified(full_batch()).expect("it runs");
    let full = || *node.readiness.borrow() == Readiness::DiskFull;
    wait("a full disk", full);
    node.failure.note(NodeError::Panic {
        thread: "checkpointer",
    });
    let stopped = stop_behind_a_full_lane(&stand, node);
    assert!(
        matches!(stopped, Err(NodeError::Panic { .. })),
        "{stopped:?}"
    );
}

#[test]
fn a_stop_of_a_node_whose_store_failed_ends() {
    // No segment has room for a full batch.
    let stand = Stand::new(SEGMENT_BYTES / 4);
    let node = stand.start();
    node.order.on_verified(full_batch()).expect("it runs");
    let failed = || *node.readiness.borrow() == Readiness::Failed;
    wait("a failed store", failed);
    let stopped = stop_behind_a_full_lane(&stand, node);
    assert!(matches!(stopped, Err(NodeError::Store(_))), "{stopped:?}");
}

#[test]
fn who_feeds_a_full_lane_is_told_how_long_it_waited() {
    let stand = Stand::new(SEGMENT_BYTES);
    let node = stand.start();
    stand.io.set_capacity_bytes(0);
    let (order, batch) = (node.order.clone(), full_batch());
    let filler = std::thread::spawn(move || {
        loop {
            let waited = order.on_verified(batch.clone()).expect("it runs");
            if !waited.is_zero() {
                return;
            }
        }
    });
    wait("a full lane", || node.order.metrics().lane_full.value() > 0);
    stand.io.set_capacity_bytes(u64::MAX);
    filler.join().expect("it has waited");
    node.stop().expect("nothing failed");
}

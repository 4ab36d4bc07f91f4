//! The rules of a manifest, one row a rule, and the turns of the lanes, in a cluster of four.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clearway_crypto::{hash, merkle};
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::manifest::{BatchRef, Manifest};
use clearway_types::units::{Digest, Height, Incarnation, TimeMs, ValidatorNumber};

use super::stage::{manifest_on, proposed, sync, take};
use super::{at, genesis, stage, unsigned, verified};
use crate::{LaneTip, VoteDecision};

/// A sealed batch of a validator's first lane, as a peer would send it.
fn peer_batch(owner: u32, index: u64, previous: Digest, directory_height: u64) -> Arc<Batch> {
    let envelopes = verified(u64::from(owner) << 32 | index, 2);
    let header = BatchHeader {
        lane: LaneId::first(ValidatorNumber(owner)),
        count: 2,
        index,
        previous,
        directory_height: Height(directory_height),
        time: TimeMs(0),
        envelopes_root: merkle::root_of(envelopes.digests.iter().map(|digests| digests.leaf)),
    };
    Arc::new(Batch {
        header,
        digest: hash::batch_digest(&header),
        slabs: vec![envelopes.slab],
        hints: Vec::new(),
        digests: envelopes.digests,
        origins: Vec::new(),
    })
}

fn named(batch: &Batch) -> BatchRef {
    BatchRef::of(&batch.header, batch.digest)
}

/// What a validator with `held` answers to a manifest of validator 3 on the genesis: `None` is
/// "not yet".
fn answer(manifest: &Manifest, held: &[Arc<Batch>]) -> Option<bool> {
    let mut stage = stage(4);
    held.iter()
        .for_each(|batch| stage.on_batch(Arc::clone(batch)));
    let digest = stage
        .on_manifest(manifest.encode().into())
        .expect("canonical");
    match stage.verify(ValidatorNumber(3), genesis(4).hash(), digest, at(0)) {
        VoteDecision::Accept => Some(true),
        VoteDecision::Refuse(_) => Some(false),
        VoteDecision::Wait { .. } => None,
    }
}

fn good(batches: Vec<BatchRef>) -> Manifest {
    let mut manifest = manifest_on(&stage(4), genesis(4).hash(), Height(1), batches);
    manifest.leader = ValidatorNumber(3);
    manifest
}

#[test]
fn each_field_of_a_manifest_is_refused_or_waited_for_as_it_should() {
    type Edit = fn(&mut Manifest);
    let (accepted, refused, waits) = (Some(true), Some(false), None);
    let rows: [(&str, Edit, Option<bool>); 11] = [
        ("as it should be", |_| {}, accepted),
        ("epoch", |m| m.epoch.number = 1, refused),
        ("validator set", |m| m.epoch.validators.0[0] ^= 1, refused),
        ("leader", |m| m.leader = ValidatorNumber(2), refused),
        ("height", |m| m.height = Height(2), refused),
        ("time falls", |m| m.time = TimeMs(999), refused),
        ("future state", |m| m.state_height = Height(1), refused),
        ("result", |m| m.exec_head = Digest([3; 32]), refused),
        ("parent", |m| m.parent = Digest([3; 32]), refused),
        ("time ahead", |m| m.time = TimeMs(10_501), waits),
        ("not ahead", |m| m.time = TimeMs(10_500), accepted),
    ];
    for (name, edit, expected) in rows {
        let mut manifest = good(vec![]);
        edit(&mut manifest);
        assert_eq!(answer(&manifest, &[]), expected, "{name}");
    }
}

#[test]
fn batches_must_extend_their_lanes_in_turn() {
    let one = peer_batch(2, 1, Digest::ZERO, 0);
    let two = peer_batch(3, 1, Digest::ZERO, 0);
    let next = peer_batch(2, 2, one.digest, 0);
    let stray = peer_batch(2, 2, Digest([5; 32]), 0);
    let old = peer_batch(4, 1, Digest::ZERO, KEY_LAG_MAX + 1);
    let unseen = named(&peer_batch(4, 1, Digest::ZERO, 1));
    let (a, b, c) = (named(&one), named(&two), named(&next));
    let nowhere = BatchRef {
        lane: LaneId::first(ValidatorNumber(5)),
        ..unseen
    };
    let miscounted = BatchRef { count: 3, ..a };
    let (accepted, refused, waits) = (Some(true), Some(false), None);
    let rows = [
        ("two lanes", vec![a, b], accepted),
        ("two of a lane", vec![a, c, b], accepted),
        ("lane index gap", vec![c], refused),
        ("not linked", vec![a, named(&stray)], refused),
        ("lanes out of order", vec![b, a], refused),
        ("lane twice", vec![a, b, c], refused),
        ("batch twice", vec![a, a], refused),
        ("unknown lane", vec![nowhere], refused),
        ("wrong count", vec![miscounted], refused),
        ("old directory", vec![named(&old)], refused),
        ("a batch not held", vec![unseen], waits),
    ];
    let held = [one, two, next, stray, old];
    for (name, batches, expected) in rows {
        assert_eq!(answer(&good(batches), &held), expected, "{name}");
    }
}

/// The batch as the same validator would have sealed it in another of its lanes.
fn in_lane(batch: &Batch, incarnation: u32) -> Arc<Batch> {
    let mut batch = batch.clone();
    batch.header.lane.incarnation = Incarnation(incarnation);
    batch.digest = hash::batch_digest(&batch.header);
    Arc::new(batch)
}

#[test]
fn a_later_lane_of_a_validator_begins_anew_and_ends_the_earlier_one() {
    let one = peer_batch(2, 1, Digest::ZERO, 0);
    let next = peer_batch(2, 2, one.digest, 0);
    let anew = in_lane(&one, 3);
    let after = in_lane(&peer_batch(2, 2, anew.digest, 0), 3);
    let linked = in_lane(&next, 4);
    let linked_first = {
        let mut batch = Batch::clone(&in_lane(&one, 4));
        batch.header.previous = one.digest;
        batch.digest = hash::batch_digest(&batch.header);
        Arc::new(batch)
    };
    let refs = [&one, &next, &anew, &after].map(|batch| named(batch));
    let [a, b, c, d] = refs;
    let (accepted, refused) = (Some(true), Some(false));
    let rows = [
        ("a later lane first", vec![c, d], accepted),
        (
            "a later lane after batches of the first",
            vec![a, c, d],
            accepted,
        ),
        ("a later lane from its second batch", vec![a, d], refused),
        ("the earlier lane again", vec![a, c, b], refused),
        (
            "a later lane that goes on",
            vec![a, named(&linked)],
            refused,
        ),
        (
            "a later lane that links",
            vec![a, named(&linked_first)],
            refused,
        ),
    ];
    let held = [&one, &next, &anew, &after, &linked, &linked_first].map(Arc::clone);
    for (name, batches, expected) in rows {
        assert_eq!(answer(&good(batches), &held), expected, "{name}");
    }

    let mut stage = stage(4);
    held.into_iter().for_each(|batch| stage.on_batch(batch));
    sync(&mut stage, 0);
    let first = proposed(&mut stage, genesis(4).hash(), 0);
    let manifest = sync(&mut stage, 0).manifests[0].1.clone();
    assert_eq!(manifest.batches, refs, "the first lane, then the later one");
    stage.on_final(unsigned(1, first), at(1)).expect("extends");
    let tip = stage.tip().lanes[&ValidatorNumber(2)];
    let expected = LaneTip {
        incarnation: Incarnation(3),
        index: 2,
        digest: d.digest,
    };
    assert_eq!(tip, expected);
    assert_eq!(stage.tip().lanes.len(), 1, "no lane without a final batch");
}

#[test]
fn lanes_take_turns_at_being_first() {
    let mut stage = stage(4);
    let mut tips = [Digest::ZERO; 4];
    for owner in 1..=4 {
        let batch = peer_batch(owner, 1, Digest::ZERO, 0);
        tips[owner as usize - 1] = batch.digest;
        stage.on_batch(batch);
    }
    sync(&mut stage, 0);
    let first = proposed(&mut stage, genesis(4).hash(), 0);
    let lanes: Vec<_> = sync(&mut stage, 0).manifests[0]
        .1
        .batches
        .iter()
        .map(|b| b.lane.owner.0)
        .collect();
    assert_eq!(lanes, [2, 3, 4, 1], "height 1 begins with the second");
    for owner in 1..=4 {
        stage.on_batch(peer_batch(owner, 2, tips[owner as usize - 1], 0));
    }
    sync(&mut stage, 30);
    let second = proposed(&mut stage, first, 30);
    let manifest = &sync(&mut stage, 30).manifests[0].1;
    let lanes: Vec<_> = manifest.batches.iter().map(|b| b.lane.owner.0).collect();
    assert_eq!(lanes, [3, 4, 1, 2]);
    assert!(stage.is_certifiable(second));
}

#[test]
fn bytes_that_are_no_manifest_are_refused() {
    let mut stage = stage(4);
    for bytes in [&b""[..], b"x", &[0; 140]] {
        assert!(stage.on_manifest(Bytes::copy_from_slice(bytes)).is_err());
    }
    assert!(take(&mut stage).manifests.is_empty());
    let unknown = stage.verify(ValidatorNumber(1), Digest::ZERO, Digest([1; 32]), at(0));
    assert_eq!(unknown, VoteDecision::Wait { until: None });
}

#[test]
fn a_decision_on_time_says_when_to_ask_again() {
    let mut stage = stage(4);
    let mut manifest = manifest_on(&stage, genesis(4).hash(), Height(1), vec![]);
    manifest.time = TimeMs(10_000 + 500 + 40);
    let digest = stage
        .on_manifest(manifest.encode().into())
        .expect("canonical");
    let decision = stage.verify(ValidatorNumber(1), genesis(4).hash(), digest, at(0));
    let until = Some(Duration::from_millis(40));
    assert_eq!(decision, VoteDecision::Wait { until });
    let decision = stage.verify(ValidatorNumber(1), genesis(4).hash(), digest, at(40));
    assert_eq!(decision, VoteDecision::Accept);
}

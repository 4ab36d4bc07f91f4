//! The stage driven by hand: lanes, proposals, votes, delivery, without an engine.
use std::time::Duration;

use std::sync::Arc;

use clearway_types::batch::Batch;
use clearway_types::limits::{
    BATCH_ENVELOPES_MAX, BLOCK_BYTES_MAX, EXEC_LAG_MAX, LANE_STEP_MAX, LANE_WINDOW,
};
use clearway_types::manifest::{BatchRef, Manifest};
use clearway_types::messages::{ExecHead, OrderedBlock, Persist, Persisted, VerifiedBatch};
use clearway_types::units::{Digest, Height, TimeMs, ValidatorNumber};
use clearway_types::wire::HINT_BYTES;

use super::{at, config, execute, genesis, head_of, stage, tags, unsigned, verified};
use crate::{OrderConfig, OrderError, OrderMetrics, OrderStage, Outgoing, Proposal, Recovery};

/// What left the stage, taken apart.
#[derive(Default)]
pub(super) struct Left {
    pub(super) batches: Vec<Arc<Batch>>,
    pub(super) manifests: Vec<(Digest, Manifest)>,
    pub(super) blocks: Vec<OrderedBlock>,
}

pub(super) fn take(stage: &mut OrderStage) -> Left {
    let mut left = Left::default();
    for message in stage.take_outgoing() {
        match message {
            Outgoing::Persist(Persist::Batch(batch)) => left.batches.push(batch),
            Outgoing::Persist(Persist::Manifest { digest, bytes, .. }) => {
                left.manifests
                    .push((digest, Manifest::decode(&bytes).expect("canonical")));
            }
            Outgoing::Block(block) => left.blocks.push(block),
        }
    }
    left
}

/// Makes everything durable that has left; returns it.
pub(super) fn sync(stage: &mut OrderStage, ms: u64) -> Left {
    let left = take(stage);
    for batch in &left.batches {
        stage
            .on_persisted(Persisted::Batch(batch.digest), at(ms))
            .expect("no conflict");
    }
    for (digest, _) in &left.manifests {
        stage
            .on_persisted(Persisted::Manifest(*digest), at(ms))
            .expect("no conflict");
    }
    left
}

pub(super) fn proposed(stage: &mut OrderStage, parent: Digest, ms: u64) -> Digest {
    match stage.poll_proposal(parent, at(ms)) {
        Proposal::Ready(digest) => digest,
        Proposal::Wait { until } => panic!("nothing to propose at {ms} ms, until {until:?}"),
    }
}

fn waits(stage: &mut OrderStage, parent: Digest, ms: u64) -> Option<u64> {
    match stage.poll_proposal(parent, at(ms)) {
        Proposal::Ready(_) => panic!("a proposal at {ms} ms"),
        Proposal::Wait { until } => {
            until.map(|until| u64::try_from(until.as_millis()).expect("small"))
        }
    }
}

#[test]
fn a_batch_is_proposed_only_when_it_is_durable() {
    let mut stage = stage(1);
    let parent = genesis(1).hash();
    proposed(&mut stage, parent, 0);
    take(&mut stage);
    let mut stage = super::stage(1);
    stage.on_verified(verified(1, 3), at(0)).expect("room");
    let first = proposed(&mut stage, parent, 0);
    let left = take(&mut stage);
    assert_eq!(left.batches.len(), 1, "waiting for data seals at once");
    assert!(left.manifests[0].1.batches.is_empty(), "not durable yet");
    assert_eq!(left.manifests[0].0, first);
    stage
        .on_persisted(Persisted::Manifest(first), at(1))
        .expect("known");
    assert_eq!(waits(&mut stage, first, 2), Some(25), "not before the pace");
    stage
        .on_persisted(Persisted::Batch(left.batches[0].digest), at(3))
        .expect("known");
    let second = proposed(&mut stage, first, 25);
    let manifest = &take(&mut stage).manifests[0].1;
    assert_eq!(manifest.batches[0].digest, left.batches[0].digest);
    assert_eq!((manifest.height, manifest.parent), (Height(2), first));
    assert_ne!(first, second);
}

#[test]
fn alone_what_is_open_is_proposed_before_it_is_durable_and_voted_for_after_it_is() {
    let alone = OrderConfig {
        propose_unsynced: true,
        ..config(1)
    };
    let recovery = Recovery::genesis(&genesis(1));
    let mut stage = OrderStage::new(alone, recovery, Arc::new(OrderMetrics::default()));
    let first = proposed(&mut stage, genesis(1).hash(), 0);
    sync(&mut stage, 1);
    for ms in 2..10 {
        stage.on_verified(verified(ms, 2), at(ms)).expect("room");
        stage.on_tick(at(ms));
    }
    assert_eq!(stage.tick_due(), None, "nothing is sealed for its age");
    assert!(take(&mut stage).batches.is_empty());
    let second = proposed(&mut stage, first, 25);
    // In this order: no manifest is on the disk without its batch.
    let outgoing = stage.take_outgoing();
    let [
        Outgoing::Persist(Persist::Batch(batch)),
        Outgoing::Persist(Persist::Manifest { .. }),
    ] = &outgoing[..]
    else {
        panic!("{outgoing:?}");
    };
    assert_eq!(batch.header.count, 16);
    for persisted in [Persisted::Manifest(second), Persisted::Batch(batch.digest)] {
        assert!(!stage.is_certifiable(second));
        stage.on_persisted(persisted, at(26)).expect("known");
    }
    assert!(stage.is_certifiable(second));
}

#[test]
fn hints_stay_beside_their_slabs_and_change_no_digest() {
    let sealed = |hints: &[u8]| {
        let mut stage = stage(1);
        let hinted = VerifiedBatch {
            hints: hints.to_vec().into(),
            ..verified(1, 3)
        };
        for batch in [hinted, verified(2, 2)] {
            stage.on_verified(batch, at(0)).expect("room");
        }
        proposed(&mut stage, genesis(1).hash(), 0);
        take(&mut stage).batches.remove(0)
    };
    let (hinted, plain) = (sealed(&[7; 3 * HINT_BYTES]), sealed(&[]));
    assert_eq!(hinted.slabs.len(), 2);
    assert_eq!(hinted.hints, [vec![7; 3 * HINT_BYTES], Vec::new()]);
    assert_eq!(plain.hints, [Vec::<u8>::new(), Vec::new()]);
    assert_eq!(
        (hinted.digest, &hinted.slabs, &hinted.digests),
        (plain.digest, &plain.slabs, &plain.digests)
    );
}

#[test]
fn idle_proposals_come_at_the_heartbeat_and_after_new_results() {
    let mut stage = stage(1);
    let root = genesis(1).hash();
    let first = proposed(&mut stage, root, 0);
    sync(&mut stage, 1);
    assert_eq!(waits(&mut stage, first, 100), Some(250));
    let second = proposed(&mut stage, first, 250);
    stage.on_verified(verified(1, 1), at(251)).expect("room");
    assert_eq!(waits(&mut stage, second, 260), Some(275));
    assert_eq!(
        waits(&mut stage, second, 276),
        Some(500),
        "the batch is with the store"
    );
    sync(&mut stage, 277);
    let third = proposed(&mut stage, second, 277);
    let data = sync(&mut stage, 278);
    assert_eq!(data.manifests[0].1.batches.len(), 1);
    assert_eq!(
        waits(&mut stage, third, 310),
        Some(527),
        "the result is not there yet"
    );
    stage
        .on_final(unsigned(3, third), at(311))
        .expect("extends");
    let mut head = root;
    for block in take(&mut stage).blocks {
        let executed = execute(head, block);
        head = executed.exec_head;
        stage.on_executed(head_of(&executed)).expect("own results");
    }
    let fourth = proposed(&mut stage, third, 312);
    let manifest = &sync(&mut stage, 312).manifests[0].1;
    assert!(manifest.batches.is_empty(), "a block for the results alone");
    assert_eq!(
        (manifest.state_height, manifest.exec_head),
        (Height(3), head)
    );
    assert_eq!(
        waits(&mut stage, fourth, 340),
        Some(562),
        "all results are named: idle again"
    );
}

#[test]
fn time_in_manifests_never_falls() {
    let mut stage = stage(1);
    let mut early = at(0);
    early.time = TimeMs(5);
    let Proposal::Ready(_) = stage.poll_proposal(genesis(1).hash(), early) else {
        panic!("the first proposal is due at once");
    };
    let manifest = &take(&mut stage).manifests[0].1;
    assert_eq!(
        manifest.time,
        genesis(1).time,
        "the clock is behind the parent's time"
    );
}

#[test]
fn a_failed_view_proposes_the_same_manifest_again() {
    let mut stage = stage(1);
    let root = genesis(1).hash();
    stage.on_verified(verified(1, 1), at(0)).expect("room");
    stage.on_tick(at(10));
    sync(&mut stage, 10);
    let first = proposed(&mut stage, root, 10);
    assert_eq!(
        waits(&mut stage, root, 20),
        Some(35),
        "pace holds for repetitions too"
    );
    assert_eq!(proposed(&mut stage, root, 40), first);
    assert_eq!(take(&mut stage).manifests.len(), 1, "it is stored once");
}

#[test]
fn certify_needs_the_manifest_and_each_batch_on_disk() {
    let mut stage = stage(1);
    for tag in [1, 2] {
        stage
            .on_verified(verified(tag, 1), at(tag * 10))
            .expect("room");
        stage.on_tick(at(tag * 10 + 5));
    }
    let batches = sync(&mut stage, 30).batches;
    assert_eq!(batches.len(), 2);
    let digest = proposed(&mut stage, genesis(1).hash(), 30);
    assert!(!stage.is_certifiable(digest), "the manifest is not durable");
    stage
        .on_persisted(Persisted::Manifest(digest), at(31))
        .expect("known");
    assert!(stage.is_certifiable(digest));
    assert!(
        !stage.is_certifiable(Digest([1; 32])),
        "an unknown manifest is never certified"
    );
}

#[test]
fn blocks_are_delivered_in_height_order_and_only_the_certified_one_has_a_certificate() {
    let mut stage = stage(1);
    let mut parent = genesis(1).hash();
    let mut digests = Vec::new();
    let mut manifests = Vec::new();
    for step in 0..3 {
        stage
            .on_verified(verified(step, 2), at(step * 250))
            .expect("room");
        stage.on_tick(at(step * 250 + 5));
        let batch = take(&mut stage).batches[0].digest;
        stage
            .on_persisted(Persisted::Batch(batch), at(step * 250 + 5))
            .expect("known");
        parent = proposed(&mut stage, parent, step * 250 + 6);
        digests.push(parent);
        manifests.extend(take(&mut stage).manifests);
    }
    stage
        .on_final(unsigned(9, parent), at(800))
        .expect("extends");
    assert!(
        take(&mut stage).blocks.is_empty(),
        "manifests are not durable"
    );
    for (digest, _) in manifests {
        stage
            .on_persisted(Persisted::Manifest(digest), at(801))
            .expect("known");
    }
    let blocks = take(&mut stage).blocks;
    let got: Vec<_> = blocks
        .iter()
        .map(|block| (block.digest, tags(block)))
        .collect();
    let expected: Vec<_> = (0..)
        .zip(&digests)
        .map(|(tag, d)| (*d, vec![tag, tag]))
        .collect();
    assert_eq!(got, expected);
    let certified: Vec<_> = blocks
        .iter()
        .map(|block| block.certificate.is_some())
        .collect();
    assert_eq!(certified, [false, false, true]);
    stage
        .on_final(unsigned(10, digests[2]), at(802))
        .expect("known already");
    stage
        .on_final(unsigned(8, digests[1]), at(803))
        .expect("an older view is passed over");
    assert!(
        take(&mut stage).blocks.is_empty(),
        "nothing is delivered twice"
    );
    assert_eq!((stage.tip().height, stage.batches_held()), (Height(3), 0));
}

#[test]
fn a_certificate_that_contradicts_finality_stops_the_node() {
    let mut stage = stage(1);
    let root = genesis(1).hash();
    let first = proposed(&mut stage, root, 0);
    sync(&mut stage, 0);
    let rival = rival_on(&stage, root);
    let rival = stage.on_manifest(rival.encode().into()).expect("canonical");
    sync(&mut stage, 1);
    stage.on_final(unsigned(1, first), at(2)).expect("extends");
    let rival_child = manifest_on(&stage, rival, Height(2), vec![]);
    let digest = stage
        .on_manifest(rival_child.encode().into())
        .expect("canonical");
    let conflict = |digest| OrderError::Conflict {
        height: Height(1),
        digest,
    };
    assert_eq!(
        stage.on_final(unsigned(2, digest), at(3)),
        Err(conflict(digest)),
        "a child of the rival"
    );
    let rival = rival_on(&stage, root);
    let digest = stage.on_manifest(rival.encode().into()).expect("canonical");
    assert_eq!(
        stage.on_final(unsigned(3, digest), at(4)),
        Err(conflict(digest))
    );
}

/// A manifest at height 1 that the stage would not build.
fn rival_on(stage: &OrderStage, root: Digest) -> Manifest {
    let mut rival = manifest_on(stage, root, Height(1), vec![]);
    rival.time = TimeMs(10_001);
    rival
}

/// A manifest of validator 1 with the newest result of a fresh stage.
pub(super) fn manifest_on(
    stage: &OrderStage,
    parent: Digest,
    height: Height,
    batches: Vec<BatchRef>,
) -> Manifest {
    let config = stage.config();
    Manifest {
        epoch: config.epoch,
        height,
        parent,
        time: TimeMs(10_000),
        leader: ValidatorNumber(1),
        state_height: Height(0),
        exec_head: config.genesis,
        batches,
    }
}

#[test]
fn a_result_that_differs_from_the_own_one_stops_the_node_now_or_later() {
    for executed_first in [true, false] {
        let mut stage = stage(1);
        let first = proposed(&mut stage, genesis(1).hash(), 0);
        sync(&mut stage, 0);
        stage.on_final(unsigned(1, first), at(1)).expect("extends");
        let own = ExecHead {
            height: Height(1),
            head: Digest([1; 32]),
        };
        let mut wrong = manifest_on(&stage, first, Height(2), vec![]);
        (wrong.state_height, wrong.exec_head) = (Height(1), Digest([2; 32]));
        let digest = stage.on_manifest(wrong.encode().into()).expect("canonical");
        sync(&mut stage, 2);
        let diverged = Err(OrderError::Diverged {
            height: Height(2),
            state_height: Height(1),
            named: Digest([2; 32]),
            own: own.head,
        });
        if executed_first {
            stage.on_executed(own).expect("own result");
            assert_eq!(stage.on_final(unsigned(2, digest), at(3)), diverged);
        } else {
            assert_eq!(stage.on_final(unsigned(2, digest), at(3)), Ok(()));
            assert_eq!(stage.on_executed(own), diverged);
        }
    }
}

#[test]
fn a_full_window_gives_the_batch_back_and_a_final_block_makes_room() {
    let mut stage = stage(1);
    let mut parent = genesis(1).hash();
    for tag in 0..=LANE_WINDOW as u64 {
        stage
            .on_verified(verified(tag, BATCH_ENVELOPES_MAX), at(0))
            .expect("room");
    }
    let refused = stage
        .on_verified(verified(99, 1), at(0))
        .expect_err("the window is full");
    assert_eq!(refused.origins[0].stream.0, 99);
    assert_eq!(sync(&mut stage, 1).batches.len(), LANE_WINDOW);
    parent = proposed(&mut stage, parent, 1);
    let manifest = &sync(&mut stage, 2).manifests[0].1;
    let per_block = BLOCK_BYTES_MAX / (BATCH_ENVELOPES_MAX * 192);
    assert_eq!(
        manifest.batches.len(),
        per_block,
        "as many as the block's bytes allow"
    );
    stage.on_final(unsigned(1, parent), at(3)).expect("extends");
    stage
        .on_verified(verified(99, 1), at(3))
        .expect("room again");
    assert_eq!(
        take(&mut stage).batches.len(),
        1,
        "the open batch was sealed to make place"
    );
}

#[test]
fn small_batches_gather_while_a_block_is_full_of_them() {
    let mut stage = stage(1);
    let mut sealed = 0;
    for ms in 0..200 {
        stage.on_verified(verified(ms, 1), at(ms)).expect("room");
        stage.on_tick(at(ms));
        sealed += sync(&mut stage, ms).batches.len();
    }
    assert_eq!(
        sealed, LANE_STEP_MAX,
        "no more than the next block can name"
    );
    let digest = proposed(&mut stage, genesis(1).hash(), 200);
    let manifest = &sync(&mut stage, 200).manifests[0].1;
    assert_eq!(manifest.batches.len(), LANE_STEP_MAX);
    stage.on_tick(at(204));
    let rest = sync(&mut stage, 204).batches;
    let sizes: u32 = manifest.batches.iter().map(|batch| batch.count).sum();
    assert_eq!(rest.len(), 1);
    assert_eq!(
        sizes + rest[0].header.count,
        200,
        "every envelope is in exactly one batch"
    );
    assert_eq!(
        rest[0].header.previous,
        manifest.batches[LANE_STEP_MAX - 1].digest
    );
    assert!(stage.is_certifiable(digest));
}

#[test]
fn envelopes_verified_by_different_directories_never_share_a_batch() {
    let mut stage = stage(1);
    let mut newer = verified(2, 1);
    newer.directory_height = Height(7);
    stage.on_verified(verified(1, 1), at(0)).expect("room");
    stage.on_verified(newer, at(0)).expect("room");
    stage.on_tick(at(100));
    let heights: Vec<_> = take(&mut stage)
        .batches
        .iter()
        .map(|b| b.header.directory_height.0)
        .collect();
    assert_eq!(heights, [0, 7]);
}

#[test]
fn proposing_pauses_when_execution_lags_too_far() {
    let mut stage = stage(1);
    let mut parent = genesis(1).hash();
    for step in 0..EXEC_LAG_MAX {
        parent = proposed(&mut stage, parent, step * 250);
        sync(&mut stage, step * 250);
        stage
            .on_final(unsigned(step + 1, parent), at(step * 250))
            .expect("extends");
    }
    let late = EXEC_LAG_MAX * 250;
    assert_eq!(
        waits(&mut stage, parent, late),
        None,
        "until a result comes"
    );
    let head = ExecHead {
        height: Height(1),
        head: Digest([1; 32]),
    };
    stage.on_executed(head).expect("own result");
    proposed(&mut stage, parent, late);
}

/// Drives one stage through everything that is counted; each counter is named here once.
#[test]
fn each_counter_counts_what_it_says() {
    let metrics = Arc::new(OrderMetrics::default());
    let recovery = Recovery::genesis(&genesis(4));
    let mut stage = OrderStage::new(config(4), recovery, Arc::clone(&metrics));
    let root = genesis(4).hash();
    for tag in 0..=LANE_WINDOW as u64 {
        let batch = verified(tag, BATCH_ENVELOPES_MAX);
        stage.on_verified(batch, at(0)).expect("room");
    }
    stage
        .on_verified(verified(99, 1), at(0))
        .expect_err("the window is full");
    sync(&mut stage, 0);
    let first = proposed(&mut stage, root, 1);
    assert_eq!(proposed(&mut stage, root, 40), first);
    sync(&mut stage, 40);
    let second = proposed(&mut stage, first, 300);
    sync(&mut stage, 300);
    stage
        .on_final(unsigned(7, second), at(301))
        .expect("extends");
    let third = proposed(&mut stage, second, 600);
    let wrong = manifest_on(&stage, third, Height(9), vec![]);
    let wrong = stage.on_manifest(wrong.encode().into()).expect("canonical");
    stage.verify(ValidatorNumber(1), third, wrong, at(601));
    let full = BATCH_ENVELOPES_MAX as u64;
    let window = LANE_WINDOW as u64;
    let per_block = (BLOCK_BYTES_MAX / (BATCH_ENVELOPES_MAX * 192)) as u64;
    let rows = [
        ("envelopes", &metrics.envelopes, (window + 1) * full),
        ("batches_sealed", &metrics.batches_sealed, window + 1),
        (
            "batch_bytes",
            &metrics.batch_bytes,
            (window + 1) * full * 192,
        ),
        (
            "lane_window_used",
            &metrics.lane_window_used,
            window + 1 - 2 * per_block,
        ),
        ("lane_full", &metrics.lane_full, 1),
        ("proposals", &metrics.proposals, 3),
        ("proposals_empty", &metrics.proposals_empty, 0),
        ("proposals_again", &metrics.proposals_again, 1),
        ("proposals_refused", &metrics.proposals_refused, 1),
        ("blocks", &metrics.blocks, 2),
        ("blocks_uncertified", &metrics.blocks_uncertified, 1),
        ("height", &metrics.height, 2),
        ("view", &metrics.view, 7),
        ("nullifications", &metrics.nullifications, 0),
        ("faults", &metrics.faults, 0),
        ("journals_lost", &metrics.journals_lost, 0),
        ("journal_pauses", &metrics.journal_pauses, 0),
    ];
    for (name, counter, expected) in rows {
        assert_eq!(counter.value(), expected, "{name}");
    }
    assert_eq!(metrics.finality.sum(), Duration::from_millis(300 + 1));
}

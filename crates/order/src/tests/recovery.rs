//! From a stored log back to the stage: nothing lost, nothing twice, damage named.
use std::sync::Arc;

use bytes::Bytes;
use clearway_crypto::validators::genesis_epoch;
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::codec::DecodeError;
use clearway_types::final_record::FinalRecord;
use clearway_types::manifest::{BatchRef, EpochId, PROTOCOL_VERSION};
use clearway_types::messages::{OrderedBlock, Persisted};
use clearway_types::units::{Digest, Height, ValidatorNumber};

use super::stage::manifest_on;
use super::{
    Record, at, batch_bytes, config, execute, genesis, head_of, recover, stage, tags, unsigned,
    verified,
};
use crate::{
    FinalPoint, OrderMetrics, OrderStage, Outgoing, Proposal, RecoveryError, RecoveryScan,
    recover_batch,
};

/// A stage with the log that its store has written.
struct Rig {
    stage: OrderStage,
    log: Vec<Record>,
    head: Digest,
    delivered: Vec<OrderedBlock>,
    ms: u64,
}

impl Rig {
    fn new() -> Self {
        Self {
            stage: stage(1),
            log: Vec::new(),
            head: genesis(1).hash(),
            delivered: Vec::new(),
            ms: 0,
        }
    }

    /// Stores and executes whatever left; final records are written when `finals` is set.
    fn settle(&mut self, finals: bool) {
        loop {
            let outgoing = self.stage.take_outgoing();
            if outgoing.is_empty() {
                return;
            }
            for message in outgoing {
                match message {
                    Outgoing::Persist(persist) => {
                        self.log.push(Record::of(&persist));
                        let done = match &persist {
                            clearway_types::messages::Persist::Batch(batch) => {
                                Persisted::Batch(batch.digest)
                            }
                            clearway_types::messages::Persist::Manifest { digest, .. } => {
                                Persisted::Manifest(*digest)
                            }
                        };
                        self.stage
                            .on_persisted(done, at(self.ms))
                            .expect("no conflict");
                    }
                    Outgoing::Block(block) => {
                        self.delivered.push(block.clone());
                        let executed = execute(self.head, block);
                        self.head = executed.exec_head;
                        self.stage
                            .on_executed(head_of(&executed))
                            .expect("own result");
                        if finals {
                            self.log.push(Record::of_final(&executed));
                        }
                    }
                }
            }
        }
    }

    fn submit(&mut self, tag: u64) {
        self.stage
            .on_verified(verified(tag, 1), at(self.ms))
            .expect("room");
        self.ms += 5;
        self.stage.on_tick(at(self.ms));
        self.settle(true);
    }

    fn propose(&mut self, parent: Digest) -> Digest {
        self.ms += 250;
        let Proposal::Ready(digest) = self.stage.poll_proposal(parent, at(self.ms)) else {
            panic!("a heartbeat is due");
        };
        self.settle(true);
        digest
    }

    fn finalize(&mut self, view: u64, digest: Digest) {
        self.stage
            .on_final(unsigned(view, digest), at(self.ms))
            .expect("extends");
    }

    /// The stage that starts from the log as it is now.
    fn restart(&self) -> OrderStage {
        let recovery = recover(&genesis(1), &self.log);
        OrderStage::new(config(1), recovery, Arc::new(OrderMetrics::default()))
    }
}

#[test]
fn batches_in_the_lane_are_proposed_once_after_a_restart() {
    let mut rig = Rig::new();
    rig.submit(1);
    let first = rig.propose(genesis(1).hash());
    rig.finalize(1, first);
    rig.settle(true);
    rig.submit(2);
    rig.submit(3);
    let mut again = rig.restart();
    assert_eq!(again.tip().height, Height(1));
    assert_eq!(
        again.batches_held(),
        2,
        "the final batch is not held any more"
    );
    let Proposal::Ready(second) = again.poll_proposal(first, at(0)) else {
        panic!("two batches wait");
    };
    rig.stage = again;
    rig.ms = 0;
    rig.settle(true);
    rig.finalize(2, second);
    rig.submit(4);
    let third = rig.propose(second);
    rig.finalize(3, third);
    rig.settle(true);
    let delivered: Vec<_> = rig.delivered.iter().flat_map(tags).collect();
    assert_eq!(delivered, [1, 2, 3, 4]);
    let last = &rig.delivered[2].batches[0].header;
    assert_eq!(last.index, 4, "the lane went on where it was");
}

#[test]
fn a_block_whose_final_record_was_lost_is_delivered_again() {
    let mut rig = Rig::new();
    rig.submit(1);
    let first = rig.propose(genesis(1).hash());
    rig.finalize(1, first);
    rig.settle(false);
    assert_eq!(rig.delivered.len(), 1);
    let mut again = rig.restart();
    assert_eq!(again.tip().height, Height(0));
    assert!(again.is_certifiable(first), "its data is durable");
    again.on_final(unsigned(1, first), at(0)).expect("extends");
    let outgoing = again.take_outgoing();
    let [Outgoing::Block(block)] = outgoing.as_slice() else {
        panic!("one block and nothing else: {outgoing:?}");
    };
    assert_eq!((block.digest, tags(block)), (first, vec![1]));
}

#[test]
fn a_durable_manifest_that_was_not_final_is_proposed_again_as_it_is() {
    let mut rig = Rig::new();
    rig.submit(1);
    let first = rig.propose(genesis(1).hash());
    let mut again = rig.restart();
    assert_eq!(
        again.poll_proposal(genesis(1).hash(), at(0)),
        Proposal::Ready(first)
    );
    assert!(again.take_outgoing().is_empty(), "it is stored already");
}

#[test]
fn a_lost_manifest_leaves_its_batches_in_the_lane() {
    let mut rig = Rig::new();
    rig.submit(1);
    rig.propose(genesis(1).hash());
    rig.log
        .retain(|record| !matches!(record, Record::Manifest(_)));
    let mut again = rig.restart();
    let Proposal::Ready(digest) = again.poll_proposal(genesis(1).hash(), at(7)) else {
        panic!("a batch waits");
    };
    again
        .on_persisted(Persisted::Manifest(digest), at(8))
        .expect("known");
    again.on_final(unsigned(2, digest), at(9)).expect("extends");
    let blocks: Vec<_> = again
        .take_outgoing()
        .into_iter()
        .filter_map(|message| match message {
            Outgoing::Block(block) => Some(tags(&block)),
            Outgoing::Persist(_) => None,
        })
        .collect();
    assert_eq!(blocks, [[1]]);
}

/// An engine that lost its journal starts at the newest stored certificate, which may lie below the
/// final tip: it is led through the same blocks again.
#[test]
fn final_blocks_above_the_newest_certificate_are_proposed_again() {
    let mut rig = Rig::new();
    let root = genesis(1).hash();
    let first = rig.propose(root);
    rig.finalize(1, first);
    rig.settle(true);
    let second = rig.propose(first);
    let third = rig.propose(second);
    rig.finalize(3, third);
    rig.settle(true);
    let Some(Record::Final(_)) = rig.log.pop() else {
        panic!("the third block's record is the last");
    };
    let recovery = recover(&genesis(1), &rig.log);
    assert_eq!(recovery.tip.height, Height(2));
    assert_eq!(recovery.certificate, Some(unsigned(1, first)));
    let mut again = OrderStage::new(config(1), recovery, Arc::new(OrderMetrics::default()));
    assert_eq!(again.poll_proposal(first, at(0)), Proposal::Ready(second));
    again.on_final(unsigned(2, second), at(30)).expect("known");
    assert!(again.take_outgoing().is_empty(), "it was delivered before");
    assert_eq!(again.poll_proposal(second, at(60)), Proposal::Ready(third));
    again.on_final(unsigned(3, third), at(61)).expect("extends");
    assert_eq!(again.take_outgoing().len(), 1);
}

#[test]
fn a_scan_may_begin_at_a_checkpoint() {
    let mut rig = Rig::new();
    let mut parent = genesis(1).hash();
    let mut points = Vec::new();
    for tag in 1..6 {
        rig.submit(tag);
        parent = rig.propose(parent);
        rig.finalize(tag, parent);
        rig.settle(true);
        points.push((rig.stage.tip().clone(), rig.head));
    }
    rig.submit(6);
    let whole = recover(&genesis(1), &rig.log);
    for (point, head) in points {
        let mut scan = RecoveryScan::new(&genesis(1), point.clone(), head).expect("own lane");
        for record in &rig.log {
            match record {
                Record::Batch(bytes) => scan.on_batch(bytes).expect("own batch"),
                Record::Manifest(bytes) => scan.on_manifest(bytes).expect("own manifest"),
                Record::Final(bytes) => {
                    scan.on_final(&FinalRecord::decode(bytes).expect("own"))
                        .expect("in order");
                }
            }
        }
        let recovery = scan.finish().expect("whole");
        assert_eq!(recovery.tip, whole.tip, "from height {}", point.height);
        assert!(recovery.certificate.is_some(), "whatever the start");
        assert_eq!(recovery.certificate, whole.certificate);
        let digests =
            |batches: &[Arc<Batch>]| batches.iter().map(|batch| batch.digest).collect::<Vec<_>>();
        assert_eq!(digests(&recovery.batches), digests(&whole.batches));
    }
}

#[test]
fn damage_is_named() {
    let mut rig = Rig::new();
    rig.submit(1);
    let first = rig.propose(genesis(1).hash());
    rig.finalize(1, first);
    rig.settle(true);
    rig.submit(2);
    rig.propose(first);
    let log = rig.log;
    let run = |log: &[Record]| -> Result<(), RecoveryError> {
        let mut scan = RecoveryScan::from_genesis(&genesis(1));
        for record in log {
            match record {
                Record::Batch(bytes) => scan.on_batch(bytes)?,
                Record::Manifest(bytes) => scan.on_manifest(bytes)?,
                Record::Final(bytes) => scan.on_final(&FinalRecord::decode(bytes).expect("own"))?,
            }
        }
        scan.finish().map(|_| ())
    };
    assert_eq!(run(&log), Ok(()));
    let kinds: Vec<_> = log
        .iter()
        .map(|record| match record {
            Record::Batch(_) => 'b',
            Record::Manifest(_) => 'm',
            Record::Final(_) => 'f',
        })
        .collect();
    assert_eq!(kinds, ['b', 'm', 'f', 'b', 'm']);
    let without = |index: usize| {
        let mut log = log.clone();
        log.remove(index);
        log
    };
    let missing = |result| matches!(result, Err(RecoveryError::ManifestMissing { .. }));
    assert!(
        missing(run(&without(1))),
        "a final record without its manifest"
    );
    assert!(matches!(
        run(&without(3)),
        Err(RecoveryError::BatchMissing { .. })
    ));
    let mut cut = log.clone();
    cut[4] = Record::Manifest(Bytes::from_static(b"short"));
    assert!(matches!(run(&cut), Err(RecoveryError::Record(_))));
    let mut flipped = log.clone();
    let Record::Batch(bytes) = &flipped[3] else {
        panic!("the fourth record is a batch");
    };
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().expect("not empty") ^= 1;
    flipped[3] = Record::Batch(bytes.into());
    assert!(matches!(
        run(&flipped),
        Err(RecoveryError::BatchRoot { index: 2, .. })
    ));
    let mut doubled = log;
    let Record::Final(bytes) = &doubled[2] else {
        panic!("the third record is final");
    };
    let mut record = FinalRecord::decode(bytes).expect("own");
    record.height = Height(2);
    doubled.push(Record::Final(record.encode().into()));
    let gap = run(&doubled).expect_err("height 2 names the block of height 1");
    assert!(matches!(
        gap,
        RecoveryError::ManifestMissing { .. } | RecoveryError::Gap { .. }
    ));
}

#[test]
fn a_stored_manifest_of_another_epoch_set_or_protocol_is_refused_by_name() {
    let expected = genesis_epoch(&genesis(1));
    let later = EpochId {
        number: 1,
        ..expected
    };
    let others = genesis_epoch(&genesis(4));
    let height = Height(1);
    let mut manifest = manifest_on(&stage(1), genesis(1).hash(), height, vec![]);
    let mut scan = RecoveryScan::from_genesis(&genesis(1));
    assert_eq!(scan.on_manifest(&manifest.encode()), Ok(()));
    for found in [later, others] {
        manifest.epoch = found;
        let refused = RecoveryError::Epoch {
            height,
            found,
            expected,
        };
        assert_eq!(scan.on_manifest(&manifest.encode()), Err(refused));
    }
    let mut bytes = manifest.encode();
    bytes[0] = 9;
    let (found, supported) = (9, PROTOCOL_VERSION);
    let refused = DecodeError::Protocol { found, supported };
    let refused = RecoveryError::Record(refused);
    assert_eq!(scan.on_manifest(&bytes), Err(refused));
}

#[test]
fn a_lane_of_somebody_who_is_no_validator_is_refused_wherever_it_is_named() {
    let owner = ValidatorNumber(7);
    let refused = || RecoveryError::LaneOwner { owner };
    let genesis = genesis(1);
    let mut rig = Rig::new();
    rig.submit(1);
    let [Record::Batch(bytes), ..] = rig.log.as_slice() else {
        panic!("a batch is stored first");
    };
    let (header, envelopes) = Batch::decode_parts(bytes).expect("own batch");
    let lane = LaneId::first(owner);
    let foreign = [&BatchHeader { lane, ..header }.to_bytes()[..], &envelopes].concat();
    let mut scan = RecoveryScan::from_genesis(&genesis);
    assert_eq!(scan.on_batch(&foreign.into()), Err(refused()));

    let named = BatchRef {
        lane,
        count: 1,
        index: 1,
        digest: Digest([3; 32]),
    };
    let manifest = manifest_on(&rig.stage, genesis.hash(), Height(1), vec![named]);
    assert_eq!(scan.on_manifest(&manifest.encode()), Err(refused()));

    let mut point = FinalPoint::genesis(&genesis);
    point.advance(Digest([4; 32]), &manifest, None);
    let begun = RecoveryScan::new(&genesis, point, Digest([5; 32]));
    assert_eq!(begun.err(), Some(refused()));
}

#[test]
fn a_stored_batch_comes_back_as_it_was() {
    let mut rig = Rig::new();
    rig.stage.on_verified(verified(1, 5), at(0)).expect("room");
    rig.stage.on_tick(at(10));
    let outgoing = rig.stage.take_outgoing();
    let [Outgoing::Persist(clearway_types::messages::Persist::Batch(batch))] = outgoing.as_slice()
    else {
        panic!("one batch: {outgoing:?}");
    };
    let again = recover_batch(&batch_bytes(batch)).expect("whole");
    assert_eq!((again.header, again.digest), (batch.header, batch.digest));
    assert_eq!(
        (&again.slabs, &again.digests),
        (&batch.slabs, &batch.digests)
    );
}

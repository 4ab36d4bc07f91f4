//! Tests of ordering: a small cluster of one, a hand-driven stage, a stored log in memory.
mod certificate;
mod engine;
mod recovery;
mod rules;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clearway_crypto::hash;
use clearway_crypto::validators::ValidatorSecret;
use clearway_types::account::Role;
use clearway_types::batch::Batch;
use clearway_types::certificate::Certificate;
use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::final_record::FinalRecord;
use clearway_types::genesis::{Genesis, GenesisParticipant, GenesisValidator, HexBytes, Rules};
use clearway_types::messages::{
    ExecHead, ExecutedBlock, OrderedBlock, OriginRun, Persist, StreamKey, VerifiedBatch,
};
use clearway_types::units::{Digest, Height, ParticipantId, TimeMs, ValidatorNumber};

use crate::{Now, OrderConfig, OrderMetrics, OrderStage, Recovery, RecoveryScan};

/// Identity keys (Ed25519, RFC 8032 tests 1, 2, 3 and 1024) in no particular order.
const IDENTITIES: [&str; 4] = [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
];

pub(crate) fn secret(index: usize) -> ValidatorSecret {
    let mut bytes = [0; 32];
    bytes[31] = u8::try_from(index + 1).expect("few validators");
    ValidatorSecret::from_bytes(&bytes).expect("a small scalar")
}

/// Number of the validator at place `index` of the set.
pub(crate) fn validator_number(index: usize) -> ValidatorNumber {
    ValidatorNumber(u32::try_from(index + 1).expect("few validators"))
}

pub(crate) fn genesis(validator_count: usize) -> Genesis {
    let validator = |index: usize| {
        GenesisValidator::new(
            validator_number(index),
            format!("v{index}"),
            format!("127.0.0.1:{index}"),
            clearway_types::hex::decode_array(IDENTITIES[index]).expect("hex"),
            secret(index).public_key(),
            secret(index).prove_possession(),
        )
    };
    Genesis {
        name: "order tests".into(),
        time: TimeMs(1_000),
        rules: Rules::default(),
        validators: (0..validator_count).map(validator).collect(),
        participants: vec![GenesisParticipant {
            id: ParticipantId(1),
            role: Role::Operator,
            sponsor: ParticipantId(0),
            lei: String::new(),
            bic: String::new(),
            public_key: HexBytes([4; 32]),
        }],
        ledgers: Vec::new(),
        accounts: Vec::new(),
    }
}

/// Envelopes whose bytes tell `tag`: ordering never looks into them.
pub(crate) fn verified(tag: u64, count: usize) -> VerifiedBatch {
    let mut slab = vec![0; count * ENVELOPE_BYTES];
    for (index, envelope) in slab.chunks_exact_mut(ENVELOPE_BYTES).enumerate() {
        envelope[..8].copy_from_slice(&tag.to_le_bytes());
        envelope[8..16].copy_from_slice(&(index as u64).to_le_bytes());
    }
    let slab = Bytes::from(slab);
    VerifiedBatch {
        origins: vec![OriginRun {
            stream: StreamKey(tag),
            first_index: 0,
            count: u32::try_from(count).expect("small"),
        }],
        digests: hash::envelope_digests_all(&slab),
        slab,
        hints: Bytes::new(),
        directory_height: Height(0),
    }
}

/// The tags of a block's first envelopes, one a verified batch of one envelope.
pub(crate) fn tags(block: &OrderedBlock) -> Vec<u64> {
    let slabs = block.batches.iter().flat_map(|batch| &batch.slabs);
    let envelopes = slabs.flat_map(|slab| slab.chunks_exact(ENVELOPE_BYTES));
    envelopes
        .map(|bytes| u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")))
        .collect()
}

pub(crate) fn at(ms: u64) -> Now {
    Now {
        time: TimeMs(10_000 + ms),
        uptime: Duration::from_millis(ms),
    }
}

pub(crate) fn config(validator_count: usize) -> OrderConfig {
    let config = OrderConfig::new(&genesis(validator_count), ValidatorNumber(1));
    OrderConfig {
        // Long beside the milliseconds that a test lets pass.
        view_pace: Duration::from_millis(25),
        // What several validators do; tests of one that is alone set it.
        propose_unsynced: false,
        ..config.expect("validator 1 is there")
    }
}

pub(crate) fn stage(validator_count: usize) -> OrderStage {
    let recovery = Recovery::genesis(&genesis(validator_count));
    OrderStage::new(
        config(validator_count),
        recovery,
        Arc::new(OrderMetrics::default()),
    )
}

/// A certificate that only the stage sees: signatures are the engine's business.
pub(crate) fn unsigned(view: u64, payload: Digest) -> Certificate {
    Certificate {
        epoch: 0,
        view,
        parent_view: view - 1,
        payload,
        validator_count: 1,
        signers: vec![1],
        signature: [0; 48],
    }
}

/// The result that the tests' execution gives a block.
pub(crate) fn execute(previous: Digest, block: OrderedBlock) -> ExecutedBlock {
    let receipts_root = Digest([9; 32]);
    let exec_head = hash::exec_head(&previous, block.manifest.height, &receipts_root, None);
    ExecutedBlock {
        block,
        results: Vec::new(),
        duplicates: Vec::new(),
        events: Vec::new(),
        receipts_root,
        state_root: None,
        exec_head,
    }
}

pub(crate) fn head_of(executed: &ExecutedBlock) -> ExecHead {
    ExecHead {
        height: executed.block.manifest.height,
        head: executed.exec_head,
    }
}

/// One record as the store would keep it.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Batch(Bytes),
    Manifest(Bytes),
    Final(Bytes),
}

impl Record {
    pub(crate) fn of(persist: &Persist) -> Self {
        match persist {
            Persist::Batch(batch) => Self::Batch(batch_bytes(batch)),
            Persist::Manifest { bytes, .. } => Self::Manifest(bytes.clone()),
        }
    }

    pub(crate) fn of_final(executed: &ExecutedBlock) -> Self {
        Self::Final(FinalRecord::of(executed).encode().into())
    }
}

pub(crate) fn batch_bytes(batch: &Batch) -> Bytes {
    let mut bytes = batch.header.to_bytes().to_vec();
    batch
        .slabs
        .iter()
        .for_each(|slab| bytes.extend_from_slice(slab));
    bytes.into()
}

/// What a node does at start: the whole log through the scan.
pub(crate) fn recover(genesis: &Genesis, log: &[Record]) -> Recovery {
    let mut scan = RecoveryScan::from_genesis(genesis);
    for record in log {
        match record {
            Record::Batch(bytes) => scan.on_batch(bytes).expect("own batch"),
            Record::Manifest(bytes) => scan.on_manifest(bytes).expect("own manifest"),
            Record::Final(bytes) => {
                let record = FinalRecord::decode(bytes).expect("own record");
                scan.on_final(&record).expect("in order");
            }
        }
    }
    scan.finish().expect("a whole log")
}

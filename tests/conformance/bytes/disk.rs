//! Golden bytes of the store's files: identity, segments, records, watermark, indexes, checkpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clearway_crypto::hash;
use clearway_store::testing::MemoryIo;
use clearway_store::{
    BlockIndex, BlockIo, Extractor, RecordKind, Store, StoreOptions, Writer, write_checkpoint,
};
use clearway_types::batch::{BATCH_HEADER_BYTES, BatchHeader, LaneId};
use clearway_types::envelope::{ENVELOPE_BYTES, envelopes};
use clearway_types::final_record::FinalRecord;
use clearway_types::manifest::{BatchRef, EpochId, Manifest};
use clearway_types::units::{Digest, Height, TimeMs, ValidatorNumber};

use super::{Table, digest, fill, n64};

const DIR: &str = "/data";
const GENESIS: u8 = 0x5a;
const SEGMENT_BYTES: usize = 8192;
/// First record of a segment.
const RECORDS_AT: usize = 4096;
const HEAD_BYTES: usize = 128;
const RECORD_HEAD_BYTES: usize = 96;

/// Identifier and signer of each envelope of a batch.
struct Ids;

impl Extractor for Ids {
    fn extract(&self, kind: RecordKind, payload: &[u8], row: &mut dyn FnMut([u8; 16], u32, u32)) {
        if kind == RecordKind::Batch {
            for (envelope, index) in envelopes(&payload[BATCH_HEADER_BYTES..]).iter().zip(0..) {
                row(envelope.body.id.0, envelope.body.signer.get(), index);
            }
        }
    }
}

fn append(writer: &mut Writer, kind: RecordKind, digest: Digest, payload: &[u8]) {
    let stored = writer.append(kind, digest.0, &[payload]);
    stored.expect("memory does not fail");
}

/// A batch of `count` envelopes that are no more than bytes.
fn batch(index: u64, count: u32) -> (BatchRef, Vec<u8>) {
    let lane = LaneId::first(ValidatorNumber(1));
    let header = BatchHeader {
        lane,
        count,
        index,
        previous: digest(0x10),
        directory_height: Height(n64(0x30)),
        time: TimeMs(n64(0x40)),
        envelopes_root: digest(0x50),
    };
    let mut bytes = header.to_bytes().to_vec();
    for number in (0u8..).take(count as usize) {
        bytes.extend(fill::<ENVELOPE_BYTES>(number.wrapping_mul(7)));
    }
    let digest = hash::batch_digest(&header);
    let named = BatchRef {
        lane,
        count,
        index,
        digest,
    };
    (named, bytes)
}

/// A batch that waits, a block with another one, and a batch in a second segment; both indexes of
/// the first segment, and a checkpoint.
fn sample() -> BTreeMap<String, Vec<u8>> {
    let io = MemoryIo::new();
    let shared: Arc<dyn BlockIo> = Arc::new(io.clone());
    let mut options = StoreOptions::new(DIR, fill(GENESIS));
    options.segment_bytes = SEGMENT_BYTES as u64;
    let opened = Store::open(Arc::clone(&shared), options);
    let (mut writer, reader, _) = opened.expect("a new store");
    let [waiting, named, last] = [(1, 1), (2, 12), (3, 12)].map(|(at, count)| batch(at, count));
    append(&mut writer, RecordKind::Batch, waiting.0.digest, &waiting.1);
    append(&mut writer, RecordKind::Batch, named.0.digest, &named.1);
    writer.commit().expect("memory does not fail");
    let manifest = Manifest {
        epoch: EpochId::default(),
        height: Height(1),
        parent: digest(GENESIS),
        time: TimeMs(n64(0x60)),
        leader: ValidatorNumber(1),
        state_height: Height(0),
        exec_head: digest(GENESIS),
        batches: vec![named.0],
    };
    let bytes = manifest.encode();
    let manifest = hash::manifest_digest(&bytes);
    append(&mut writer, RecordKind::Manifest, manifest, &bytes);
    let exec_head = digest(0x70);
    let record = FinalRecord {
        height: Height(1),
        manifest,
        receipts_root: digest(0x71),
        state_root: None,
        exec_head,
        certificate: None,
        events: super::records::events(),
        duplicates: Vec::new(),
        results: Vec::new(),
    };
    append(&mut writer, RecordKind::Final, exec_head, &record.encode());
    append(&mut writer, RecordKind::Batch, last.0.digest, &last.1);
    writer.commit().expect("memory does not fail");
    reader.index_sealed(&Ids).expect("memory does not fail");
    BlockIndex::open(&reader).expect("the log is whole");
    let genesis = fill(GENESIS);
    write_checkpoint(&shared, Path::new(DIR), genesis, n64(1), &mut |sink| {
        sink.write_all(b"state")
    })
    .expect("memory does not fail");
    let files = io.files();
    let named = files.iter().filter_map(|(path, bytes)| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some((name, bytes.clone()))
    });
    named.collect()
}

pub(super) fn add(table: &mut Table) {
    let files = sample();
    for (name, bytes) in &files {
        table.add(format!("file {name}"), bytes);
    }
    let segment = &files["00000000000000000001.seg"];
    table.add("segment head", &segment[..HEAD_BYTES]);
    let mut at = RECORDS_AT;
    for kind in ["waiting batch", "batch", "manifest", "final record"] {
        let head = &segment[at..at + RECORD_HEAD_BYTES];
        table.add(format!("record head of the {kind}"), head);
        let payload = u32::from_le_bytes(head[8..12].try_into().expect("four bytes"));
        at += (RECORD_HEAD_BYTES + payload as usize).next_multiple_of(8);
    }
    let watermark = &files["watermark"];
    for (slot, at) in [("A", 0), ("B", 4096)] {
        let head = &watermark[at..at + HEAD_BYTES];
        table.add(format!("watermark slot {slot}"), head);
    }
    let index = &files["00000000000000000001.idx"];
    table.add("index head", &index[..HEAD_BYTES]);
    table.add(
        "first rows of an index page",
        &index[HEAD_BYTES..][..3 * 32],
    );
    let end = index.len();
    table.add("end of an index page", &index[end - 32..]);
    let blocks = &files["00000000000000000001.blk"];
    table.add("block places head", &blocks[..HEAD_BYTES]);
    table.add("block places rows", &blocks[HEAD_BYTES..]);
}

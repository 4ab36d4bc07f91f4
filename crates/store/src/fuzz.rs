//! Bodies for a fuzzer: foreign bytes as a segment must give an answer, never a panic.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::{StoreOptions, VerifyFrom};
use crate::format::{SegmentHead, genesis_link, to_usize};
use crate::io::BlockIo;
use crate::limits::{PAGE_BYTES, SEGMENT_BYTES_MIN};
use crate::segment;
use crate::testing::MemoryIo;
use crate::words::{RecordKind, SegmentNumber, Sequence};
use crate::writer::Store;

const DIR: &str = "/fuzz";
const GENESIS: [u8; 32] = [7; 32];

/// Opens a store whose only segment is `data`, once as the whole file and once as the records
/// after a good head page; reads all of it and appends behind it.
pub fn fuzz_segment(data: &[u8]) {
    exercise(data.to_vec());
    let body_bytes = to_usize(SEGMENT_BYTES_MIN - PAGE_BYTES);
    let head = SegmentHead::new(
        SegmentNumber(1),
        Sequence::FIRST,
        SEGMENT_BYTES_MIN,
        GENESIS,
        genesis_link(&GENESIS),
    );
    let mut file = segment::head_page(head);
    file.extend_from_slice(&data[..data.len().min(body_bytes)]);
    file.resize(to_usize(SEGMENT_BYTES_MIN), 0);
    exercise(file);
}

fn exercise(segment: Vec<u8>) {
    let mut options = StoreOptions::new(DIR, GENESIS);
    options.segment_bytes = SEGMENT_BYTES_MIN;
    options.verify_from = VerifyFrom::Everything;
    let dir = Path::new(DIR);
    let mut files = empty_store(&options);
    files.insert(segment::path(dir, Sequence::FIRST), segment);
    let io: Arc<dyn BlockIo> = Arc::new(MemoryIo::from_files(files));
    // An error is a fine answer; a success must then hold what it promises.
    let Ok((mut writer, reader, recovery)) = Store::open(Arc::clone(&io), options) else {
        return;
    };
    assert_eq!(
        reader.scan(Sequence::FIRST).flatten().count() as u64,
        recovery.durable.0
    );
    let verified = reader
        .verify_all()
        .expect("recovery checked the same bytes");
    assert_eq!(verified.record_count, recovery.durable.0);
    let sequence = writer
        .append(RecordKind::Final, [1; 32], &[b"after"])
        .expect("room for more");
    assert_eq!(writer.commit().expect("memory does not fail"), sequence);
    let record = reader
        .get(sequence)
        .expect("just written")
        .expect("just committed");
    assert_eq!(&record.payload[..], b"after");
}

/// The files of a store that was made and left.
fn empty_store(options: &StoreOptions) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let io = MemoryIo::new();
    drop(Store::open(Arc::new(io.clone()), options.clone()).expect("a new store in memory"));
    io.files()
}

/// A small real segment to start a fuzzer from.
pub fn seed_segment() -> Vec<u8> {
    let mut options = StoreOptions::new(DIR, GENESIS);
    options.segment_bytes = SEGMENT_BYTES_MIN;
    let io = MemoryIo::new();
    let opened = Store::open(Arc::new(io.clone()), options).expect("a new store in memory");
    let (mut writer, ..) = opened;
    for (kind, length) in RecordKind::ALL.into_iter().zip([300, 0, 77]) {
        let payload = vec![kind.code().to_le_bytes()[0]; length];
        writer
            .append(kind, [3; 32], &[&payload])
            .expect("memory does not fail");
    }
    writer.commit().expect("memory does not fail");
    io.files()
        .remove(&segment::path(Path::new(DIR), Sequence::FIRST))
        .expect("one segment")
}

//! What the store's integration tests share: a small workload and opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearway_store::testing::{Fault, FaultyIo, MemoryIo};
use clearway_store::{
    BlockIo, Extractor, LogGuard, Reader, RecordKind, Recovery, Sequence, Store, StoreError,
    StoreOptions, VerifyFrom, Writer,
};
use clearway_types::seeded::SplitMix;

pub(crate) const DIR: &str = "/data";
pub(crate) const GENESIS: [u8; 32] = [0x5a; 32];

/// One record of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) kind: RecordKind,
    pub(crate) digest: [u8; 32],
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn options(dir: impl Into<PathBuf>) -> StoreOptions {
    let mut options = StoreOptions::new(dir, GENESIS);
    options.segment_bytes = 8192;
    options.verify_from = VerifyFrom::Everything;
    options
}

/// Items with payloads of 0 to `payload_bytes_max` bytes; every length modulo 8 comes up.
pub(crate) fn items(seed: u64, count: usize, payload_bytes_max: u64) -> Vec<Item> {
    let mut random = SplitMix(seed);
    (0..count)
        .map(|index| {
            let length = random.below(payload_bytes_max + 1);
            let payload = random.bytes(usize::try_from(length).expect("small"));
            Item {
                kind: RecordKind::ALL[index % 3],
                digest: [u8::try_from(index % 251).expect("small"); 32],
                payload,
            }
        })
        .collect()
}

pub(crate) fn open(io: &MemoryIo) -> Result<(Writer, Reader, Recovery), StoreError> {
    Store::open(Arc::new(io.clone()), options(DIR))
}

pub(crate) fn open_at(
    io: Arc<dyn BlockIo>,
    dir: &Path,
) -> Result<(Writer, Reader, Recovery), StoreError> {
    Store::open(io, options(dir))
}

/// Appends items, each payload in two parts.
pub(crate) fn append(writer: &mut Writer, items: &[Item]) -> Result<(), StoreError> {
    for item in items {
        let (head, tail) = item.payload.split_at(item.payload.len() / 3);
        writer.append(item.kind, item.digest, &[head, tail])?;
    }
    Ok(())
}

/// A store with these items, committed in groups of `group`.
pub(crate) fn filled(items: &[Item], group: usize) -> MemoryIo {
    let io = MemoryIo::new();
    let (mut writer, ..) = open(&io).expect("a new store");
    for group in items.chunks(group) {
        append(&mut writer, group).expect("memory does not fail");
        writer.commit().expect("memory does not fail");
    }
    io
}

/// Asserts that the reader shows exactly the first records of `items`, chained.
pub(crate) fn assert_prefix(reader: &Reader, items: &[Item], context: &str) {
    let durable = usize::try_from(reader.durable().0).expect("small");
    assert!(
        durable <= items.len(),
        "{context}: {durable} records of {}",
        items.len()
    );
    let mut count = 0;
    for (record, item) in reader.scan(Sequence::FIRST).zip(items) {
        let record = record.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(record.kind, item.kind, "{context}");
        assert_eq!(record.digest, item.digest, "{context}");
        assert_eq!(&record.payload[..], &item.payload[..], "{context}");
        count += 1;
    }
    assert_eq!(count, durable, "{context}");
    let verified = reader
        .verify_all()
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(verified.record_count, reader.durable().0, "{context}");
}

pub(crate) fn open_read_only(io: &MemoryIo) -> Result<(Reader, Recovery), StoreError> {
    Store::open_read_only(Arc::new(io.clone()), options(DIR))
}

/// Opens for reading, then for writing: both must show all the items and name the slot.
pub(crate) fn check_whole(io: &MemoryIo, items: &[Item], slot: Option<u64>, context: &str) {
    let before = io.files();
    let (reader, found) = open_read_only(io).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(found.durable.0, items.len() as u64, "{context}");
    assert_eq!(
        found.record_count_kept,
        found.durable.0 - found.watermark.0,
        "{context}"
    );
    let named = |found: &Recovery| found.watermark_slot_damaged.map(|slot| slot.index);
    assert_eq!(named(&found), slot, "{context}");
    assert_prefix(&reader, items, context);
    assert_eq!(io.files(), before, "{context}: reading changed something");
    let (writer, reader, opened) = open(io).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(named(&opened), slot, "{context}");
    assert_eq!(
        opened.record_count_kept, found.record_count_kept,
        "{context}"
    );
    assert_prefix(&reader, items, context);
    drop(writer);
    let (_, found) = open_read_only(io).expect("repaired");
    assert_eq!(found.watermark, found.durable, "{context}");
    assert_eq!(found.watermark_slot_damaged, None, "{context}: repaired");
}

/// What one failing call of a first look led to.
pub(crate) struct FailedLook {
    pub(crate) memory: MemoryIo,
    pub(crate) writer: Writer,
    pub(crate) guard: LogGuard,
    /// A call failed; without that the look was done.
    pub(crate) fired: bool,
    /// Which call, for messages.
    pub(crate) context: String,
}

/// Damages the files of a running store with these items, and lets each call of the look at them
/// fail, one after the other; `then` says what must be so.
pub(crate) fn for_each_failing_look(
    items: &[Item],
    damage: impl Fn(&MemoryIo),
    then: impl Fn(FailedLook),
) {
    for fail_at in 0.. {
        let memory = filled(items, items.len());
        let io = FaultyIo::new(Arc::new(memory.clone()), u64::MAX, Fault::TornWrite(5));
        let (writer, ..) = Store::open(Arc::new(io.clone()), options(DIR)).expect("whole");
        let guard = writer.log_guard();
        damage(&memory);
        io.fail_after(fail_at);
        let looked = guard.look();
        let fired = io.fired();
        io.fail_after(1 << 40);
        let context = format!("call {fail_at}");
        assert_eq!(looked.is_err(), fired, "{context}");
        then(FailedLook {
            memory,
            writer,
            guard,
            fired,
            context,
        });
        if !fired {
            assert!(
                fail_at > 5,
                "{fail_at} calls are fewer than a new file needs"
            );
            return;
        }
    }
}

/// Ids of a payload: each whole 20 bytes are an id and a signer.
pub(crate) struct Every20;

impl Extractor for Every20 {
    fn extract(&self, kind: RecordKind, payload: &[u8], row: &mut dyn FnMut([u8; 16], u32, u32)) {
        if kind != RecordKind::Batch {
            return;
        }
        for (chunk, index) in payload.chunks_exact(20).zip(0..) {
            let (id, signer) = chunk.split_at(16);
            let id = id.try_into().expect("16 bytes");
            row(
                id,
                u32::from_le_bytes(signer.try_into().expect("4 bytes")),
                index,
            );
        }
    }
}

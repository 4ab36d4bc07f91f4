//! The real file system: maps beside the writer, files that shrink, locks, power-off by drop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clearway_store::{Damage, RealIo, RecordKind, Sequence, Store, StoreError, StoreOptions};

use crate::support::{Every20, append, assert_prefix, items, open_at};

fn io() -> Arc<RealIo> {
    Arc::new(RealIo::new())
}

#[test]
fn a_real_directory_keeps_its_records() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let items = items(81, 40, 1500);
    for part in 0..4 {
        let (mut writer, reader, recovery) = open_at(io(), dir.path()).expect("whole");
        assert_eq!(recovery.durable.0, part * 10);
        let from = usize::try_from(part).expect("small") * 10;
        append(&mut writer, &items[from..from + 10]).expect("the disk works");
        writer.prepare_next().expect("the disk works");
        writer.commit().expect("the disk works");
        assert_prefix(&reader, &items, "real");
    }
}

#[test]
fn two_reads_give_the_same_memory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut writer, reader, _) = open_at(io(), dir.path()).expect("a new store");
    writer
        .append(RecordKind::Batch, [0; 32], &[&[7; 1000]])
        .expect("the disk works");
    writer.commit().expect("the disk works");
    let first = reader
        .get(Sequence(1))
        .expect("reads")
        .expect("there")
        .payload;
    let second = reader
        .get(Sequence(1))
        .expect("reads")
        .expect("there")
        .payload;
    assert_eq!(first.as_ptr(), second.as_ptr(), "a copy was made");
    drop((writer, reader));
    assert_eq!(
        &first[..],
        [7; 1000],
        "the payload outlives writer and reader"
    );
}

#[test]
fn readers_preparer_and_indexer_beside_the_writer_disturb_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let items = items(82, 600, 700);
    let (mut writer, reader, _) = open_at(io(), dir.path()).expect("a new store");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                loop {
                    let last_round = done.load(Ordering::Acquire);
                    for record in reader.scan(Sequence(seen + 1)) {
                        let record = record.expect("whole");
                        let item = &items[usize::try_from(seen).expect("small")];
                        assert_eq!(&record.payload[..], &item.payload[..]);
                        seen = record.sequence.0;
                    }
                    if last_round {
                        break;
                    }
                }
                assert_eq!(seen, 600);
            });
        }
        let preparer = writer.preparer();
        let (done, reader) = (&done, &reader);
        scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                preparer.prepare_next().expect("the disk works");
                reader.index_sealed(&Every20).expect("the disk works");
                reader.find([0; 16], 0, &Every20).expect("whole");
            }
        });
        for group in items.chunks(5) {
            append(&mut writer, group).expect("the disk works");
            writer.commit().expect("the disk works");
        }
        done.store(true, Ordering::Release);
    });
    assert_prefix(&reader, &items, "afterwards");
    drop(writer);
    let (_, reader, recovery) = open_at(io(), dir.path()).expect("whole");
    assert_eq!((recovery.durable.0, recovery.bytes_cut), (600, 0));
    assert_prefix(&reader, &items, "reopened");
}

#[test]
fn a_file_that_shrinks_gives_an_error_and_not_a_crash() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let items = items(83, 30, 1500);
    let (mut writer, reader, _) = open_at(io(), dir.path()).expect("a new store");
    append(&mut writer, &items).expect("the disk works");
    writer.commit().expect("the disk works");
    let held = reader.get(Sequence(30)).expect("reads").expect("there");
    let first = dir.path().join("00000000000000000001.seg");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&first)
        .expect("there");
    file.set_len(100).expect("cut by somebody else");
    let error = reader.get(Sequence(1)).expect_err("the file is cut");
    let expected = Damage::Length {
        found: 100,
        expected: 8192,
    };
    let named = matches!(&error, StoreError::Corrupt { offset: 100, damage, .. }
        if *damage == expected);
    assert!(named, "{error}");
    assert!(reader.verify_all().is_err());
    assert_eq!(
        reader.scan(Sequence(1)).count(),
        1,
        "the scan ends after its error"
    );
    assert_eq!(&held.payload[..], &items[29].payload[..]);
    drop(writer);
    let error = open_at(io(), dir.path()).expect_err("the file is cut");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn a_second_opening_is_refused_until_the_first_ends() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = open_at(io(), dir.path()).expect("a new store");
    let error = open_at(io(), dir.path()).expect_err("held");
    assert!(
        matches!(&error, StoreError::Locked { path } if path.ends_with("LOCK")),
        "{error}"
    );
    drop(first);
    open_at(io(), dir.path()).expect("free again");
}

#[test]
fn leftovers_of_a_crash_are_removed_and_foreign_files_are_not() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    drop(open_at(io(), dir.path()).expect("a new store"));
    for name in ["next.prepared", "watermark.tmp", "notes.txt"] {
        std::fs::write(dir.path().join(name), b"x").expect("the disk works");
    }
    std::fs::create_dir(dir.path().join("engine")).expect("the disk works");
    drop(open_at(io(), dir.path()).expect("whole"));
    let left = |name: &str| Path::exists(&dir.path().join(name));
    assert!(!left("next.prepared") && !left("watermark.tmp"));
    assert!(left("notes.txt") && left("engine"));
}

#[test]
fn default_segments_take_a_record_of_many_parts() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut options = StoreOptions::new(dir.path(), [1; 32]);
    options.segment_bytes = 4 << 20;
    options.dir = dir.path().join("made/on/the/way");
    let (mut writer, reader, _) = Store::open(io(), options).expect("a new store");
    let parts: Vec<[u8; 300]> = (0..3000_u32)
        .map(|part| [part.to_le_bytes()[0]; 300])
        .collect();
    let slices: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
    writer
        .append(RecordKind::Batch, [2; 32], &slices)
        .expect("the disk works");
    writer.commit().expect("the disk works");
    let payload = reader
        .get(Sequence(1))
        .expect("reads")
        .expect("there")
        .payload;
    assert!(payload == parts.concat());
}

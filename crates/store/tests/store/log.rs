//! The log as its users see it: append, commit, read, scan, roll, reopen.

use std::sync::Arc;

use crate::support::{DIR, GENESIS, append, assert_prefix, filled, items, open, options};
use clearway_store::testing::MemoryIo;
use clearway_store::{
    BlockIo, Damage, RecordKind, Sequence, Store, StoreError, StoreOptions, VerifyFrom,
};

#[test]
fn nothing_is_visible_before_its_commit() {
    let io = MemoryIo::new();
    let (mut writer, reader, recovery) = open(&io).expect("a new store");
    assert!(recovery.fresh);
    assert_eq!(recovery.durable, Sequence::NONE);
    let sequence = writer
        .append(RecordKind::Batch, [1; 32], &[b"one", b"two"])
        .expect("room");
    assert_eq!(sequence, Sequence::FIRST);
    assert_eq!(reader.durable(), Sequence::NONE);
    assert!(reader.get(sequence).expect("reads work").is_none());
    assert_eq!(writer.commit().expect("memory does not fail"), sequence);
    let record = reader
        .get(sequence)
        .expect("reads work")
        .expect("committed");
    assert_eq!(&record.payload[..], b"onetwo");
    assert_eq!(record.hash, writer.last_hash());
    assert!(reader.get(sequence.next()).expect("reads work").is_none());
    assert!(reader.get(Sequence::NONE).expect("reads work").is_none());
    let metrics = reader.metrics();
    let read_count = metrics.reads.value();
    assert_eq!(read_count, 1, "what is not there is not read");
    assert_eq!(metrics.read_bytes.value(), 6);
    assert_eq!(metrics.durable_sequence.value(), 1);
}

#[test]
fn records_survive_reopening_across_many_segments() {
    let items = items(11, 60, 900);
    let io = filled(&items, 7);
    for _ in 0..3 {
        let (writer, reader, recovery) = open(&io).expect("a whole store");
        assert!(recovery.segment_count > 5, "{recovery:?}");
        assert_eq!(recovery.durable.0, 60);
        assert_eq!(recovery.watermark.0, 60);
        assert_eq!((recovery.record_count_kept, recovery.bytes_cut), (0, 0));
        assert_eq!(recovery.record_count_verified, 60);
        assert_prefix(&reader, &items, "reopened");
        assert_eq!(writer.durable().0, 60);
    }
}

#[test]
fn scan_starts_anywhere_and_ends_at_the_watermark() {
    let items = items(12, 30, 600);
    let io = filled(&items, 30);
    let (mut writer, reader, _) = open(&io).expect("a whole store");
    append(&mut writer, &items[..3]).expect("memory does not fail");
    for from in [0, 1, 2, 17, 30, 31, 1000] {
        let got: Vec<u64> = reader
            .scan(Sequence(from))
            .map(|record| record.expect("whole").sequence.0)
            .collect();
        let expected: Vec<u64> = (from.max(1)..=30).collect();
        assert_eq!(got, expected, "from {from}");
    }
}

#[test]
fn an_uncommitted_tail_that_arrived_is_kept() {
    let items = items(13, 9, 300);
    let io = MemoryIo::new();
    let (mut writer, ..) = open(&io).expect("a new store");
    append(&mut writer, &items[..4]).expect("memory does not fail");
    writer.commit().expect("memory does not fail");
    append(&mut writer, &items[4..]).expect("memory does not fail");
    drop(writer);
    let (_, reader, recovery) = open(&io).expect("a whole store");
    assert_eq!((recovery.watermark.0, recovery.record_count_kept), (4, 5));
    assert_eq!(recovery.durable.0, 9);
    assert_prefix(&reader, &items, "kept");
}

#[test]
fn a_group_may_span_segments() {
    let items = items(14, 40, 1000);
    let io = filled(&items, 40);
    let (_, reader, recovery) = open(&io).expect("a whole store");
    assert!(recovery.segment_count > 3);
    assert_prefix(&reader, &items, "one group");
}

#[test]
fn a_store_closed_just_after_a_roll_opens_again() {
    // The second segment is there, its only record was torn away: the watermark stays behind.
    let io = MemoryIo::new();
    let (mut writer, ..) = open(&io).expect("a new store");
    let half = vec![1; 2000];
    let full = vec![2; 3900];
    writer
        .append(RecordKind::Batch, [0; 32], &[&half])
        .expect("room");
    writer.commit().expect("memory does not fail");
    writer
        .append(RecordKind::Batch, [0; 32], &[&full])
        .expect("the next segment");
    drop(writer);
    let second = std::path::Path::new(DIR).join("00000000000000000002.seg");
    io.damage(&second, |bytes| bytes[4096..4200].fill(0));
    for _ in 0..2 {
        let (_, _, recovery) = open(&io).expect("cut and empty");
        assert_eq!((recovery.durable.0, recovery.segment_count), (1, 2));
    }
    let (mut writer, reader, _) = open(&io).expect("cut and empty");
    writer
        .append(RecordKind::Final, [9; 32], &[b"next"])
        .expect("room");
    writer.commit().expect("memory does not fail");
    assert_eq!(
        &reader
            .get(Sequence(2))
            .expect("reads")
            .expect("there")
            .payload[..],
        b"next"
    );
    drop(writer);
    assert_eq!(open(&io).expect("whole").2.durable.0, 2);
}

#[test]
fn an_oversize_record_is_refused_and_the_writer_goes_on() {
    let io = MemoryIo::new();
    let (mut writer, ..) = open(&io).expect("a new store");
    let limit = usize::try_from(options(DIR).payload_bytes_max()).expect("small");
    assert_eq!(limit, 4000);
    let error = writer.append(RecordKind::Batch, [0; 32], &[&vec![1; limit + 1]]);
    assert!(matches!(
        error,
        Err(StoreError::RecordOversize {
            payload_bytes: 4001,
            ..
        })
    ));
    writer
        .append(RecordKind::Batch, [0; 32], &[&vec![1; limit]])
        .expect("exactly the limit");
    writer
        .append(RecordKind::Batch, [0; 32], &[&vec![2; limit]])
        .expect("the next segment");
    assert_eq!(writer.commit().expect("memory does not fail").0, 2);
}

#[test]
fn an_empty_commit_syncs_nothing() {
    let io = MemoryIo::new();
    let (mut writer, ..) = open(&io).expect("a new store");
    let before = io.files();
    assert_eq!(writer.commit().expect("nothing to do"), Sequence::NONE);
    assert_eq!(io.files(), before);
    assert_eq!(writer.metrics().sync.count(), 0);
}

#[test]
fn a_second_process_is_refused_while_the_first_lives() {
    let io = MemoryIo::new();
    let (writer, reader, _) = open(&io).expect("a new store");
    assert!(matches!(open(&io), Err(StoreError::Locked { .. })));
    drop(writer);
    open(&io).expect("the first is gone; its readers do not matter");
    assert_eq!(reader.durable(), Sequence::NONE);
}

#[test]
fn a_preparer_that_outlives_its_writer_touches_nothing() {
    let io = MemoryIo::new();
    let (writer, ..) = open(&io).expect("a new store");
    let preparer = writer.preparer();
    assert!(preparer.prepare_next().expect("memory does not fail"));
    drop(writer);
    drop(open(&io).expect("whole"));
    let before = io.files();
    assert!(!before.keys().any(|path| path.ends_with("next.prepared")));
    assert!(!preparer.prepare_next().expect("nothing to do"));
    assert_eq!(io.files(), before);
}

#[test]
fn the_parts_may_move_between_threads() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<clearway_store::Writer>();
    is_send::<clearway_store::Preparer>();
    is_send::<clearway_store::Reader>();
    is_sync::<clearway_store::Reader>();
}

#[test]
fn a_foreign_genesis_is_refused_by_both_hashes() {
    let io = filled(&items(15, 3, 100), 3);
    let before = io.files();
    let options = StoreOptions::new(DIR, [0x11; 32]);
    let error = Store::open(Arc::new(io.clone()), options).expect_err("another network");
    let first_asked =
        matches!(&error, StoreError::ForeignGenesis { path, .. } if path.ends_with("identity"));
    assert!(first_asked, "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&"5a".repeat(32)) && text.contains(&"11".repeat(32)),
        "{text}"
    );
    assert_eq!(io.files(), before);
}

#[test]
fn a_bad_segment_size_is_refused() {
    for segment_bytes in [0, 4096, 8191, 8192 + 1, (1 << 30) + 4096] {
        let mut options = StoreOptions::new(DIR, GENESIS);
        options.segment_bytes = segment_bytes;
        let error = Store::open(Arc::new(MemoryIo::new()), options).expect_err("out of range");
        assert!(
            matches!(error, StoreError::BadSegmentBytes { .. }),
            "{segment_bytes}"
        );
    }
}

#[test]
fn segments_keep_their_size_when_the_option_changes() {
    let items = items(16, 20, 900);
    let io = filled(&items[..10], 3);
    let mut options = options(DIR);
    options.segment_bytes = 16384;
    {
        let opened = Store::open(Arc::new(io.clone()), options.clone()).expect("whole");
        let (mut writer, ..) = opened;
        append(&mut writer, &items[10..]).expect("memory does not fail");
        writer.commit().expect("memory does not fail");
    }
    let sizes: Vec<usize> = io
        .files()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "seg"))
        .map(|(_, bytes)| bytes.len())
        .collect();
    assert!(sizes.contains(&8192) && sizes.contains(&16384), "{sizes:?}");
    let (_, reader, _) = Store::open(Arc::new(io), options).expect("whole");
    assert_prefix(&reader, &items, "mixed sizes");
}

#[test]
fn a_read_only_open_sees_every_whole_record_and_changes_nothing() {
    let items = items(17, 12, 500);
    let io = filled(&items[..8], 4);
    let (mut writer, ..) = open(&io).expect("whole");
    append(&mut writer, &items[8..]).expect("memory does not fail");
    let before = io.files();
    let shared: Arc<dyn BlockIo> = Arc::new(io.clone());
    let (reader, recovery) =
        Store::open_read_only(Arc::clone(&shared), options(DIR)).expect("beside the writer");
    assert_eq!((recovery.watermark.0, recovery.durable.0), (8, 12));
    assert_eq!((recovery.record_count_kept, recovery.tail), (4, None));
    assert_prefix(&reader, &items, "read-only");
    assert_eq!(io.files(), before);
    let nothing = Store::open_read_only(shared, options("/nowhere"));
    assert!(matches!(nothing, Err(StoreError::NoStore { .. })));
}

#[test]
fn payloads_of_old_segments_are_checked_when_asked_and_when_read() {
    let items = items(18, 40, 900);
    let io = filled(&items, 5);
    let first = std::path::Path::new(DIR).join("00000000000000000001.seg");
    io.damage(&first, |bytes| bytes[4096 + 96] ^= 1);
    let rows = [
        (VerifyFrom::LastSegments(2), true),
        (VerifyFrom::LastSegments(0), true),
        (VerifyFrom::Sequence(Sequence(2)), true),
        (VerifyFrom::Sequence(Sequence(1)), false),
        (VerifyFrom::LastSegments(1000), false),
        (VerifyFrom::Everything, false),
    ];
    for (verify_from, opens) in rows {
        let mut options = options(DIR);
        options.verify_from = verify_from;
        match Store::open(Arc::new(io.clone()), options) {
            Ok((_, reader, _)) => {
                assert!(opens, "{verify_from:?}");
                let error = reader.get(Sequence(1)).expect_err("damaged");
                let damaged = matches!(
                    error,
                    StoreError::Corrupt {
                        damage: Damage::Payload,
                        ..
                    }
                );
                assert!(damaged, "{error}");
                let metrics = reader.metrics();
                assert_eq!(metrics.corrupt.value(), 1);
                assert!(reader.verify_all().is_err());
                assert_eq!(metrics.corrupt.value(), 2);
                assert!(reader.get(Sequence(2)).expect("whole").is_some());
                assert_eq!(metrics.corrupt.value(), 2);
                assert_eq!(metrics.reads.value(), 1);
            }
            Err(error) => assert!(!opens, "{verify_from:?}: {error}"),
        }
    }
}

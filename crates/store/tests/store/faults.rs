//! Every system call fails once: a typed error, a poisoned writer, and nothing lost.

use std::sync::Arc;

use clearway_store::testing::{Fault, FaultyIo, MemoryIo, RecordingIo};
use clearway_store::{RecordKind, Store, StoreError, Writer};
use clearway_types::seeded::SplitMix;

use crate::support::{DIR, Item, append, assert_prefix, items, open, options};

const GROUP: usize = 3;

/// What a run came to.
struct Outcome {
    told: u64,
    result: Result<(), StoreError>,
}

/// The script under test: open, groups of appends with a commit each, across segments.
fn run(io: &Arc<FaultyIo>, items: &[Item]) -> Outcome {
    let mut told = 0;
    let result = (|| {
        let (mut writer, ..) = Store::open(io.clone(), options(DIR))?;
        for group in items.chunks(GROUP) {
            let committed = append(&mut writer, group).and_then(|()| writer.commit());
            match committed {
                Ok(sequence) => told = sequence.0,
                Err(error) => {
                    assert_poisoned(&mut writer, &error);
                    return Err(error);
                }
            }
        }
        Ok(())
    })();
    Outcome { told, result }
}

/// After a failure the writer repeats it; after a full disk it goes on once there is space.
fn assert_poisoned(writer: &mut Writer, error: &StoreError) {
    let later = writer.append(RecordKind::Batch, [0; 32], &[b"later"]);
    if let StoreError::DiskFull { .. } = error {
        later.expect("a full disk does not poison");
        return;
    }
    for answer in [later, writer.commit()] {
        assert!(
            matches!(answer, Err(StoreError::Poisoned { .. })),
            "{answer:?} after {error}"
        );
    }
    assert!(matches!(
        writer.prepare_next(),
        Err(StoreError::Poisoned { .. })
    ));
}

#[test]
fn every_failing_call_gives_a_typed_error_and_loses_nothing() {
    let items = items(51, 15, 900);
    let mut fired_count = 0;
    for fault in [
        Fault::Error(5),
        Fault::Error(28),
        Fault::TornWrite(5),
        Fault::TornWrite(28),
    ] {
        for fail_at in 0.. {
            let disk = RecordingIo::new();
            let io = Arc::new(FaultyIo::new(Arc::new(disk.clone()), fail_at, fault));
            let Outcome { told, result } = run(&io, &items);
            let context = format!("{fault:?} at call {fail_at}");
            if !io.fired() {
                result.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(told, items.len() as u64);
                break;
            }
            fired_count += 1;
            let error = result.expect_err(&context);
            let typed = matches!(error, StoreError::Io { .. } | StoreError::DiskFull { .. });
            assert!(typed, "{context}: {error}");
            let own_record = matches!(error, StoreError::DiskFull { .. });
            let shown = if own_record { &items[..0] } else { &items[..] };
            check_restart(disk, told, shown, &context);
        }
    }
    assert!(fired_count > 200, "{fired_count} faults");
}

/// A restart of the process, and a power cut instead of it, keep what was told; `items` is empty
/// where the script appended a record of its own after them.
fn check_restart(disk: RecordingIo, told: u64, items: &[Item], context: &str) {
    let log = disk.log();
    for seed in 0..5 {
        let (files, _) = log.random_image(*log.cuts().end(), &mut SplitMix(seed));
        let (_, _, recovery) = open(&MemoryIo::from_files(files))
            .unwrap_or_else(|error| panic!("{context}, seed {seed}: {error}"));
        assert!(
            recovery.durable.0 >= told,
            "{context}, seed {seed}: {recovery:?}"
        );
    }
    let (mut writer, reader, recovery) = Store::open(Arc::new(disk), options(DIR))
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(recovery.durable.0 >= told, "{context}: {recovery:?}");
    if !items.is_empty() {
        assert_prefix(&reader, items, context);
    }
    let sequence = writer
        .append(RecordKind::Final, [1; 32], &[b"goes on"])
        .expect(context);
    assert_eq!(writer.commit().expect(context), sequence);
    assert_eq!(
        &reader.get(sequence).expect(context).expect(context).payload[..],
        b"goes on"
    );
}

#[test]
fn every_short_write_is_completed() {
    let items = items(52, 9, 900);
    for fail_at in 0.. {
        let disk = MemoryIo::new();
        let io = Arc::new(FaultyIo::new(
            Arc::new(disk.clone()),
            fail_at,
            Fault::ShortWrite,
        ));
        let Outcome { told, result } = run(&io, &items);
        result.unwrap_or_else(|error| panic!("call {fail_at}: {error}"));
        assert_eq!(told, items.len() as u64);
        let (_, reader, _) = open(&disk).expect("whole");
        assert_prefix(&reader, &items, &format!("short write at call {fail_at}"));
        if !io.fired() {
            break;
        }
    }
}

#[test]
fn a_failed_sync_is_written_again_after_the_restart() {
    // After a failed sync the system may call pages clean that the disk never took. The restart
    // finds the record in memory, keeps it, and must write it anew before it may call it durable.
    let items = items(53, 4, 300);
    let disk = RecordingIo::new();
    let io = Arc::new(FaultyIo::new(
        Arc::new(disk.clone()),
        u64::MAX,
        Fault::Error(5),
    ));
    let (mut writer, early, _) = Store::open(io.clone(), options(DIR)).expect("a new store");
    append(&mut writer, &items[..2]).expect("works");
    writer.commit().expect("works");
    append(&mut writer, &items[2..]).expect("works");
    io.fail_after(0);
    writer.commit().expect_err("the sync fails");
    assert_eq!(early.durable().0, 2, "readers saw what was not synced");
    drop(writer);
    let before = disk.log().written_bytes();
    let (_, reader, recovery) = Store::open(Arc::new(disk.clone()), options(DIR)).expect("whole");
    assert_eq!((recovery.watermark.0, recovery.durable.0), (2, 4));
    assert_prefix(&reader, &items, "kept");
    let record_bytes = |item: &Item| 96 + item.payload.len().next_multiple_of(8) as u64;
    let kept_bytes: u64 = items[2..].iter().map(record_bytes).sum();
    assert_eq!(disk.log().written_bytes() - before, kept_bytes + 128);
}

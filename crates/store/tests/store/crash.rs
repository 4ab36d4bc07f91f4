//! Power cuts: every byte of a run, and random choices of what was not synced. Whatever a commit
//! acknowledged is there afterwards, and nothing is there that was not written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clearway_store::testing::{CrashLog, MemoryIo, RecordingIo};
use clearway_store::{Store, StoreError};
use clearway_types::seeded::SplitMix;

use crate::support::{DIR, Item, append, assert_prefix, items, open, options};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Opens, appends in groups, marks each commit's sequence as told to the outside world.
fn run(io: &RecordingIo, items: &[Item], group: usize) {
    let opened = Store::open(Arc::new(io.clone()), options(DIR)).expect("a new store");
    let (mut writer, ..) = opened;
    for (index, group) in items.chunks(group).enumerate() {
        append(&mut writer, group).expect("memory does not fail");
        io.mark(writer.commit().expect("memory does not fail").0);
        if index % 3 == 1 {
            writer.prepare_next().expect("memory does not fail");
        }
    }
}

/// What is wrong with what recovery makes of a disk on which `told` records were acknowledged.
fn judge(files: Files, told: u64, items: &[Item]) -> Result<(), String> {
    let io = MemoryIo::from_files(files);
    let (_, reader, recovery) = open(&io).map_err(|error: StoreError| error.to_string())?;
    if recovery.watermark.0 < told {
        return Err(format!("watermark {} behind {told}", recovery.watermark));
    }
    let durable = usize::try_from(recovery.durable.0).expect("small");
    if recovery.durable.0 < told || durable > items.len() {
        return Err(format!("{durable} records where {told} were acknowledged"));
    }
    assert_prefix(&reader, items, "recovered");
    Ok(())
}

/// The first complaint about random disks from every place of a run.
fn judge_random(log: &CrashLog, items: &[Item], seed: u64, rounds: u64) -> Result<u64, String> {
    let mut images = 0;
    for cut in log.cuts() {
        for round in 0..rounds {
            let mut random = SplitMix(seed ^ ((cut as u64) << 20) ^ round);
            let (files, told) = log.random_image(cut, &mut random);
            judge(files, told, items)
                .map_err(|error| format!("seed {seed} cut {cut} round {round}: {error}"))?;
            images += 1;
        }
    }
    Ok(images)
}

#[test]
fn every_byte_prefix_of_a_run_recovers_what_was_acknowledged() {
    let items = items(21, 14, 700);
    let io = RecordingIo::new();
    run(&io, &items, 3);
    let log = io.log();
    let mut images = 0_u64;
    log.prefix_images(&mut |files, told| {
        images += 1;
        judge(files, told, &items).unwrap_or_else(|error| panic!("image {images}: {error}"));
    });
    assert!(images > log.written_bytes(), "{images} images");
}

#[test]
fn random_sectors_of_what_was_not_synced_may_be_lost() {
    for (seed, group) in [(22, 1), (23, 4), (24, 20)] {
        let items = items(seed, 20, 900);
        let io = RecordingIo::new();
        run(&io, &items, group);
        let images = judge_random(&io.log(), &items, seed, 40).unwrap_or_else(|e| panic!("{e}"));
        assert!(images > 1_000, "{images} images");
    }
}

#[test]
fn a_power_cut_during_recovery_loses_nothing_either() {
    let items = items(25, 16, 900);
    let first = RecordingIo::new();
    run(&first, &items[..12], 4);
    let log = first.log();
    let mut cut_images = 0;
    for cut in log.cuts().skip(8) {
        let mut random = SplitMix(25 ^ cut as u64);
        let (files, told) = log.random_image(cut, &mut random);
        let second = RecordingIo::over(files);
        second.mark(told);
        let opened = Store::open(Arc::new(second.clone()), options(DIR));
        let (mut writer, _, recovery) = opened.unwrap_or_else(|e| panic!("cut {cut}: {e}"));
        cut_images += u64::from(recovery.bytes_cut > 0);
        second.mark(recovery.durable.0);
        let from = usize::try_from(recovery.durable.0).expect("small");
        append(&mut writer, &items[from..(from + 2).min(16)]).expect("memory does not fail");
        second.mark(writer.commit().expect("memory does not fail").0);
        drop(writer);
        judge_random(&second.log(), &items, 25, 4).unwrap_or_else(|e| panic!("cut {cut}: {e}"));
    }
    assert!(
        cut_images > 3,
        "only {cut_images} of the disks had a torn tail to cut"
    );
}

#[test]
fn every_byte_prefix_of_a_recovery_recovers() {
    let items = items(26, 8, 500);
    let io = RecordingIo::new();
    run(&io, &items[..4], 4);
    let mut files = io
        .log()
        .random_image(*io.log().cuts().end(), &mut SplitMix(26))
        .0;
    // A torn tail: the start of a record whose rest never arrived, and stale bytes further on.
    let path = PathBuf::from(DIR).join("00000000000000000001.seg");
    let segment = files.get_mut(&path).expect("the first segment");
    let end = segment
        .iter()
        .rposition(|&byte| byte != 0)
        .expect("records")
        + 1;
    let end = end.next_multiple_of(8);
    segment[end..end + 50].fill(0xcd);
    segment[end + 300..end + 340].fill(0xab);
    let second = RecordingIo::over(files);
    let opened = Store::open(Arc::new(second.clone()), options(DIR)).expect("cut");
    assert_eq!(opened.2.bytes_cut, 340);
    drop(opened);
    second.log().prefix_images(&mut |files, _| {
        judge(files, 4, &items).unwrap_or_else(|error| panic!("{error}"));
    });
}

/// Takes out one sync after another: the random disks must notice each time, or the tests above
/// prove nothing. Only the sync of a freshly zero-filled file may go unnoticed, since the sync of
/// its head page comes before the file gets its name; it is there to keep that second one short.
#[test]
fn taking_out_any_one_sync_is_noticed() {
    let items = items(27, 14, 900);
    let whole = RecordingIo::new();
    drop(Store::open(Arc::new(whole.clone()), options(DIR)).expect("a new store"));
    let opening_sync_count = whole.sync_names().len();
    let whole = RecordingIo::new();
    run(&whole, &items, 2);
    let names = whole.sync_names();
    assert!(names.len() > opening_sync_count + 15, "{names:?}");
    judge_random(&whole.log(), &items, 27, 6).expect("with all its syncs the store loses nothing");

    let mut unnoticed = Vec::new();
    for skipped in opening_sync_count..names.len() {
        let io = RecordingIo::without_sync(skipped);
        run(&io, &items, 2);
        assert_eq!(
            io.sync_names(),
            names,
            "the run does not depend on the skipped sync"
        );
        let noticed = (0..8).any(|seed| judge_random(&io.log(), &items, seed, 6).is_err());
        if !noticed {
            unnoticed.push(skipped);
        }
    }
    let prepared = |&index: &usize| names[index] == "next.prepared";
    let zero_fills: Vec<usize> = (opening_sync_count..names.len())
        .filter(prepared)
        .step_by(2)
        .collect();
    assert!(zero_fills.len() >= 2, "{names:?}");
    assert_eq!(unnoticed, zero_fills, "{names:?}");
}

//! The stage driven by hand: groups, tickets, refusals, reservation of segments.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{DIR, open, options};
use bytes::Bytes;
use clearway_store::testing::{Fault, FaultyIo, MemoryIo};
use clearway_store::{Append, RecordKind, Sequence, Store, StoreError, StoreStage};

fn appends(range: std::ops::Range<u64>, payload_bytes: usize) -> Vec<Append<u64>> {
    range
        .map(|ticket| Append {
            kind: RecordKind::Batch,
            digest: [0; 32],
            parts: vec![
                Bytes::from(vec![1; payload_bytes]),
                Bytes::from_static(b"tail"),
            ],
            ticket,
        })
        .collect()
}

#[test]
fn a_batch_is_one_group_and_comes_back_in_order() {
    let io = MemoryIo::new();
    let (writer, reader, _) = open(&io).expect("a new store");
    let mut stage = StoreStage::new(writer);
    for round in 0..3 {
        let mut inbox = appends(round * 10..round * 10 + 10, 30);
        let done = stage.on_batch(&mut inbox).expect("memory does not fail");
        assert!(inbox.is_empty());
        let expected: Vec<(u64, u64)> = (round * 10..round * 10 + 10).map(|t| (t + 1, t)).collect();
        let got: Vec<(u64, u64)> = done.iter().map(|d| (d.sequence.0, d.ticket)).collect();
        assert_eq!(got, expected);
        assert_eq!(reader.durable(), Sequence(round * 10 + 10));
    }
    let metrics = stage.metrics();
    assert_eq!(metrics.sync.count(), 3);
    assert_eq!(metrics.records.value(), 30);
    assert_eq!(metrics.payload_bytes.value(), 30 * 34);
    assert_eq!(metrics.durable_sequence.value(), 30);
}

#[test]
fn the_two_syncs_of_a_commit_are_timed_alone() {
    let io = MemoryIo::new();
    let (writer, ..) = open(&io).expect("a new store");
    let mut stage = StoreStage::new(writer);
    let (mut total, mut max) = (0, 0);
    for sync_ns in [3_000, 70_000, 500] {
        io.set_sync_ns(sync_ns);
        stage
            .on_batch(&mut appends(0..1, 30))
            .expect("memory does not fail");
        // The clock itself takes a microsecond between two looks at it.
        let elapsed = 2 * sync_ns + 1_000;
        total += elapsed;
        max = elapsed.max(max);
        let sync = &stage.metrics().sync;
        assert_eq!(sync.sum(), Duration::from_nanos(total));
        let longest = sync.quantile(1.0).as_secs_f64() * 1e9;
        assert!((longest / max as f64 - 1.0).abs() < 0.011, "{longest}");
    }
}

#[test]
fn an_idle_call_does_nothing() {
    let (writer, ..) = open(&MemoryIo::new()).expect("a new store");
    let mut stage = StoreStage::new(writer);
    let done = stage
        .on_batch(&mut Vec::<Append<u64>>::new())
        .expect("nothing to fail");
    assert!(done.is_empty());
    assert_eq!(stage.metrics().sync.count(), 0);
    assert!(!stage.on_tick().expect("nothing to do"));
}

#[test]
fn a_refused_record_ends_its_group_and_the_ones_before_it_count() {
    let (writer, reader, _) = open(&MemoryIo::new()).expect("a new store");
    let mut stage = StoreStage::new(writer);
    let mut inbox = appends(0..2, 10);
    inbox.extend(appends(2..3, 9000));
    inbox.extend(appends(3..4, 10));
    let done = stage.on_batch(&mut inbox).expect("the first two fit");
    assert_eq!(done.iter().map(|d| d.ticket).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(inbox.len(), 2);
    let error = stage
        .on_batch(&mut inbox)
        .expect_err("too large for a segment");
    assert!(matches!(error, StoreError::RecordOversize { .. }));
    assert_eq!(inbox.remove(0).ticket, 2);
    assert_eq!(stage.on_batch(&mut inbox).expect("fits").len(), 1);
    assert_eq!(reader.durable(), Sequence(3));
}

#[test]
fn a_full_disk_stops_at_the_segment_and_goes_on_when_there_is_space() {
    let io = MemoryIo::new();
    let (writer, reader, _) = open(&io).expect("a new store");
    let mut stage = StoreStage::new(writer);
    // Identity, watermark and one segment are there; the next segment does not fit.
    io.set_capacity_bytes(128 + 8192 + 8192 + 5000);
    let mut inbox = appends(0..5, 1500);
    let done = stage
        .on_batch(&mut inbox)
        .expect("the reserved space serves");
    assert_eq!((done.len(), inbox.len()), (2, 3));
    let error = stage.on_batch(&mut inbox).expect_err("no space");
    assert!(
        matches!(
            error,
            StoreError::DiskFull {
                // The segment, and the spare that is left to others.
                bytes_needed: 10_240,
                ..
            }
        ),
        "{error}"
    );
    assert!(stage.on_tick().is_err());
    assert!(reader.get(Sequence(2)).expect("reads go on").is_some());
    assert!(
        !io.files()
            .keys()
            .any(|path| path.ends_with("next.prepared"))
    );
    io.set_capacity_bytes(1 << 20);
    while !inbox.is_empty() {
        stage.on_batch(&mut inbox).expect("space again");
    }
    assert_eq!(reader.durable(), Sequence(5));
    assert!(stage.metrics().disk_full.value() >= 2);
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_poisons_the_stage() {
    let io = Arc::new(FaultyIo::new(
        Arc::new(MemoryIo::new()),
        u64::MAX,
        Fault::Error(5),
    ));
    let (writer, ..) = Store::open(io.clone(), options(DIR)).expect("a new store");
    let mut stage = StoreStage::new(writer);
    // The write works, the data sync after it does not.
    io.fail_after(1);
    let mut inbox = appends(0..1, 30);
    let error = stage.on_batch(&mut inbox).expect_err("the sync failed");
    assert!(
        matches!(
            error,
            StoreError::Io {
                operation: "fdatasync",
                ..
            }
        ),
        "{error}"
    );
    assert!(io.fired());
    let failed_count = |stage: &StoreStage| {
        let metrics = stage.metrics();
        metrics.write_failures.value()
    };
    assert_eq!(failed_count(&stage), 1);
    let error = stage.on_batch(&mut inbox).expect_err("poisoned");
    assert!(
        matches!(
            error,
            StoreError::Poisoned {
                os_code: Some(5),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(failed_count(&stage), 1, "a poisoned writer writes nothing");
    let metrics = stage.metrics();
    assert_eq!(metrics.durable_sequence.value(), 0);
    assert_eq!(metrics.sync.count(), 0);
}

#[test]
fn a_tick_reserves_the_next_segment_before_it_is_needed() {
    let (writer, ..) = open(&MemoryIo::new()).expect("a new store");
    let mut stage = StoreStage::new(writer);
    stage
        .on_batch(&mut appends(0..1, 1000))
        .expect("memory does not fail");
    assert!(!stage.on_tick().expect("less than half full"));
    stage
        .on_batch(&mut appends(1..2, 1000))
        .expect("memory does not fail");
    assert!(stage.on_tick().expect("space"));
    assert!(!stage.on_tick().expect("ready already"));
    stage
        .on_batch(&mut appends(2..6, 2000))
        .expect("memory does not fail");
    let metrics = stage.metrics();
    let rolled = metrics.segments_rolled.value();
    assert!(rolled >= 2);
    assert_eq!(metrics.segments_unprepared.value(), rolled - 1);
}

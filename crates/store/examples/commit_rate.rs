//! Measures the store on a real directory: commits a second by group size, bytes a second, and the
//! time to open and to re-check what was written. Usage: `commit_rate DIR [MEBIBYTES]`; DIR must
//! not hold a store yet and is left as it is.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearway_store::{
    Append, RealIo, RecordKind, Store, StoreOptions, StoreStage, VerifyFrom, Writer,
};

/// Payload bytes and records a group: a lone manifest, a few, and groups of full batches.
const SHAPES: [(usize, usize); 6] = [
    (400, 1),
    (400, 16),
    (16 << 10, 4),
    (256 << 10, 1),
    (256 << 10, 4),
    (1 << 20, 4),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let mebibytes: u64 = match arguments.next() {
        Some(text) => text.to_str().ok_or("a number of mebibytes")?.parse()?,
        None => 256,
    };
    let options = StoreOptions::new(dir, [0; 32]);
    let (writer, _, recovery) = Store::open(Arc::new(RealIo::new()), options.clone())?;
    if !recovery.fresh {
        return Err("the directory holds a store already".into());
    }
    write(writer, mebibytes << 20)?;
    for verify_from in [VerifyFrom::LastSegments(2), VerifyFrom::Everything] {
        let options = StoreOptions {
            verify_from,
            ..options.clone()
        };
        let started = Instant::now();
        let (_writer, reader, recovery) = Store::open(Arc::new(RealIo::new()), options)?;
        let opened = started.elapsed();
        let verified = reader.verify_all()?;
        println!(
            "open {verify_from:?}: {opened:?}, {} segments, {} records, {} payloads checked; \
             verify_all {:?} for {} MiB",
            recovery.segment_count,
            verified.record_count,
            recovery.record_count_verified,
            started.elapsed() - opened,
            verified.payload_bytes >> 20,
        );
    }
    Ok(())
}

/// Each shape gets its share of the bytes, and at most three seconds.
fn write(writer: Writer, bytes: u64) -> Result<(), Box<dyn Error>> {
    let preparer = writer.preparer();
    let metrics = Arc::clone(writer.metrics());
    let mut stage = StoreStage::new(writer);
    for (payload_bytes, group) in SHAPES {
        let payload = Bytes::from(vec![0xa5; payload_bytes]);
        let mut latencies_us = Vec::new();
        let mut written_bytes = 0;
        let shape_started = Instant::now();
        let mut prepare_time = Duration::ZERO;
        while written_bytes < bytes / SHAPES.len() as u64
            && shape_started.elapsed() < Duration::from_secs(3)
        {
            let prepare_started = Instant::now();
            preparer.prepare_next()?;
            prepare_time += prepare_started.elapsed();
            let append = |ticket| Append {
                kind: RecordKind::Batch,
                digest: [1; 32],
                parts: vec![payload.clone()],
                ticket,
            };
            let mut inbox: Vec<Append<usize>> = (0..group).map(append).collect();
            let group_started = Instant::now();
            stage.on_batch(&mut inbox)?;
            latencies_us.push(group_started.elapsed().as_micros());
            written_bytes += (payload_bytes * group) as u64;
        }
        let elapsed = (shape_started.elapsed() - prepare_time).as_secs_f64();
        latencies_us.sort_unstable();
        let at = |percent: usize| latencies_us[(latencies_us.len() - 1) * percent / 100];
        println!(
            "payload {payload_bytes:>8} group {group:>3}: {:>7.0} commits/s {:>8.0} records/s \
             {:>7.1} MB/s; commit p50 {} us p99 {} us max {} us",
            latencies_us.len() as f64 / elapsed,
            (latencies_us.len() * group) as f64 / elapsed,
            written_bytes as f64 / elapsed / 1e6,
            at(50),
            at(99),
            at(100),
        );
    }
    println!(
        "{} records in {} groups, {} segments, sync {:.1} ms in all",
        metrics.records.value(),
        metrics.sync.count(),
        metrics.segments_rolled.value() + 1,
        metrics.sync.sum().as_secs_f64() * 1e3,
    );
    Ok(())
}

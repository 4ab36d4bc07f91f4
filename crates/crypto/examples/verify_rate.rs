//! Measures verification and hashing on one core: `cargo run --release --example verify_rate`.
//!
//! Prints a row a backend, key count and batch length: best and median of the rounds in CPU time of
//! this thread, million signatures a second of CPU, and a checksum of the verdicts. `-- smoke` runs
//! each row once, small; any other word restricts it to the rows whose name contains it.

use std::hint::black_box;

use clearway_crypto::gate::Gate;
use clearway_crypto::suite::{Case, Mixer};
use clearway_crypto::{hash, merkle};
use rustix::time::{ClockId, clock_gettime};

fn main() {
    let options: Vec<String> = std::env::args().skip(1).collect();
    let smoke = options.iter().any(|option| option == "smoke");
    let lengths: &[usize] = match smoke {
        true => &[8, 64],
        false => &[4, 8, 16, 32, 64, 256, 1024, 4096, 8192],
    };
    let rounds = if smoke { 1 } else { 9 };
    let gate = Gate::new().expect("this machine computes rightly");
    let longest = *lengths.last().expect("a length");
    let distinct = longest as u64;
    for (keys, key_count) in [("32", 32), ("1024", 1024), ("distinct", distinct)] {
        let mut mixer = Mixer(7);
        let cases: Vec<_> = (0..distinct)
            .map(|index| Case::honest(index % key_count, &mut mixer))
            .collect();
        let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
        for (id, backend) in gate.backends() {
            let name = backend.name();
            for &len in lengths {
                // Every first round meets keys that were never seen, every other one knows them.
                let items = &items[..len];
                let row = format!("batch backend={name} keys={keys} n={len}");
                measure(&row, len, rounds, || {
                    u64::from(gate.verify(id, black_box(items)).all_valid())
                });
            }
            let items = &items[..longest.min(256)];
            let row = format!("each backend={name} keys={keys}");
            measure(&row, items.len(), rounds, || {
                u64::from(gate.verify_each(id, black_box(items)).all_valid())
            });
        }
    }
    uncached(longest, rounds);
    hashing(longest, rounds);
}

/// Batches of keys that no batch had before.
fn uncached(len: usize, rounds: usize) {
    let gate = Gate::new().expect("this machine computes rightly");
    let mut mixer = Mixer(8);
    let cases: Vec<_> = (0..(len * rounds) as u64)
        .map(|index| Case::honest(1 << 32 | index, &mut mixer))
        .collect();
    let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
    for (id, backend) in gate.backends() {
        let mut batches = items.chunks(len);
        let row = format!("batch backend={} keys=uncached n={len}", backend.name());
        measure(&row, len, rounds, || {
            let batch = batches.next().expect("a batch a round");
            u64::from(gate.verify(id, black_box(batch)).all_valid())
        });
    }
}

fn hashing(len: usize, rounds: usize) {
    let slab: Vec<u8> = (0..251).cycle().take(len * 192).collect();
    measure(&format!("envelope_digests n={len}"), len, rounds, || {
        let digests = hash::envelope_digests_all(black_box(&slab));
        u64::from(digests[len - 1].leaf.0[0])
    });
    let leaves: Vec<_> = hash::envelope_digests_all(&slab)
        .iter()
        .map(|digests| digests.leaf)
        .collect();
    measure(&format!("merkle_root n={len}"), len, rounds, || {
        u64::from(merkle::root(black_box(&leaves)).0[0])
    });
}

fn measure(row: &str, len: usize, rounds: usize, mut work: impl FnMut() -> u64) {
    let mut wanted = std::env::args().skip(1).filter(|option| option != "smoke");
    if !wanted.all(|word| row.contains(&word)) {
        return;
    }
    let mut checksum = 0;
    let mut nanos: Vec<f64> = (0..rounds)
        .map(|_| {
            let since = cpu_ns();
            checksum += work();
            (cpu_ns() - since) / len as f64
        })
        .collect();
    nanos.sort_by(f64::total_cmp);
    let (best, median) = (nanos[0], nanos[rounds / 2]);
    let rate = 1e3 / median;
    println!(
        "{row:<42} best {best:>8.1} ns  median {median:>8.1} ns  {rate:>7.4} M/s  sum {checksum}"
    );
}

/// CPU time of this thread, nanoseconds: other programs on the machine do not count.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

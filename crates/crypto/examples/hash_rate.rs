//! Measures hashing on one core: `cargo run --release --example hash_rate`.
//!
//! Prints a row a kind of hash: best and median of the rounds in CPU time of this thread, million
//! hashes a second of CPU, and a checksum. `-- smoke` runs each row once, small. Verification is
//! measured by `clearway bench verify`.

use std::hint::black_box;

use clearway_crypto::{hash, merkle};
use rustix::time::{ClockId, clock_gettime};

fn main() {
    let smoke = std::env::args().any(|option| option == "smoke");
    let (len, rounds) = if smoke { (64, 1) } else { (8192, 9) };
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

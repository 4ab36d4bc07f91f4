//! Measures verification and hashing on one core: `cargo run --release --example verify_rate`.
//!
//! Prints a row a backend, key count and batch length: best and median of the rounds in CPU time of
//! this thread, million signatures a second of CPU, and a checksum of the verdicts. `-- smoke` runs
//! each row once, small.

use std::hint::black_box;

use clearway_crypto::gate::Gate;
use clearway_crypto::suite::{Case, Mixer};
use clearway_crypto::{hash, merkle};
use rustix::time::{ClockId, clock_gettime};

fn main() {
    let smoke = std::env::args().any(|argument| argument == "smoke");
    let (lengths, rounds): (&[usize], usize) = match smoke {
        true => (&[8, 64], 1),
        false => (&[2, 4, 8, 16, 32, 64, 256, 1024, 4096, 8192], 7),
    };
    let gate = Gate::new().expect("this machine computes rightly");
    let longest = *lengths.last().expect("a length");
    for key_count in [32, 1024] {
        let mut mixer = Mixer(7);
        let cases: Vec<_> = (0..longest as u64)
            .map(|index| Case::honest(index % key_count, &mut mixer))
            .collect();
        let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
        for (id, backend) in gate.backends() {
            for &len in lengths {
                let name = backend.name();
                let items = &items[..len];
                measure(
                    &format!("batch backend={name} keys={key_count} n={len}"),
                    len,
                    rounds,
                    || u64::from(gate.verify(id, black_box(items)).all_valid()),
                );
            }
            let items = &items[..longest.min(256)];
            let row = format!("each backend={} keys={key_count}", backend.name());
            measure(&row, items.len(), rounds, || {
                u64::from(gate.verify_each(id, black_box(items)).all_valid())
            });
        }
    }
    hashing(longest, rounds);
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

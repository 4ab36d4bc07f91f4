//! Measures levels of Merkle trees on a GPU: `cargo run --release --example node_rate`.
//!
//! Prints a row a size: million nodes a second by the wall, as `crypto::merkle` would get them,
//! each level computed twice and sampled. With `-- --allow-software-adapter` on a driver that
//! computes on the processor.

use std::hint::black_box;
use std::time::Instant;

use clearway_crypto::hash::{self, Offload as _};
use clearway_gpu::{AdapterChoice, GpuHashes};
use clearway_types::units::Digest;

const SIZES: [usize; 4] = [1024, 16_384, 65_536, 1_048_576];
const ROUNDS: usize = 9;

fn main() {
    let software = std::env::args().any(|option| option == "--allow-software-adapter");
    let choice = AdapterChoice {
        index: None,
        software,
    };
    let hashes = match GpuHashes::open(choice) {
        Ok(hashes) => hashes,
        Err(error) => {
            println!("{error}");
            return;
        }
    };
    for pairs in SIZES {
        let lower: Vec<Digest> = (0..2 * pairs as u64)
            .map(|index| hash::sha256(&[&index.to_le_bytes()]))
            .collect();
        let mut checksum = 0;
        let mut seconds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let since = Instant::now();
                let upper = hashes.nodes(black_box(&lower)).expect("a sound device");
                checksum += u64::from(upper[pairs - 1].0[0]);
                since.elapsed().as_secs_f64()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let rate = pairs as f64 / seconds[ROUNDS / 2] / 1e6;
        println!("node n={pairs:<8} median {rate:>8.3} M/s  sum {checksum}");
    }
}

//! Nodes, trees and envelopes that a device hashes: the same digests as the CPU's.

use clearway_crypto::hash::{self, Offload as _};
use clearway_crypto::merkle::{self, DenseTree};
use clearway_gpu::twin::kernels;
use clearway_gpu::{GpuHashes, testing};
use clearway_types::seeded::SplitMix;
use clearway_types::units::Digest;

fn leaves(count: usize, seed: u64) -> Vec<Digest> {
    let mut random = SplitMix(seed);
    let draw = |_| hash::sha256(&[&random.next_u64().to_le_bytes()]);
    (0..count).map(draw).collect()
}

#[test]
fn digests_from_a_device_are_the_cpus() {
    let Some(adapter) = testing::adapter("digests_from_a_device_are_the_cpus") else {
        return;
    };
    let hashes = GpuHashes::open(adapter).expect("the adapter is right");
    for pairs in [1, 2, 63, 64, 65, 1000, 70_000] {
        let lower = leaves(2 * pairs, 1);
        let upper = hashes.nodes(&lower).expect("a sound device");
        let expected = lower
            .as_chunks()
            .0
            .iter()
            .map(|[left, right]| hash::node(left, right));
        assert!(upper.into_iter().eq(expected), "{pairs} pairs");
    }
    let slab = |count: usize| -> Vec<u8> {
        let mut random = SplitMix(4);
        (0..24 * count)
            .flat_map(|_| random.next_u64().to_le_bytes())
            .collect()
    };
    for count in [1, 2, 64, 65, 1000] {
        let slab = slab(count);
        let found = hashes.envelopes(&slab).expect("a sound device");
        assert_eq!(
            found,
            hash::envelope_digests_all(&slab),
            "{count} envelopes"
        );
    }
    // Roots and digests before and after they are offloaded, which is for the whole process.
    let sizes = [1, 2, 3, 5, 64, 127, 1000, 1001];
    let roots = || sizes.map(|size| merkle::root(&leaves(size, 2)));
    let tree_roots = || {
        let mut tree = DenseTree::new();
        let mut roots = Vec::new();
        for (at, leaf) in leaves(500, 3).into_iter().enumerate() {
            match at % 5 {
                0 if at > 0 => tree.update(at / 7, leaf),
                _ => {
                    tree.push(leaf);
                }
            }
            if at % 11 == 0 {
                roots.push(tree.root());
            }
        }
        roots
    };
    let digests = || hash::envelope_digests_all(&slab(77));
    let expected = (roots(), tree_roots(), digests());
    assert!(hash::offload_to(Box::new(hashes), 1), "for the first time");
    assert!(
        (roots(), tree_roots(), digests()) == expected,
        "from the device"
    );
}

#[test]
fn the_twins_digests_are_the_cpus() {
    let mut random = SplitMix(5);
    let bytes: Vec<u8> = (0..24 * 9)
        .flat_map(|_| random.next_u64().to_le_bytes())
        .collect();
    let (words, _) = bytes.as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let of_words = |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes);
    let expected = hash::envelope_digests_all(&bytes);
    let expected = expected
        .iter()
        .flat_map(|digests| [&digests.body[..], &digests.leaf.0].concat());
    assert!(of_words(kernels::leaf(&words)).eq(expected), "envelopes");
    let (pairs, _) = bytes.as_chunks::<64>();
    let nodes = pairs.iter().flat_map(|pair| hash::sha256(&[pair]).0);
    let whole = &words[..16 * pairs.len()];
    assert!(of_words(kernels::node(whole)).eq(nodes), "nodes");
}

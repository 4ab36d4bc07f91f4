//! Merkle trees whose levels a device hashes: the same roots and paths as the CPU's.

use clearway_crypto::hash;
use clearway_crypto::merkle::{self, DenseTree, Levels as _};
use clearway_crypto::suite::Mixer;
use clearway_gpu::{GpuTrees, testing};
use clearway_types::units::Digest;

fn leaves(count: usize, seed: u64) -> Vec<Digest> {
    let mut mixer = Mixer(seed);
    let draw = |_| hash::sha256(&[&mixer.draw().to_le_bytes()]);
    (0..count).map(draw).collect()
}

#[test]
fn levels_from_a_device_are_the_cpus() {
    let Some(adapter) = testing::adapter("levels_from_a_device_are_the_cpus") else {
        return;
    };
    let trees = GpuTrees::open(adapter).expect("the adapter is right");
    for pairs in [1, 2, 63, 64, 65, 1000, 70_000] {
        let lower = leaves(2 * pairs, 1);
        let upper = trees.nodes(&lower).expect("a sound device");
        let expected = lower
            .as_chunks()
            .0
            .iter()
            .map(|[left, right]| hash::node(left, right));
        assert!(upper.into_iter().eq(expected), "{pairs} pairs");
    }
    // Roots before and after the levels are handed over, which is for the whole process.
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
    let expected = (roots(), tree_roots());
    assert!(merkle::hand_over(Box::new(trees), 1), "for the first time");
    assert!((roots(), tree_roots()) == expected, "from the device");
}

//! Merkle trees: roots, inclusion paths, and a dense tree that rehashes only what changed.
//!
//! Two nodes make one by [`hash::node`]; an odd node at the end of a level is carried up unchanged,
//! which is the shape of RFC 6962: the left side holds the largest power of two of leaves below the
//! count. The root is [`hash::tree_root`] of the leaf count and the top node, so trees of different
//! sizes never share a root. The top of an empty tree is 32 zero bytes.

use clearway_types::units::Digest;

use crate::hash::{self, offload};
use crate::wide;

/// Root over `leaves`, in order. Allocates a buffer of their size.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    root_of(leaves.iter().copied())
}

/// Root over the leaves that an iterator gives, so that they need not lie side by side.
#[must_use]
pub fn root_of(leaves: impl Iterator<Item = Digest>) -> Digest {
    let mut level: Vec<Digest> = leaves.collect();
    let count = level.len() as u64;
    while level.len() > 1 {
        fold(&mut level);
    }
    hash::tree_root(count, level.first().unwrap_or(&Digest::ZERO))
}

/// The sibling nodes from leaf `index` up to the top, lowest first.
///
/// # Panics
/// When there is no leaf `index`.
#[must_use]
pub fn path(leaves: &[Digest], index: usize) -> Vec<Digest> {
    assert!(
        index < leaves.len(),
        "leaf {index} of {count}",
        count = leaves.len()
    );
    let mut siblings = Vec::new();
    let mut level = leaves.to_vec();
    let mut position = index;
    while level.len() > 1 {
        siblings.extend(level.get(position ^ 1));
        fold(&mut level);
        position /= 2;
    }
    siblings
}

/// Whether `siblings` prove that leaf `index` of the `count` leaves under `root` is `leaf`.
#[must_use]
pub fn verify_path(
    root: &Digest,
    count: u64,
    index: u64,
    leaf: &Digest,
    siblings: &[Digest],
) -> bool {
    if index >= count {
        return false;
    }
    let mut siblings = siblings.iter();
    let mut node = *leaf;
    let (mut position, mut last) = (index, count - 1);
    while last > 0 {
        let carried = position == last && position % 2 == 0;
        if !carried {
            let Some(sibling) = siblings.next() else {
                return false;
            };
            node = match position % 2 {
                0 => hash::node(&node, sibling),
                _ => hash::node(sibling, &node),
            };
        }
        position /= 2;
        last /= 2;
    }
    siblings.next().is_none() && hash::tree_root(count, &node) == *root
}

/// A tree kept in memory: changing k of n leaves costs at most k * log2(n) hashes at the next root.
///
/// Takes two digests a leaf, 64 bytes.
#[derive(Clone, Debug, Default)]
pub struct DenseTree {
    /// `levels[0]` holds the leaves, the last level the top node; empty for an empty tree.
    levels: Vec<Vec<Digest>>,
    /// Leaves whose path is out of date, each once.
    dirty: Vec<usize>,
    /// One bit a leaf: whether it is in `dirty`.
    dirty_bits: Vec<u64>,
}

impl DenseTree {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Whether there is no leaf.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The leaf at `index`, as last set.
    #[must_use]
    pub fn leaf(&self, index: usize) -> Option<&Digest> {
        self.levels.first()?.get(index)
    }

    /// Appends a leaf and returns its index.
    pub fn push(&mut self, leaf: Digest) -> usize {
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        let index = self.levels[0].len();
        self.levels[0].push(leaf);
        if index.is_multiple_of(64) {
            self.dirty_bits.push(0);
        }
        self.mark(index);
        index
    }

    /// Replaces the leaf at `index`.
    ///
    /// # Panics
    /// When there is no such leaf.
    pub fn update(&mut self, index: usize, leaf: Digest) {
        self.levels[0][index] = leaf;
        self.mark(index);
    }

    /// The root; hashes the paths of the leaves that changed since the last call.
    pub fn root(&mut self) -> Digest {
        self.refresh();
        let top = self.levels.last().and_then(|top| top.first());
        hash::tree_root(self.len() as u64, top.unwrap_or(&Digest::ZERO))
    }

    /// The inclusion path of the leaf at `index`, for [`verify_path`].
    ///
    /// # Panics
    /// When there is no such leaf.
    pub fn path(&mut self, index: usize) -> Vec<Digest> {
        assert!(index < self.len(), "leaf {index} of {}", self.len());
        self.refresh();
        let levels = self.levels.iter().enumerate();
        levels
            .filter_map(|(height, level)| level.get((index >> height) ^ 1).copied())
            .collect()
    }

    fn mark(&mut self, index: usize) {
        let (word, bit) = (index / 64, 1 << (index % 64));
        if self.dirty_bits[word] & bit == 0 {
            self.dirty_bits[word] |= bit;
            self.dirty.push(index);
        }
    }

    fn refresh(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for &index in &dirty {
            self.dirty_bits[index / 64] = 0;
        }
        dirty.sort_unstable();
        let mut height = 0;
        while self.levels.get(height).is_some_and(|level| level.len() > 1) {
            if height + 1 == self.levels.len() {
                self.levels.push(Vec::new());
            }
            for index in &mut dirty {
                *index /= 2;
            }
            dirty.dedup();
            let (lower, upper) = self.levels.split_at_mut(height + 1);
            refresh_level(&lower[height], &mut upper[0], &dirty);
            height += 1;
        }
        dirty.clear();
        self.dirty = dirty;
    }
}

/// Recomputes the nodes `dirty` of `upper` from `lower`, extending `upper` to its full length.
fn refresh_level(lower: &[Digest], upper: &mut Vec<Digest>, dirty: &[usize]) {
    upper.resize(lower.len().div_ceil(2), Digest::ZERO);
    let whole = dirty.partition_point(|&at| 2 * at + 1 < lower.len());
    let (whole, carried) = dirty.split_at(whole);
    let children = |&at: &usize| [lower[2 * at], lower[2 * at + 1]];
    let offloaded = offload::nodes(whole.len(), || whole.iter().flat_map(children).collect());
    let nodes =
        offloaded.unwrap_or_else(|| wide::map(whole, |places| nodes(places.iter().map(children))));
    for (&at, node) in whole.iter().zip(nodes) {
        upper[at] = node;
    }
    for &at in carried {
        upper[at] = parent(lower, at);
    }
}

/// Replaces a level by the one above it.
fn fold(level: &mut Vec<Digest>) {
    let (pairs, carried) = level.as_chunks::<2>();
    let offloaded = offload::nodes(pairs.len(), || pairs.as_flattened().to_vec());
    let mut above =
        offloaded.unwrap_or_else(|| wide::map(pairs, |pairs| nodes(pairs.iter().copied())));
    above.extend(carried);
    *level = above;
}

/// The nodes over pairs of children, hashed two at a time.
fn nodes(mut pairs: impl ExactSizeIterator<Item = [Digest; 2]>) -> Vec<Digest> {
    let mut nodes = Vec::with_capacity(pairs.len());
    while let Some(one) = pairs.next() {
        match pairs.next() {
            Some(other) => nodes.extend(hash::two_nodes([&one, &other].map(|[a, b]| [a, b]))),
            None => nodes.push(hash::node(&one[0], &one[1])),
        }
    }
    nodes
}

/// Node `at` of the level above.
fn parent(level: &[Digest], at: usize) -> Digest {
    match level.get(2 * at + 1) {
        Some(right) => hash::node(&level[2 * at], right),
        None => level[2 * at],
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::seeded::SplitMix;

    use super::*;

    fn leaf(value: u64) -> Digest {
        hash::sha256(&[&value.to_le_bytes()])
    }

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count as u64).map(leaf).collect()
    }

    /// The definition by recursion, as in RFC 6962.
    fn top(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::ZERO,
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                hash::node(&top(left), &top(right))
            }
        }
    }

    #[test]
    fn root_is_the_recursive_definition() {
        for count in (0..70).chain([127, 128, 129, 1000]) {
            let leaves = leaves(count);
            let expected = hash::tree_root(count as u64, &top(&leaves));
            assert_eq!(root(&leaves), expected, "{count} leaves");
        }
    }

    #[test]
    fn a_carried_node_is_no_doubled_leaf() {
        let three = leaves(3);
        let doubled = [three[0], three[1], three[2], three[2]];
        assert_ne!(root(&three), root(&doubled));
    }

    #[test]
    fn every_leaf_has_a_path_and_no_other_leaf_or_place_fits_it() {
        for count in [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 33] {
            let leaves = leaves(count);
            let root = root(&leaves);
            for index in 0..count {
                let siblings = path(&leaves, index);
                for (other_index, other) in leaves.iter().enumerate() {
                    for place in 0..count + 1 {
                        assert_eq!(
                            verify_path(&root, count as u64, place as u64, other, &siblings),
                            place == index && other_index == index,
                            "count {count} index {index} leaf {other_index} place {place}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_path_that_is_cut_lengthened_or_changed_proves_nothing() {
        let leaves = leaves(13);
        let root = root(&leaves);
        for index in 0..13 {
            let siblings = path(&leaves, index);
            let holds =
                |path: &[Digest]| verify_path(&root, 13, index as u64, &leaves[index], path);
            assert!(holds(&siblings));
            assert!(!holds(&siblings[1..]));
            assert!(!holds(&siblings[..siblings.len() - 1]));
            assert!(!holds(&[&siblings[..], &[Digest::ZERO]].concat()));
            for level in 0..siblings.len() {
                let mut changed = siblings.clone();
                changed[level].0[31] ^= 1;
                assert!(!holds(&changed), "index {index} level {level}");
            }
            assert!(!verify_path(
                &root,
                14,
                index as u64,
                &leaves[index],
                &siblings
            ));
        }
    }

    #[test]
    fn an_inner_node_is_not_accepted_as_a_leaf() {
        let leaves = leaves(4);
        let root = root(&leaves);
        let inner = hash::node(&leaves[0], &leaves[1]);
        let sibling = hash::node(&leaves[2], &leaves[3]);
        for count in 1..=8 {
            assert!(
                !verify_path(&root, count, 0, &inner, &[sibling]),
                "count {count}"
            );
        }
    }

    #[test]
    fn dense_tree_equals_a_fresh_root_after_any_changes() {
        let mut random = SplitMix(20_261_123);
        let mut tree = DenseTree::new();
        let mut model: Vec<Digest> = Vec::new();
        assert_eq!(tree.root(), root(&model));
        for round in 0..300 {
            for _ in 0..random.below(12) {
                let value = leaf(random.next_u64());
                if model.is_empty() || random.next_u64().is_multiple_of(3) {
                    assert_eq!(tree.push(value), model.len());
                    model.push(value);
                } else {
                    let index = random.index(model.len());
                    tree.update(index, value);
                    model[index] = value;
                }
            }
            assert_eq!(tree.root(), root(&model), "round {round}");
            if let Some(index) = model.len().checked_sub(1) {
                let at = random.index(index + 1);
                assert_eq!(tree.path(at), path(&model, at), "round {round}");
                assert_eq!(tree.leaf(at), Some(&model[at]));
            }
        }
        assert!(model.len() > 300, "the seed must grow the tree");
    }

    #[test]
    fn dense_tree_hashes_only_what_changed() {
        let mut tree = DenseTree::new();
        for value in 0..5000 {
            tree.push(leaf(value));
        }
        tree.root();
        tree.update(4321, leaf(9));
        tree.update(4321, leaf(10));
        assert_eq!(tree.dirty, [4321]);
        tree.root();
        assert!(tree.dirty.is_empty());
        assert!(tree.dirty_bits.iter().all(|&word| word == 0));
    }
}

//! Records in numbered slots: copy-on-write pages, a Merkle tree that follows changes, an undo log.

use std::sync::Arc;

use clearway_crypto::merkle::DenseTree;
use clearway_types::units::Digest;
use zerocopy::FromZeros;

/// Records of one page: a page of accounts is 8 KiB, what the first write after a snapshot copies.
const PAGE_RECORDS: usize = 64;

/// Place of a record; places are given out in the order of opening.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    fn page(self) -> usize {
        self.0 as usize / PAGE_RECORDS
    }

    fn offset(self) -> usize {
        self.0 as usize % PAGE_RECORDS
    }
}

/// A fixed-size record whose bytes the state root commits to.
pub(crate) trait Record: Copy + FromZeros {
    /// Leaf of the record in its tree.
    fn leaf(&self) -> Digest;

    /// Leaves of two records, where side by side is faster.
    fn two_leaves(records: [&Self; 2]) -> [Digest; 2] {
        records.map(Self::leaf)
    }
}

/// The pages as they are at one moment; cheap to clone, untouched by later writes.
pub(crate) struct Pages<T> {
    pages: Vec<Arc<[T; PAGE_RECORDS]>>,
    count: usize,
}

impl<T: Copy + FromZeros> Pages<T> {
    /// No pages.
    pub(crate) fn new() -> Self {
        Self {
            pages: Vec::new(),
            count: 0,
        }
    }

    /// Slots in use or used before.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The records in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages
            .iter()
            .flat_map(|page| page.iter())
            .take(self.count)
    }

    fn get(&self, slot: Slot) -> &T {
        &self.pages[slot.page()][slot.offset()]
    }

    fn get_mut(&mut self, slot: Slot) -> &mut T {
        &mut Arc::make_mut(&mut self.pages[slot.page()])[slot.offset()]
    }

    /// Appends a record.
    pub(crate) fn push(&mut self, record: T) -> Slot {
        let slot = Slot(u32::try_from(self.count).expect("tables are bounded far below 2^32"));
        if slot.page() == self.pages.len() {
            self.pages.push(Arc::new([T::new_zeroed(); PAGE_RECORDS]));
        }
        self.count = self.count.saturating_add(1);
        *self.get_mut(slot) = record;
        slot
    }
}

impl<T> Clone for Pages<T> {
    fn clone(&self) -> Self {
        Self {
            pages: self.pages.clone(),
            count: self.count,
        }
    }
}

/// Pages with their tree.
pub(crate) struct Slots<T> {
    pages: Pages<T>,
    tree: DenseTree,
    /// Slots whose leaf is out of date, each once.
    changed: Vec<Slot>,
    /// One bit a slot: whether it is in `changed`.
    changed_bits: Vec<u64>,
    /// Old records of the linked chain under way.
    undo: Option<Vec<(Slot, T)>>,
}

impl<T: Record> Slots<T> {
    /// Slots with the records of `pages`.
    pub(crate) fn new(pages: Pages<T>) -> Self {
        let mut slots = Self {
            tree: DenseTree::new(),
            changed: Vec::new(),
            changed_bits: Vec::new(),
            undo: None,
            pages,
        };
        for index in 0..slots.pages.len() {
            slots.mark(Slot(u32::try_from(index).expect("bounded below 2^32")));
        }
        slots
    }

    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    pub(crate) fn get(&self, slot: Slot) -> &T {
        self.pages.get(slot)
    }

    /// The record for writing.
    pub(crate) fn write(&mut self, slot: Slot) -> &mut T {
        if let Some(undo) = &mut self.undo {
            undo.push((slot, *self.pages.get(slot)));
        }
        self.mark(slot);
        self.pages.get_mut(slot)
    }

    pub(crate) fn push(&mut self, record: T) -> Slot {
        let slot = self.pages.push(record);
        self.mark(slot);
        slot
    }

    /// The records in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter()
    }

    /// The pages as they are now.
    pub(crate) fn pages(&self) -> Pages<T> {
        self.pages.clone()
    }

    /// From here on writes can be taken back.
    pub(crate) fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Keeps the writes since [`Slots::begin`].
    pub(crate) fn commit(&mut self) {
        self.undo = None;
    }

    /// Takes back the writes since [`Slots::begin`]; slots pushed since then stay.
    pub(crate) fn roll_back(&mut self) {
        for (slot, old) in self.undo.take().into_iter().flatten().rev() {
            *self.pages.get_mut(slot) = old;
        }
    }

    /// Merkle root over all slots; hashes what changed since the last call.
    pub(crate) fn root(&mut self) -> Digest {
        self.changed.sort_unstable();
        let (pairs, last) = self.changed.as_chunks::<2>();
        for pair in pairs {
            let leaves = T::two_leaves(pair.map(|slot| self.pages.get(slot)));
            for (slot, leaf) in pair.iter().zip(leaves) {
                put(&mut self.tree, *slot, leaf);
            }
        }
        for &slot in last {
            put(&mut self.tree, slot, self.pages.get(slot).leaf());
        }
        for slot in self.changed.drain(..) {
            self.changed_bits[slot.0 as usize / 64] = 0;
        }
        self.tree.root()
    }

    fn mark(&mut self, slot: Slot) {
        let word = slot.0 as usize / 64;
        if word == self.changed_bits.len() {
            self.changed_bits.push(0);
        }
        let bit = 1u64 << (slot.0 % 64);
        if self.changed_bits[word] & bit == 0 {
            self.changed_bits[word] |= bit;
            self.changed.push(slot);
        }
    }
}

/// Slots come in order, so that a new one is the next leaf.
fn put(tree: &mut DenseTree, slot: Slot, leaf: Digest) {
    let place = slot.0 as usize;
    if place == tree.len() {
        tree.push(leaf);
    } else {
        tree.update(place, leaf);
    }
}

//! Records in numbered slots: copy-on-write pages, a Merkle tree that follows changes, an undo log.

use std::sync::Arc;

use clearway_crypto::merkle::DenseTree;
use clearway_crypto::wide;
use clearway_types::units::Digest;
use zerocopy::{FromZeros, Immutable, IntoBytes};

use crate::tables::undo::Undo;

/// Records of one page: a page of accounts is 8 KiB, what the first write after a snapshot copies.
const PAGE_RECORDS: usize = 64;

/// Of x86-64 and most of the others.
const CACHE_LINE_BYTES: usize = 64;

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
pub(crate) trait Record: Copy + FromZeros + IntoBytes + Immutable + Send + Sync {
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

    /// Drops all slots but the first `count`.
    fn truncate(&mut self, count: usize) {
        self.count = count;
        self.pages.truncate(count.div_ceil(PAGE_RECORDS));
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

impl<T: Record> Pages<T> {
    /// Leaves of the records in these slots.
    fn leaves(&self, slots: &[Slot]) -> Vec<Digest> {
        let (pairs, last) = slots.as_chunks::<2>();
        let mut leaves = Vec::with_capacity(slots.len());
        for pair in pairs {
            leaves.extend(T::two_leaves(pair.map(|slot| self.get(slot))));
        }
        leaves.extend(last.iter().map(|&slot| self.get(slot).leaf()));
        leaves
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
    undo: Undo<(Slot, T)>,
    /// Slots at its begin.
    begin_len: usize,
}

impl<T: Record> Slots<T> {
    /// Slots with the records of `pages`.
    pub(crate) fn new(pages: Pages<T>) -> Self {
        let mut slots = Self {
            tree: DenseTree::new(),
            changed: Vec::new(),
            changed_bits: Vec::new(),
            undo: Undo::default(),
            begin_len: 0,
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

    /// Reads each cache line that [`Slots::write`] and the checks before it will read.
    pub(crate) fn touch(&self, slot: Slot) {
        let page = &self.pages.pages[slot.page()];
        let record = page[slot.offset()].as_bytes();
        let lines = record.iter().step_by(CACHE_LINE_BYTES).chain(record.last());
        std::hint::black_box(lines.fold(Arc::strong_count(page), |sum, byte| {
            sum ^ usize::from(*byte)
        }));
    }

    /// The record for writing.
    pub(crate) fn write(&mut self, slot: Slot) -> &mut T {
        self.undo.note(|| (slot, *self.pages.get(slot)));
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

    /// From here on writes can be taken back.
    pub(crate) fn begin(&mut self) {
        self.undo.begin();
        self.begin_len = self.pages.len();
    }

    /// Keeps the writes since [`Slots::begin`].
    pub(crate) fn commit(&mut self) {
        self.undo.commit();
    }

    /// Takes back the writes since [`Slots::begin`].
    pub(crate) fn roll_back(&mut self) {
        for (slot, old) in self.undo.take() {
            *self.pages.get_mut(slot) = old;
        }
        self.drop_pushed();
    }

    /// Ends the chain: what its writes wrote over, the newest first. The caller writes it back,
    /// then calls [`Slots::drop_pushed`].
    pub(crate) fn written(&mut self) -> impl Iterator<Item = (Slot, T)> + use<T> {
        self.undo.take()
    }

    /// Slots pushed since [`Slots::begin`].
    pub(crate) fn pushed(&self) -> impl Iterator<Item = Slot> + use<T> {
        let slots = self.begin_len..self.pages.len();
        slots.map(|index| Slot(u32::try_from(index).expect("bounded below 2^32")))
    }

    /// Drops the slots pushed since [`Slots::begin`], which no root has seen.
    pub(crate) fn drop_pushed(&mut self) {
        let (kept, pushed) = (self.begin_len, self.pushed());
        for slot in pushed {
            self.changed_bits[slot.0 as usize / 64] &= !(1u64 << (slot.0 % 64));
        }
        if kept < self.pages.len() {
            self.changed.retain(|slot| (slot.0 as usize) < kept);
            self.pages.truncate(kept);
        }
    }

    /// Merkle root; `None` when there has never been a slot.
    pub(crate) fn root_if_any(&mut self) -> Option<Digest> {
        (self.len() > 0).then(|| self.root())
    }

    /// The pages as they are now; `None` when there are none.
    pub(crate) fn freeze(&self) -> Option<Pages<T>> {
        (self.len() > 0).then(|| self.pages.clone())
    }

    /// Merkle root over all slots; hashes what changed since the last call.
    fn root(&mut self) -> Digest {
        assert!(!self.undo.is_on(), "roots are taken between chains");
        self.changed.sort_unstable();
        let leaves = wide::map(&self.changed, |slots| self.pages.leaves(slots));
        for (slot, leaf) in self.changed.drain(..).zip(leaves) {
            put(&mut self.tree, slot, leaf);
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

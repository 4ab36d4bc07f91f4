//! Signatures as words: what callers pack, and how a batch lies in the device's memory.

use std::collections::HashMap;

use clearway_crypto::backend::Item;
use zerocopy::IntoBytes;

use crate::keys::DeviceKeys;
use crate::layout::{
    BLOCK_WORDS, HEAD_CAPACITY, HEAD_ITEM_COUNT, HEAD_KEY_COUNT, HEAD_KEYS_AT, HEAD_NONCE,
    HEAD_WORDS, ITEM_BLOCKS, ITEM_SLOT, ITEM_STREAM, ITEM_WORDS, KEY_WORDS, MESSAGE_LEN_MAX,
    blocks_of,
};

/// Signatures of one caller, in the form that a device reads.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    items: Vec<PackedItem>,
    /// Keys, each once, in the order in which they came, and where each stands.
    keys: Vec<[u8; 32]>,
    key_places: HashMap<[u8; 32], u32>,
    /// R, A, message and padding of each item, in whole blocks.
    streams: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct PackedItem {
    s: [u32; 8],
    /// Its place in `keys`.
    key: u32,
    /// Where its stream begins, and its blocks.
    start: u32,
    blocks: u32,
}

/// One packed signature.
#[derive(Clone, Copy, Debug)]
pub struct Signature<'a> {
    packed: &'a Packed,
    at: usize,
}

/// One item of a batch: which of its sources holds it, and where there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Number of the source.
    pub source: u32,
    /// Number of the item there.
    pub item: u32,
}

/// A batch as a device reads it: two parts that lie one after another in its memory.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Header, items, new keys.
    pub head: Vec<u32>,
    /// Streams of each source, as it packed them.
    pub streams: Vec<&'a [u32]>,
    /// Which batch it is.
    pub nonce: u32,
}

/// Whether a device hashes a message of this length.
#[must_use]
pub fn fits(item: &Item<'_>) -> bool {
    item.message_len() <= MESSAGE_LEN_MAX
}

/// Words that an item takes in a batch, a new key included.
#[must_use]
pub fn words_of_item(item: &Item<'_>) -> usize {
    ITEM_WORDS + KEY_WORDS + blocks_of(item.message_len()) * BLOCK_WORDS
}

impl Packed {
    /// No items, with room for this many with two blocks, as payments have.
    #[must_use]
    pub fn with_capacity(items: usize) -> Self {
        Self {
            items: Vec::with_capacity(items),
            streams: Vec::with_capacity(items * 2 * BLOCK_WORDS),
            ..Self::default()
        }
    }

    /// Appends an item.
    ///
    /// # Panics
    /// When the item does not [`fits`].
    pub fn push(&mut self, item: &Item<'_>) {
        assert!(fits(item), "a message of {} bytes", item.message_len());
        let (r, s) = item.signature.split_at(32);
        let start = self.streams.len();
        let blocks = blocks_of(item.message_len());
        self.streams.resize(start + blocks * BLOCK_WORDS, 0);
        let bytes = self.streams[start..].as_mut_bytes();
        let mut end = 0;
        for part in [r, item.public_key, item.prefix, item.message, &[0x80]] {
            bytes[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        let bits = 8 * (64 + item.message_len()) as u64;
        *bytes.last_chunk_mut().expect("whole blocks") = bits.to_be_bytes();
        let key = self.key_place(item.public_key);
        self.items.push(PackedItem {
            s: words_of(s.try_into().expect("32 bytes")),
            key,
            start: u32_of(start),
            blocks: u32_of(blocks),
        });
    }

    /// Appends an item of another.
    pub fn push_signature(&mut self, signature: Signature<'_>) {
        let item = *signature.item();
        let start = u32_of(self.streams.len());
        self.streams.extend_from_slice(signature.stream());
        let key = self.key_place(&signature.packed.keys[item.key as usize]);
        self.items.push(PackedItem { key, start, ..item });
    }

    /// Items of one key mostly come one after another, so the last one's is looked at first.
    fn key_place(&mut self, key: &[u8; 32]) -> u32 {
        if let Some(last) = self.items.last()
            && self.keys[last.key as usize] == *key
        {
            return last.key;
        }
        let next = u32_of(self.keys.len());
        let place = *self.key_places.entry(*key).or_insert(next);
        if place == next {
            self.keys.push(*key);
        }
        place
    }

    /// Takes all items out and keeps the memory.
    pub fn clear(&mut self) {
        self.items.clear();
        self.keys.clear();
        self.key_places.clear();
        self.streams.clear();
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Words that it takes in a batch, a new key an item included.
    #[must_use]
    pub fn words(&self) -> usize {
        self.items.len() * (ITEM_WORDS + KEY_WORDS) + self.streams.len()
    }

    /// The items, in order.
    pub fn signatures(&self) -> impl Iterator<Item = Signature<'_>> {
        (0..self.items.len()).map(|at| Signature { packed: self, at })
    }
}

impl<'a> Signature<'a> {
    fn item(&self) -> &'a PackedItem {
        &self.packed.items[self.at]
    }

    fn stream(&self) -> &'a [u32] {
        let item = self.item();
        &self.packed.streams[item.start as usize..][..item.blocks as usize * BLOCK_WORDS]
    }

    /// R, as words.
    #[must_use]
    pub fn r(&self) -> &'a [u32] {
        &self.stream()[..8]
    }

    /// S, as words.
    #[must_use]
    pub fn s(&self) -> &'a [u32; 8] {
        &self.item().s
    }
}

impl<'a> Batch<'a> {
    /// Lays out the items of these sources in this order; new keys take slots of the device. `head`
    /// is memory for what stands before the streams.
    ///
    /// # Panics
    /// When the sources have more keys than the device has slots.
    #[must_use]
    pub fn lay_out(
        sources: &[&'a Packed],
        order: &[Place],
        device_keys: &mut DeviceKeys,
        capacity: usize,
        nonce: u32,
        mut head: Vec<u32>,
    ) -> Self {
        device_keys.begin_batch();
        let mut new_keys = Vec::new();
        let slots: Vec<Vec<u32>> = sources
            .iter()
            .map(|packed| {
                let keys = packed.keys.iter();
                keys.map(|key| device_keys.slot(key, &mut new_keys))
                    .collect()
            })
            .collect();
        let keys_at = HEAD_WORDS + order.len() * ITEM_WORDS;
        let head_words = keys_at + new_keys.len() * KEY_WORDS;
        head.clear();
        head.reserve(head_words);
        head.resize(HEAD_WORDS, 0);
        head[HEAD_ITEM_COUNT] = u32_of(order.len());
        head[HEAD_KEY_COUNT] = u32_of(new_keys.len());
        head[HEAD_NONCE] = nonce;
        head[HEAD_CAPACITY] = u32_of(capacity);
        head[HEAD_KEYS_AT] = u32_of(keys_at);
        let starts: Vec<u32> = sources
            .iter()
            .scan(u32_of(head_words), |next, packed| {
                let start = *next;
                *next += u32_of(packed.streams.len());
                Some(start)
            })
            .collect();
        for place in order {
            let source = place.source as usize;
            let item = &sources[source].items[place.item as usize];
            let mut words = [0; ITEM_WORDS];
            words[..8].copy_from_slice(&item.s);
            words[ITEM_STREAM] = starts[source] + item.start;
            words[ITEM_BLOCKS] = item.blocks;
            words[ITEM_SLOT] = slots[source][item.key as usize];
            head.extend_from_slice(&words);
        }
        for (key, slot) in &new_keys {
            head.extend_from_slice(&words_of(key));
            head.push(*slot);
        }
        Self {
            head,
            streams: sources.iter().map(|packed| &packed.streams[..]).collect(),
            nonce,
        }
    }

    /// All items of one source, in its order.
    ///
    /// # Panics
    /// As [`Batch::lay_out`].
    #[must_use]
    pub fn of(packed: &'a Packed, keys: &mut DeviceKeys, capacity: usize, nonce: u32) -> Self {
        let order: Vec<Place> = (0..u32_of(packed.len()))
            .map(|item| Place { source: 0, item })
            .collect();
        Self::lay_out(&[packed], &order, keys, capacity, nonce, Vec::new())
    }

    /// Its parts, as they lie in the device's memory.
    pub fn parts(&self) -> impl Iterator<Item = &[u32]> {
        std::iter::once(&self.head[..]).chain(self.streams.iter().copied())
    }

    /// All its words.
    #[must_use]
    pub fn words(&self) -> Vec<u32> {
        self.parts().collect::<Vec<_>>().concat()
    }

    /// Words of a batch of this many items with two blocks each, as payments have, and as many
    /// keys.
    #[must_use]
    pub const fn words_max(items: usize) -> usize {
        HEAD_WORDS + items * (ITEM_WORDS + KEY_WORDS + 2 * BLOCK_WORDS)
    }
}

/// Little-endian words of 32 bytes.
fn words_of(bytes: &[u8; 32]) -> [u32; 8] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|word| u32::from_le_bytes(words[word]))
}

fn u32_of(count: usize) -> u32 {
    u32::try_from(count).expect("a batch fits a device's memory")
}

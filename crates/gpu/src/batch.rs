//! Signatures as words: what callers pack, and how a batch lies in the device's memory.

use clearway_crypto::backend::Item;
use zerocopy::IntoBytes;

use crate::keys::DeviceKeys;
use crate::layout::{
    BLOCK_WORDS, HEAD_CAPACITY, HEAD_ITEM_COUNT, HEAD_KEY_COUNT, HEAD_KEYS_AT, HEAD_NONCE,
    HEAD_WORDS, ITEM_BLOCKS, ITEM_SLOT, ITEM_STREAM, ITEM_WORDS, KEY_SLOT, KEY_WORDS,
    MESSAGE_LEN_MAX, blocks_of,
};

/// Signatures of one caller.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    items: Vec<PackedItem>,
    /// R, A, message and padding of each item, in whole blocks.
    streams: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct PackedItem {
    key: [u8; 32],
    s: [u32; 8],
    /// Where its stream begins, and its length.
    start: usize,
    words: usize,
}

/// One packed signature.
#[derive(Clone, Copy, Debug)]
pub struct Signature<'a> {
    item: &'a PackedItem,
    stream: &'a [u32],
}

/// A batch as a device reads it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// All its words.
    pub words: Vec<u32>,
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
        let words = blocks_of(item.message_len()) * BLOCK_WORDS;
        self.streams.resize(start + words, 0);
        let bytes = self.streams[start..].as_mut_bytes();
        let mut end = 0;
        for part in [r, item.public_key, item.prefix, item.message, &[0x80]] {
            bytes[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        let bits = 8 * (64 + item.message_len()) as u64;
        *bytes.last_chunk_mut().expect("whole blocks") = bits.to_be_bytes();
        self.items.push(PackedItem {
            key: *item.public_key,
            s: words_of(s.try_into().expect("32 bytes")),
            start,
            words,
        });
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

    /// The items, in order.
    pub fn signatures(&self) -> impl Iterator<Item = Signature<'_>> {
        let items = self.items.iter();
        items.map(|item| Signature {
            item,
            stream: &self.streams[item.start..][..item.words],
        })
    }
}

impl Signature<'_> {
    /// Words that it takes in a batch, a new key included.
    #[must_use]
    pub fn words(&self) -> usize {
        ITEM_WORDS + KEY_WORDS + self.stream.len()
    }
}

impl Batch {
    /// Lays out signatures in this order; new keys take slots of the device.
    ///
    /// # Panics
    /// When the signatures have more keys than the device has slots.
    #[must_use]
    pub fn lay_out(
        order: &[Signature<'_>],
        device_keys: &mut DeviceKeys,
        capacity: usize,
        nonce: u32,
    ) -> Self {
        device_keys.begin_batch();
        let mut new_keys = Vec::new();
        let slots: Vec<u32> = order
            .iter()
            .map(|signature| device_keys.slot(&signature.item.key, &mut new_keys))
            .collect();
        let keys_at = HEAD_WORDS + order.len() * ITEM_WORDS;
        let mut words = vec![0; keys_at + new_keys.len() * KEY_WORDS];
        words[HEAD_ITEM_COUNT] = u32_of(order.len());
        words[HEAD_KEY_COUNT] = u32_of(new_keys.len());
        words[HEAD_NONCE] = nonce;
        words[HEAD_CAPACITY] = u32_of(capacity);
        words[HEAD_KEYS_AT] = u32_of(keys_at);
        for (entry, (key, slot)) in words[keys_at..].chunks_mut(KEY_WORDS).zip(&new_keys) {
            entry[..8].copy_from_slice(&words_of(key));
            entry[KEY_SLOT] = *slot;
        }
        words.reserve(order.iter().map(|signature| signature.stream.len()).sum());
        for (index, (signature, slot)) in order.iter().zip(slots).enumerate() {
            let stream_at = u32_of(words.len());
            let item = &mut words[HEAD_WORDS + index * ITEM_WORDS..][..ITEM_WORDS];
            item[..8].copy_from_slice(&signature.item.s);
            item[ITEM_STREAM] = stream_at;
            item[ITEM_BLOCKS] = u32_of(signature.stream.len() / BLOCK_WORDS);
            item[ITEM_SLOT] = slot;
            words.extend_from_slice(signature.stream);
        }
        Self { words, nonce }
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

//! Where a batch lies in the device's memory: the twin of `shaders/lib/verification.wgsl`.
//!
//! Everything is counted in words of 32 bits. A test holds each number to the shader's.

/// The header: number of items, of new keys, nonce, items that scratch holds, place of the keys.
pub const HEAD_ITEM_COUNT: usize = 0;
/// See [`HEAD_ITEM_COUNT`].
pub const HEAD_KEY_COUNT: usize = 1;
/// Which batch this is; results carry it.
pub const HEAD_NONCE: usize = 2;
/// Items that the scratch buffer holds.
pub const HEAD_CAPACITY: usize = 3;
/// Where the new keys begin.
pub const HEAD_KEYS_AT: usize = 4;
/// Words of the header.
pub const HEAD_WORDS: usize = 8;

/// An item: S, then where its bytes begin, ...
pub const ITEM_STREAM: usize = 8;
/// ... their blocks of SHA-512, ...
pub const ITEM_BLOCKS: usize = 9;
/// ... and the slot of its key.
pub const ITEM_SLOT: usize = 10;
/// Words of an item.
pub const ITEM_WORDS: usize = 12;
/// Blocks of SHA-512 that one item may have: R, A, the message and its padding.
pub const BLOCKS_MAX: usize = 8;
/// Words of a block.
pub const BLOCK_WORDS: usize = 32;

/// A new key: its encoding, then its slot.
pub const KEY_SLOT: usize = 8;
/// Words of a new key.
pub const KEY_WORDS: usize = 9;

/// Words of one multiple of a key.
pub const SLOT_ENTRY_WORDS: usize = 40;
/// Where a slot says whether its key is a point.
pub const SLOT_STATE: usize = 360;
/// Words of a slot.
pub const SLOT_WORDS: usize = 368;
/// The key is a point.
pub const SLOT_POINT: u32 = 1;
/// It is none.
pub const SLOT_NO_POINT: u32 = 2;

/// Words of one multiple of the base point.
pub const BASE_ENTRY_WORDS: usize = 30;
/// Multiples of the base point: 0 to 128.
pub const BASE_ENTRIES: usize = 129;

/// Scratch, in words an item: digits of k, ...
pub const SCRATCH_K: usize = 0;
/// ... of S, ...
pub const SCRATCH_S: usize = 8;
/// ... the result's coordinates, ...
pub const SCRATCH_X: usize = 16;
/// ...
pub const SCRATCH_Y: usize = 26;
/// ...
pub const SCRATCH_Z: usize = 36;
/// ... and the products of its run.
pub const SCRATCH_PRODUCT: usize = 46;
/// Words of scratch an item.
pub const SCRATCH_WORDS: usize = 56;

/// A result: what was found, then the computed encoding as evidence, ...
pub const RESULT_EVIDENCE: usize = 1;
/// ... then nonce and place.
pub const RESULT_TAG: usize = 9;
/// Words of a result.
pub const RESULT_WORDS: usize = 10;
/// Words of evidence: all of R's.
pub const EVIDENCE_WORDS: usize = 8;
/// The computed encoding is R's.
pub const RESULT_ACCEPT: u32 = 0x5aac_ce97;
/// It is another, or the key or S is none.
pub const RESULT_REJECT: u32 = 0xa553_7168;

/// The encoding is not R's, but the equation with its factor 8 holds.
pub const RESULT_COFACTOR: u32 = 0x3c96_e50b;

/// Items whose inversions one thread of the last kernel shares.
pub const RUN_LEN: usize = 8;
/// Threads of a workgroup, in every kernel.
pub const WORKGROUP_LEN: usize = 64;

/// Bytes of the longest message that the device hashes.
pub const MESSAGE_LEN_MAX: usize = 4 * BLOCK_WORDS * BLOCKS_MAX - 64 - 17;

const _: () = assert!(RESULT_EVIDENCE + EVIDENCE_WORDS == RESULT_TAG);
const _: () = assert!(RESULT_TAG + 1 == RESULT_WORDS);

/// Where item `index` begins.
#[must_use]
pub const fn item_at(index: usize) -> usize {
    HEAD_WORDS + index * ITEM_WORDS
}

/// Blocks of R, A, a message of this length and the padding of SHA-512.
#[must_use]
pub const fn blocks_of(message_len: usize) -> usize {
    (64 + message_len + 17).div_ceil(4 * BLOCK_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels;

    #[test]
    fn every_number_is_the_shaders() {
        let found = kernels::part("verification").lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("const ")?.split_once(" = ")?;
            let value = value.strip_suffix("u;")?;
            let number = match value.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => value.parse(),
            };
            Some((name, number.expect("a number") as usize))
        });
        let expected = [
            ("HEAD_ITEM_COUNT", HEAD_ITEM_COUNT),
            ("HEAD_KEY_COUNT", HEAD_KEY_COUNT),
            ("HEAD_NONCE", HEAD_NONCE),
            ("HEAD_CAPACITY", HEAD_CAPACITY),
            ("HEAD_KEYS_AT", HEAD_KEYS_AT),
            ("HEAD_WORDS", HEAD_WORDS),
            ("ITEM_STREAM", ITEM_STREAM),
            ("ITEM_BLOCKS", ITEM_BLOCKS),
            ("ITEM_SLOT", ITEM_SLOT),
            ("ITEM_WORDS", ITEM_WORDS),
            ("BLOCKS_MAX", BLOCKS_MAX),
            ("BLOCK_WORDS", BLOCK_WORDS),
            ("KEY_SLOT", KEY_SLOT),
            ("KEY_WORDS", KEY_WORDS),
            ("SLOT_ENTRY_WORDS", SLOT_ENTRY_WORDS),
            ("SLOT_STATE", SLOT_STATE),
            ("SLOT_WORDS", SLOT_WORDS),
            ("SLOT_POINT", SLOT_POINT as usize),
            ("SLOT_NO_POINT", SLOT_NO_POINT as usize),
            ("BASE_ENTRY_WORDS", BASE_ENTRY_WORDS),
            ("SCRATCH_K", SCRATCH_K),
            ("SCRATCH_S", SCRATCH_S),
            ("SCRATCH_X", SCRATCH_X),
            ("SCRATCH_Y", SCRATCH_Y),
            ("SCRATCH_Z", SCRATCH_Z),
            ("SCRATCH_PRODUCT", SCRATCH_PRODUCT),
            ("SCRATCH_WORDS", SCRATCH_WORDS),
            ("RESULT_EVIDENCE", RESULT_EVIDENCE),
            ("RESULT_TAG", RESULT_TAG),
            ("RESULT_WORDS", RESULT_WORDS),
            ("RESULT_ACCEPT", RESULT_ACCEPT as usize),
            ("RESULT_REJECT", RESULT_REJECT as usize),
            ("RESULT_COFACTOR", RESULT_COFACTOR as usize),
            ("RUN_LEN", RUN_LEN),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn blocks_hold_the_message_its_length_and_the_mark() {
        let rows = [(0, 1), (47, 1), (48, 2), (144, 2), (175, 2), (176, 3)];
        for (len, blocks) in rows {
            assert_eq!(blocks_of(len), blocks, "{len}");
        }
        assert_eq!(blocks_of(MESSAGE_LEN_MAX), BLOCKS_MAX);
        assert_eq!(blocks_of(MESSAGE_LEN_MAX + 1), BLOCKS_MAX + 1);
    }
}

// Where a batch of signatures lies in memory: the twin of crates/gpu/src/layout.rs.
//
// All buffers are arrays of 32-bit words. What the host writes lies item after item; what kernels
// leave for each other lies word after word, so that neighbouring threads touch neighbouring words.

// The batch, as the host wrote it: a header, items, new keys, and the bytes that are hashed.
@group(0) @binding(0) var<storage, read> batch: array<u32>;
// Multiples 0 to 128 of the base point.
@group(0) @binding(1) var<storage, read> base_table: array<u32>;
// A slot for each remembered key: multiples 0 to 8 of its negative, and whether it is a point.
@group(0) @binding(2) var<storage, read_write> key_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> scratch: array<u32>;
@group(0) @binding(4) var<storage, read_write> results: array<u32>;

// The header.
const HEAD_ITEM_COUNT = 0u;
const HEAD_KEY_COUNT = 1u;
// Which batch this is; results carry it, so that an older batch's results are seen as such.
const HEAD_NONCE = 2u;
// Items that the scratch buffer holds.
const HEAD_CAPACITY = 3u;
const HEAD_KEYS_AT = 4u;
const HEAD_WORDS = 8u;

// An item: S, then where its bytes begin, their blocks, and the slot of its key.
const ITEM_STREAM = 8u;
const ITEM_BLOCKS = 9u;
const ITEM_SLOT = 10u;
const ITEM_WORDS = 12u;
// Longest message, in blocks of SHA-512: R, A, the message and its padding.
const BLOCKS_MAX = 8u;
const BLOCK_WORDS = 32u;

// A new key: its encoding, then its slot.
const KEY_SLOT = 8u;
const KEY_WORDS = 9u;

// A slot: nine multiples of 40 words, then one word that says whether the key is a point.
const SLOT_ENTRY_WORDS = 40u;
const SLOT_STATE = 360u;
const SLOT_WORDS = 368u;
const SLOT_POINT = 1u;
const SLOT_NO_POINT = 2u;

const BASE_ENTRY_WORDS = 30u;

// Scratch, in words an item: digits of k and of S until they are used, then X, Y, Z of the
// result, and the products of its run of items.
const SCRATCH_K = 0u;
const SCRATCH_S = 8u;
const SCRATCH_X = 16u;
const SCRATCH_Y = 26u;
const SCRATCH_Z = 36u;
const SCRATCH_PRODUCT = 46u;
const SCRATCH_WORDS = 56u;

// A result: what was found, the computed encoding as evidence, nonce and place.
const RESULT_EVIDENCE = 1u;
const RESULT_TAG = 9u;
const RESULT_WORDS = 10u;
const RESULT_ACCEPT = 0x5aacce97u;
const RESULT_REJECT = 0xa5537168u;
// The encoding is not R's, but the equation with its factor 8 holds.
const RESULT_COFACTOR = 0x3c96e50bu;

// Items whose inversions one thread of the last kernel shares.
const RUN_LEN = 8u;

fn item_at(i: u32) -> u32 {
    return HEAD_WORDS + i * ITEM_WORDS;
}

fn batch_words(at: u32) -> array<u32, 8> {
    return array<u32, 8>(
        batch[at], batch[at + 1u], batch[at + 2u], batch[at + 3u],
        batch[at + 4u], batch[at + 5u], batch[at + 6u], batch[at + 7u],
    );
}

fn scratch_at(word: u32, i: u32) -> u32 {
    return word * batch[HEAD_CAPACITY] + i;
}

fn scratch_store_words(word: u32, i: u32, w: array<u32, 8>) {
    let stride = batch[HEAD_CAPACITY];
    let at = scratch_at(word, i);
    scratch[at] = w[0];
    scratch[at + stride] = w[1];
    scratch[at + 2u * stride] = w[2];
    scratch[at + 3u * stride] = w[3];
    scratch[at + 4u * stride] = w[4];
    scratch[at + 5u * stride] = w[5];
    scratch[at + 6u * stride] = w[6];
    scratch[at + 7u * stride] = w[7];
}

fn scratch_store(word: u32, i: u32, f: Fe) {
    let stride = batch[HEAD_CAPACITY];
    let at = scratch_at(word, i);
    scratch[at] = f.l[0];
    scratch[at + stride] = f.l[1];
    scratch[at + 2u * stride] = f.l[2];
    scratch[at + 3u * stride] = f.l[3];
    scratch[at + 4u * stride] = f.l[4];
    scratch[at + 5u * stride] = f.l[5];
    scratch[at + 6u * stride] = f.l[6];
    scratch[at + 7u * stride] = f.l[7];
    scratch[at + 8u * stride] = f.l[8];
    scratch[at + 9u * stride] = f.l[9];
}

fn scratch_load(word: u32, i: u32) -> Fe {
    let stride = batch[HEAD_CAPACITY];
    let at = scratch_at(word, i);
    return Fe(array<u32, 10>(
        scratch[at], scratch[at + stride],
        scratch[at + 2u * stride], scratch[at + 3u * stride],
        scratch[at + 4u * stride], scratch[at + 5u * stride],
        scratch[at + 6u * stride], scratch[at + 7u * stride],
        scratch[at + 8u * stride], scratch[at + 9u * stride],
    ));
}

fn key_table_store(at: u32, f: Fe) {
    key_table[at] = f.l[0];
    key_table[at + 1u] = f.l[1];
    key_table[at + 2u] = f.l[2];
    key_table[at + 3u] = f.l[3];
    key_table[at + 4u] = f.l[4];
    key_table[at + 5u] = f.l[5];
    key_table[at + 6u] = f.l[6];
    key_table[at + 7u] = f.l[7];
    key_table[at + 8u] = f.l[8];
    key_table[at + 9u] = f.l[9];
}

fn key_table_load(at: u32) -> Fe {
    return Fe(array<u32, 10>(
        key_table[at], key_table[at + 1u], key_table[at + 2u], key_table[at + 3u],
        key_table[at + 4u], key_table[at + 5u], key_table[at + 6u], key_table[at + 7u],
        key_table[at + 8u], key_table[at + 9u],
    ));
}

fn base_table_load(at: u32) -> Fe {
    return Fe(array<u32, 10>(
        base_table[at], base_table[at + 1u], base_table[at + 2u], base_table[at + 3u],
        base_table[at + 4u], base_table[at + 5u], base_table[at + 6u], base_table[at + 7u],
        base_table[at + 8u], base_table[at + 9u],
    ));
}

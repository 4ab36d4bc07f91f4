//! Twins of `shaders/kernels`: one function a kernel, over the same memory.

use super::field::{
    FE_ONE, FE_ZERO, Fe, LIMBS, fe_invert, fe_is_zero, fe_mul, fe_select, fe_square, fe_sub,
    low_u32,
};
use super::point::{
    Affine, Cached, Extended, NEUTRAL, Projective, affine_negate_if, cached_negate_if, point_add,
    point_add_affine, point_cached, point_decode_negated, point_double, point_encode,
    point_extended, point_projective,
};
use super::scalar::{scalar_is_reduced, scalar_recode, scalar_reduce};
use super::sha256::{SHA256_INITIAL, sha256_compress};
use super::sha512::{SHA512_INITIAL, sha512_compress};
use crate::layout::{
    BASE_ENTRIES, BASE_ENTRY_WORDS, BLOCK_WORDS, BLOCKS_MAX, HEAD_CAPACITY, HEAD_ITEM_COUNT,
    HEAD_KEY_COUNT, HEAD_KEYS_AT, HEAD_NONCE, ITEM_BLOCKS, ITEM_SLOT, ITEM_STREAM, KEY_SLOT,
    KEY_WORDS, RESULT_ACCEPT, RESULT_COFACTOR, RESULT_EVIDENCE, RESULT_REJECT, RESULT_TAG,
    RESULT_WORDS, RUN_LEN, SCRATCH_K, SCRATCH_PRODUCT, SCRATCH_S, SCRATCH_WORDS, SCRATCH_X,
    SCRATCH_Y, SCRATCH_Z, SLOT_ENTRY_WORDS, SLOT_NO_POINT, SLOT_POINT, SLOT_STATE, SLOT_WORDS,
    item_at,
};

/// The buffers that the kernels of a verification share.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The batch as the host wrote it.
    pub batch: Vec<u32>,
    /// Multiples of the base point.
    pub base_table: Vec<u32>,
    /// Slots of keys.
    pub key_table: Vec<u32>,
    /// What kernels leave for each other.
    pub scratch: Vec<u32>,
    /// What they found.
    pub results: Vec<u32>,
}

impl Memory {
    /// Memory for this many items and keys.
    #[must_use]
    pub fn new(items: usize, slots: usize) -> Self {
        Self {
            batch: Vec::new(),
            base_table: base_table(),
            key_table: vec![0; slots * SLOT_WORDS],
            scratch: vec![0; items * SCRATCH_WORDS],
            results: vec![0; items * RESULT_WORDS],
        }
    }

    fn head(&self, word: usize) -> usize {
        self.batch[word] as usize
    }

    fn words<const N: usize>(&self, at: usize) -> [u32; N] {
        std::array::from_fn(|word| self.batch[at + word])
    }

    fn scratch_at(&self, word: usize, i: usize) -> usize {
        word * self.head(HEAD_CAPACITY) + i
    }

    fn scratch_store<const N: usize>(&mut self, word: usize, i: usize, words: [u32; N]) {
        for (offset, value) in words.into_iter().enumerate() {
            let at = self.scratch_at(word + offset, i);
            self.scratch[at] = value;
        }
    }

    fn scratch_load(&self, word: usize, i: usize) -> Fe {
        Fe(std::array::from_fn(|limb| {
            self.scratch[self.scratch_at(word + limb, i)]
        }))
    }
}

/// Twin of `keys.wgsl`.
pub fn keys(memory: &mut Memory) {
    for j in 0..memory.head(HEAD_KEY_COUNT) {
        let key = memory.head(HEAD_KEYS_AT) + j * KEY_WORDS;
        let slot = memory.head(key + KEY_SLOT) * SLOT_WORDS;
        let decoded = point_decode_negated(memory.words(key));
        let valid = decoded.valid;
        let mut p = Extended {
            x: fe_select(FE_ZERO, decoded.point.x, valid),
            y: fe_select(FE_ONE, decoded.point.y, valid),
            z: FE_ONE,
            t: fe_select(FE_ZERO, decoded.point.t, valid),
        };
        let step = point_cached(p);
        let table = &mut memory.key_table;
        store_entry(table, slot, point_cached(NEUTRAL));
        store_entry(table, slot + SLOT_ENTRY_WORDS, step);
        for entry in 2..9 {
            p = point_extended(point_add(p, step));
            store_entry(table, slot + entry * SLOT_ENTRY_WORDS, point_cached(p));
        }
        table[slot + SLOT_STATE] = if valid { SLOT_POINT } else { SLOT_NO_POINT };
    }
}

/// Twin of `hram.wgsl`.
pub fn hram(memory: &mut Memory) {
    for i in 0..memory.head(HEAD_ITEM_COUNT) {
        let item = item_at(i);
        let mut at = memory.head(item + ITEM_STREAM);
        let mut state = SHA512_INITIAL;
        for _ in 0..memory.head(item + ITEM_BLOCKS).min(BLOCKS_MAX) {
            let words: [u32; BLOCK_WORDS] = memory.words(at);
            let (pairs, _) = words.as_chunks::<2>();
            let block = std::array::from_fn(|word| {
                let [high, low] = pairs[word].map(|half| u64::from(half.swap_bytes()));
                (high << 32) | low
            });
            state = sha512_compress(state, block);
            at += BLOCK_WORDS;
        }
        let k = scalar_reduce(std::array::from_fn(|word| {
            let shift = if word % 2 == 0 { 32 } else { 0 };
            low_u32(state[word / 2] >> shift).swap_bytes()
        }));
        let s = memory.words(item);
        memory.scratch_store(SCRATCH_K, i, scalar_recode(k, 0x8888_8888));
        memory.scratch_store(SCRATCH_S, i, scalar_recode(s, 0x8080_8080));
    }
}

/// Twin of `dsm.wgsl`.
pub fn dsm(memory: &mut Memory) {
    for i in 0..memory.head(HEAD_ITEM_COUNT) {
        let slot = memory.head(item_at(i) + ITEM_SLOT) * SLOT_WORDS;
        let mut p = Projective {
            x: FE_ZERO,
            y: FE_ONE,
            z: FE_ONE,
        };
        for window in (0..64).rev() {
            for _ in 0..3 {
                p = point_projective(point_double(p));
            }
            let four_times = point_extended(point_double(p));
            let nibbles = memory.scratch[memory.scratch_at(SCRATCH_K + window / 8, i)];
            let digit = (nibbles >> (4 * (window % 8)) & 15).cast_signed() - 8;
            let at = slot + digit.unsigned_abs() as usize * SLOT_ENTRY_WORDS;
            let multiple = key_entry(&memory.key_table, at);
            let mut sum = point_add(four_times, cached_negate_if(multiple, digit < 0));
            if window % 2 == 0 {
                let place = window / 2;
                let bytes = memory.scratch[memory.scratch_at(SCRATCH_S + place / 4, i)];
                let digit = (bytes >> (8 * (place % 4)) & 255).cast_signed() - 128;
                let at = digit.unsigned_abs() as usize * BASE_ENTRY_WORDS;
                let multiple = base_entry(&memory.base_table, at);
                let negated = affine_negate_if(multiple, digit < 0);
                sum = point_add_affine(point_extended(sum), negated);
            }
            p = point_projective(sum);
        }
        memory.scratch_store(SCRATCH_X, i, p.x.0);
        memory.scratch_store(SCRATCH_Y, i, p.y.0);
        memory.scratch_store(SCRATCH_Z, i, p.z.0);
    }
}

/// Twin of `finish.wgsl`.
pub fn finish(memory: &mut Memory) {
    let count = memory.head(HEAD_ITEM_COUNT);
    let stride = count.div_ceil(RUN_LEN);
    for first in 0..stride {
        let run: Vec<usize> = (first..count).step_by(stride).collect();
        let mut product = FE_ONE;
        for &i in &run {
            memory.scratch_store(SCRATCH_PRODUCT, i, product.0);
            product = fe_mul(product, memory.scratch_load(SCRATCH_Z, i));
        }
        let mut inverse = fe_invert(product);
        for &i in run.iter().rev() {
            let z_inverse = fe_mul(inverse, memory.scratch_load(SCRATCH_PRODUCT, i));
            inverse = fe_mul(inverse, memory.scratch_load(SCRATCH_Z, i));
            let x = fe_mul(memory.scratch_load(SCRATCH_X, i), z_inverse);
            let y = fe_mul(memory.scratch_load(SCRATCH_Y, i), z_inverse);
            write_result(memory, i, point_encode(x, y));
        }
    }
}

fn write_result(memory: &mut Memory, i: usize, encoding: [u32; 8]) {
    let item = item_at(i);
    let r: [u32; 8] = memory.words(memory.head(item + ITEM_STREAM));
    let state = memory.key_table[memory.head(item + ITEM_SLOT) * SLOT_WORDS + SLOT_STATE];
    let sound = state == SLOT_POINT && scalar_is_reduced(memory.words(item));
    let nonce = memory.batch[HEAD_NONCE];
    let mask = if sound { 0 } else { nonce | 1 };
    let accept = encoding == r && sound;
    let result = &mut memory.results[i * RESULT_WORDS..][..RESULT_WORDS];
    result[0] = if accept { RESULT_ACCEPT } else { RESULT_REJECT };
    result[RESULT_EVIDENCE..RESULT_TAG].copy_from_slice(&encoding.map(|word| word ^ mask));
    result[RESULT_TAG] = nonce ^ low_u32(i as u64);
}

/// Twin of `cofactor.wgsl`.
pub fn cofactor(memory: &mut Memory) {
    for i in 0..memory.head(HEAD_ITEM_COUNT) {
        let item = item_at(i);
        let state = memory.key_table[memory.head(item + ITEM_SLOT) * SLOT_WORDS + SLOT_STATE];
        let rejected = memory.results[i * RESULT_WORDS] == RESULT_REJECT;
        if !rejected || state != SLOT_POINT || !scalar_is_reduced(memory.words(item)) {
            continue;
        }
        let r = point_decode_negated(memory.words(memory.head(item + ITEM_STREAM)));
        if !r.valid {
            continue;
        }
        let [x, y, z] = [SCRATCH_X, SCRATCH_Y, SCRATCH_Z].map(|word| memory.scratch_load(word, i));
        let p = Extended {
            x: fe_mul(x, z),
            y: fe_mul(y, z),
            z: fe_square(z),
            t: fe_mul(x, y),
        };
        let mut rest = point_projective(point_add(p, point_cached(r.point)));
        for _ in 0..3 {
            rest = point_projective(point_double(rest));
        }
        if fe_is_zero(rest.x) && fe_is_zero(fe_sub(rest.y, rest.z)) {
            memory.results[i * RESULT_WORDS] = RESULT_COFACTOR;
        }
    }
}

/// Twin of `node.wgsl`: one level of a Merkle tree, digests of eight words in the order of memory.
///
/// # Panics
/// When `lower` does not hold pairs.
#[must_use]
pub fn node(lower: &[u32]) -> Vec<u32> {
    let (pairs, rest) = lower.as_chunks::<16>();
    assert!(rest.is_empty(), "pairs of digests");
    let mut padding = [0; 16];
    (padding[0], padding[15]) = (0x8000_0000, 512);
    let nodes = pairs.iter().flat_map(|pair| {
        let message = pair.map(u32::swap_bytes);
        let state = sha256_compress(sha256_compress(SHA256_INITIAL, message), padding);
        state.map(u32::swap_bytes)
    });
    nodes.collect()
}

/// Twin of `leaf.wgsl`: twelve words for each envelope of 48.
///
/// # Panics
/// When `envelopes` does not hold whole envelopes.
#[must_use]
pub fn leaf(envelopes: &[u32]) -> Vec<u32> {
    let (envelopes, rest) = envelopes.as_chunks::<48>();
    assert!(rest.is_empty(), "whole envelopes");
    let mut padding = [0; 16];
    (padding[0], padding[15]) = (0x8000_0000, 1024);
    let digests = envelopes.iter().flat_map(|envelope| {
        let words = envelope.map(u32::swap_bytes);
        let (blocks, _) = words.as_chunks::<16>();
        let first = sha256_compress(SHA256_INITIAL, blocks[0]);
        let body = sha256_compress(sha256_compress(first, blocks[1]), padding);
        // The prefix is one byte of zeros: all that follows is shifted by one.
        let mut shifted = [0; 32];
        let mut before = 0;
        let message = body.iter().chain(&blocks[2]);
        for (to, &word) in shifted.iter_mut().zip(message) {
            *to = (before << 24) | (word >> 8);
            before = word;
        }
        (shifted[24], shifted[31]) = ((before << 24) | 0x80_0000, 776);
        let (halves, _) = shifted.as_chunks::<16>();
        let half = sha256_compress(SHA256_INITIAL, halves[0]);
        let whole = sha256_compress(half, halves[1]);
        let digest = body[..4].iter().chain(&whole);
        digest.map(|word| word.swap_bytes()).collect::<Vec<_>>()
    });
    digests.collect()
}

/// The multiples 0 to 128 of the base point, as `dsm` reads them.
#[must_use]
pub fn base_table() -> Vec<u32> {
    let mut encoding = [0x6666_6666; 8];
    encoding[0] = 0x6666_6658;
    // Decoding negates, and the negative of the base point differs by the sign of x.
    encoding[7] ^= 1 << 31;
    let base = point_decode_negated(encoding).point;
    let step = point_cached(base);
    let mut point = NEUTRAL;
    let mut table = Vec::with_capacity(BASE_ENTRIES * BASE_ENTRY_WORDS);
    for _ in 0..BASE_ENTRIES {
        let inverse = fe_invert(point.z);
        let (x, y) = (fe_mul(point.x, inverse), fe_mul(point.y, inverse));
        let entry = point_cached(Extended {
            x,
            y,
            z: FE_ONE,
            t: fe_mul(x, y),
        });
        table.extend(
            [entry.y_plus_x, entry.y_minus_x, entry.t2d]
                .map(|fe| fe.0)
                .as_flattened(),
        );
        point = point_extended(point_add(point, step));
    }
    table
}

fn load(table: &[u32], at: usize) -> Fe {
    let limbs: &[u32; LIMBS] = table[at..].first_chunk().expect("an element of the field");
    Fe(*limbs)
}

fn key_entry(table: &[u32], at: usize) -> Cached {
    Cached {
        y_plus_x: load(table, at),
        y_minus_x: load(table, at + 10),
        z2: load(table, at + 20),
        t2d: load(table, at + 30),
    }
}

fn base_entry(table: &[u32], at: usize) -> Affine {
    Affine {
        y_plus_x: load(table, at),
        y_minus_x: load(table, at + 10),
        t2d: load(table, at + 20),
    }
}

fn store_entry(table: &mut [u32], at: usize, entry: Cached) {
    let limbs = [entry.y_plus_x, entry.y_minus_x, entry.z2, entry.t2d].map(|fe| fe.0);
    table[at..at + SLOT_ENTRY_WORDS].copy_from_slice(limbs.as_flattened());
}

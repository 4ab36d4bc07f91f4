//! SHA-256 of what blocks commit to: envelopes, receipts, accounts, batches, manifests, heads.
//!
//! One block of 64 bytes costs about 37 ns with the CPU's SHA instructions, and less where two
//! messages of one length are hashed side by side (`sha_ni`): a node 57 ns for 75. The messages
//! hashed most often have fixed lengths, so their padding is laid out by hand and no bytes are
//! buffered.

mod hasher;
pub(crate) mod offload;
mod receipts;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

pub use hasher::{Hasher, NoSuchHasher, choose, chosen};
pub use offload::{Offload, is_offloaded, offload_to};
pub use receipts::{ReceiptOf, event_digest, receipt_leaf, receipt_leaves};

use clearway_types::account::Account;
use clearway_types::batch::{BATCH_HEADER_BYTES, BatchHeader, EnvelopeDigests};
use clearway_types::domain::prefix;
use clearway_types::envelope::{BODY_BYTES, Envelope, envelopes};
use clearway_types::units::{Digest, Height};
use zerocopy::IntoBytes;

/// SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    Digest(chosen().sha256(parts))
}

/// Both hashes of one envelope: five SHA-256 blocks.
#[must_use]
pub fn envelope_digests(envelope: &Envelope) -> EnvelopeDigests {
    envelope_digests_by(chosen(), envelope)
}

/// [`envelope_digests`] by this hasher.
#[must_use]
pub fn envelope_digests_by(hasher: Hasher, envelope: &Envelope) -> EnvelopeDigests {
    let [digests] = digests_of(hasher, [envelope]);
    digests
}

/// [`envelope_digests`] of each envelope of a slab, in order.
///
/// # Panics
/// When the slab does not hold whole envelopes.
#[must_use]
pub fn envelope_digests_all(slab: &[u8]) -> Vec<EnvelopeDigests> {
    if let Some(digests) = offload::envelopes(slab) {
        return digests;
    }
    let (pairs, last) = envelopes(slab).as_chunks::<2>();
    let hasher = chosen();
    let pairs = pairs
        .iter()
        .flat_map(|pair| digests_of(hasher, pair.each_ref()));
    pairs.chain(last.iter().map(envelope_digests)).collect()
}

fn digests_of<const N: usize>(hasher: Hasher, of: [&Envelope; N]) -> [EnvelopeDigests; N] {
    let bodies = of.map(|envelope| {
        let mut blocks = [0; BODY_BLOCKS_BYTES];
        blocks[..BODY_BYTES].copy_from_slice(envelope.body.as_bytes());
        blocks
    });
    let bodies = finish_by(hasher, bodies, BODY_BYTES);
    let leaves = std::array::from_fn(|at| {
        let mut blocks = [0; LEAF_BLOCKS_BYTES];
        blocks[0] = prefix::ENVELOPE_LEAF;
        blocks[1..33].copy_from_slice(&bodies[at].0);
        blocks[33..LEAF_BYTES].copy_from_slice(&of[at].signature);
        blocks
    });
    let leaves: [Digest; N] = finish_by(hasher, leaves, LEAF_BYTES);
    std::array::from_fn(|at| EnvelopeDigests {
        body: *bodies[at].0.first_chunk().expect("32 bytes"),
        leaf: leaves[at],
    })
}

/// An inner node of every Merkle tree: SHA-256 of exactly 64 bytes.
///
/// It has no prefix byte: no leaf is 64 bytes long, so no leaf can pass for a node.
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    node_by(chosen(), left, right)
}

/// [`node`] by this hasher.
#[must_use]
pub fn node_by(hasher: Hasher, left: &Digest, right: &Digest) -> Digest {
    let block = node_block([left, right]);
    one(hasher, &[block, NODE_PADDING])
}

/// [`node`] of two pairs, in the time of one.
#[must_use]
pub fn two_nodes(pairs: [[&Digest; 2]; 2]) -> [Digest; 2] {
    let hasher = chosen();
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = side_by_side(hasher) {
        let [left, right] = pairs.map(node_block);
        let words = sha_ni::two(
            token,
            [&[left], &[right]],
            Some(&sha_ni::NODE_PADDING_SCHEDULE),
        );
        return words.map(digest_of_words);
    }
    pairs.map(|[left, right]| node_by(hasher, left, right))
}

/// The instructions for two messages side by side, where they are to be used.
#[cfg(target_arch = "x86_64")]
#[inline]
fn side_by_side(hasher: Hasher) -> Option<sha_ni::Token> {
    (hasher == Hasher::ShaNi).then(sha_ni::Token::new)?
}

fn node_block([left, right]: [&Digest; 2]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block[..32].copy_from_slice(&left.0);
    block[32..].copy_from_slice(&right.0);
    block
}

/// Root of a tree with `count` leaves under the top node `top`.
#[must_use]
pub fn tree_root(count: u64, top: &Digest) -> Digest {
    let mut block = [0; BLOCK_BYTES];
    block[0] = prefix::TREE_ROOT;
    block[1..9].copy_from_slice(&count.to_le_bytes());
    block[9..41].copy_from_slice(&top.0);
    let [root] = finish([block], 41);
    root
}

/// Digest of a lane batch: its header commits to all its envelopes.
#[must_use]
pub fn batch_digest(header: &BatchHeader) -> Digest {
    const BYTES: usize = 1 + BATCH_HEADER_BYTES;
    let mut blocks = [0; 2 * BLOCK_BYTES];
    blocks[0] = prefix::BATCH;
    blocks[1..BYTES].copy_from_slice(&header.to_bytes());
    let [digest] = finish([blocks], BYTES);
    digest
}

/// Digest of a manifest's canonical bytes.
#[must_use]
pub fn manifest_digest(canonical: &[u8]) -> Digest {
    sha256(&[&[prefix::MANIFEST], canonical])
}

/// Leaves of the accounts tree.
#[must_use]
pub fn account_leaves<const N: usize>(accounts: [&Account; N]) -> [Digest; N] {
    const BYTES: usize = 1 + size_of::<Account>();
    let blocks = accounts.map(|account| {
        let mut blocks = [0; 3 * BLOCK_BYTES];
        blocks[0] = prefix::ACCOUNT_LEAF;
        blocks[1..BYTES].copy_from_slice(account.as_bytes());
        blocks
    });
    finish(blocks, BYTES)
}

/// Next link of the chain of execution heads; the head at height 0 is the genesis hash.
#[must_use]
pub fn exec_head(
    previous: &Digest,
    height: Height,
    receipts_root: &Digest,
    state_root: Option<&Digest>,
) -> Digest {
    let height = height.0.to_le_bytes();
    let head: [&[u8]; 4] = [&[prefix::EXEC_HEAD], &previous.0, &height, &receipts_root.0];
    let [a, b, c, d] = head;
    match state_root {
        Some(root) => sha256(&[a, b, c, d, &[1], &root.0]),
        None => sha256(&[a, b, c, d, &[0]]),
    }
}

/// Pads messages of one length and hashes them, two of them side by side. Each stands in the first
/// `len` bytes; the rest is zero.
#[inline]
fn finish<const BYTES: usize, const N: usize>(
    messages: [[u8; BYTES]; N],
    len: usize,
) -> [Digest; N] {
    finish_by(chosen(), messages, len)
}

#[inline]
fn finish_by<const BYTES: usize, const N: usize>(
    hasher: Hasher,
    mut messages: [[u8; BYTES]; N],
    len: usize,
) -> [Digest; N] {
    const { assert!(BYTES.is_multiple_of(BLOCK_BYTES)) };
    assert!(len + PADDING_BYTES_MIN <= BYTES && BYTES - len < PADDING_BYTES_MIN + BLOCK_BYTES);
    let bits = (len as u64) * 8;
    for message in &mut messages {
        message[len] = 0x80;
        message[BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
    }
    #[cfg(target_arch = "x86_64")]
    if let [left, right] = messages.as_slice()
        && let Some(token) = side_by_side(hasher)
    {
        let blocks = [left, right].map(|message| message.as_chunks().0);
        let words = sha_ni::two(token, blocks, None);
        return std::array::from_fn(|at| digest_of_words(words[at]));
    }
    messages.map(|message| one(hasher, message.as_chunks().0))
}

/// The hash of a message of whole padded blocks.
fn one(hasher: Hasher, blocks: &[[u8; BLOCK_BYTES]]) -> Digest {
    let mut state = INITIAL_STATE;
    hasher.compress256(&mut state, blocks);
    digest_of_words(state)
}

fn digest_of_words(words: [u32; 8]) -> Digest {
    let mut out = [0; 32];
    for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_be_bytes();
    }
    Digest(out)
}

/// The second block of every node: 64 bytes went before it.
const NODE_PADDING: [u8; BLOCK_BYTES] = {
    let mut block = [0; BLOCK_BYTES];
    block[0] = 0x80;
    // 512 bits.
    block[BLOCK_BYTES - 2] = 2;
    block
};

/// Bytes of a SHA-256 block.
const BLOCK_BYTES: usize = 64;
/// One bit that ends the message and its length in bits.
const PADDING_BYTES_MIN: usize = 9;
/// Bytes of an envelope's leaf before hashing: prefix, body hash, signature.
const LEAF_BYTES: usize = 1 + 32 + 64;
const BODY_BLOCKS_BYTES: usize = 3 * BLOCK_BYTES;
const LEAF_BLOCKS_BYTES: usize = 2 * BLOCK_BYTES;
/// FIPS 180-4, section 5.3.3.
const INITIAL_STATE: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[cfg(test)]
mod tests {
    use clearway_types::batch::LaneId;
    use clearway_types::units::{TimeMs, ValidatorNumber};
    use sha2::Digest as _;
    use zerocopy::FromBytes;

    use super::*;

    /// Plain concatenation and hashing, as the formulas in the docs say.
    fn plain(parts: &[&[u8]]) -> Digest {
        Digest(sha2::Sha256::digest(parts.concat()).into())
    }

    fn digest(seed: u8) -> Digest {
        let mut bytes = [seed; 32];
        bytes[seed as usize] ^= 0x55;
        Digest(bytes)
    }

    #[test]
    fn sha256_gives_the_standards_value() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&[b"a", b"", b"bc"]).to_string(), expected);
    }

    #[test]
    fn envelope_digests_are_the_plain_hashes() {
        let bytes: Vec<u8> = (0..251).cycle().take(192 * 5).collect();
        let all = envelope_digests_all(&bytes);
        assert_eq!(all.len(), 5);
        for (bytes, digests) in bytes.chunks_exact(192).zip(all) {
            let body = plain(&[&bytes[..128]]);
            assert_eq!(digests.body, body.0[..16]);
            assert_eq!(digests.leaf, plain(&[&[0], &body.0, &bytes[128..]]));
            let envelope = Envelope::read_from_bytes(bytes).unwrap();
            assert_eq!(envelope_digests(&envelope), digests);
            for hasher in Hasher::here() {
                assert_eq!(
                    envelope_digests_by(hasher, &envelope),
                    digests,
                    "{hasher:?}"
                );
            }
        }
    }

    #[test]
    fn fixed_length_hashes_are_the_plain_hashes() {
        let (a, b) = (digest(1), digest(2));
        assert_eq!(node(&a, &b), plain(&[&a.0, &b.0]));
        for hasher in Hasher::here() {
            assert_eq!(node_by(hasher, &a, &b), plain(&[&a.0, &b.0]), "{hasher:?}");
        }
        assert_eq!(tree_root(9, &a), plain(&[&[3], &9u64.to_le_bytes(), &a.0]));
        let header = BatchHeader {
            lane: LaneId::first(ValidatorNumber(1)),
            count: 2,
            index: 3,
            previous: a,
            directory_height: Height(4),
            time: TimeMs(5),
            envelopes_root: b,
        };
        assert_eq!(batch_digest(&header), plain(&[&[4], &header.to_bytes()]));
        assert_eq!(manifest_digest(b"manifest"), plain(&[&[5], b"manifest"]));
    }

    #[test]
    fn two_at_a_time_hash_as_one_does() {
        let all: Vec<Digest> = (0..8).map(digest).collect();
        let two = two_nodes([[&all[0], &all[1]], [&all[2], &all[3]]]);
        assert_eq!(two, [node(&all[0], &all[1]), node(&all[2], &all[3])]);
        let bytes: Vec<u8> = (0..251).cycle().take(2 * size_of::<Account>()).collect();
        let accounts = <[Account]>::ref_from_bytes(&bytes).expect("two accounts");
        let expected = [0, 1].map(|at| plain(&[&[7], accounts[at].as_bytes()]));
        assert_eq!(account_leaves([&accounts[0], &accounts[1]]), expected);
        assert_eq!(account_leaves([&accounts[1]]), expected[1..]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_kernel_agrees_with_the_general_hasher_at_every_number_of_blocks() {
        let Some(token) = sha_ni::Token::new() else {
            println!("NOT RUN: this machine has no SHA instructions");
            return;
        };
        let bytes: Vec<u8> = (0..=250).cycle().take(64 * 40).collect();
        let last = NODE_PADDING;
        for count in 0..20 {
            let (left, right) = bytes.as_chunks().0.split_at(count);
            let right = &right[..count];
            let found = sha_ni::two(token, [left, right], None).map(digest_of_words);
            let one = |blocks: &[[u8; 64]]| one(Hasher::Sha2, blocks);
            assert_eq!(found, [one(left), one(right)], "{count} blocks");
            let found = sha_ni::two(token, [left, right], Some(&sha_ni::NODE_PADDING_SCHEDULE));
            let with_last = |blocks: &[[u8; 64]]| one(&[blocks, &[last]].concat());
            let expected = [with_last(left), with_last(right)];
            assert_eq!(found.map(digest_of_words), expected, "{count} and one");
        }
    }

    #[test]
    fn exec_heads_differ_by_every_input() {
        let (a, b, c) = (digest(1), digest(2), digest(3));
        let heads = [
            exec_head(&a, Height(1), &b, None),
            exec_head(&a, Height(1), &b, Some(&c)),
            exec_head(&a, Height(2), &b, None),
            exec_head(&a, Height(1), &c, None),
            exec_head(&b, Height(1), &b, None),
        ];
        for (i, head) in heads.iter().enumerate() {
            assert!(!heads[..i].contains(head), "row {i}");
        }
        let expected = plain(&[&[6], &a.0, &1u64.to_le_bytes(), &b.0, &[1], &c.0]);
        assert_eq!(heads[1], expected);
    }
}

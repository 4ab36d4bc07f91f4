//! SHA-512 of several messages at a time, a message a lane (FIPS 180-4, sections 5 and 6.4).
//!
//! Lanes go through their blocks in step, so that messages of one block count are hashed together
//! and others one by one: envelopes all have the same length.

use super::field::Work;
use crate::hash::{self, Hasher};

/// A vector of 64-bit words, a message's own in each lane.
pub(crate) trait Words<const LANES: usize>: Copy {
    /// Proof that this machine has the instructions.
    type Token: Copy + Send + Sync;

    /// Runs `work` where the compiler may use the instructions.
    fn enter<D: Work>(token: Self::Token, work: D) -> D::Output;
    /// The same word in every lane.
    fn splat(token: Self::Token, word: u64) -> Self;
    /// The 16 big-endian words of each lane's block.
    fn load_block(token: Self::Token, blocks: [&[u8; BLOCK_BYTES]; LANES]) -> [Self; 16];
    /// The words, lane by lane.
    fn store(self) -> [u64; LANES];
    /// Sum modulo 2^64.
    fn add(self, other: Self) -> Self;
    /// Sigma 0 of a round's a.
    fn big_sigma_0(self) -> Self;
    /// Sigma 1 of a round's e.
    fn big_sigma_1(self) -> Self;
    /// sigma 0 of the schedule.
    fn small_sigma_0(self) -> Self;
    /// sigma 1 of the schedule.
    fn small_sigma_1(self) -> Self;
    /// `self` chooses between two words, bit by bit.
    fn choose(self, set: Self, clear: Self) -> Self;
    /// The majority of three words, bit by bit.
    fn majority(self, second: Self, third: Self) -> Self;
}

/// A message to hash: the concatenation of its parts.
pub(crate) type Parts<'a> = [&'a [u8]; 4];

/// The hash of each message as a 512-bit little-endian number, lowest word first.
pub(crate) fn hash<W: Words<LANES>, const LANES: usize>(
    token: W::Token,
    messages: &[Parts<'_>; LANES],
) -> [[u64; 8]; LANES] {
    let count = block_count(&messages[0]);
    if count > BLOCKS_MAX || messages.iter().any(|parts| block_count(parts) != count) {
        return messages.map(|parts| hash_one(&parts));
    }
    let mut blocks = [[[0; BLOCK_BYTES]; BLOCKS_MAX]; LANES];
    for (blocks, parts) in blocks.iter_mut().zip(messages) {
        pad(&mut blocks.as_flattened_mut()[..count * BLOCK_BYTES], parts);
    }
    W::enter(
        token,
        Compress::<W, LANES> {
            token,
            count,
            blocks: &blocks,
        },
    )
}

/// The blocks of all lanes, padded.
struct Compress<'a, W: Words<LANES>, const LANES: usize> {
    token: W::Token,
    count: usize,
    blocks: &'a [[[u8; BLOCK_BYTES]; BLOCKS_MAX]; LANES],
}

impl<W: Words<LANES>, const LANES: usize> Work for Compress<'_, W, LANES> {
    type Output = [[u64; 8]; LANES];

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut state = [W::splat(self.token, 0); 8];
        for (state, word) in state.iter_mut().zip(INITIAL) {
            *state = W::splat(self.token, word);
        }
        for block in 0..self.count {
            let blocks = std::array::from_fn(|lane| &self.blocks[lane][block]);
            compress(self.token, &mut state, W::load_block(self.token, blocks));
        }
        // The hash is a string of big-endian words, the scalar a little-endian number.
        let mut hashes = [[0; 8]; LANES];
        for (at, word) in state.into_iter().enumerate() {
            for (hash, word) in hashes.iter_mut().zip(word.store()) {
                hash[at] = word.swap_bytes();
            }
        }
        hashes
    }
}

/// The same for one message, by the hasher of this process.
pub(crate) fn hash_one(parts: &Parts<'_>) -> [u64; 8] {
    hash_one_by(hash::chosen(), parts)
}

pub(crate) fn hash_one_by(hasher: Hasher, parts: &Parts<'_>) -> [u64; 8] {
    let digest = hasher.sha512(parts);
    std::array::from_fn(|word| {
        u64::from_le_bytes(digest[8 * word..][..8].try_into().expect("eight bytes"))
    })
}

fn len(parts: &Parts<'_>) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Blocks of the padded message: one byte and a length of 16 bytes are appended.
fn block_count(parts: &Parts<'_>) -> usize {
    (len(parts) + 17).div_ceil(BLOCK_BYTES)
}

fn pad(blocks: &mut [u8], parts: &Parts<'_>) {
    let mut at = 0;
    for part in parts {
        blocks[at..][..part.len()].copy_from_slice(part);
        at += part.len();
    }
    blocks[at] = 0x80;
    let bits = (8 * at as u64).to_be_bytes();
    let end = blocks.len();
    blocks[end - 8..].copy_from_slice(&bits);
}

/// One block of each lane.
#[inline(always)]
fn compress<W: Words<LANES>, const LANES: usize>(
    token: W::Token,
    state: &mut [W; 8],
    mut schedule: [W; 16],
) {
    let mut next = *state;
    // Written out: left as a loop, each round would index the schedule and move eight registers.
    macro_rules! rounds {
        ($constants:ident, $extend:literal) => {
            rounds!($constants, $extend, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
        };
        ($constants:ident, $extend:literal, $($at:literal)*) => {$(
            next = round(next, schedule[$at].add(W::splat(token, $constants[$at])));
            if $extend {
                schedule[$at] = sixteen_later(&schedule, $at);
            }
        )*};
    }
    let (constants, last) = ROUNDS.split_at(ROUNDS.len() - 1);
    for constants in constants {
        rounds!(constants, true);
    }
    for constants in last {
        rounds!(constants, false);
    }
    for (state, word) in state.iter_mut().zip(next) {
        *state = state.add(word);
    }
}

#[inline(always)]
fn round<W: Words<LANES>, const LANES: usize>([a, b, c, d, e, f, g, h]: [W; 8], word: W) -> [W; 8] {
    let first = h.add(e.big_sigma_1()).add(e.choose(f, g)).add(word);
    let second = a.big_sigma_0().add(a.majority(b, c));
    [first.add(second), a, b, c, d.add(first), e, f, g]
}

/// The word that takes this one's place in the schedule.
#[inline(always)]
fn sixteen_later<W: Words<LANES>, const LANES: usize>(schedule: &[W; 16], at: usize) -> W {
    let near = schedule[(at + 1) % 16].small_sigma_0();
    let far = schedule[(at + 14) % 16].small_sigma_1();
    let middle = schedule[(at + 9) % 16];
    schedule[at].add(near).add(middle.add(far))
}

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 128;
/// Longer messages, which come from test vectors alone, are hashed one by one.
const BLOCKS_MAX: usize = 4;
/// The first 64 bits of the fractional parts of the square roots of the first eight primes.
pub(crate) const INITIAL: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];
/// The same of the cube roots of the first eighty primes.
#[rustfmt::skip]
const ROUNDS: [[u64; 16]; 5] = [
    [
        0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
        0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
        0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
        0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    ],
    [
        0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
        0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
        0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
        0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    ],
    [
        0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
        0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
        0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
        0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    ],
    [
        0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
        0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
        0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
        0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    ],
    [
        0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
        0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
        0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
        0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
    ],
];

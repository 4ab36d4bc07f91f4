//! Two SHA-256 side by side with the processor's SHA instructions.
//!
//! An instruction for two rounds takes four cycles and can start every second one: two messages
//! keep the unit busy where one leaves it waiting half of the time.
//!
//! Attacked by `hash::tests`, which compares every length with `sha2`.
#![allow(
    unsafe_code,
    reason = "vector instructions exist only where they were detected; loads take addresses"
)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_loadu_si128, _mm_set_epi8, _mm_set_epi32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_storeu_si128,
};

use super::{BLOCK_BYTES, INITIAL_STATE, NODE_PADDING};

/// Proof that this machine has the SHA instructions, SSSE3 and SSE4.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token(());

impl Token {
    /// The proof, where it holds.
    #[must_use]
    pub(super) fn new() -> Option<Self> {
        use std::arch::is_x86_feature_detected as detected;
        (detected!("sha") && detected!("ssse3") && detected!("sse4.1")).then_some(Self(()))
    }
}

/// The hashes of two messages of equally many padded blocks, as words; `last` is the schedule of a
/// further block that both end with.
///
/// # Panics
/// When one message is longer.
#[must_use]
pub(super) fn two(
    _token: Token,
    messages: [&[[u8; BLOCK_BYTES]]; 2],
    last: Option<&Schedule>,
) -> [[u32; 8]; 2] {
    assert_eq!(messages[0].len(), messages[1].len(), "equally long");
    // SAFETY: the token exists only where the instructions do.
    unsafe { kernel(messages, last) }
}

/// Words ABEF and CDGH of one message's state, as the instructions want them.
type State = [__m128i; 2];

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn kernel(messages: [&[[u8; BLOCK_BYTES]]; 2], last: Option<&Schedule>) -> [[u32; 8]; 2] {
    let [a, b, c, d, e, f, g, h] = INITIAL_STATE.map(u32::cast_signed);
    let mut states = [[_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]; 2];
    for (left, right) in messages[0].iter().zip(messages[1]) {
        let before = states;
        states = block(states, [load(left), load(right)]);
        states = sums(states, before);
    }
    if let Some(schedule) = last {
        let before = states;
        for words in schedule {
            let words = load_words(words);
            states = [rounds(states[0], words), rounds(states[1], words)];
        }
        states = sums(states, before);
    }
    states.map(|state| words(state))
}

/// The rounds of one block of each message.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn block(mut states: [State; 2], mut words: [[__m128i; 4]; 2]) -> [State; 2] {
    // Written out, so that the sixteen words stay in registers.
    macro_rules! four_rounds {
        ($quad:literal) => {
            let constants = load_words(&ROUNDS[$quad]);
            for (state, words) in states.iter_mut().zip(&mut words) {
                if $quad >= 4 {
                    words[$quad % 4] = next_words(
                        words[$quad % 4],
                        words[($quad + 1) % 4],
                        words[($quad + 2) % 4],
                        words[($quad + 3) % 4],
                    );
                }
                *state = rounds(*state, _mm_add_epi32(words[$quad % 4], constants));
            }
        };
    }
    four_rounds!(0);
    four_rounds!(1);
    four_rounds!(2);
    four_rounds!(3);
    four_rounds!(4);
    four_rounds!(5);
    four_rounds!(6);
    four_rounds!(7);
    four_rounds!(8);
    four_rounds!(9);
    four_rounds!(10);
    four_rounds!(11);
    four_rounds!(12);
    four_rounds!(13);
    four_rounds!(14);
    four_rounds!(15);
    states
}

/// Four words of the schedule from the sixteen before them (FIPS 180-4, section 6.2.2).
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn next_words(first: __m128i, second: __m128i, third: __m128i, fourth: __m128i) -> __m128i {
    let middle = _mm_alignr_epi8::<4>(fourth, third);
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(first, second), middle);
    _mm_sha256msg2_epu32(sum, fourth)
}

/// Four rounds with these words, constants added.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn rounds([abef, cdgh]: State, words: __m128i) -> State {
    let next = _mm_sha256rnds2_epu32(cdgh, abef, words);
    let upper = _mm_shuffle_epi32::<0b11_10>(words);
    [_mm_sha256rnds2_epu32(abef, next, upper), next]
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn sums(states: [State; 2], before: [State; 2]) -> [State; 2] {
    let sum = |of: usize, half: usize| _mm_add_epi32(states[of][half], before[of][half]);
    [[sum(0, 0), sum(0, 1)], [sum(1, 0), sum(1, 1)]]
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn load_words(words: &[u32; 4]) -> __m128i {
    // SAFETY: the reference is to 16 readable bytes; the load needs no alignment.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

/// The sixteen words of a block.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn load(block: &[u8; BLOCK_BYTES]) -> [__m128i; 4] {
    let turn = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let mut words = [turn; 4];
    for (words, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        // SAFETY: the reference is to 16 readable bytes; the load needs no alignment.
        *words = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }, turn);
    }
    words
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn words(state: State) -> [u32; 8] {
    let mut halves = [[0_u32; 4]; 2];
    for (half, register) in halves.iter_mut().zip(state) {
        // SAFETY: `half` is 16 writable bytes; the store needs no alignment.
        unsafe { _mm_storeu_si128(half.as_mut_ptr().cast(), register) };
    }
    let [[f, e, b, a], [h, g, d, c]] = halves;
    [a, b, c, d, e, f, g, h]
}

/// The words of a block's 64 rounds, constants added.
pub(super) type Schedule = [[u32; 4]; 16];

/// FIPS 180-4, section 6.2.2, step 1.
const fn schedule(block: &[u8; BLOCK_BYTES]) -> Schedule {
    let mut words = [0_u32; 64];
    let mut schedule = [[0; 4]; 16];
    let mut at = 0;
    while at < 64 {
        words[at] = if at < 16 {
            let [a, b, c, d] = [4 * at, 4 * at + 1, 4 * at + 2, 4 * at + 3];
            u32::from_be_bytes([block[a], block[b], block[c], block[d]])
        } else {
            let (early, late) = (words[at - 15], words[at - 2]);
            let small_0 = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
            let small_1 = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
            let sum = words[at - 16].wrapping_add(words[at - 7]);
            sum.wrapping_add(small_0).wrapping_add(small_1)
        };
        schedule[at / 4][at % 4] = words[at].wrapping_add(ROUNDS[at / 4][at % 4]);
        at += 1;
    }
    schedule
}

/// That of the block behind every node.
pub(super) static NODE_PADDING_SCHEDULE: Schedule = schedule(&NODE_PADDING);
/// FIPS 180-4, section 4.2.2, four a row.
static ROUNDS: Schedule = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

//! Two SHA-256 side by side with the processor's SHA instructions.
//!
//! An instruction for two rounds takes four cycles and can start every second one: two messages
//! keep the unit busy where one leaves it waiting half of the time.
//!
//! Attacked by `hash::tests`, which compares every length with the general hasher.
#![allow(
    unsafe_code,
    reason = "vector instructions exist only where they were detected; loads take addresses"
)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_loadu_si128, _mm_set_epi8, _mm_set_epi32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_storeu_si128,
};

use super::{BLOCK_BYTES, INITIAL_STATE, ROUNDS, Schedule};

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

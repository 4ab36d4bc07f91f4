//! The eight-lane unit's instructions against their emulation, and the field over it against the
//! twin in plain integers, at the limbs' bounds.

use clearway_types::seeded::SplitMix;

use super::field::{Field, LaneMask};
use super::field_tests::{bytes, results};
use super::ifma8::Token;
use super::ifma8::emulated::Emulated;
use super::ifma8::field::{CARRIED_END, Field8};
use super::ifma8::unit::{Register, Unit};
use super::plain::{self, Plain};

/// The token of this machine, or a word that what needs it does not run.
fn token() -> Option<Token> {
    let token = Token::new();
    if token.is_none() {
        eprintln!("NOT RUN: this machine has no AVX-512 with IFMA");
    }
    token
}

/// Limbs at their bound, at zero, or anywhere between.
fn limbs(random: &mut SplitMix) -> [u64; 5] {
    let style = random.index(4);
    std::array::from_fn(|_| match (style, random.index(3)) {
        (0, _) | (1, 0) => CARRIED_END - 1,
        (1, 1) => 0,
        (2, _) => CARRIED_END - 1 - random.next_u64() % 64,
        _ => random.next_u64() % CARRIED_END,
    })
}

fn value(packed: &[u64; 5]) -> [u8; 32] {
    bytes(&packed.map(u64::cast_signed))
}

fn agrees_with_the_twin<U: Unit>(token: U::Token, rounds: u64) {
    for seed in 0..rounds {
        let mut random = SplitMix(seed);
        let lanes: [[[u64; 5]; 8]; 3] =
            std::array::from_fn(|_| std::array::from_fn(|_| limbs(&mut random)));
        let mask = LaneMask(random.next_u64().to_le_bytes()[0]);
        let fast = lanes.map(|lanes| Field8::<U>::load(token, lanes.each_ref()));
        let twin = lanes.map(|lanes| Plain::<8>::decode((), &lanes.each_ref().map(value)));
        let found = results(&fast, mask, value);
        let expected = results(&twin, mask, |packed| bytes(&plain::unpack(packed)));
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "seed {seed}, result {at}");
        }
        for ((fast, twin), lanes) in fast.iter().zip(&twin).zip(&lanes) {
            assert_eq!(fast.store(), *lanes, "seed {seed}: packing");
            assert_eq!(fast.is_zero(), twin.is_zero(), "seed {seed}");
            assert_eq!(fast.is_odd(), twin.is_odd(), "seed {seed}");
        }
    }
}

#[test]
fn the_field_agrees_with_the_twin_at_the_bounds() {
    agrees_with_the_twin::<Emulated>((), 2000);
    if let Some(token) = token() {
        agrees_with_the_twin::<Register>(token, 2000);
    }
}

#[test]
fn zero_and_parity_are_found_at_the_ends_of_the_range() {
    fn check<U: Unit>(token: U::Token) {
        let ones = (1 << 51) - 1;
        let prime = [ones - 18, ones, ones, ones, ones];
        let mut rows = vec![([0; 5], true, false), (prime, true, false)];
        for (step, odd) in [(1, true), (18, false), (19, true), (1 << 16, false)] {
            let (mut small, mut above) = ([0; 5], prime);
            (small[0], above[0]) = (step, above[0] + step);
            rows.extend([(small, false, odd), (above, false, odd)]);
        }
        let mut below = prime;
        below[0] -= 1;
        rows.push((below, false, false));
        for (limbs, zero, odd) in rows {
            let element = Field8::<U>::load(token, [&limbs; 8]);
            let all = |holds| LaneMask(if holds { u8::MAX } else { 0 });
            assert_eq!(element.is_zero(), all(zero), "{limbs:x?}");
            assert_eq!(element.is_odd(), all(odd), "{limbs:x?}");
        }
    }
    check::<Emulated>(());
    if let Some(token) = token() {
        check::<Register>(token);
    }
}

/// What every function of the unit makes of three words a lane.
fn functions<U: Unit>(token: U::Token, words: &[[u64; 8]; 3], mask: LaneMask) -> Vec<[u64; 8]> {
    let [a, b, c] = words.map(|words| U::load(token, &words));
    // Both factors below 2^52, and a sum with room.
    let [room, left, right] = [a.shift::<2>(), b.shift::<12>(), c.and(c.all((1 << 52) - 1))];
    let packed = words.concat();
    let rows: [&[u64; 5]; 8] =
        std::array::from_fn(|lane| packed[2 * lane..].first_chunk().expect("five words"));
    let mut bytes = [[0; 64]; 8];
    for (at, byte) in bytes.as_flattened_mut().iter_mut().enumerate() {
        *byte = packed[at % 24].to_le_bytes()[at % 7];
    }
    U::prefetch(token, &bytes);
    let mut results = vec![
        a.all(7),
        a.plus(b),
        a.minus(b),
        a.times(b),
        room.plus_low_half(left, right),
        room.plus_high_half(left, right),
        a.and(b),
        a.shift::<51>(),
        a.rotate::<14>(),
        a.rotate::<61>(),
        a.xor(b, c),
        a.choose(b, c),
        a.majority(b, c),
        a.select(mask, b),
    ];
    results.extend(U::load_packed(token, rows));
    results.extend(U::load_big_endian(token, bytes.each_ref()));
    let zero = a.select(mask, a.all(0)).is_zero();
    let mut results: Vec<[u64; 8]> = results.into_iter().map(U::store).collect();
    results.push([u64::from(zero.0); 8]);
    results
}

#[test]
fn the_instructions_do_what_their_emulation_does() {
    let Some(token) = token() else { return };
    for seed in 0..2000 {
        let mut random = SplitMix(seed);
        let words = std::array::from_fn(|_| std::array::from_fn(|_| random.next_u64()));
        let mask = LaneMask(random.next_u64().to_le_bytes()[0]);
        let found = functions::<Register>(token, &words, mask);
        let expected = functions::<Emulated>((), &words, mask);
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "seed {seed}, function {at}");
        }
    }
}

#[test]
#[should_panic(expected = "times")]
fn the_emulation_refuses_factors_of_more_than_52_bits() {
    let word = Emulated::load((), &[1 << 52; 8]);
    let _ = word.plus_low_half(word, word);
}

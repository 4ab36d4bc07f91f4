//! The engine over its twin and over each vector unit: hashes, points, whole verdicts.

use std::convert::Infallible;

use clearway_types::seeded::SplitMix;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use parking_lot::Mutex;
use rand_core::{TryCryptoRng, TryRng};

use super::backend::{BatchLenMin, Lanes};
use super::batch::{Batch, Ready, Scratch};
use super::decompress::{base_row, decompress};
use super::field::{EDWARDS_D, Field, LaneMask};
use super::halving::{self, Halving};
use super::hint;
use super::keys::KeyCache;
use super::plain::{Plain, PlainWords};
use super::point::{Curve, Extended, Row, Rows};
use super::sha512::{self, Words};
use crate::backend::{Backend, BatchVerdict, Work};
use crate::rule;
use crate::search::Parts;
use crate::suite::{self, Case};

#[test]
fn the_twins_pass_the_self_test_with_eight_lanes() {
    suite::self_test(&Lanes::<Plain<8>, PlainWords<8>, 8>::new(
        "plain",
        (),
        BatchLenMin::both(16),
    ))
    .expect("the rule");
    #[cfg(target_arch = "x86_64")]
    {
        use super::ifma8::{emulated::Emulated, field::Field8, words::Words8};
        type Twin = Lanes<Field8<Emulated>, Words8<Emulated>, 8>;
        suite::full(&Twin::new("emulated", (), BatchLenMin::both(16)), 6, 300).expect("the rule");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn avx2_passes_the_full_suite() {
    use super::avx2::{Token, field::Field4, words::Words4};
    let Some(token) = Token::new() else {
        eprintln!("NOT RUN: this machine has no AVX2");
        return;
    };
    suite::full(
        &Lanes::<Field4, Words4, 4>::new("avx2", token, BatchLenMin::both(16)),
        5,
        2000,
    )
    .expect("the rule");
}

/// Runs a check over the twins, with 4 and 8 lanes, and over every unit of this machine.
macro_rules! over_every_field {
    ($check:ident) => {
        $check::<Plain<4>, PlainWords<4>, 4>(());
        $check::<Plain<8>, PlainWords<8>, 8>(());
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = super::avx2::Token::new() {
            $check::<super::avx2::field::Field4, super::avx2::words::Words4, 4>(token);
        }
        #[cfg(target_arch = "x86_64")]
        {
            use super::ifma8::words::Words8;
            use super::ifma8::{self, emulated::Emulated, field::Field8, unit::Register};
            $check::<Field8<Emulated>, Words8<Emulated>, 8>(());
            if let Some(token) = ifma8::Token::new() {
                $check::<Field8<Register>, Words8<Register>, 8>(token);
            }
        }
    };
}

#[test]
fn every_unit_is_tried_here_and_in_the_tests_of_its_field() {
    let tests = [
        include_str!("engine_tests.rs"),
        include_str!("field_tests.rs"),
    ];
    for name in super::unit_names() {
        // A unit may have a file of tests of its own beside these, which compares it with a twin.
        let (engine, field) = (tests[0], tests[1].contains(&format!("super::{name}::")));
        assert!(
            engine.contains(&format!("super::{name}::")),
            "{name}: a line of `over_every_field`"
        );
        let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("src/simd/{name}_tests.rs"));
        assert!(
            field || own.exists(),
            "{name}: a line in field_tests.rs, or {name}_tests.rs"
        );
    }
}

#[test]
fn hashes_agree_with_sha2_at_every_length() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        let bytes: Vec<u8> = (0..251).cycle().take(700 + LANES).collect();
        for len in (0..300).chain([366, 367, 368, 369, 494, 495, 496, 600]) {
            let split = len / 3;
            let messages = std::array::from_fn(|lane| {
                let message = &bytes[lane..][..len];
                [
                    &message[..split],
                    &[],
                    &message[split..split],
                    &message[split..],
                ]
            });
            let found = sha512::hash::<W, LANES>(token, &messages);
            assert_eq!(
                found,
                messages.map(|parts| sha512::hash_one(&parts)),
                "length {len}"
            );
        }
        // Lanes of different lengths, with equal and with different block counts.
        for step in [1, 40] {
            let messages: [sha512::Parts<'_>; LANES] =
                std::array::from_fn(|lane| [&bytes[..20 + step * lane], b"", b"x", b""]);
            let found = sha512::hash::<W, LANES>(token, &messages);
            assert_eq!(
                found,
                messages.map(|parts| sha512::hash_one(&parts)),
                "step {step}"
            );
        }
    }
    over_every_field!(check);
}

/// Those of the points of small order, and seeded bytes, of which half are points.
fn encodings(seed: u64, count: usize) -> Vec<[u8; 32]> {
    let mut random = SplitMix(seed);
    let mut encodings: Vec<[u8; 32]> = suite::small_order_encodings().into();
    for _ in 0..count {
        let words: [[u8; 8]; 4] = std::array::from_fn(|_| random.next_u64().to_le_bytes());
        encodings.push(words.as_flattened().try_into().expect("32 bytes"));
    }
    encodings
}

/// The affine coordinates that a row holds must be those of the oracle's point.
fn encoding_of<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    point: &Extended<F, LANES>,
    lane: usize,
    expected: &EdwardsPoint,
) -> bool {
    // Subtract the expected point, as decoded by our own code from its canonical encoding.
    let mut row = [Row::neutral::<F, LANES>(token)];
    decompress::<F, LANES>(token, &[expected.compress().0], &mut row, &mut [false]);
    let minus = Rows {
        rows: [&row[0]; LANES],
        negative: LaneMask::all::<LANES>(),
    };
    let difference = point.add_rows(token, &minus);
    let y_is_z = difference.y.difference(&difference.z).is_zero();
    difference.x.is_zero().and(y_is_z).has(lane)
}

#[test]
fn decoding_accepts_what_the_oracle_accepts_and_finds_points_on_the_curve() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        let encodings = encodings(11, 200);
        let mut valid = vec![false; encodings.len()];
        let mut rows = vec![Row::neutral::<F, LANES>(token); encodings.len()];
        decompress::<F, LANES>(token, &encodings, &mut rows, &mut valid);
        for (at, encoding) in encodings.iter().enumerate() {
            let expected = CompressedEdwardsY(*encoding).decompress();
            assert_eq!(valid[at], expected.is_some(), "{encoding:x?}");
            let found = Extended::<F, LANES>::from_rows(
                &Curve::new(token),
                &Rows {
                    rows: [&rows[at]; LANES],
                    negative: LaneMask::NONE,
                },
            );
            on_curve(token, &found);
            if let Some(expected) = expected {
                assert!(
                    encoding_of(token, &found, LANES - 1, &expected),
                    "{encoding:x?}"
                );
                let x_sign = encoding[31] >> 7;
                let x = expected.compress().0[31] >> 7;
                assert!(x == x_sign || expected.is_small_order());
            }
        }
    }
    over_every_field!(check);
}

#[test]
fn hints_give_the_points_that_decoding_gives_and_wrong_ones_none() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        let encodings = encodings(13, 60);
        let neutral = Row::neutral::<F, LANES>(token);
        let decode = |hints: &[[u8; 32]]| {
            let mut rows = vec![neutral; encodings.len()];
            let mut right = vec![false; encodings.len()];
            hint::decode::<F, LANES>(token, &encodings, hints, &mut rows, &mut right);
            (rows, right)
        };
        let hints = hint::make::<F, LANES>(token, &encodings);
        // The other root is as good, as the encoding has the sign; and so is a bit too many.
        let negative = hints.iter().map(|hint| {
            let x = Plain::<1>::splat((), hint).negate_where(LaneMask(1));
            super::limbs::join(&Plain::carry(&x).reduced()[0])
        });
        let high_bit = hints.iter().map(|hint| {
            let mut hint = *hint;
            hint[31] |= 0x80;
            hint
        });
        for hints in [hints.clone(), negative.collect(), high_bit.collect()] {
            let (rows, right) = decode(&hints);
            for (at, encoding) in encodings.iter().enumerate() {
                let expected = CompressedEdwardsY(*encoding).decompress();
                assert_eq!(right[at], expected.is_some(), "{encoding:x?}");
                let found = Rows {
                    rows: [&rows[at]; LANES],
                    negative: LaneMask::NONE,
                };
                let found = Extended::<F, LANES>::from_rows(&Curve::new(token), &found);
                let expected = expected.unwrap_or_default();
                assert!(encoding_of(token, &found, 0, &expected), "{encoding:x?}");
            }
        }
        for bit in [0, 100, 254] {
            let wrong = hints.iter().map(|hint| {
                let mut hint = *hint;
                hint[bit / 8] ^= 1 << (bit % 8);
                hint
            });
            let (rows, right) = decode(&wrong.collect::<Vec<_>>());
            assert_eq!(right, vec![false; encodings.len()], "bit {bit}");
            assert!(rows.iter().all(|row| row.plus == neutral.plus));
        }
    }
    over_every_field!(check);
}

/// -X^2 + Y^2 = Z^2 + d T^2 and XY = ZT in all lanes.
fn on_curve<F: Field<LANES>, const LANES: usize>(token: F::Token, point: &Extended<F, LANES>) {
    let all = LaneMask::all::<LANES>();
    let left = F::square(&point.y).difference(&F::square(&point.x));
    let dt2 = F::mul(&F::square(&point.t), &F::splat(token, &EDWARDS_D));
    let right = F::square(&point.z).sum(&dt2);
    assert_eq!(left.difference(&right).is_zero(), all);
    let products = F::mul(&point.x, &point.y).sub(&F::mul(&point.z, &point.t));
    assert_eq!(F::carry(&products).is_zero(), all);
}

#[test]
fn additions_and_doublings_agree_with_the_oracle_in_every_lane() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        let mut random = SplitMix(12);
        // Multiples of torsion points and base, so that equal and opposite operands occur.
        let point = |random: &mut SplitMix| {
            let torsion = curve25519_dalek::constants::EIGHT_TORSION[random.index(8)];
            EdwardsPoint::mul_base(&Scalar::from(random.next_u64() % 3)) + torsion
        };
        for _ in 0..20 {
            let points: [[EdwardsPoint; LANES]; 2] =
                std::array::from_fn(|_| std::array::from_fn(|_| point(&mut random)));
            let neutral = Row::neutral::<F, LANES>(token);
            let rows = points.map(|points| {
                let mut rows = [neutral; LANES];
                let encodings = points.map(|point| point.compress().0);
                decompress::<F, LANES>(token, &encodings, &mut rows, &mut [false; LANES]);
                rows
            });
            let negative = LaneMask(random.next_u64().to_le_bytes()[0]);
            let positive = |rows| Rows {
                rows,
                negative: LaneMask::NONE,
            };
            let a =
                Extended::<F, LANES>::from_rows(&Curve::new(token), &positive(rows[0].each_ref()));
            let b_rows = Rows {
                rows: rows[1].each_ref(),
                negative,
            };
            let b = Extended::<F, LANES>::from_rows(&Curve::new(token), &b_rows);
            let by_rows = a.double().add_rows(token, &b_rows);
            let by_points = a.double().add(&Curve::new(token), &b);
            let sum = a.sum_lanes(&Curve::new(token));
            for lane in 0..LANES {
                let [p, q] = [points[0][lane], points[1][lane]];
                let q = if negative.has(lane) { -q } else { q };
                let expected = p + p + q;
                assert!(encoding_of(token, &by_rows, lane, &expected), "lane {lane}");
                assert!(
                    encoding_of(token, &by_points, lane, &expected),
                    "lane {lane}"
                );
                assert!(
                    encoding_of(token, &sum, lane, &points[0].iter().sum()),
                    "lane {lane}"
                );
            }
            on_curve(token, &by_rows);
        }
    }
    over_every_field!(check);
}

/// A "random" generator whose coefficients are all the same.
struct Constant;

impl TryRng for Constant {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(7);
        Ok(())
    }
}

impl TryCryptoRng for Constant {}

#[test]
fn the_coefficients_alone_stop_errors_that_cancel() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        let mut random = SplitMix(1);
        let mut pair = [Case::honest(1, &mut random), Case::honest(2, &mut random)];
        for (case, delta) in pair.iter_mut().zip([Scalar::ONE, -Scalar::ONE]) {
            let (_, s) = rule::halves(&case.signature);
            let changed = Scalar::from_bytes_mod_order(s) + delta;
            case.signature[32..].copy_from_slice(changed.as_bytes());
        }
        let items = pair.each_ref().map(|case| case.item(16));
        let keys = Mutex::new(KeyCache::default());
        let base = base_row::<F, LANES>(token);
        let mut scratch = Scratch::default();
        let mut holds = |rng: &mut dyn rand_core::CryptoRng| {
            let ready = Ready {
                token,
                base: &base,
                keys: &keys,
            };
            let work = &mut Work::default();
            let mut batch = Batch::open::<F, W, LANES>(ready, &items, rng, &mut scratch, work);
            halving::holds::<F, LANES>(token, batch.sum())
        };
        assert!(
            holds(&mut Constant),
            "the errors cancel under equal coefficients"
        );
        assert!(!holds(&mut rand::rng()), "and not under random ones");
    }
    over_every_field!(check);
}

#[test]
fn every_width_of_window_and_every_way_to_sum_gives_the_same_verdict() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        // The twins are slow: they take the short lengths alone.
        let is_twin = std::any::type_name::<F::Token>() == "()";
        let lengths: &[usize] = match is_twin {
            true => &[1, 40],
            false => &[1, 127, 128, 511, 512, 1536, 3073],
        };
        let backend = Lanes::<F, W, LANES>::new("under test", token, BatchLenMin::both(16));
        let mut random = SplitMix(3);
        let longest = lengths[lengths.len() - 1];
        let mut cases: Vec<_> = (0..longest as u64)
            .map(|key| Case::honest(key, &mut random))
            .collect();
        let few: Vec<_> = (0..longest as u64)
            .map(|key| Case::honest(key % 3, &mut random))
            .collect();
        for &len in lengths {
            for cases in [&mut cases[..len], &mut few.clone()[..len]] {
                let verdict = |cases: &[Case]| {
                    let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
                    backend.verify_batch(&items, &mut Work::default())
                };
                assert_eq!(verdict(cases), BatchVerdict::AllValid, "length {len}");
                cases[len / 2].message[77] ^= 1;
                assert_eq!(verdict(cases), BatchVerdict::SomeInvalid, "length {len}");
                cases[len / 2].message[77] ^= 1;
            }
        }
    }
    over_every_field!(check);
}

#[test]
fn a_search_asks_for_few_signatures_around_the_invalid_one_and_for_none_that_decoding_refuses() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        // The twins are slow: they take the short length alone.
        let is_twin = std::any::type_name::<F::Token>() == "()";
        let backend = Lanes::<F, W, LANES>::new("under test", token, BatchLenMin::both(16));
        let mut random = SplitMix(5);
        for len in if is_twin { 70..71 } else { 700..703 } {
            let key_count = [3, len as u64][len % 2];
            let honest: Vec<_> = (0..len as u64)
                .map(|key| Case::honest(key % key_count, &mut random))
                .collect();
            let found = |cases: &[Case]| {
                let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
                let mut work = Work::default();
                let found = backend.verify_together(&items, &mut work);
                (found.expect("one is invalid"), work)
            };
            for at in [0, len / 2 - 1, len / 2, len - 1] {
                let mut cases = honest.clone();
                cases[at].message[77] ^= 1;
                let (valid, work) = found(&cases);
                assert!((0..len).all(|place| valid[place] == (place != at)));
                assert!((1..=16).contains(&work.single), "{work:?} at {at} of {len}");
                assert!(work.batched <= 3 * len, "{work:?} at {at} of {len}");
                // The others of these have an S that is too large, or an R that is no point.
                cases[at].message[77] ^= 1;
                let (low, high) = cases[at].signature.split_at_mut(32);
                match at % 2 {
                    0 => high.fill(0xff),
                    _ => low.copy_from_slice(&not_a_point()),
                }
                let (valid, work) = found(&cases);
                assert!((0..len).all(|place| valid[place] == (place != at)));
                assert_eq!((work.single, work.batched), (0, len), "at {at}");
            }
        }
    }
    over_every_field!(check);
}

#[test]
fn errors_that_cancel_under_short_coefficients_are_found_all_the_same() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        let backend = Lanes::<F, W, LANES>::new("under test", token, BatchLenMin::both(16));
        let keys = Mutex::new(KeyCache::default());
        let mut random = SplitMix(6);
        let mut cases: Vec<_> = (0..40).map(|_| Case::honest(1, &mut random)).collect();
        for (case, delta) in cases[3..5].iter_mut().zip([Scalar::ONE, -Scalar::ONE]) {
            let (_, s) = rule::halves(&case.signature);
            let changed = Scalar::from_bytes_mod_order(s) + delta;
            case.signature[32..].copy_from_slice(changed.as_bytes());
        }
        let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
        let ready = Ready {
            token,
            base: &base_row::<F, LANES>(token),
            keys: &keys,
        };
        let (mut scratch, mut work) = (Scratch::default(), Work::default());
        let rng = &mut rand::rng();
        let mut batch = Batch::open::<F, W, LANES>(ready, &items, rng, &mut scratch, &mut work);
        let whole = batch.sum::<F, LANES>();
        let mut parts = Halving::<F, LANES>::new(&mut batch, 16, &mut Constant);
        let hold = parts.halve(&(0..40), &mut work);
        assert_eq!(hold, [true; 2], "they cancel under equal coefficients");
        assert!(
            !halving::rest_holds(&mut batch, whole, &[]),
            "but prove nothing"
        );
        assert!(!halving::rest_holds(&mut batch, whole, &[3]));
        assert!(halving::rest_holds(&mut batch, whole, &[3, 4]));
        // Once in 256 times they cancel under drawn ones; the twins are too slow to wait for it.
        let is_twin = std::any::type_name::<F::Token>() == "()";
        for trial in 0..if is_twin { 2 } else { 1500 } {
            let found = backend
                .verify_together(&items, &mut work)
                .expect("two invalid");
            let right = (0..40).all(|at| found[at] != [3, 4].contains(&at));
            assert!(right, "trial {trial}: {found:?}");
        }
    }
    over_every_field!(check);
}

fn not_a_point() -> [u8; 32] {
    let encodings = (2..).map(|y| [[y; 1].as_slice(), &[0; 31]].concat());
    let encodings = encodings.map(|y| y.try_into().expect("32 bytes"));
    let none = encodings
        .map(CompressedEdwardsY)
        .find(|y| y.decompress().is_none());
    none.expect("half of all y").0
}

#[test]
fn single_verdicts_by_combs_follow_the_rule() {
    fn check<F: Field<LANES>, W: Words<LANES, Token = F::Token>, const LANES: usize>(
        token: F::Token,
    ) {
        // The twins are slow, and a comb for every key of the suite takes them long.
        let is_twin = std::any::type_name::<F::Token>() == "()";
        let backend = Lanes::<F, W, LANES>::new("by combs", token, BatchLenMin::both(16));
        if is_twin {
            suite::self_test(&backend.with_combs_after(4)).expect("the rule");
        } else {
            suite::full(&backend.with_combs_after(0), 8, 300).expect("the rule");
        }
    }
    over_every_field!(check);
}

#[test]
fn keys_that_come_again_in_short_batches_are_left_to_combs() {
    let backend =
        Lanes::<Plain<4>, PlainWords<4>, 4>::new("under test", (), BatchLenMin::both(128));
    let mut random = SplitMix(4);
    let cases: Vec<_> = (0..16).map(|n| Case::honest(n % 4, &mut random)).collect();
    let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
    // Four uses of each key a batch: at the sixteenth it is due a comb.
    for batch in 0..3 {
        assert!(backend.batch_pays(&items), "batch {batch}");
        let verdict = backend.verify_batch(&items, &mut Work::default());
        assert_eq!(verdict, BatchVerdict::AllValid);
    }
    assert!(!backend.batch_pays(&items));
    let new = Case::honest(9, &mut random);
    let one_new = [&items[..15], &[new.item(16)]].concat();
    assert!(backend.batch_pays(&one_new), "a new key is not");
}

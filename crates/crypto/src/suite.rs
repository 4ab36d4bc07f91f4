//! What every backend must answer rightly: known answers, edge cases of the rule, seeded batches.
//!
//! [`self_test`] runs before a backend is trusted; [`full`] is for tests, of this crate's backends
//! and of those that other crates bring. Both compare with verdicts that are written here or that
//! [`rule::is_valid`] gives.

use clearway_types::seeded::SplitMix;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;

use crate::backend::{Backend, BatchVerdict, Item, Work};
use crate::hint;
use crate::keys::SigningKey;
use crate::rule;

/// A signature with the rule's verdict on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    /// Encoded key.
    pub public_key: [u8; 32],
    /// Signed message.
    pub message: Vec<u8>,
    /// R, then S.
    pub signature: [u8; 64],
    /// The verdict.
    pub valid: bool,
}

/// Where a backend and the rule part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{check}: wrong verdict at case {at}")]
pub struct SuiteFailure {
    /// Name of the check or case.
    pub check: &'static str,
    /// Position within the check.
    pub at: usize,
}

impl Case {
    /// The case as an item; the message's first `prefix_len` bytes are its prefix.
    #[must_use]
    pub fn item(&self, prefix_len: usize) -> Item<'_> {
        let (prefix, message) = self.message.split_at(prefix_len.min(self.message.len()));
        Item {
            public_key: &self.public_key,
            prefix,
            message,
            signature: &self.signature,
            hint: None,
        }
    }

    /// A valid signature of key number `key` over a message of 144 bytes that `random` draws.
    #[must_use]
    pub fn honest(key: u64, random: &mut SplitMix) -> Self {
        let key = SigningKey::from_seed(&seed(key));
        let message: Vec<u8> = (0..18)
            .flat_map(|_| random.next_u64().to_le_bytes())
            .collect();
        Self {
            name: "honest",
            public_key: key.public_key(),
            signature: key.sign(&message),
            message,
            valid: true,
        }
    }
}

/// Known answers and edge cases, a batch and a verdict each: about 30 ms for the portable backend.
///
/// # Errors
/// The first wrong verdict.
pub fn self_test(backend: &dyn Backend) -> Result<(), SuiteFailure> {
    let cases = known_answers();
    verdicts_each(backend, &cases)?;
    all_valid_together(backend, &cases)?;
    hints_change_nothing(backend, &cases, HINTS_MIXED)?;
    cancelling(backend)?;
    found_among(backend, 64, 2)?;
    let lengths = [0, 1, backend.lanes(), backend.lanes() + 1];
    lengths
        .into_iter()
        .try_for_each(|len| batch_of(backend, len, 4))
}

/// Everything: [`self_test`], batches of edge lengths with an invalid signature at each position,
/// and `differential_len` seeded signatures, a part of them altered, against the rule.
///
/// # Errors
/// The first wrong verdict.
pub fn full(backend: &dyn Backend, seed: u64, differential_len: usize) -> Result<(), SuiteFailure> {
    self_test(backend)?;
    for way in 0..HINTS_MIXED {
        hints_change_nothing(backend, &known_answers(), way)?;
    }
    for case in known_answers() {
        for prefix_len in [0, 1, 16] {
            let expected = match case.valid {
                true => BatchVerdict::AllValid,
                false => BatchVerdict::SomeInvalid,
            };
            if backend.verify_batch(&[case.item(prefix_len)], &mut Work::default()) != expected {
                return Err(failure(case.name, prefix_len));
            }
        }
    }
    let lanes = backend.lanes();
    let mut lengths = vec![
        2,
        3,
        lanes.saturating_sub(1),
        31,
        32,
        33,
        63,
        64,
        65,
        255,
        256,
    ];
    lengths.extend([2 * lanes, 2 * lanes + 1]);
    for len in lengths {
        for key_count in [1, 5, len as u64 + 1] {
            batch_of(backend, len, key_count)?;
        }
    }
    for (len, altered) in [(64, 64), (300, 1), (1100, 3), (1100, 200)] {
        found_among(backend, len, altered)?;
    }
    differential(backend, seed, differential_len)
}

/// RFC 8032, the grid of small-order points, and one case for each line of the rule.
#[must_use]
pub fn known_answers() -> Vec<Case> {
    let mut cases = rfc_8032();
    cases.extend(small_order_grid());
    cases.extend(group_order_cases());
    cases.extend(torsion_cases());
    cases.extend(encoding_cases());
    cases
}

/// One verdict for each case, all at once and with a split message.
fn verdicts_each(backend: &dyn Backend, cases: &[Case]) -> Result<(), SuiteFailure> {
    for prefix_len in [0, 16] {
        let items: Vec<_> = cases.iter().map(|case| case.item(prefix_len)).collect();
        // The opposite of what is expected, so that a verdict that is not written is seen.
        let mut valid: Vec<bool> = cases.iter().map(|case| !case.valid).collect();
        backend.verify_each(&items, &mut valid, &mut Work::default());
        let wrong = cases
            .iter()
            .zip(&valid)
            .position(|(case, &valid)| case.valid != valid);
        if let Some(at) = wrong {
            return Err(failure(cases[at].name, at));
        }
    }
    Ok(())
}

/// The equation over all valid cases holds; with one of the invalid ones among them it fails.
fn all_valid_together(backend: &dyn Backend, cases: &[Case]) -> Result<(), SuiteFailure> {
    let (good, bad): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.valid);
    let mut items: Vec<_> = good.iter().map(|case| case.item(0)).collect();
    if backend.verify_batch(&items, &mut Work::default()) != BatchVerdict::AllValid {
        return Err(failure("all valid cases in one batch", items.len()));
    }
    for case in bad {
        items.truncate(8);
        items.insert(4, case.item(0));
        if backend.verify_batch(&items, &mut Work::default()) != BatchVerdict::SomeInvalid {
            return Err(failure(case.name, 4));
        }
        items.remove(4);
    }
    Ok(())
}

/// With right hints, with the wrong ones that a sender may think of, or with some of each, batches
/// get the verdicts that they get without.
fn hints_change_nothing(
    backend: &dyn Backend,
    cases: &[Case],
    way: usize,
) -> Result<(), SuiteFailure> {
    let (good, bad): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.valid);
    let ordered: Vec<&Case> = good.into_iter().chain(bad).collect();
    let right = hint::hints(ordered.iter().map(|case| &case.signature));
    // A machine that makes no hints still refuses wrong ones.
    let right = right.unwrap_or_else(|| vec![[0; 32]; ordered.len()]);
    let valid_count = cases.iter().filter(|case| case.valid).count();
    let hint = |at: usize| match (way, at % 4) {
        (0, _) | (HINTS_MIXED, 0) => right[at],
        (1, _) | (HINTS_MIXED, 1) => right[(at + 1) % right.len()],
        (2, _) | (HINTS_MIXED, 2) => [0xff; 32],
        _ => [0; 32],
    };
    let hints: Vec<[u8; 32]> = (0..ordered.len()).map(hint).collect();
    let items = ordered.iter().zip(&hints);
    let items = items.map(|(case, hint)| case.item(16).hinted(hint));
    let items: Vec<_> = items.collect();
    let (good, bad) = items.split_at(valid_count);
    let work = &mut Work::default();
    if backend.verify_batch(good, work) != BatchVerdict::AllValid {
        return Err(failure("all valid cases with hints", way));
    }
    for (at, item) in bad.iter().enumerate() {
        let batch = [&good[..4], &[*item], &good[4..8]].concat();
        if backend.verify_batch(&batch, work) != BatchVerdict::SomeInvalid {
            return Err(failure(ordered[valid_count + at].name, way));
        }
    }
    Ok(())
}

/// Two invalid signatures whose errors sum to nothing: equal coefficients would accept them.
fn cancelling(backend: &dyn Backend) -> Result<(), SuiteFailure> {
    let mut random = SplitMix(1);
    let mut pair = [Case::honest(1, &mut random), Case::honest(1, &mut random)];
    for (case, delta) in pair.iter_mut().zip([Scalar::ONE, -Scalar::ONE]) {
        let (_, s) = rule::halves(&case.signature);
        let changed = Scalar::from_bytes_mod_order(s) + delta;
        case.signature[32..].copy_from_slice(changed.as_bytes());
    }
    let items = pair.each_ref().map(|case| case.item(16));
    match backend.verify_batch(&items, &mut Work::default()) {
        BatchVerdict::SomeInvalid => Ok(()),
        BatchVerdict::AllValid => Err(failure("errors that cancel", 0)),
    }
}

/// `len` honest signatures of `key_count` keys, then with one altered at each of some positions.
fn batch_of(backend: &dyn Backend, len: usize, key_count: u64) -> Result<(), SuiteFailure> {
    let mut random = SplitMix(len as u64);
    let mut cases: Vec<_> = (0..len as u64)
        .map(|index| Case::honest(index % key_count, &mut random))
        .collect();
    let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
    if backend.verify_batch(&items, &mut Work::default()) != BatchVerdict::AllValid {
        return Err(failure("honest batch", len));
    }
    let mut positions: Vec<usize> = (0..len).collect();
    if len > EVERY_POSITION_LEN_MAX {
        positions = vec![0, len / 3, len / 2, len - 1];
    }
    for at in positions {
        cases[at].message[20] ^= 4;
        let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
        let mut valid = vec![false; len];
        backend.verify_each(&items, &mut valid, &mut Work::default());
        let only_this = valid
            .iter()
            .enumerate()
            .all(|(i, &valid)| valid == (i != at));
        if backend.verify_batch(&items, &mut Work::default()) != BatchVerdict::SomeInvalid
            || !only_this
        {
            return Err(failure("one altered signature", at));
        }
        cases[at].message[20] ^= 4;
    }
    Ok(())
}

/// Searches a batch of honest signatures for those that were altered.
fn found_among(backend: &dyn Backend, len: usize, altered: usize) -> Result<(), SuiteFailure> {
    let mut random = SplitMix((len + altered) as u64);
    let mut cases: Vec<_> = (0..len as u64)
        .map(|index| Case::honest(index % 5, &mut random))
        .collect();
    for _ in 0..altered {
        let case = &mut cases[random.index(len)];
        alter(case, &mut random);
        case.valid = rule::is_valid(&case.public_key, &[&case.message], &case.signature);
    }
    searched(backend, &cases, "altered signatures in one batch")
}

/// Together, each case gets its verdict; backends that never put that many together are not asked.
fn searched(
    backend: &dyn Backend,
    cases: &[Case],
    check: &'static str,
) -> Result<(), SuiteFailure> {
    let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
    if !backend.batch_pays(&items) {
        return Ok(());
    }
    let found = backend.verify_together(&items, &mut Work::default());
    let found = found.unwrap_or_else(|| vec![true; items.len()]);
    let mut wrong = cases.iter().zip(&found);
    match wrong.position(|(case, &found)| case.valid != found) {
        Some(at) => Err(failure(check, at)),
        None => Ok(()),
    }
}

/// Seeded batches of 1 to 64 signatures, a part of them altered, against the rule.
fn differential(backend: &dyn Backend, seed: u64, len: usize) -> Result<(), SuiteFailure> {
    let mut random = SplitMix(seed);
    let mut done = 0;
    while done < len {
        let share = random.index(4);
        let batch_len = 1 + random.index(64);
        let mut cases = Vec::with_capacity(batch_len);
        for _ in 0..batch_len {
            let key = random.next_u64() % 7;
            let mut case = Case::honest(key, &mut random);
            if random.index(8) < share {
                alter(&mut case, &mut random);
                case.valid = rule::is_valid(&case.public_key, &[&case.message], &case.signature);
            }
            cases.push(case);
        }
        let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
        let mut valid = vec![false; batch_len];
        backend.verify_each(&items, &mut valid, &mut Work::default());
        let wrong = (0..batch_len).find(|&at| valid[at] != cases[at].valid);
        let together = backend.verify_batch(&items, &mut Work::default()) == BatchVerdict::AllValid;
        if wrong.is_some() || together != cases.iter().all(|case| case.valid) {
            return Err(failure("differential", done + wrong.unwrap_or(0)));
        }
        searched(backend, &cases, "differential, searched")?;
        done += batch_len;
    }
    Ok(())
}

/// Changes a case in one of the ways in which signatures go wrong; some leave it valid.
fn alter(case: &mut Case, random: &mut SplitMix) {
    let bit = 1 << random.index(8);
    match random.index(7) {
        0 => case.signature[random.index(32)] ^= bit,
        1 => case.signature[32 + random.index(32)] ^= bit,
        2 => case.public_key[random.index(32)] ^= bit,
        3 => {
            let at = random.index(case.message.len());
            case.message[at] ^= bit;
        }
        4 => case.signature = [0; 64],
        5 => add_group_order(&mut case.signature),
        _ => {
            // A torsion point in R, signed for: valid by rule 3, invalid without its factor 8.
            let torsion = EIGHT_TORSION[random.index(8)];
            let nonce = Scalar::from(random.next_u64());
            let secret = Scalar::from(1 + random.next_u64() % 1000);
            *case = forge(
                case.name,
                secret,
                ED25519_BASEPOINT_POINT * nonce + torsion,
                nonce,
            );
        }
    }
}

fn rfc_8032() -> Vec<Case> {
    let rows = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589\
             09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    rows.map(|(public_key, message, signature)| Case {
        name: "RFC 8032, section 7.1",
        public_key: hex(public_key),
        message: clearway_types::hex::decode(message).expect("written above"),
        signature: hex(signature),
        valid: true,
    })
    .into()
}

/// Both points of small order, in each of their 14 encodings, S = 0: all valid by rule 3.
fn small_order_grid() -> Vec<Case> {
    let encodings = small_order_encodings();
    let mut cases = Vec::with_capacity(encodings.len() * encodings.len());
    for public_key in &encodings {
        for r in &encodings {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            cases.push(Case {
                name: "small-order key and R",
                public_key: *public_key,
                message: b"any message at all".to_vec(),
                signature,
                valid: true,
            });
        }
    }
    cases
}

/// The 8 canonical encodings of the small-order points and the 6 others that decode to one.
#[must_use]
pub fn small_order_encodings() -> [[u8; 32]; 14] {
    let canonical = EIGHT_TORSION.map(|point| point.compress().0);
    // y = 1 and y = -1 have x = 0, so that both signs decode.
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = FIELD_PRIME;
    minus_one[0] -= 1;
    // y = 0 and y = 1 once more, as p and p + 1.
    let mut prime_and_one = FIELD_PRIME;
    prime_and_one[0] += 1;
    let negative = |mut encoding: [u8; 32]| {
        encoding[31] |= 0x80;
        encoding
    };
    let mut all = [[0; 32]; 14];
    all[..8].copy_from_slice(&canonical);
    all[8..].copy_from_slice(&[
        negative(one),
        negative(minus_one),
        FIELD_PRIME,
        negative(FIELD_PRIME),
        prime_and_one,
        negative(prime_and_one),
    ]);
    all
}

/// Rule 2: S below the group order, and nothing else.
fn group_order_cases() -> Vec<Case> {
    let neutral = EIGHT_TORSION[0].compress().0;
    // With the neutral element as key, [S]B = R is all that rule 3 asks.
    let with_s = |name, r: EdwardsPoint, s: [u8; 32], valid| Case {
        name,
        public_key: neutral,
        message: vec![7; 144],
        signature: join(r.compress().0, s),
        valid,
    };
    let below = (-Scalar::ONE).to_bytes();
    let mut order = below;
    order[0] += 1;
    let mut high_bits = [0; 32];
    high_bits[31] = 0x20;
    let mut added = Case::honest(1, &mut SplitMix(2));
    add_group_order(&mut added.signature);
    (added.name, added.valid) = ("S + L", false);
    vec![
        with_s("S = L - 1", -ED25519_BASEPOINT_POINT, below, true),
        with_s("S = L", EIGHT_TORSION[0], order, false),
        with_s("S = 2^253", EIGHT_TORSION[0], high_bits, false),
        with_s("S all ones", EIGHT_TORSION[0], [0xff; 32], false),
        added,
    ]
}

/// Rule 3: a small-order part of key or R is cleared by the factor 8; any other error is not.
fn torsion_cases() -> Vec<Case> {
    let (secret, nonce) = (Scalar::from(1_234_567_u64), Scalar::from(7_654_321_u64));
    let r = ED25519_BASEPOINT_POINT * nonce;
    let mut cases = Vec::new();
    for torsion in EIGHT_TORSION {
        cases.push(forge("torsion in R", secret, r + torsion, nonce));
        let key = ED25519_BASEPOINT_POINT * secret + torsion;
        for r in [r, r + torsion] {
            let (key, r) = (key.compress().0, r.compress().0);
            cases.push(forge_encoded("torsion in the key", secret, key, r, nonce));
        }
    }
    let mut other = forge(
        "R of another nonce",
        secret,
        r + ED25519_BASEPOINT_POINT,
        nonce,
    );
    other.valid = false;
    // The same y: only the sign of x tells them apart.
    let mut negative = forge("the negative of R", secret, -r, nonce);
    negative.valid = false;
    cases.extend([other, negative]);
    cases
}

/// Rules 1 and 3: what decodes, and which bytes are hashed.
fn encoding_cases() -> Vec<Case> {
    let secret = Scalar::from(99_u64);
    let key = (ED25519_BASEPOINT_POINT * secret).compress().0;
    let mut cases = Vec::new();
    for r in small_order_encodings() {
        let name = "R of small order, hashed as received";
        cases.push(forge_encoded(name, secret, key, r, Scalar::ZERO));
    }
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    let honest = Case::honest(1, &mut SplitMix(3));
    let mut bad_key = honest.clone();
    (bad_key.name, bad_key.public_key, bad_key.valid) = ("key off the curve", off_curve, false);
    let mut bad_r = forge_encoded("R off the curve", secret, key, off_curve, Scalar::ZERO);
    bad_r.valid = false;
    let mut other_key = honest.clone();
    (other_key.name, other_key.public_key, other_key.valid) = ("another key", key, false);
    let mut other_message = honest.clone();
    other_message.message[143] ^= 0x80;
    (other_message.name, other_message.valid) = ("another message", false);
    let mut zeros = honest.clone();
    (zeros.name, zeros.signature, zeros.valid) = ("zeros", [0; 64], false);
    cases.extend([honest, bad_key, bad_r, other_key, other_message, zeros]);
    cases
}

/// A signature by `secret` with the given R = nonce * B + something.
fn forge(name: &'static str, secret: Scalar, r: EdwardsPoint, nonce: Scalar) -> Case {
    let key = (ED25519_BASEPOINT_POINT * secret).compress().0;
    forge_encoded(name, secret, key, r.compress().0, nonce)
}

/// S = nonce + k * secret, with k over exactly these encodings; expected to be valid.
pub(crate) fn forge_encoded(
    name: &'static str,
    secret: Scalar,
    public_key: [u8; 32],
    r: [u8; 32],
    nonce: Scalar,
) -> Case {
    let message = vec![0x5a; 144];
    let k = rule::challenge(&r, &public_key, &[&message]);
    Case {
        name,
        public_key,
        signature: join(r, (nonce + k * secret).to_bytes()),
        message,
        valid: true,
    }
}

/// S + L, which has the same effect in every equation that does not look.
pub(crate) fn add_group_order(signature: &mut [u8; 64]) {
    let mut carry = 0;
    let below = (-Scalar::ONE).to_bytes();
    // L = (L - 1) + 1: the one is the first carry.
    let mut one = 1;
    for (byte, order) in signature[32..].iter_mut().zip(below) {
        let sum = u16::from(*byte) + u16::from(order) + carry + one;
        one = 0;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
}

pub(crate) fn join(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(&s);
    signature
}

fn seed(key: u64) -> [u8; 32] {
    let mut random = SplitMix(key);
    let mut seed = [0; 32];
    for part in seed.chunks_exact_mut(8) {
        part.copy_from_slice(&random.next_u64().to_le_bytes());
    }
    seed
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    clearway_types::hex::decode_array(text).expect("written in this file")
}

fn failure(check: &'static str, at: usize) -> SuiteFailure {
    SuiteFailure { check, at }
}

/// Ways to give hints: this number and the smaller ones.
const HINTS_MIXED: usize = 4;
/// Batches up to this length are tested with an invalid signature at every position.
const EVERY_POSITION_LEN_MAX: usize = 33;
/// 2^255 - 19, little-endian.
const FIELD_PRIME: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed;
    bytes[31] = 0x7f;
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_gives_every_written_verdict() {
        let cases = known_answers();
        assert!(cases.len() > 240, "{} cases", cases.len());
        for case in &cases {
            let parts: [&[u8]; 2] = [&case.message, &[]];
            let found = rule::is_valid(&case.public_key, &parts, &case.signature);
            assert_eq!(found, case.valid, "{case:?}");
        }
    }

    #[test]
    fn the_small_order_encodings_are_fourteen_and_decode_to_small_order() {
        let encodings = small_order_encodings();
        let distinct: std::collections::BTreeSet<_> = encodings.iter().collect();
        assert_eq!(distinct.len(), 14);
        for encoding in encodings {
            let point = curve25519_dalek::edwards::CompressedEdwardsY(encoding).decompress();
            assert!(point.is_some_and(|point| point.is_small_order()));
        }
    }
}

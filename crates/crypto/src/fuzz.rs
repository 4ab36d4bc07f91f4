//! The fuzz target's body for verification: any signatures, by the rule and by every backend.

use std::sync::LazyLock;

use clearway_types::seeded::SplitMix;

use crate::backend::{BatchVerdict, Item, Work};
use crate::gate::Gate;
use crate::rule;
use crate::suite::Case;

/// Signatures as the bytes describe them, [`CASE_BYTES`] each; bytes behind the last are left.
///
/// Panics where a backend, alone, in a batch, with the bytes for hints, or behind the gate, gives
/// another verdict than the rule.
pub fn fuzz_signatures(data: &[u8]) {
    crate::check_ranges();
    let described = data.as_chunks().0.iter().take(CASES_MAX);
    let (cases, hints): (Vec<Case>, Vec<[u8; 32]>) = described.map(case).unzip();
    let plain: Vec<Item<'_>> = cases.iter().map(|case| case.item(16)).collect();
    let hinted = plain.iter().zip(&hints);
    let hinted: Vec<Item<'_>> = hinted.map(|(item, hint)| item.hinted(hint)).collect();
    let expected: Vec<bool> = cases.iter().map(|case| case.valid).collect();
    let together = match expected.iter().all(|&valid| valid) {
        true => BatchVerdict::AllValid,
        false => BatchVerdict::SomeInvalid,
    };
    for (id, backend) in GATE.backends() {
        let name = backend.name();
        let mut found: Vec<bool> = expected.iter().map(|valid| !valid).collect();
        backend.verify_each(&plain, &mut found, &mut Work::default());
        assert_eq!(found, expected, "{name}, one by one");
        for items in [&plain, &hinted] {
            let verdict = backend.verify_batch(items, &mut Work::default());
            assert_eq!(verdict, together, "{name}, together");
            let verdicts = GATE.verify(id, items);
            let found: Vec<bool> = (0..items.len()).map(|at| verdicts.is_valid(at)).collect();
            assert_eq!(found, expected, "{name}, behind the gate");
        }
    }
}

/// Key, message, what is changed, where, by which bytes; and 32 bytes that stand for a part.
fn case(bytes: &[u8; CASE_BYTES]) -> (Case, [u8; 32]) {
    let [key, message, change, place, xor @ ..] = *bytes.first_chunk::<16>().expect("48 bytes");
    let part: [u8; 32] = *bytes.last_chunk().expect("48 bytes");
    let mut case = Case::honest(u64::from(key % 4), &mut SplitMix(u64::from(message)));
    let flip = |bytes: &mut [u8]| {
        let from = usize::from(place) % bytes.len();
        for (byte, xor) in bytes[from..].iter_mut().zip(xor) {
            *byte ^= xor;
        }
    };
    match change % 8 {
        0 => {}
        1 => flip(&mut case.signature[..32]),
        2 => flip(&mut case.signature[32..]),
        3 => flip(&mut case.public_key),
        4 => flip(&mut case.message),
        5 => case.signature[..32].copy_from_slice(&part),
        6 => case.signature[32..].copy_from_slice(&part),
        _ => case.public_key = part,
    }
    case.valid = rule::is_valid(&case.public_key, &[&case.message], &case.signature);
    (case, part)
}

static GATE: LazyLock<Gate> = LazyLock::new(|| Gate::new().expect("the self-test passes"));

/// Bytes that describe one signature.
pub const CASE_BYTES: usize = 48;
/// More than any backend's lanes, and than the least length of an equation.
const CASES_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    #[test]
    fn every_backend_follows_the_rule_on_seeded_bytes() {
        for seed in 0..60 {
            let mut random = SplitMix(seed);
            let len = random.index(CASES_MAX + 1);
            let mut data: Vec<[u8; CASE_BYTES]> = Vec::new();
            for _ in 0..len {
                let mut bytes = [0; CASE_BYTES];
                for byte in &mut bytes {
                    *byte = random.next_u64().to_le_bytes()[0];
                }
                // Few bits change in most, and a point of small order stands for a part in some.
                bytes[5..16].fill(0);
                if random.index(3) == 0 {
                    bytes[16..].copy_from_slice(&suite::small_order_encodings()[random.index(14)]);
                }
                if random.index(4) != 0 {
                    bytes[2] = 0;
                }
                data.push(bytes);
            }
            let data = data.as_flattened();
            let run = std::panic::catch_unwind(|| fuzz_signatures(data));
            assert!(run.is_ok(), "seed {seed}: {data:x?}");
        }
    }
}

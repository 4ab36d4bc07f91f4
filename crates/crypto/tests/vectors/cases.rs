//! What the vectors say, and that the rule and every backend of the gate under test agree.
//!
//! The including test gives it a gate: the processor's here, a device's in `clearway_gpu`.
//! The files lie in `CLEARWAY_TEST_DATA`, by default `../shared/data` beside the workspace. Where
//! they are absent the tests say so and end; `CLEARWAY_REQUIRE=vectors` makes that a failure.

use std::io::Read;
use std::path::PathBuf;

use clearway_crypto::backend::Item;
use clearway_crypto::rule;
use clearway_types::hex;
use serde_json::Value;

struct Vector {
    name: String,
    public_key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
    valid: bool,
}

#[test]
fn speccheck_cases_have_the_verdicts_of_zip_215() {
    // "Taming the many EdDSAs", table 6: S at or above L (6, 7), k over re-encoded bytes (8).
    let expected = [
        true, true, true, true, true, true, false, false, false, true, true, true,
    ];
    let Some(cases) = json("ed25519-vectors/speccheck_cases.json") else {
        return;
    };
    let cases = cases.as_array().expect("an array");
    assert_eq!(cases.len(), expected.len());
    let vectors = cases.iter().zip(expected).enumerate();
    check(vectors.map(|(number, (case, valid))| Vector {
        name: format!("speccheck {number}"),
        public_key: array(case, "pub_key"),
        message: bytes(case, "message"),
        signature: array(case, "signature"),
        valid,
    }));
}

#[test]
fn cctv_cases_are_valid_unless_k_matters_and_was_hashed_over_other_bytes() {
    let Some(cases) = json("ed25519-vectors/cctv_ed25519vectors.json.gz") else {
        return;
    };
    let cases = cases.as_array().expect("an array");
    assert_eq!(cases.len(), 914);
    check(cases.iter().map(|case| {
        let flags = case["flags"].as_array().map(Vec::as_slice);
        let has = |flag: &str| flags.unwrap_or_default().contains(&flag.into());
        Vector {
            name: format!("cctv {}", case["number"]),
            public_key: array(case, "key"),
            message: text(case, "msg").as_bytes().to_vec(),
            signature: array(case, "sig"),
            // The factor 8 clears [k]A whatever k is when A has small order.
            valid: !has("reencoded_k") || has("low_order_A"),
        }
    }));
}

#[test]
fn wycheproof_verdicts_hold_as_published_but_for_minus_zero() {
    let Some(file) = json("ed25519-vectors/wycheproof_ed25519_test.json") else {
        return;
    };
    let mut vectors = Vec::new();
    let mut shapeless = 0;
    for group in file["testGroups"].as_array().expect("groups") {
        let public_key = array(&group["publicKey"], "pk");
        for test in group["tests"].as_array().expect("tests") {
            // Published as invalid: R with y = 1 and the sign bit, which rule 1 of ZIP-215 accepts.
            let valid = text(test, "result") == "valid" || test["tcId"] == 151;
            // Signatures of another length do not fit the type: refused before any backend.
            let Ok(signature) = bytes(test, "sig").try_into() else {
                assert!(!valid);
                shapeless += 1;
                continue;
            };
            vectors.push(Vector {
                name: format!("wycheproof {}", test["tcId"]),
                public_key,
                message: bytes(test, "msg"),
                signature,
                valid,
            });
        }
    }
    assert_eq!(vectors.len() + shapeless, 151);
    check(vectors.into_iter());
}

#[test]
fn real_signatures_of_three_networks_are_valid() {
    let Some(lines) = data("ed25519-real-signatures.jsonl.gz") else {
        return;
    };
    let lines = String::from_utf8(lines).expect("JSON lines");
    let vectors: Vec<_> = lines
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("a JSON object a line");
            Vector {
                name: text(&line, "ref").to_owned(),
                public_key: array(&line, "pk"),
                message: bytes(&line, "msg"),
                signature: array(&line, "sig"),
                valid: true,
            }
        })
        .collect();
    assert_eq!(vectors.len(), 5379);
    let gate = crate::gate();
    let items: Vec<_> = vectors.iter().map(item).collect();
    for (id, backend) in gate.backends() {
        for batch in items.chunks(1024) {
            let verdicts = gate.verify(id, batch);
            assert!(verdicts.all_valid(), "{}", backend.name());
            let searched = backend.batch_pays(batch) && verdicts.work().single > 0;
            assert!(!searched, "no search was needed");
        }
    }
    // Each with one bit changed, at a place that moves through all three parts.
    let mut broken = vectors;
    for (number, vector) in broken.iter_mut().enumerate() {
        let bit = 1 << (number % 8);
        match number % 3 {
            0 => vector.signature[number % 64] ^= bit,
            1 => vector.public_key[number % 32] ^= bit,
            _ => {
                let at = number % vector.message.len();
                vector.message[at] ^= bit;
            }
        }
    }
    let items: Vec<_> = broken.iter().map(item).collect();
    for (id, backend) in gate.backends() {
        for batch in items.chunks(1024) {
            let verdicts = gate.verify(id, batch);
            assert_eq!(verdicts.invalid_count(), batch.len(), "{}", backend.name());
        }
    }
}

/// The rule, every backend one by one, and every backend in batches of 64 agree with the vectors.
fn check(vectors: impl Iterator<Item = Vector>) {
    let vectors: Vec<_> = vectors.collect();
    let gate = crate::gate();
    let items: Vec<_> = vectors.iter().map(item).collect();
    for vector in &vectors {
        let parts: [&[u8]; 1] = [&vector.message];
        let found = rule::is_valid(&vector.public_key, &parts, &vector.signature);
        assert_eq!(found, vector.valid, "rule on {}", vector.name);
    }
    for (id, backend) in gate.backends() {
        for (items, vectors) in items.chunks(64).zip(vectors.chunks(64)) {
            let (batch, each) = (gate.verify(id, items), gate.verify_each(id, items));
            for (at, vector) in vectors.iter().enumerate() {
                let found = [batch.is_valid(at), each.is_valid(at)];
                let name = backend.name();
                assert_eq!(found, [vector.valid; 2], "{name} on {}", vector.name);
            }
        }
    }
}

fn item(vector: &Vector) -> Item<'_> {
    Item {
        public_key: &vector.public_key,
        prefix: &[],
        message: &vector.message,
        signature: &vector.signature,
        hint: None,
    }
}

fn json(path: &str) -> Option<Value> {
    let bytes = data(path)?;
    Some(serde_json::from_slice(&bytes).expect("the file is JSON"))
}

/// The unpacked bytes of a data file, or `None`, said aloud, when the data is absent.
fn data(path: &str) -> Option<Vec<u8>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("CLEARWAY_TEST_DATA").map_or(beside.into(), PathBuf::from);
    let file = folder.join(path);
    let Ok(packed) = std::fs::read(&file) else {
        let required = std::env::var("CLEARWAY_REQUIRE").unwrap_or_default();
        let required = required.split(',').any(|name| name.trim() == "vectors");
        assert!(!required, "{} is required and absent", file.display());
        eprintln!(
            "NOT RUN: {} is absent; set CLEARWAY_TEST_DATA",
            file.display()
        );
        return None;
    };
    if !path.ends_with(".gz") {
        return Some(packed);
    }
    let mut bytes = Vec::new();
    let mut unpack = flate2::read::GzDecoder::new(&packed[..]);
    unpack.read_to_end(&mut bytes).expect("the file is gzip");
    Some(bytes)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} in {value}"))
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(value, field)).unwrap_or_else(|| panic!("{field} in {value}"))
}

fn array<const N: usize>(value: &Value, field: &str) -> [u8; N] {
    hex::decode_array(text(value, field)).unwrap_or_else(|| panic!("{field} in {value}"))
}

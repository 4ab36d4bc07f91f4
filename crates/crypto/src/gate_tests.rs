//! Tests of the gate: broken backends are kept out, searches find exactly the invalid ones.

use std::convert::Infallible;
use std::sync::Arc;

use clearway_types::seeded::SplitMix;
use rand_core::{TryCryptoRng, TryRng};

use super::*;
use crate::backend::BatchVerdict;
use crate::portable::prepare;
use crate::rule;
use crate::suite::Case;

/// The portable backend with a fault in its verdicts.
struct Faulty {
    batch: fn(&[Item<'_>], BatchVerdict) -> BatchVerdict,
    single: fn(&Item<'_>, bool) -> bool,
}

impl Backend for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn lanes(&self) -> usize {
        8
    }

    fn batch_pays(&self, items: &[Item<'_>]) -> bool {
        !items.is_empty()
    }

    fn search_passes_max(&self) -> usize {
        3
    }

    fn verify_batch(&self, items: &[Item<'_>], _: &mut Work) -> BatchVerdict {
        (self.batch)(
            items,
            Portable::new().verify_batch(items, &mut Work::default()),
        )
    }

    fn verify_each(&self, items: &[Item<'_>], valid: &mut [bool], work: &mut Work) {
        Portable::new().verify_each(items, valid, work);
        for (item, valid) in items.iter().zip(valid) {
            *valid = (self.single)(item, *valid);
        }
    }
}

/// A "random" generator whose coefficients are all the same.
struct Constant;

impl TryRng for Constant {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0x0101_0101)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0x0101_0101_0101_0101)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(1);
        Ok(())
    }
}

impl TryCryptoRng for Constant {}

#[test]
fn a_backend_with_equal_coefficients_is_caught_by_errors_that_cancel() {
    let faulty = Faulty {
        batch: |items, _| {
            let mut batch = ed25519_zebra::batch::Verifier::new();
            for item in items {
                batch.queue(prepare(item));
            }
            match batch.verify(Constant) {
                Ok(()) => BatchVerdict::AllValid,
                Err(_) => BatchVerdict::SomeInvalid,
            }
        },
        single: |_, valid| valid,
    };
    let found = suite::self_test(&faulty);
    assert_eq!(
        found.map_err(|failure| failure.check),
        Err("errors that cancel")
    );
}

fn gate() -> Gate {
    Gate::new().expect("this machine computes rightly")
}

#[test]
fn a_backend_that_parts_from_the_rule_is_not_trusted() {
    let keep_batch: fn(&[Item<'_>], BatchVerdict) -> BatchVerdict = |_, verdict| verdict;
    let keep_single: fn(&Item<'_>, bool) -> bool = |_, valid| valid;
    let rows: [(&str, Faulty); 6] = [
        (
            "accepts every batch",
            Faulty {
                batch: |_, _| BatchVerdict::AllValid,
                single: keep_single,
            },
        ),
        (
            "refuses every batch",
            Faulty {
                batch: |_, _| BatchVerdict::SomeInvalid,
                single: keep_single,
            },
        ),
        (
            "accepts everything singly",
            Faulty {
                batch: keep_batch,
                single: |_, _| true,
            },
        ),
        (
            "refuses keys that are not canonical",
            Faulty {
                batch: keep_batch,
                single: |item, valid| {
                    valid
                        && crate::keys::register_check(item.public_key)
                            != Err(crate::keys::KeyError::NotCanonical)
                },
            },
        ),
        (
            "refuses R with torsion",
            Faulty {
                batch: keep_batch,
                single: |item, valid| {
                    let (r, _) = rule::halves(item.signature);
                    valid && crate::keys::register_check(&r).is_ok()
                },
            },
        ),
        (
            "does not look at the last of a batch",
            Faulty {
                batch: |items, _| match items {
                    [] => BatchVerdict::AllValid,
                    [checked @ .., _] => {
                        Portable::new().verify_batch(checked, &mut Work::default())
                    }
                },
                single: keep_single,
            },
        ),
    ];
    for (name, faulty) in rows {
        let found = gate().and(Arc::new(faulty));
        assert!(
            matches!(found, Err(GateError::SelfTest { name: "faulty", .. })),
            "{name}"
        );
    }
}

#[test]
fn every_backend_of_this_machine_passes_the_whole_suite() {
    let seed = 20_261_123;
    for (_, backend) in gate().backends() {
        let found = suite::full(backend, seed, 20_000);
        assert_eq!(found, Ok(()), "{} seed {seed}", backend.name());
    }
}

#[test]
fn backends_that_the_environment_requires_exist() {
    let required = std::env::var("CLEARWAY_REQUIRE").unwrap_or_default();
    let gate = gate();
    for name in required.split(',').map(str::trim) {
        // Other names in the list are the business of other tests.
        if simd::unit_names().any(|unit| unit == name) || name == "portable" {
            assert!(gate.find(name).is_ok(), "backend {name} is required");
        }
    }
    assert_eq!(
        gate.find("portable").map(|id| gate.name(id)),
        Ok("portable")
    );
    let unknown = gate.find("abacus");
    assert!(
        matches!(unknown, Err(GateError::Unknown { .. })),
        "{unknown:?}"
    );
}

#[test]
fn verdicts_are_the_rules_and_only_valid_items_come_out_verified() {
    let gate = gate();
    let mut random = SplitMix(6);
    let mut cases: Vec<_> = (0..150)
        .map(|key| Case::honest(key % 9, &mut random))
        .collect();
    for (bad, each) in [(vec![], false), (vec![0, 77, 149], false), (vec![3], true)] {
        for &at in &bad {
            cases[at].signature[3] ^= 1;
        }
        let items: Vec<_> = cases.iter().map(|case| case.item(16)).collect();
        for (id, backend) in gate.backends() {
            let verdicts = match each {
                true => gate.verify_each(id, &items),
                false => gate.verify(id, &items),
            };
            assert_eq!(verdicts.all_valid(), bad.is_empty());
            assert_eq!(verdicts.invalid_count(), bad.len(), "{}", backend.name());
            for (at, case) in cases.iter().enumerate() {
                let verified = verdicts.verified(at);
                assert_eq!(verified.is_some(), !bad.contains(&at), "{at}");
                if let Some(verified) = verified {
                    assert_eq!(verified.signature, &case.signature);
                }
            }
            if each {
                let expected = Work {
                    single: 150,
                    ..Work::default()
                };
                assert_eq!(verdicts.work(), expected);
            }
        }
        for &at in &bad {
            cases[at].signature[3] ^= 1;
        }
    }
}

#[test]
fn no_signatures_are_all_valid() {
    let gate = gate();
    let verdicts = gate.verify(gate.preferred(), &[]);
    assert!(verdicts.all_valid());
    assert_eq!(verdicts.work(), Work::default());
}

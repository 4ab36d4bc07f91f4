//! Seeded signatures, a tenth of them altered, through every backend and ed25519-zebra.
//!
//! `CLEARWAY_DIFFERENTIAL` says how many signatures; CI runs the small default. Zebra judges every
//! altered one by itself and the others in batches, by way of the portable backend.

use clearway_crypto::backend::{Backend, BatchVerdict, Item, Work};
use clearway_crypto::gate::Gate;
use clearway_crypto::suite::Case;
use clearway_types::seeded::SplitMix;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

/// Makes valid signatures cheaply: nonces count up, so that R is one addition further each time.
struct Signer {
    random: SplitMix,
    keys: Vec<(Scalar, EdwardsPoint)>,
    nonce: Scalar,
    r: EdwardsPoint,
}

#[test]
fn backends_and_zebra_agree_on_seeded_signatures() {
    let count = match std::env::var("CLEARWAY_DIFFERENTIAL") {
        Ok(count) => count.parse().expect("CLEARWAY_DIFFERENTIAL is a number"),
        Err(_) => DEFAULT_COUNT,
    };
    clearway_crypto::check_ranges();
    let gate = Gate::new().expect("this machine computes rightly");
    let (_, zebra) = gate.backends().next().expect("the portable backend");
    let mut signer = Signer::new(SEED);
    let mut done = 0;
    let mut altered_count = 0;
    while done < count {
        let len = match signer.random.index(16) {
            0 => 1 + signer.random.index(2048),
            _ => 1 + signer.random.index(256),
        };
        let start = signer.random.clone();
        let (honest, altered) = signer.batch(len);
        let judged = judge(zebra, &altered);
        let all_valid = [items(&honest), valid_ones(&altered, &judged)].concat();
        for (_, backend) in gate.backends() {
            let name = backend.name();
            assert_eq!(
                backend.verify_batch(&all_valid, &mut Work::default()),
                BatchVerdict::AllValid,
                "{name} on valid ones, from {start:?}"
            );
            if name == zebra.name() {
                continue;
            }
            let found = judge(backend, &altered);
            assert_eq!(found, judged, "{name} on altered ones, from {start:?}");
            assert_eq!(judge(backend, &honest), vec![true; honest.len()], "{name}");
            one_invalid(backend, &mut signer.random, &all_valid, &altered, &judged);
        }
        altered_count += altered.len();
        done += len;
    }
    println!("{done} signatures, {altered_count} altered, from seed {SEED}");
    assert!(
        altered_count * 20 > done,
        "a tenth is altered, more or less"
    );
}

/// One invalid signature anywhere among valid ones fails the batch.
fn one_invalid(
    backend: &dyn Backend,
    random: &mut SplitMix,
    valid: &[Item<'_>],
    altered: &[Case],
    judged: &[bool],
) {
    let invalid: Vec<_> = altered
        .iter()
        .zip(judged)
        .filter_map(|(case, valid)| (!valid).then_some(case))
        .collect();
    if invalid.is_empty() {
        return;
    }
    let case = invalid[random.index(invalid.len())];
    let mut items = valid.to_vec();
    items.insert(random.index(items.len() + 1), case.item(16));
    assert_eq!(
        backend.verify_batch(&items, &mut Work::default()),
        BatchVerdict::SomeInvalid,
        "{} on {case:?}",
        backend.name()
    );
}

fn judge(backend: &dyn Backend, cases: &[Case]) -> Vec<bool> {
    let mut valid = vec![false; cases.len()];
    backend.verify_each(&items(cases), &mut valid, &mut Work::default());
    valid
}

fn items(cases: &[Case]) -> Vec<Item<'_>> {
    cases.iter().map(|case| case.item(16)).collect()
}

fn valid_ones<'a>(cases: &'a [Case], judged: &[bool]) -> Vec<Item<'a>> {
    let judged = cases.iter().zip(judged);
    let valid = judged.filter(|(_, valid)| **valid);
    valid.map(|(case, _)| case.item(16)).collect()
}

impl Signer {
    fn new(seed: u64) -> Self {
        let mut random = SplitMix(seed);
        let keys = (0..KEYS)
            .map(|_| {
                let secret = Scalar::from(random.next_u64()) * Scalar::from(random.next_u64());
                (secret, ED25519_BASEPOINT_POINT * secret)
            })
            .collect();
        let nonce = Scalar::from(random.next_u64());
        Self {
            random,
            keys,
            nonce,
            r: ED25519_BASEPOINT_POINT * nonce,
        }
    }

    /// Honest signatures and about a tenth of the number altered ones.
    fn batch(&mut self, len: usize) -> (Vec<Case>, Vec<Case>) {
        let (mut honest, mut altered) = (Vec::new(), Vec::new());
        for _ in 0..len {
            if self.random.index(10) == 0 {
                let case = self.altered();
                altered.push(case);
            } else {
                let key = self.random.index(self.keys.len());
                honest.push(self.sign(key, EIGHT_TORSION[0], EIGHT_TORSION[0]));
            }
        }
        (honest, altered)
    }

    /// A signature by one of the keys; a torsion point is added to R and to the key.
    fn sign(&mut self, key: usize, in_r: EdwardsPoint, in_key: EdwardsPoint) -> Case {
        self.nonce += Scalar::ONE;
        self.r += ED25519_BASEPOINT_POINT;
        let (secret, point) = self.keys[key];
        let public_key = (point + in_key).compress().0;
        let r = (self.r + in_r).compress().0;
        let message: Vec<u8> = (0..18)
            .flat_map(|_| self.random.next_u64().to_le_bytes())
            .collect();
        let hash = Sha512::new()
            .chain_update(r)
            .chain_update(public_key)
            .chain_update(&message);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice((self.nonce + k * secret).as_bytes());
        Case {
            name: "seeded",
            public_key,
            message,
            signature,
            valid: true,
        }
    }

    fn altered(&mut self) -> Case {
        let key = self.random.index(self.keys.len());
        let kind = self.random.index(9);
        let torsion = EIGHT_TORSION[1 + self.random.index(7)];
        let other = EIGHT_TORSION[self.random.index(8)];
        let mut case = match kind {
            0 => self.sign(key, torsion, EIGHT_TORSION[0]),
            1 => self.sign(key, other, torsion),
            _ => self.sign(key, EIGHT_TORSION[0], EIGHT_TORSION[0]),
        };
        let bit = 1 << self.random.index(8);
        match kind {
            0 | 1 => {}
            2 => case.signature[self.random.index(32)] ^= bit,
            3 => case.signature[32 + self.random.index(32)] ^= bit,
            4 => case.public_key[self.random.index(32)] ^= bit,
            5 => case.message[self.random.index(144)] ^= bit,
            6 => add_group_order(&mut case.signature),
            // The key, or the message, of another signature.
            _ => {
                let key = self.random.index(self.keys.len());
                let from = self.sign(key, EIGHT_TORSION[0], EIGHT_TORSION[0]);
                match kind {
                    7 => case.public_key = from.public_key,
                    _ => case.message = from.message,
                }
            }
        }
        case
    }
}

/// S + L: the same scalar to every equation that does not look.
fn add_group_order(signature: &mut [u8; 64]) {
    let below = (-Scalar::ONE).to_bytes();
    let mut carry = 1;
    for (byte, order) in signature[32..].iter_mut().zip(below) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
}

const SEED: u64 = 215;
/// Keys that sign: some batches share few, some hold many.
const KEYS: usize = 300;
/// A few seconds without optimisation.
const DEFAULT_COUNT: usize = 12_000;

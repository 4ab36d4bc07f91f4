//! Signs a workload before the clock starts: whole streams of envelopes, on all cores.

use bytes::Bytes;
use clearway_client::Slab;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::{ENVELOPE_BYTES, Envelope, VERSION};
use clearway_types::flags::Flags;
use clearway_types::kind::Kind;
use clearway_types::transfer::Transfer;
use clearway_types::units::{TimeMs, TransferId};
use rayon::prelude::*;
use zerocopy::{FromZeros, IntoBytes};

use crate::cluster::{LEDGER, Members, TTL_S};
use crate::workload::{Pattern, Workload};

/// Envelopes for one stream, signed, in workload order.
#[derive(Clone, Debug)]
pub struct SignedStream {
    /// Position of the first payment in the workload.
    pub first: usize,
    /// Whole envelopes, with hints or without.
    pub slab: Slab,
}

impl SignedStream {
    /// Envelopes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }
}

/// Which part of a workload a load worker signs and sends: streams `part`, `part + of`, ...
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Share {
    /// Number of the worker, from 0.
    pub part: usize,
    /// Workers in all.
    pub of: usize,
}

impl Share {
    /// Everything.
    pub const WHOLE: Self = Self { part: 0, of: 1 };
}

/// What a stream is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct StreamShape {
    /// Most envelopes on it.
    pub len: usize,
    /// Whether it has hints, where this machine makes them.
    pub hints: bool,
}

/// How long a HOLD waits for its POST, which follows it on the same stream.
const HOLD_S: u32 = 3600;

/// Signs a share of the workload.
///
/// # Panics
/// When streams of no envelopes are asked for.
#[must_use]
pub fn sign(
    workload: &Workload,
    members: &Members,
    tag: DomainTag,
    now: TimeMs,
    shape: StreamShape,
    share: Share,
) -> Vec<SignedStream> {
    let chunks: Vec<(usize, &[crate::workload::Payment])> = workload
        .payments
        .chunks(shape.len)
        .enumerate()
        .filter(|(number, _)| number % share.of == share.part)
        .map(|(number, payments)| (number * shape.len, payments))
        .collect();
    chunks
        .into_par_iter()
        .map(|(first, payments)| {
            let mut slab = Vec::with_capacity(payments.len() * ENVELOPE_BYTES);
            for (index, payment) in (first as u64..).zip(payments) {
                let transfer = transfer(workload, payment, now, index);
                let key = members.bank_key(workload.signer(payment));
                let mut envelope: Envelope = key.sign_envelope(tag, *transfer.as_body());
                if is_invalid(index, workload.invalid_permille) {
                    envelope.signature[0] ^= 1;
                }
                slab.extend_from_slice(envelope.as_bytes());
            }
            let slab = match shape.hints {
                true => Slab::hinted(&slab),
                false => Slab::from(Bytes::from(slab)),
            };
            SignedStream { first, slab }
        })
        .collect()
}

fn transfer(
    workload: &Workload,
    payment: &crate::workload::Payment,
    now: TimeMs,
    index: u64,
) -> Transfer {
    let mut transfer = Transfer::new_zeroed();
    let account = |place: u32| workload.accounts[place as usize].id.0;
    let id = |index| TransferId::new(now, index, 0);
    let is_first = index.is_multiple_of(2);
    transfer.id = match (workload.pattern, is_first) {
        (Pattern::Linked, false) => TransferId::new(now, index - 1, 1),
        _ => id(index),
    };
    transfer.debit = account(payment.debit).into();
    transfer.credit = account(payment.credit).into();
    transfer.amount = payment.amount.into();
    transfer.value_day = now.day().0.into();
    transfer.signer = workload.signer(payment).0.into();
    transfer.expires_at = (now.seconds().0 + TTL_S).into();
    transfer.ledger = LEDGER.0.into();
    transfer.version = VERSION;
    let (kind, reference) = match (workload.pattern, is_first) {
        (Pattern::Holds, true) => (Kind::Hold, None),
        (Pattern::Holds, false) => (Kind::Post, Some(id(index - 1))),
        (Pattern::Returns, false) => (Kind::Return, Some(id(index - 1))),
        _ => (Kind::Transfer, None),
    };
    transfer.kind = kind as u8;
    if kind == Kind::Hold {
        transfer.timeout_s = HOLD_S.into();
    }
    if let Some(reference) = reference {
        transfer.reference = reference.0;
    }
    // The last one of an odd number has nothing behind it.
    let is_followed = index + 1 < workload.payments.len() as u64;
    let linked = workload.pattern == Pattern::Linked && is_first && is_followed;
    transfer.flags = Flags::new(0, linked).0.into();
    transfer
}

/// Spreads the wrong signatures evenly: by the fractions of multiples of the golden ratio.
fn is_invalid(index: u64, permille: u16) -> bool {
    let fraction = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    (fraction * 1000) >> 32 < u64::from(permille)
}

#[cfg(test)]
mod tests {
    use clearway_types::units::Digest;

    use super::*;
    use crate::workload::Generator;

    #[test]
    fn wrong_signatures_are_spread_over_the_payments() {
        for (permille, few, many) in [(0, 0, 0), (20, 8, 12), (500, 245, 255), (1000, 500, 500)] {
            for parity in [0, 1] {
                let wrong = (0..1000).filter(|index| is_invalid(*index, permille));
                let count = wrong.filter(|index| index % 2 == parity).count();
                assert!(
                    (few..=many).contains(&count),
                    "{permille}: {count} of {parity}"
                );
            }
        }
    }

    #[test]
    fn shares_together_are_the_workload_once_and_every_signature_verifies() {
        let workload = Generator {
            account_count: 100,
            payment_count: 25,
            ..Generator::default()
        }
        .generate();
        let members = Members::new(1);
        let tag = DomainTag::new(Digest([1; 32]));
        let now = TimeMs(1_700_000_000_000);
        let mut ids = std::collections::BTreeSet::new();
        for part in 0..3 {
            let (len, hints) = (4, part == 0);
            let (shape, share) = (StreamShape { len, hints }, Share { part, of: 3 });
            for stream in sign(&workload, &members, tag, now, shape, share) {
                assert!(stream.len() <= 4 && !stream.is_empty());
                for (offset, envelope) in stream.slab.envelopes().enumerate() {
                    let payment = &workload.payments[stream.first + offset];
                    let body = &envelope.body;
                    assert_eq!(Transfer::of(body).amount.get(), payment.amount);
                    assert_eq!(body.check_header(), Ok(Kind::Transfer));
                    let key = members.bank_key(body.signer()).verifying_key();
                    assert!(key.verify(&tag.signed_bytes(body), &envelope.signature));
                    assert!(ids.insert(body.id));
                }
            }
        }
        assert_eq!(ids.len(), 25);
    }
}

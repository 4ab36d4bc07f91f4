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
use crate::workload::Workload;

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

/// Signs a share of the workload as TRANSFERs.
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
                let envelope: Envelope = key.sign_envelope(tag, *transfer.as_body());
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
    transfer.id = TransferId::new(now, index, 0);
    transfer.debit = account(payment.debit).into();
    transfer.credit = account(payment.credit).into();
    transfer.amount = payment.amount.into();
    transfer.value_day = now.day().0.into();
    transfer.signer = workload.signer(payment).0.into();
    transfer.expires_at = (now.seconds().0 + TTL_S).into();
    transfer.ledger = LEDGER.0.into();
    transfer.kind = Kind::Transfer as u8;
    transfer.version = VERSION;
    transfer.flags = Flags::new(0, false).0.into();
    transfer
}

#[cfg(test)]
mod tests {
    use clearway_types::units::Digest;

    use super::*;
    use crate::workload::Generator;

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

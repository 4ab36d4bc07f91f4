//! What a submission sends: whole envelopes, and the hints that spare the node work.

use bytes::Bytes;
use clearway_crypto::hint::hints;
use clearway_types::envelope::{ENVELOPE_BYTES, Envelope, envelopes};
use clearway_types::wire::{HINTED_BYTES, Op};
use zerocopy::FromBytes;

use crate::error::ClientError;

/// Envelopes as they go over the wire, with a hint behind each or without; cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slab {
    wire: Bytes,
    op: Op,
}

impl From<Bytes> for Slab {
    /// Envelopes without hints, as they are. A submission refuses bytes that are not whole ones.
    fn from(envelopes: Bytes) -> Self {
        Self {
            wire: envelopes,
            op: Op::Submit,
        }
    }
}

impl Slab {
    /// A copy of whole envelopes, with hints where this machine makes them: about 1 us of processor
    /// time an envelope, as much as each validator saves.
    ///
    /// # Panics
    /// For bytes behind the last whole envelope.
    #[must_use]
    pub fn hinted(slab: &[u8]) -> Self {
        let Some(hints) = hints(envelopes(slab).iter().map(|e| &e.signature)) else {
            return Bytes::copy_from_slice(slab).into();
        };
        let mut wire = Vec::with_capacity(hints.len() * HINTED_BYTES);
        for (envelope, hint) in slab.chunks_exact(ENVELOPE_BYTES).zip(&hints) {
            wire.extend_from_slice(envelope);
            wire.extend_from_slice(hint);
        }
        Self {
            wire: wire.into(),
            op: Op::SubmitHinted,
        }
    }

    /// Number of whole envelopes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wire.len() / self.op.item_bytes()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The envelope at this position.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn envelope(&self, position: usize) -> &Envelope {
        let bytes = &self.wire[position * self.op.item_bytes()..][..ENVELOPE_BYTES];
        Envelope::ref_from_bytes(bytes).expect("as long as an envelope")
    }

    /// The envelopes, in order.
    pub fn envelopes(&self) -> impl ExactSizeIterator<Item = &Envelope> {
        (0..self.len()).map(|position| self.envelope(position))
    }

    /// Refuses bytes behind the last whole envelope.
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        match self.wire.len() {
            bytes if bytes.is_multiple_of(self.op.item_bytes()) => Ok(()),
            bytes => Err(ClientError::SlabLen { bytes }),
        }
    }

    /// The op that sends it.
    pub(crate) fn op(&self) -> Op {
        self.op
    }

    /// Envelopes `from` to `to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        let item_bytes = self.op.item_bytes();
        Self {
            wire: self.wire.slice(from * item_bytes..to * item_bytes),
            op: self.op,
        }
    }

    /// The bytes on the wire.
    pub(crate) fn into_wire(self) -> Bytes {
        self.wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_envelope_is_followed_by_its_own_hint_wherever_the_slab_is_cut() {
        let mut all = vec![0; 5 * ENVELOPE_BYTES];
        for (number, envelope) in (1..).zip(all.chunks_mut(ENVELOPE_BYTES)) {
            envelope.fill(number);
            // R, behind the body, gets a small y: some of these are points.
            envelope[129..160].fill(0);
        }
        let slab = Slab::hinted(&all);
        assert_eq!(slab.len(), 5);
        let plain = Slab::from(Bytes::from(all));
        assert!(slab.envelopes().eq(plain.envelopes()));
        assert_eq!(slab.slice(1, 3).envelope(1), plain.envelope(2));
        assert_eq!(plain.op(), Op::Submit);
        if slab.op() == Op::Submit {
            println!("NOT RUN: this machine makes no hints");
            return;
        }
        let expected = hints(plain.envelopes().map(|e| &e.signature)).expect("as before");
        let wire = slab.slice(2, 4).into_wire();
        for (position, item) in (2..4).zip(wire.chunks(HINTED_BYTES)) {
            assert_eq!(item[ENVELOPE_BYTES..], expected[position]);
        }
    }
}

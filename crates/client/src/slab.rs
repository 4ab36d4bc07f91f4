//! What a submission sends: whole envelopes, and the hints that spare the node work.

use bytes::{Bytes, BytesMut};
use clearway_crypto::hint::hints;
use clearway_types::envelope::{ENVELOPE_BYTES, Envelope, envelopes};
use clearway_types::wire::{HINT_BYTES, HINTED_BYTES, Op};

/// Whole envelopes, with a hint each or without; cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slab {
    envelopes: Bytes,
    /// As many as envelopes, or none.
    hints: Bytes,
}

impl From<Bytes> for Slab {
    /// Without hints.
    fn from(envelopes: Bytes) -> Self {
        let hints = Bytes::new();
        Self { envelopes, hints }
    }
}

impl Slab {
    /// With hints, where this machine makes them: about 1 us of processor time an envelope, as much
    /// as each validator saves.
    ///
    /// Bytes behind the last whole envelope get none; a submission refuses them.
    #[must_use]
    pub fn hinted(all: Bytes) -> Self {
        let whole = all.len() / ENVELOPE_BYTES * ENVELOPE_BYTES;
        let hints = hints(envelopes(&all[..whole]).iter().map(|e| &e.signature));
        Self {
            envelopes: all,
            hints: hints.map_or_else(Bytes::new, |hints| hints.into_flattened().into()),
        }
    }

    /// The envelopes.
    ///
    /// # Panics
    /// When they are not whole.
    #[must_use]
    pub fn envelopes(&self) -> &[Envelope] {
        envelopes(&self.envelopes)
    }

    /// Number of whole envelopes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.envelopes.len() / ENVELOPE_BYTES
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the envelopes, whole or not.
    pub(crate) fn envelope_bytes(&self) -> usize {
        self.envelopes.len()
    }

    /// The op that sends it.
    pub(crate) fn op(&self) -> Op {
        match self.hints.is_empty() {
            true => Op::Submit,
            false => Op::SubmitHinted,
        }
    }

    /// Envelopes `from` to `to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        let bytes = |each: usize| from * each..to * each;
        let hint_bytes = if self.hints.is_empty() { 0 } else { HINT_BYTES };
        Self {
            envelopes: self.envelopes.slice(bytes(ENVELOPE_BYTES)),
            hints: self.hints.slice(bytes(hint_bytes)),
        }
    }

    /// The bytes on the wire: each envelope followed by its hint.
    pub(crate) fn wire(&self) -> Bytes {
        if self.hints.is_empty() {
            return self.envelopes.clone();
        }
        let mut wire = BytesMut::with_capacity(self.len() * HINTED_BYTES);
        let hints = self.hints.chunks_exact(HINT_BYTES);
        for (envelope, hint) in self.envelopes.chunks_exact(ENVELOPE_BYTES).zip(hints) {
            wire.extend_from_slice(envelope);
            wire.extend_from_slice(hint);
        }
        wire.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_envelope_is_followed_by_its_own_hint_wherever_the_slab_is_cut() {
        let (mut all, mut hints) = (Vec::new(), Vec::new());
        for number in 0..5 {
            all.extend([number; ENVELOPE_BYTES]);
            hints.extend([number; HINT_BYTES]);
        }
        let slab = Slab {
            envelopes: all.into(),
            hints: hints.into(),
        };
        assert_eq!((slab.len(), slab.op()), (5, Op::SubmitHinted));
        let wire = slab.slice(2, 4).wire();
        assert_eq!(wire[..], [[2; HINTED_BYTES], [3; HINTED_BYTES]].concat());
        let plain = Slab::from(slab.envelopes.clone()).slice(1, 2);
        assert_eq!((plain.len(), plain.op()), (1, Op::Submit));
        assert_eq!(plain.wire()[..], [1; ENVELOPE_BYTES]);
    }

    #[test]
    fn cut_envelopes_are_left_to_the_submission() {
        for bytes in [0, 1, ENVELOPE_BYTES + 1] {
            let slab = Slab::hinted(vec![0; bytes].into());
            assert_eq!(slab.envelope_bytes(), bytes);
            assert_eq!(slab.is_empty(), bytes < ENVELOPE_BYTES);
        }
    }
}

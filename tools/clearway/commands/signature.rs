//! Whether an envelope is signed by the key that it names, as far as that key is known.

use clearway_crypto::keys::VerifyingKey;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::Envelope;
use clearway_types::units::Digest;
use clearway_types::wire::roster::RosterView;

use crate::commands::connect::{Connect, Session};
use crate::commands::entry::Entry;
use crate::failure::Failure;

impl Session {
    /// Whether an envelope is signed by the key that it names, for this cluster; nothing where that
    /// key is not known.
    pub(super) fn is_signed(&self, envelope: &Envelope, roster: &RosterView) -> Option<bool> {
        let body = &envelope.body;
        let participant = roster.participant(body.signer())?;
        let key = participant.keys[body.flags().key_slot()]?;
        self.verifies(envelope, &key.public_key)
    }

    /// Whether the envelope of an entry has been changed since it was signed: nothing can come of
    /// its bytes, and those that were sent are not known. The roster is asked for where another key
    /// than the session's own has signed.
    pub(super) fn is_forged(&self, envelope: &Envelope) -> Result<bool, Failure> {
        let (own, body) = (self.signer.identity(), &envelope.body);
        let by_own = own.participant() == body.signer()
            && usize::from(own.slot()) == body.flags().key_slot();
        let signed = match by_own {
            true => self.verifies(envelope, &own.public_key()),
            false => self.is_signed(envelope, &self.roster()?),
        };
        Ok(signed == Some(false))
    }

    fn verifies(&self, envelope: &Envelope, public_key: &[u8; 32]) -> Option<bool> {
        verifies(envelope, public_key, self.genesis.hash())
    }
}

impl Connect {
    /// Whether an entry is signed by the member's own key, as its public half says; nothing where
    /// another has signed it, for another cluster, or that half is not there.
    pub(super) fn vouches_for(&self, entry: &Entry) -> Option<bool> {
        let genesis = self.genesis().ok()?;
        let (own, slot, public_key) = self.public_identity(&genesis)?;
        let body = &entry.envelope.body;
        let by_own = own == body.signer() && usize::from(slot) == body.flags().key_slot();
        let is_asked = by_own && entry.genesis == genesis.hash();
        is_asked.then(|| verifies(&entry.envelope, &public_key, entry.genesis))?
    }
}

/// Whether a key has signed an envelope for the cluster of this genesis; nothing for what is none.
fn verifies(envelope: &Envelope, public_key: &[u8; 32], genesis: Digest) -> Option<bool> {
    let key = VerifyingKey::from_bytes(public_key).ok()?;
    let tag = DomainTag::new(genesis);
    Some(key.verify(&tag.signed_bytes(&envelope.body), &envelope.signature))
}

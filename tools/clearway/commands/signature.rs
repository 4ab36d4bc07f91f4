//! Whether an envelope is signed by the key that it names, as far as that key is known.

use clearway_crypto::keys::VerifyingKey;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::Envelope;
use clearway_types::genesis::Genesis;
use clearway_types::units::{Digest, ParticipantId};
use clearway_types::wire::roster::RosterView;

use crate::commands::connect::Session;
use crate::failure::Failure;

/// A member's own key: of which participant, in which slot, and its public half.
pub(super) type PublicIdentity = (ParticipantId, u8, [u8; 32]);

impl Session {
    /// Whether an envelope is signed by the key that it names, for this cluster; nothing where that
    /// key is not known.
    pub(super) fn is_signed(&self, envelope: &Envelope, roster: &RosterView) -> Option<bool> {
        let key = registered(envelope, roster)?;
        verifies(envelope, &key, self.genesis_hash)
    }

    /// Whether no key that is known for its slot has signed the envelope of an entry: nothing can
    /// come of its bytes, and those that were sent are not known. The roster is asked for where it
    /// names another key than the session's own.
    pub(super) fn is_forged(&self, envelope: &Envelope) -> Result<bool, Failure> {
        let own = self.signer.identity();
        let key = match names(envelope, own.participant(), own.slot()) {
            true => Some(own.public_key()),
            false => registered(envelope, self.known_roster()?),
        };
        Ok(key.is_some_and(|key| is_changed(envelope, &key, (&self.genesis, self.genesis_hash))))
    }

    /// Whether the session's own key has signed an envelope for this cluster, whichever slot that
    /// names.
    pub(super) fn is_by_own_key(&self, envelope: &Envelope) -> bool {
        let own = self.signer.identity().public_key();
        verifies(envelope, &own, self.genesis_hash) == Some(true)
    }
}

/// As [`Session::is_forged`] of an envelope that names the member's own key; of another's it is not
/// known here.
pub(super) fn is_forged_own(
    envelope: &Envelope,
    own: PublicIdentity,
    genesis: (&Genesis, Digest),
) -> bool {
    let (signer, slot, public_key) = own;
    names(envelope, signer, slot) && is_changed(envelope, &public_key, genesis)
}

/// Whether an envelope says that the key in this slot has signed it.
fn names(envelope: &Envelope, signer: ParticipantId, slot: u8) -> bool {
    let body = &envelope.body;
    body.signer() == signer && body.flags().key_slot() == usize::from(slot)
}

/// The key in the slot that an envelope names.
fn registered(envelope: &Envelope, roster: &RosterView) -> Option<[u8; 32]> {
    let body = &envelope.body;
    let participant = roster.participant(body.signer())?;
    participant.keys[body.flags().key_slot()].map(|key| key.public_key)
}

/// Whether neither the key that an envelope's slot has now nor the one that the genesis has there
/// has signed it. The slot may have taken another key since: no copy is executed any more then, and
/// the end of these bytes is known all the same. Of the keys between the two nobody has a list.
fn is_changed(
    envelope: &Envelope,
    public_key: &[u8; 32],
    (genesis, hash): (&Genesis, Digest),
) -> bool {
    if verifies(envelope, public_key, hash) != Some(false) {
        return false;
    }
    let mut participants = genesis.participants.iter();
    let first = participants.find(|first| names(envelope, first.id, 0));
    first.is_none_or(|first| verifies(envelope, &first.public_key.0, hash) != Some(true))
}

/// Whether a key has signed an envelope for the cluster of this genesis; nothing for what is none.
fn verifies(envelope: &Envelope, public_key: &[u8; 32], genesis: Digest) -> Option<bool> {
    let key = VerifyingKey::from_bytes(public_key).ok()?;
    let tag = DomainTag::new(genesis);
    Some(key.verify(&tag.signed_bytes(&envelope.body), &envelope.signature))
}

#[cfg(test)]
mod tests {
    use clearway_client::{Draft, Identity, Signer};
    use clearway_types::account::Role;
    use clearway_types::amount::Amount;
    use clearway_types::genesis::{GenesisParticipant, HexBytes, Rules};
    use clearway_types::units::{AccountId, LedgerId, TimeMs};

    use super::*;

    #[test]
    fn an_envelope_is_forged_that_neither_the_slots_key_nor_its_first_one_has_signed() {
        let key = |seed| Identity::from_seed(&[seed; 32], ParticipantId(2), 0).public_key();
        let genesis = Genesis {
            name: "one".into(),
            time: TimeMs(0),
            rules: Rules::default(),
            validators: Vec::new(),
            participants: vec![GenesisParticipant {
                id: ParticipantId(2),
                role: Role::Member,
                sponsor: ParticipantId(0),
                lei: String::new(),
                bic: String::new(),
                public_key: HexBytes(key(1)),
            }],
            ledgers: Vec::new(),
            accounts: Vec::new(),
        };
        let hash = genesis.hash();
        let signed = |seed, participant, slot| {
            let signer = ParticipantId(participant);
            let identity = Identity::from_seed(&[seed; 32], signer, slot);
            let signer = Signer::new(identity, hash).expect("randomness");
            let account = |owner| AccountId::new(ParticipantId(owner), 1);
            let amount = Amount::new(10, LedgerId(978));
            signer.sign(Draft::transfer(account(participant), account(7), amount))
        };
        let changed = |mut envelope: Envelope| {
            envelope.body.expires_at = 1.into();
            envelope
        };
        // What, the seed of the key that its slot has now, whether it is forged.
        let rows = [
            (signed(1, 2, 0), 1, false),
            // The slot has taken another key since.
            (signed(1, 2, 0), 3, false),
            (signed(3, 2, 0), 3, false),
            (signed(3, 2, 0), 1, true),
            (signed(3, 2, 0), 4, true),
            (changed(signed(1, 2, 0)), 1, true),
            (changed(signed(1, 2, 0)), 3, true),
            (changed(signed(3, 2, 0)), 3, true),
            // The genesis has no key of another slot or participant.
            (signed(1, 2, 1), 1, false),
            (signed(1, 2, 1), 3, true),
            (signed(1, 5, 0), 3, true),
        ];
        for (envelope, seed, expected) in rows {
            let found = is_changed(&envelope, &key(seed), (&genesis, hash));
            assert_eq!(found, expected, "{seed}: {:?}", envelope.body);
            // What does not name the member's own key is not known to be forged.
            let own = (ParticipantId(2), 0, key(seed));
            let names_own = names(&envelope, ParticipantId(2), 0);
            let found = is_forged_own(&envelope, own, (&genesis, hash));
            assert_eq!(found, expected && names_own, "{seed}: {:?}", envelope.body);
        }
    }
}

//! The key directory: which public keys verify whose envelopes, as of one height.

use std::collections::BTreeMap;

use crate::account::KeyEntry;
use crate::units::{Height, ParticipantId};

/// Keys of all participants, published by execution whenever one changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyDirectory {
    /// Height whose execution made this version.
    pub height: Height,
    /// Four key slots of each participant.
    pub participants: BTreeMap<ParticipantId, [Option<KeyEntry>; 4]>,
}

impl KeyDirectory {
    /// The key in a participant's slot, whether valid at some height or not.
    #[must_use]
    pub fn key(&self, participant: ParticipantId, slot: usize) -> Option<&KeyEntry> {
        self.participants.get(&participant)?.get(slot)?.as_ref()
    }
}

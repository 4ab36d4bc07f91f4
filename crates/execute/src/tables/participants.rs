//! Participants, their keys, and the versions of the key directory that batches may still name.
//!
//! A batch names the directory version by which its signatures were verified. A later version makes
//! an older one stale after KEY_LAG_MAX heights; a key that is put in place of another begins
//! exactly then. So no signature that was verified by a slot's old key is ever taken for the new
//! one's. A slot that never held a key needs no such wait: no older version verifies anything by
//! it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use clearway_crypto::hash::sha256;
use clearway_types::account::{KeyEntry, Participant, Role};
use clearway_types::directory::KeyDirectory;
use clearway_types::domain::prefix;
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::{Digest, Height, ParticipantId};

use crate::tables::part;

/// Key validity without an end.
pub(crate) const NO_END: Height = Height(u64::MAX);

/// The registered participants.
#[derive(Clone)]
pub(crate) struct Participants {
    all: Arc<BTreeMap<ParticipantId, Participant>>,
    directory: Arc<KeyDirectory>,
    /// Heights that made a version of the directory, ascending; the last is the current one, the
    /// others became stale less than KEY_LAG_MAX heights ago.
    versions: VecDeque<Height>,
    /// Whether a key changed in the block under way.
    keys_changed: bool,
    /// Hash over all participants; `None` after a change.
    hash: Option<Digest>,
}

impl Participants {
    /// `all`, with the directory version of the last of `versions`.
    pub(crate) fn new(
        all: BTreeMap<ParticipantId, Participant>,
        versions: VecDeque<Height>,
    ) -> Self {
        let height = versions.back().copied().unwrap_or_default();
        Self {
            directory: Arc::new(directory_of(&all, height)),
            all: Arc::new(all),
            versions,
            keys_changed: false,
            hash: None,
        }
    }

    pub(crate) fn get(&self, id: ParticipantId) -> Option<&Participant> {
        self.all.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// All participants in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Participant> {
        self.all.values()
    }

    /// Participants from a number on.
    pub(crate) fn from(&self, first: ParticipantId) -> impl Iterator<Item = &Participant> {
        self.all.range(first..).map(|(_, participant)| participant)
    }

    pub(crate) fn versions(&self) -> &VecDeque<Height> {
        &self.versions
    }

    pub(crate) fn directory(&self) -> &Arc<KeyDirectory> {
        &self.directory
    }

    /// Registers a participant or changes all but its keys.
    pub(crate) fn set(&mut self, participant: Participant) {
        self.hash = None;
        let id = participant.id;
        let before = Arc::make_mut(&mut self.all).insert(id, participant);
        // A participant without keys appears in the directory too.
        self.keys_changed |= before.is_none();
    }

    /// Puts a key entry into a slot of a registered participant.
    pub(crate) fn set_key(&mut self, id: ParticipantId, slot: usize, entry: KeyEntry) {
        self.hash = None;
        self.keys_changed = true;
        let participant = Arc::make_mut(&mut self.all).get_mut(&id);
        let participant = participant.expect("the caller has looked it up");
        participant.keys[slot] = Some(entry);
    }

    /// Whether the signatures of a batch that names `version` may be relied on at `height`.
    pub(crate) fn fresh(&self, version: Height, height: Height) -> bool {
        if version >= height {
            return false;
        }
        let next = self.versions.iter().find(|&&made| made > version);
        next.is_none_or(|made| height.0.saturating_sub(made.0) < KEY_LAG_MAX)
    }

    /// Makes a new directory version when a key changed, forgets stale ones.
    pub(crate) fn end_block(&mut self, height: Height) {
        if self.keys_changed {
            self.keys_changed = false;
            self.versions.push_back(height);
            self.directory = Arc::new(directory_of(&self.all, height));
        }
        // The second oldest version says when the oldest became stale.
        while self
            .versions
            .get(1)
            .is_some_and(|made| height.0.saturating_sub(made.0) >= KEY_LAG_MAX)
        {
            self.versions.pop_front();
        }
    }

    /// Hash over participants and directory versions.
    pub(crate) fn root(&mut self) -> Digest {
        let all = &self.all;
        let hash = *self.hash.get_or_insert_with(|| {
            let mut bytes = Vec::new();
            for participant in all.values() {
                participant.encode(&mut bytes);
            }
            sha256(&[&[prefix::STATE_PART, part::DIRECTORY], &bytes])
        });
        let mut versions = Vec::new();
        for version in &self.versions {
            versions.extend_from_slice(&version.0.to_le_bytes());
        }
        sha256(&[&[prefix::STATE_PART, part::DIRECTORY], &hash.0, &versions])
    }
}

/// Whether this participant's approval counts.
pub(crate) fn is_operator(participant: &Participant) -> bool {
    participant.role == Role::Operator && !participant.suspended
}

/// Whether this participant is an operator with a live key at `height`.
pub(crate) fn can_sign(participant: &Participant, height: Height) -> bool {
    let mut keys = participant.keys.iter().flatten();
    is_operator(participant) && keys.any(|key| key.valid_at(height))
}

fn directory_of(all: &BTreeMap<ParticipantId, Participant>, height: Height) -> KeyDirectory {
    let keys = all
        .values()
        .map(|participant| (participant.id, participant.keys));
    KeyDirectory {
        height,
        participants: keys.collect(),
    }
}

//! Participants, their keys, and the versions of the key directory that batches may still name.
//!
//! A batch names the directory version by which its signatures were verified. A later version makes
//! an older one stale after KEY_LAG_MAX heights; a key that is put in place of another begins
//! exactly then. So no signature that was verified by a slot's old key is ever taken for the new
//! one's. A slot that never held a key needs no such wait: no older version verifies anything by
//! it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use clearway_crypto::hash::sha256;
use clearway_types::account::{KeyEntry, Participant, Role};
use clearway_types::codec::{DecodeError, Reader, Writer as _};
use clearway_types::directory::KeyDirectory;
use clearway_types::domain::prefix;
use clearway_types::limits::{KEY_LAG_MAX, PARTICIPANTS_MAX};
use clearway_types::units::{Digest, Height, ParticipantId};
use clearway_types::wire::roster::PARTICIPANT_BYTES;

use crate::clock::Clock;
use crate::error::ExecuteError;
use crate::tables::codec::{Sink, Source};
use crate::tables::undo::Undo;
use crate::tables::{Table, part};

/// Key validity without an end.
pub(crate) const NO_END: Height = Height(u64::MAX);

/// Participants, directory versions.
type Frozen = (Arc<BTreeMap<ParticipantId, Participant>>, VecDeque<Height>);

/// `all`, `operators`, `owners` and `keys_changed`.
type Before = (
    Arc<BTreeMap<ParticipantId, Participant>>,
    Arc<BTreeSet<ParticipantId>>,
    Arc<BTreeMap<PublicKey, ParticipantId>>,
    bool,
);

/// Bytes of a public key.
type PublicKey = [u8; 32];

/// The registered participants.
pub(crate) struct Participants {
    all: Arc<BTreeMap<ParticipantId, Participant>>,
    /// Those whose approval counts: few among thousands, and looked through for any record that
    /// names one of them, whatever its signer.
    operators: Arc<BTreeSet<ParticipantId>>,
    /// Who has a public key in one of its slots, live or not.
    owners: Arc<BTreeMap<PublicKey, ParticipantId>>,
    directory: Arc<KeyDirectory>,
    /// Heights that made a version of the directory, ascending; the last is the current one, the
    /// others became stale less than KEY_LAG_MAX heights ago.
    versions: VecDeque<Height>,
    /// Whether a key changed in the block under way.
    keys_changed: bool,
    /// Hash over all participants; `None` after a change.
    hash: Option<Digest>,
    /// What there was before each change of the linked chain under way.
    undo: Undo<Before>,
}

impl Participants {
    /// `all`, with the directory version of the last of `versions`.
    pub(crate) fn new(
        all: BTreeMap<ParticipantId, Participant>,
        versions: VecDeque<Height>,
    ) -> Self {
        let height = versions.back().copied().unwrap_or_default();
        let operators = all.values().filter(|one| is_operator(one));
        Self {
            operators: Arc::new(operators.map(|one| one.id).collect()),
            owners: Arc::new(all.values().flat_map(keys_of).collect()),
            directory: Arc::new(directory_of(&all, height)),
            all: Arc::new(all),
            versions,
            keys_changed: false,
            hash: None,
            undo: Undo::default(),
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

    /// Those whose approval counts, in the order of their numbers.
    pub(crate) fn operators(&self) -> impl Iterator<Item = &Participant> {
        self.operators.iter().filter_map(|id| self.all.get(id))
    }

    /// Who has this public key in one of its slots, live or not.
    pub(crate) fn owner_of(&self, public_key: &PublicKey) -> Option<ParticipantId> {
        self.owners.get(public_key).copied()
    }

    /// All participants as they are now, for other threads: changing one later copies them.
    pub(crate) fn shared(&self) -> Arc<BTreeMap<ParticipantId, Participant>> {
        Arc::clone(&self.all)
    }

    pub(crate) fn directory(&self) -> &Arc<KeyDirectory> {
        &self.directory
    }

    /// Registers a participant without keys, or changes all but its keys.
    pub(crate) fn set(&mut self, participant: Participant) {
        self.note();
        let id = participant.id;
        let (counts, counted) = (is_operator(&participant), self.operators.contains(&id));
        if counts && !counted {
            Arc::make_mut(&mut self.operators).insert(id);
        } else if counted && !counts {
            Arc::make_mut(&mut self.operators).remove(&id);
        }
        let before = Arc::make_mut(&mut self.all).insert(id, participant);
        // A participant without keys appears in the directory too.
        self.keys_changed |= before.is_none();
    }

    /// Puts a key entry into a slot of a registered participant.
    pub(crate) fn set_key(&mut self, id: ParticipantId, slot: usize, entry: KeyEntry) {
        self.note();
        self.keys_changed = true;
        let participant = Arc::make_mut(&mut self.all).get_mut(&id);
        let participant = participant.expect("the caller has looked it up");
        let before = participant.keys[slot].replace(entry);
        let still_has = |key: &PublicKey| keys_of(participant).any(|(other, _)| other == *key);
        let owners = Arc::make_mut(&mut self.owners);
        if let Some(gone) = before
            .map(|entry| entry.public_key)
            .filter(|key| !still_has(key))
        {
            owners.remove(&gone);
        }
        owners.insert(entry.public_key, id);
    }

    /// Whether the signatures of a batch that names `version` may be relied on at `height`.
    pub(crate) fn fresh(&self, version: Height, height: Height) -> bool {
        if version >= height {
            return false;
        }
        let next = self.versions.iter().find(|&&made| made > version);
        next.is_none_or(|made| height.0.saturating_sub(made.0) < KEY_LAG_MAX)
    }

    /// Before a change.
    fn note(&mut self) {
        self.hash = None;
        let (all, operators, owners) = (&self.all, &self.operators, &self.owners);
        let keys_changed = self.keys_changed;
        self.undo.note(|| {
            let (all, operators) = (Arc::clone(all), Arc::clone(operators));
            (all, operators, Arc::clone(owners), keys_changed)
        });
    }
}

impl Table for Participants {
    const PART: u8 = part::DIRECTORY;

    type Frozen = Frozen;

    #[cfg(test)]
    const CHANGES: &'static [fn(&mut Self)] = &[
        |participants| participants.set(sample(1)),
        |participants| participants.set(sample(2)),
        |participants| {
            participants.set_key(
                ParticipantId(1),
                1,
                KeyEntry {
                    public_key: [1; 32],
                    valid_from: Height(1),
                    valid_to: NO_END,
                },
            )
        },
        |participants| {
            let mut changed = sample(1);
            changed.suspended = true;
            participants.set(changed);
        },
    ];

    fn empty(_: Clock) -> Self {
        Self::new(BTreeMap::new(), VecDeque::new())
    }

    fn begin(&mut self) {
        self.undo.begin();
    }

    fn commit(&mut self) {
        self.undo.commit();
    }

    fn roll_back(&mut self) {
        for (all, operators, owners, keys_changed) in self.undo.take() {
            (self.all, self.operators, self.owners) = (all, operators, owners);
            (self.keys_changed, self.hash) = (keys_changed, None);
        }
    }

    /// Makes a new directory version when a key changed, forgets stale ones.
    fn end_block(&mut self, height: Height) {
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
    fn root(&mut self) -> Option<Digest> {
        if self.all.is_empty() && self.versions.is_empty() {
            return None;
        }
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
            versions.u64(version.0);
        }
        let parts: [&[u8]; 3] = [&[prefix::STATE_PART, part::DIRECTORY], &hash.0, &versions];
        Some(sha256(&parts))
    }

    fn freeze(&self) -> Option<Self::Frozen> {
        let frozen = (Arc::clone(&self.all), self.versions.clone());
        (!self.all.is_empty() || !self.versions.is_empty()).then_some(frozen)
    }

    fn write((all, versions): &Self::Frozen, to: &mut Sink<'_>) -> io::Result<()> {
        to.count(all.len())?;
        for participant in all.values() {
            to.put_with(|out| participant.encode(out))?;
        }
        to.count(versions.len())?;
        for version in versions {
            to.put(&version.0.to_le_bytes())?;
        }
        Ok(())
    }

    fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError> {
        let mut all = BTreeMap::new();
        for _ in 0..from.count(PARTICIPANTS_MAX, "participants")? {
            let participant = read_participant(from)?;
            all.insert(participant.id, participant);
        }
        let mut versions = VecDeque::new();
        let versions_max = usize::try_from(KEY_LAG_MAX)
            .expect("a small constant")
            .saturating_add(1);
        for _ in 0..from.count(versions_max, "versions")? {
            versions.push_back(Height(from.u64()?));
        }
        Ok(Self::new(all, versions))
    }

    #[cfg(test)]
    fn hidden(&self) -> String {
        let (changed, operators, owners) = (self.keys_changed, &self.operators, &self.owners);
        format!("{changed} {operators:?} {owners:?} {:?}", self.directory)
    }
}

#[cfg(test)]
fn sample(number: u32) -> Participant {
    Participant::new(ParticipantId(number), Role::Operator)
}

/// The public keys in a participant's slots, each with its owner.
fn keys_of(participant: &Participant) -> impl Iterator<Item = (PublicKey, ParticipantId)> {
    let keys = participant.keys.iter().flatten();
    keys.map(|entry| (entry.public_key, participant.id))
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

fn read_participant(from: &mut Source<'_>) -> Result<Participant, ExecuteError> {
    let bytes: [u8; PARTICIPANT_BYTES] = from.array()?;
    Participant::decode(&mut Reader::new(&bytes)).map_err(|error| ExecuteError::Snapshot {
        field: match error {
            DecodeError::Invalid { field } => field,
            _ => "participant",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn participant(id: u32, role: Role, suspended: bool) -> Participant {
        let mut participant = Participant::new(ParticipantId(id), role);
        participant.suspended = suspended;
        participant
    }

    #[test]
    fn a_key_has_its_owner_while_a_slot_holds_it() {
        let entry = |byte| KeyEntry {
            public_key: [byte; 32],
            valid_from: Height(1),
            valid_to: NO_END,
        };
        let all = [1, 2].map(|id| (ParticipantId(id), participant(id, Role::Member, false)));
        let mut participants = Participants::new(all.into(), VecDeque::from([Height(0)]));
        let [first, second] = [1, 2].map(ParticipantId);
        participants.set_key(first, 0, entry(7));
        participants.set_key(first, 1, entry(7));
        participants.set_key(second, 0, entry(8));
        participants.begin();
        participants.set_key(first, 0, entry(9));
        participants.set_key(first, 1, entry(9));
        assert_eq!(participants.owner_of(&[7; 32]), None);
        participants.roll_back();
        assert_eq!(participants.owner_of(&[9; 32]), None);
        participants.set_key(first, 1, entry(6));
        let read = Participants::new((*participants.all).clone(), VecDeque::new());
        for table in [participants, read] {
            let owner = |byte| table.owner_of(&[byte; 32]).map(|owner| owner.0);
            let told = [5, 6, 7, 8, 9].map(owner);
            assert_eq!(told, [None, Some(1), Some(1), Some(2), None]);
        }
    }

    #[test]
    fn operators_are_those_among_all_whose_approval_counts_after_every_change() {
        let roles = [Role::Operator, Role::Member, Role::Auditor];
        let first = (1..20).map(|id| participant(id, roles[id as usize % 3], id % 4 == 0));
        let all = first.map(|one| (one.id, one)).collect();
        let mut participants = Participants::new(all, VecDeque::from([Height(0)]));
        let check = |participants: &Participants| {
            let told: Vec<_> = participants.operators().map(|one| one.id).collect();
            let all = participants.iter().filter(|one| is_operator(one));
            assert_eq!(told, all.map(|one| one.id).collect::<Vec<_>>());
            told.len()
        };
        let mut counts = BTreeSet::from([check(&participants)]);
        for (role, suspended) in roles
            .iter()
            .flat_map(|role| [(*role, false), (*role, true)])
        {
            for id in 1..30 {
                participants.begin();
                participants.set(participant(id, Role::Operator, id % 2 == 0));
                participants.roll_back();
                check(&participants);
                participants.set(participant(id, role, suspended));
                counts.insert(check(&participants));
            }
        }
        assert!(counts.contains(&0) && counts.contains(&29), "{counts:?}");
    }
}

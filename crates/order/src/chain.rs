//! The tree of manifests above the final tip, and the walk from a certified manifest to the tip.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clearway_types::manifest::{BatchRef, Manifest};
use clearway_types::units::{Digest, Height, TimeMs, ValidatorNumber};

use crate::recovery::{FinalPoint, LaneTip};

/// Where each validator's lanes end.
pub(crate) type Lanes = BTreeMap<ValidatorNumber, LaneTip>;

/// What a child must respect of its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) height: Height,
    pub(crate) time: TimeMs,
    pub(crate) state_height: Height,
    pub(crate) exec_head: Digest,
}

/// The way from a manifest down to the final tip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Walk {
    /// Manifests above the tip, oldest first; empty for the tip itself.
    Path(Vec<Digest>),
    /// This ancestor is not held here.
    Missing(Digest),
    /// It does not descend from the tip.
    Conflict,
}

pub(crate) struct Entry {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) durable: bool,
    /// When it was built here; `None` for one from disk or a peer.
    pub(crate) built: Option<Duration>,
}

/// Manifests by digest: those above the tip, and the final ones above the newest certificate, which
/// an engine that lost its journal has to walk through again.
pub(crate) struct Chain {
    tip: FinalPoint,
    entries: BTreeMap<Digest, Entry>,
}

impl Chain {
    pub(crate) fn new(tip: FinalPoint) -> Self {
        Self {
            tip,
            entries: BTreeMap::new(),
        }
    }

    pub(crate) fn tip(&self) -> &FinalPoint {
        &self.tip
    }

    pub(crate) fn insert(&mut self, digest: Digest, entry: Entry) {
        self.entries.entry(digest).or_insert(entry);
    }

    pub(crate) fn entry(&self, digest: Digest) -> Option<&Entry> {
        self.entries.get(&digest)
    }

    pub(crate) fn mark_durable(&mut self, digest: Digest) {
        if let Some(entry) = self.entries.get_mut(&digest) {
            entry.durable = true;
        }
    }

    pub(crate) fn undurable_count(&self) -> usize {
        self.entries.values().filter(|entry| !entry.durable).count()
    }

    /// The head of the tip or of a held manifest.
    pub(crate) fn head(&self, digest: Digest) -> Option<Head> {
        if digest == self.tip.digest {
            return Some(Head {
                height: self.tip.height,
                time: self.tip.time,
                state_height: self.tip.state_height,
                exec_head: self.tip.named_head,
            });
        }
        self.entries.get(&digest).map(|entry| Head {
            height: entry.manifest.height,
            time: entry.manifest.time,
            state_height: entry.manifest.state_height,
            exec_head: entry.manifest.exec_head,
        })
    }

    /// Walks parents from `digest` to the tip.
    pub(crate) fn walk(&self, digest: Digest) -> Walk {
        let mut path = Vec::new();
        let mut at = digest;
        while at != self.tip.digest {
            let Some(entry) = self.entries.get(&at) else {
                return Walk::Missing(at);
            };
            let (height, parent) = (entry.manifest.height, entry.manifest.parent);
            let above = height > self.tip.height;
            if !above || (height == self.tip.height.next() && parent != self.tip.digest) {
                return Walk::Conflict;
            }
            path.push(at);
            at = parent;
        }
        path.reverse();
        Walk::Path(path)
    }

    /// Where lanes end after the manifest `digest`; `None` when it does not lead to the tip.
    pub(crate) fn lanes_at(&self, digest: Digest) -> Option<Lanes> {
        let Walk::Path(path) = self.walk(digest) else {
            return None;
        };
        let mut lanes = self.tip.lanes.clone();
        for digest in path {
            advance(&mut lanes, &self.entries[&digest].manifest.batches);
        }
        Some(lanes)
    }

    /// Height of the last manifest with batches at or below `digest`.
    pub(crate) fn data_height_at(&self, digest: Digest) -> Height {
        let Walk::Path(path) = self.walk(digest) else {
            return self.tip.data_height;
        };
        let manifests = path.iter().map(|digest| &self.entries[digest].manifest);
        let with_data = manifests.filter(|manifest| !manifest.batches.is_empty());
        with_data
            .map(|manifest| manifest.height)
            .max()
            .unwrap_or(self.tip.data_height)
    }

    /// Whether `digest` is the tip or a final ancestor that is still held.
    pub(crate) fn is_final(&self, digest: Digest) -> bool {
        self.final_walk().any(|(at, _)| at == digest) || digest == self.tip.digest
    }

    /// The final manifest whose parent is `parent`, when that parent lies below the tip.
    pub(crate) fn final_child(&self, parent: Digest) -> Option<Digest> {
        let mut walk = self.final_walk();
        walk.find(|(_, manifest)| manifest.parent == parent)
            .map(|(digest, _)| digest)
    }

    /// A manifest of `leader` on `parent` that waits for a view to carry it.
    pub(crate) fn child_of(&self, parent: Digest, leader: ValidatorNumber) -> Option<Digest> {
        let mut entries = self.entries.iter();
        entries
            .find(|(_, entry)| entry.manifest.parent == parent && entry.manifest.leader == leader)
            .map(|(digest, _)| *digest)
    }

    /// Held final manifests from the tip downwards.
    fn final_walk(&self) -> impl Iterator<Item = (Digest, &Arc<Manifest>)> {
        let mut at = self.tip.digest;
        std::iter::from_fn(move || {
            let digest = at;
            let manifest = &self.entries.get(&digest)?.manifest;
            at = manifest.parent;
            Some((digest, manifest))
        })
    }

    /// Makes the child `digest` of the tip the new tip.
    ///
    /// # Panics
    /// When it is not held or not a child: the caller has walked the path.
    pub(crate) fn finalize(&mut self, digest: Digest) -> &Entry {
        let entry = &self.entries[&digest];
        let manifest = &entry.manifest;
        assert_eq!(manifest.parent, self.tip.digest, "finalized out of order");
        assert_eq!(
            manifest.height,
            self.tip.height.next(),
            "heights have no gaps"
        );
        advance(&mut self.tip.lanes, &manifest.batches);
        if !manifest.batches.is_empty() {
            self.tip.data_height = manifest.height;
        }
        self.tip.height = manifest.height;
        self.tip.digest = digest;
        self.tip.time = manifest.time;
        self.tip.state_height = manifest.state_height;
        self.tip.named_head = manifest.exec_head;
        entry
    }

    /// Notes the view whose certificate covers the tip; nothing below it is needed any more, and
    /// what was proposed beside it has lost.
    pub(crate) fn certify_tip(&mut self, view: u64) {
        self.tip.view = view;
        let tip = &self.tip;
        self.entries
            .retain(|digest, entry| entry.manifest.height > tip.height || *digest == tip.digest);
    }
}

/// Moves lane tips over the batches of a block.
pub(crate) fn advance(lanes: &mut Lanes, batches: &[BatchRef]) {
    for batch in batches {
        lanes.insert(batch.lane.owner, LaneTip::of(batch));
    }
}

/// Where the lanes of a validator end.
pub(crate) fn tip_of(lanes: &Lanes, owner: ValidatorNumber) -> LaneTip {
    lanes.get(&owner).copied().unwrap_or_default()
}

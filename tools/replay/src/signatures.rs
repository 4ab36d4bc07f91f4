//! Every signature and Merkle leaf again, on all cores, by this program's own gate.

use std::collections::BTreeMap;
use std::sync::Arc;

use clearway_crypto::backend::Item;
use clearway_crypto::gate::{BackendId, Gate};
use clearway_crypto::{hash, merkle};
use clearway_store::history::{StoredBatch, StoredBlock};
use clearway_types::batch::{Batch, EnvelopeDigests};
use clearway_types::directory::KeyDirectory;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::envelopes;
use clearway_types::units::{Digest, Height};
use rayon::prelude::*;

use crate::check::{Check, Checks, Difference};

/// Envelopes that one task verifies together: enough for batch equations, small enough to share.
const TASK_ENVELOPES: usize = 1024;

/// Versions of the key directory by the height that made them.
pub(crate) type Directories = BTreeMap<Height, Arc<KeyDirectory>>;

/// What is needed to judge a signature.
pub(crate) struct Verifier<'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) backend: BackendId,
    pub(crate) tag: DomainTag,
    pub(crate) checks: &'a Checks,
}

/// One batch of one block, with the position of its first envelope in the block.
struct Place<'a> {
    height: Height,
    first: usize,
    stored: &'a StoredBatch,
}

impl Verifier<'_> {
    /// Checks the envelopes of all blocks; gives each block's batches ready for execution.
    pub(crate) fn verify(
        &self,
        blocks: &[StoredBlock],
        directories: &Directories,
    ) -> Result<Vec<Vec<Arc<Batch>>>, Difference> {
        let places = places(blocks);
        if self.checks.has(Check::Signature) {
            let tasks: Vec<(&Place<'_>, usize)> = places
                .iter()
                .flat_map(|place| {
                    let count = place.stored.header.count as usize;
                    (0..count)
                        .step_by(TASK_ENVELOPES)
                        .map(move |from| (place, from))
                })
                .collect();
            // The first difference in block order, whichever task finishes first.
            let found = tasks
                .into_par_iter()
                .find_map_first(|(place, from)| self.verify_task(place, from, directories).err());
            if let Some(difference) = found {
                return Err(difference);
            }
        }
        let digests: Vec<Vec<EnvelopeDigests>> = places
            .par_iter()
            .map(|place| hash::envelope_digests_all(place.stored.envelopes()))
            .collect();
        if self.checks.has(Check::EnvelopesRoot) {
            for (place, digests) in places.iter().zip(&digests) {
                check_root(place, digests)?;
            }
        }
        let mut batches = places
            .iter()
            .zip(digests)
            .map(|(place, digests)| Arc::new(batch(place.stored, digests)));
        Ok(blocks
            .iter()
            .map(|block| batches.by_ref().take(block.batches.len()).collect())
            .collect())
    }

    fn verify_task(
        &self,
        place: &Place<'_>,
        from: usize,
        directories: &Directories,
    ) -> Result<(), Difference> {
        let all = envelopes(place.stored.envelopes());
        let part = &all[from..all.len().min(from + TASK_ENVELOPES)];
        let fail = |offset: usize, reason: &str| {
            Difference::at(Check::Signature, place.height, reason.to_owned())
                .envelope(place.first + from + offset)
                .record(place.stored.sequence.0)
        };
        let version = place.stored.header.directory_height;
        let directory = directories.range(..=version).next_back();
        let directory = directory.map(|(_, directory)| directory);
        let mut items = Vec::with_capacity(part.len());
        for (offset, envelope) in part.iter().enumerate() {
            let (signer, slot) = (envelope.body.signer(), envelope.body.flags().key_slot());
            let key = directory.and_then(|directory| directory.key(signer, slot));
            let key = key.ok_or_else(|| fail(offset, "the signer has no key in that slot"))?;
            items.push(Item::envelope(&self.tag, &key.public_key, envelope));
        }
        let verdicts = self.gate.verify(self.backend, &items);
        match (0..items.len()).find(|offset| !verdicts.is_valid(*offset)) {
            None => Ok(()),
            Some(offset) => Err(fail(offset, "the signature does not verify")),
        }
    }
}

fn places(blocks: &[StoredBlock]) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    for block in blocks {
        let mut first = 0;
        for stored in &block.batches {
            places.push(Place {
                height: block.record.height,
                first,
                stored,
            });
            first += stored.header.count as usize;
        }
    }
    places
}

fn check_root(place: &Place<'_>, digests: &[EnvelopeDigests]) -> Result<(), Difference> {
    let leaves: Vec<Digest> = digests.iter().map(|digest| digest.leaf).collect();
    let (computed, stored) = (merkle::root(&leaves), place.stored.header.envelopes_root);
    if computed == stored {
        return Ok(());
    }
    let what = "envelopes root of a batch";
    let difference =
        Difference::differs(Check::EnvelopesRoot, place.height, what, stored, computed);
    Err(difference.record(place.stored.sequence.0))
}

fn batch(stored: &StoredBatch, digests: Vec<EnvelopeDigests>) -> Batch {
    Batch {
        header: stored.header,
        digest: stored.digest,
        slabs: vec![stored.payload.slice_ref(stored.envelopes())],
        hints: Vec::new(),
        digests,
        origins: Vec::new(),
    }
}

//! What a block must be before execution: its place in the chain, its batches, its certificate.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clearway_crypto::validators::ValidatorSet;
use clearway_crypto::{certificate, hash};
use clearway_store::history::{StoredBatch, StoredBlock};
use clearway_types::genesis::Genesis;
use clearway_types::limits::EXEC_LAG_MAX;
use clearway_types::units::{Digest, Height, Incarnation, TimeMs, ValidatorNumber};

use crate::check::{Check, Checks, Difference};

/// Where the chain stands after the blocks so far.
pub(crate) struct Chain {
    validators: ValidatorSet,
    numbers: BTreeSet<ValidatorNumber>,
    namespace: Vec<u8>,
    height: Height,
    digest: Digest,
    time: TimeMs,
    state_height: Height,
    /// Lane, last position and digest of each validator.
    lanes: HashMap<ValidatorNumber, (Incarnation, u64, Digest)>,
    /// Execution heads that the next manifests may name.
    heads: BTreeMap<Height, Digest>,
    /// First block that no certificate covers yet.
    uncovered: Option<Height>,
}

impl Chain {
    pub(crate) fn new(genesis: &Genesis, validators: ValidatorSet) -> Self {
        let hash = genesis.hash();
        Self {
            validators,
            numbers: genesis.validators.iter().map(|one| one.number).collect(),
            namespace: certificate::vote_namespace(hash),
            height: Height(0),
            digest: hash,
            time: genesis.time,
            state_height: Height(0),
            lanes: HashMap::new(),
            heads: BTreeMap::from([(Height(0), hash)]),
            uncovered: None,
        }
    }

    /// Checks the block's place and moves on to it.
    pub(crate) fn on_block(
        &mut self,
        block: &StoredBlock,
        checks: &Checks,
    ) -> Result<(), Difference> {
        self.check_digest(block, checks)?;
        self.check_place(block, checks)?;
        for (stored, position) in block.batches.iter().zip(0..) {
            self.check_batch(block, stored, position, checks)?;
        }
        self.check_certificate(block, checks)?;
        let manifest = &block.manifest.manifest;
        self.height = manifest.height;
        self.digest = block.manifest.digest;
        self.time = manifest.time;
        self.state_height = manifest.state_height;
        Ok(())
    }

    fn check_digest(&self, block: &StoredBlock, checks: &Checks) -> Result<(), Difference> {
        if !checks.has(Check::ManifestDigest) {
            return Ok(());
        }
        let height = block.record.height;
        let computed = hash::manifest_digest(&block.manifest.bytes);
        for (what, stored) in [
            ("digest of the manifest's record", block.manifest.digest),
            ("manifest named by the results", block.record.manifest),
        ] {
            if stored != computed {
                let check = Check::ManifestDigest;
                let difference = Difference::differs(check, height, what, stored, computed);
                return Err(difference.record(block.manifest.sequence.0));
            }
        }
        Ok(())
    }

    fn check_place(&self, block: &StoredBlock, checks: &Checks) -> Result<(), Difference> {
        let manifest = &block.manifest.manifest;
        let height = block.record.height;
        let differs =
            |check, what, stored: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
                Err(Difference::differs(check, height, what, stored, expected)
                    .record(block.manifest.sequence.0))
            };
        if checks.has(Check::ManifestChain) {
            let check = Check::ManifestChain;
            let next = self.height.next();
            if height != next {
                return differs(check, "height of the results", &height, &next);
            }
            if manifest.height != next {
                return differs(check, "height of the manifest", &manifest.height, &next);
            }
            if manifest.parent != self.digest {
                return differs(check, "parent", &manifest.parent, &self.digest);
            }
            if manifest.epoch != self.validators.epoch() {
                return differs(check, "epoch", &manifest.epoch, &self.validators.epoch());
            }
            if !self.numbers.contains(&manifest.leader) {
                return differs(check, "leader", &manifest.leader, &"a validator");
            }
        }
        if checks.has(Check::ManifestTime) && manifest.time < self.time {
            let least = format!("at least {}", self.time);
            return differs(Check::ManifestTime, "time", &manifest.time, &least);
        }
        if checks.has(Check::ManifestExecHead) {
            let check = Check::ManifestExecHead;
            if manifest.state_height < self.state_height || manifest.state_height >= height {
                let range = format!("from {} to below {height}", self.state_height);
                return differs(check, "height of the state", &manifest.state_height, &range);
            }
            let Some(head) = self.heads.get(&manifest.state_height) else {
                let range = format!("at most {EXEC_LAG_MAX} behind");
                return differs(check, "height of the state", &manifest.state_height, &range);
            };
            if manifest.exec_head != *head {
                return differs(check, "execution head", &manifest.exec_head, head);
            }
        }
        Ok(())
    }

    fn check_batch(
        &mut self,
        block: &StoredBlock,
        stored: &StoredBatch,
        position: usize,
        checks: &Checks,
    ) -> Result<(), Difference> {
        let header = &stored.header;
        let height = block.record.height;
        let named = &block.manifest.manifest.batches[position];
        if checks.has(Check::BatchDigest) {
            let computed = hash::batch_digest(header);
            let fail =
                |what, stored_value: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
                    let check = Check::BatchDigest;
                    Err(
                        Difference::differs(check, height, what, stored_value, expected)
                            .record(stored.sequence.0),
                    )
                };
            if computed != named.digest {
                return fail("digest of a batch", &computed, &named.digest);
            }
            if header.lane != named.lane {
                return fail("lane of a batch", &header.lane, &named.lane);
            }
            if header.index != named.index {
                return fail("position of a batch", &header.index, &named.index);
            }
            if header.count != named.count {
                return fail("count of a batch", &header.count, &named.count);
            }
        }
        let lane = header.lane;
        let last = self.lanes.get(&lane.owner).copied().unwrap_or_default();
        let (index, digest) = match last {
            (incarnation, index, digest) if incarnation == lane.incarnation => (index, digest),
            _ => (0, Digest::ZERO),
        };
        if checks.has(Check::LaneLink) {
            let fail =
                |what, stored_value: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
                    let check = Check::LaneLink;
                    Err(
                        Difference::differs(check, height, what, stored_value, expected)
                            .record(stored.sequence.0),
                    )
                };
            if !self.numbers.contains(&lane.owner) {
                return fail("owner of the lane", &lane.owner, &"a validator");
            }
            if lane.incarnation < last.0 {
                let least = format!("at least {}", last.0);
                return fail("incarnation of the lane", &lane.incarnation, &least);
            }
            if header.index != index + 1 {
                return fail("position in the lane", &header.index, &(index + 1));
            }
            if header.previous != digest {
                return fail("batch before it in the lane", &header.previous, &digest);
            }
        }
        self.lanes
            .insert(lane.owner, (lane.incarnation, header.index, stored.digest));
        Ok(())
    }

    fn check_certificate(
        &mut self,
        block: &StoredBlock,
        checks: &Checks,
    ) -> Result<(), Difference> {
        if !checks.has(Check::Certificate) {
            return Ok(());
        }
        let height = block.record.height;
        let Some(certificate) = &block.record.certificate else {
            self.uncovered.get_or_insert(height);
            return Ok(());
        };
        let check = Check::Certificate;
        if certificate.payload != block.manifest.digest {
            let what = "certified manifest";
            let (found, expected) = (certificate.payload, block.manifest.digest);
            let difference = Difference::differs(check, height, what, found, expected);
            return Err(difference.record(block.sequence.0));
        }
        certificate::check(certificate, &self.validators, &self.namespace).map_err(|error| {
            Difference::at(check, height, error.to_string()).record(block.sequence.0)
        })?;
        self.uncovered = None;
        Ok(())
    }

    /// Remembers what execution gave, for the manifests that will name it.
    pub(crate) fn on_executed(&mut self, height: Height, exec_head: Digest) {
        self.heads.insert(height, exec_head);
        let oldest = Height(height.0.saturating_sub(EXEC_LAG_MAX));
        self.heads = self.heads.split_off(&oldest);
    }

    /// A block at the end that no certificate covers proves nothing.
    pub(crate) fn on_end(&self) -> Result<(), Difference> {
        match self.uncovered {
            None => Ok(()),
            Some(height) => Err(Difference::at(
                Check::Certificate,
                height,
                "no certificate of this block or of one above it is in the log".to_owned(),
            )),
        }
    }
}

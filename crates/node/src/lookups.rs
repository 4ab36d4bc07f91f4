//! Where envelopes got their results: from a name to its place in the log, and to its proof.

use std::collections::BTreeMap;
use std::sync::Arc;

use clearway_crypto::{hash, merkle};
use clearway_ingest::{Asker, QueryError};
use clearway_store::history::{HistoryError, StoredBlock};
use clearway_store::{BatchPlace, Location, Reader, Record, Sequence, StoreError};
use clearway_types::batch::BATCH_HEADER_BYTES;
use clearway_types::certificate::Certificate;
use clearway_types::code::Outcome;
use clearway_types::envelope::{Envelope, envelopes};
use clearway_types::final_record::FinalRecord;
use clearway_types::limits::{PROOF_LINKS_MAX, PROOF_MANIFESTS_MAX};
use clearway_types::units::{Digest, Height};
use clearway_types::wire::proof::{ExecLink, SettlementProof};
use clearway_types::wire::query::{Found, Lookup};

use crate::checkpointer::EnvelopeIds;
use crate::damage_log::DamageLog;
use crate::log_index::LogIndex;

/// Final records that one question keeps at hand, each with up to 4 bytes per envelope of a block.
const RECORDS_KEPT: usize = 4;

/// One question's reading of the log.
pub(crate) struct Lookups<'a> {
    reader: &'a Reader,
    index: &'a LogIndex,
    asker: &'a Asker,
    records: BTreeMap<Height, Arc<FinalRecord>>,
    /// The batch that was read last.
    batch: Option<Record>,
}

/// An executed envelope in its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The batch that holds it, and where.
    location: Location,
    found: Found,
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(reader: &'a Reader, index: &'a LogIndex, asker: &'a Asker) -> Self {
        Self {
            reader,
            index,
            asker,
            records: BTreeMap::new(),
            batch: None,
        }
    }

    /// Where envelopes got their results, in the order of their names.
    pub(crate) fn places(&mut self, names: &[Lookup]) -> Result<Vec<Option<Place>>, QueryError> {
        let mut located = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            located.push((self.locations(*name)?, index));
        }
        // Names of one block after the other: each final record is read once.
        located.sort_unstable();
        let mut places = vec![None; names.len()];
        for (locations, index) in located {
            places[index] = self.place(&locations)?;
        }
        Ok(places)
    }

    fn damage_log(&self) -> &'a DamageLog {
        self.index.damage_log()
    }

    fn locations(&self, name: Lookup) -> Result<Vec<Location>, QueryError> {
        let wanted = || !self.asker.is_gone();
        let (id, signer) = (name.id.0, name.signer.0);
        let found = self.reader.find_while(id, signer, &EnvelopeIds, &wanted);
        found.map_err(|error| match error {
            StoreError::Unwanted => QueryError::Unwanted,
            error => self
                .damage_log()
                .failed("a look-up cannot be answered from the log", &error),
        })
    }

    /// Where an envelope got its result. The same bytes can be in the log several times: see
    /// [`Outcome::rank`]. The newest location comes first.
    fn place(&mut self, locations: &[Location]) -> Result<Option<Place>, QueryError> {
        let mut left: Option<Place> = None;
        for &location in locations {
            if self.asker.is_gone() {
                return Err(QueryError::Unwanted);
            }
            let Some(place) = self.executed(location)? else {
                continue;
            };
            if place.found.outcome.remembered() {
                return Ok(Some(place));
            }
            if left.is_none_or(|left| left.found.outcome.rank() == 0) {
                left = Some(place);
            }
        }
        Ok(left)
    }

    /// The result at this location, if a block has ordered its batch.
    fn executed(&mut self, location: Location) -> Result<Option<Place>, QueryError> {
        let batch = self.index.batch(location.sequence);
        let batch = batch.map_err(|error| {
            self.damage_log()
                .failed("a batch's block cannot be found", &error)
        })?;
        let Some(batch) = batch else {
            return Ok(None);
        };
        let outcome = self.outcome(&batch, location)?;
        let (height, index) = (batch.height, batch.first_index + location.index);
        let found = Found {
            height,
            index,
            outcome,
        };
        Ok(Some(Place { location, found }))
    }

    fn outcome(&mut self, batch: &BatchPlace, at: Location) -> Result<Outcome, QueryError> {
        let record = self.final_record(batch.height)?;
        let index = (batch.first_index + at.index) as usize;
        let outcome = record.results.get(index).copied();
        outcome.ok_or_else(|| {
            let (height, sequence) = (batch.height.0, at.sequence.0);
            tracing::error!(height, sequence, "a block has no result for a batch of it");
            QueryError::Failed
        })
    }

    /// Results of the block at a height.
    fn final_record(&mut self, height: Height) -> Result<Arc<FinalRecord>, QueryError> {
        if let Some(record) = self.records.get(&height) {
            return Ok(Arc::clone(record));
        }
        let place = self.index.block(height);
        let place = place.map_err(|error| self.damage_log().unreadable(height, &error))?;
        let sequence = place.ok_or(QueryError::Failed)?.sequence;
        let record = self.record(sequence)?;
        let record = FinalRecord::decode(&record.payload).map_err(|source| {
            self.damage_log()
                .unreadable(height, &HistoryError::Decode { sequence, source })
        })?;
        if record.height != height {
            let previous = Height(height.0 - 1);
            let found = record.height;
            return Err(self
                .damage_log()
                .unreadable(height, &HistoryError::Order { previous, found }));
        }
        if self.records.len() >= RECORDS_KEPT {
            self.records.pop_first();
        }
        let record = Arc::new(record);
        self.records.insert(height, Arc::clone(&record));
        Ok(record)
    }

    fn record(&self, sequence: Sequence) -> Result<Record, QueryError> {
        let record = self.reader.get(sequence);
        let record =
            record.map_err(|error| self.damage_log().failed("a record cannot be read", &error))?;
        record.ok_or_else(|| {
            tracing::error!(record = sequence.0, "a record is not in the log");
            QueryError::Failed
        })
    }

    /// The envelope itself. The batch is kept at hand: envelopes of one after the other read it
    /// once.
    pub(crate) fn envelope(&mut self, place: &Place) -> Result<Envelope, QueryError> {
        let sequence = place.location.sequence;
        let record = match self.batch.take() {
            Some(record) if record.sequence == sequence => record,
            _ if self.asker.is_gone() => return Err(QueryError::Unwanted),
            _ => self.record(sequence)?,
        };
        let record = self.batch.insert(record);
        let all = envelopes(&record.payload[BATCH_HEADER_BYTES..]);
        let envelope = all.get(place.location.index as usize).copied();
        envelope.ok_or(QueryError::Failed)
    }

    /// Execution heads from the block on until a manifest names one, then manifests until a
    /// certificate covers them.
    pub(crate) fn prove(
        &mut self,
        place: &Place,
        genesis: Digest,
    ) -> Result<SettlementProof, QueryError> {
        let height = place.found.height;
        let previous_exec_head = match height {
            Height(1) => genesis,
            Height(above) => self.final_record(Height(above - 1))?.exec_head,
        };
        let envelope = self.envelope(place)?;
        let mut own = None;
        let mut links: Vec<ExecLink> = Vec::new();
        let mut manifests: Vec<Vec<u8>> = Vec::new();
        for block in self.blocks(height)? {
            let block = block?;
            let named = block.manifest.manifest.state_height;
            if manifests.is_empty() && named >= height {
                let count = usize::try_from(named.0 - height.0 + 1).unwrap_or(usize::MAX);
                links.truncate(count);
            }
            if !manifests.is_empty() || named >= height {
                manifests.push(block.manifest.bytes.to_vec());
                if let Some(certificate) = block.record.certificate.clone() {
                    let heads = (previous_exec_head, links, manifests, certificate);
                    let own = own.as_ref().unwrap_or(&block);
                    return Ok(place.proof(envelope, own, heads));
                }
            } else {
                let receipts_root = block.record.receipts_root;
                links.push(ExecLink {
                    receipts_root,
                    state_root: block.record.state_root,
                });
            }
            // The first one is the payment's own.
            own.get_or_insert(block);
            if links.len() > PROOF_LINKS_MAX || manifests.len() >= PROOF_MANIFESTS_MAX {
                tracing::error!(
                    height = height.0,
                    "no certificate is near enough for a proof"
                );
                return Err(QueryError::Failed);
            }
        }
        Err(QueryError::NotReady)
    }

    /// Blocks from a height on.
    fn blocks(
        &self,
        height: Height,
    ) -> Result<impl Iterator<Item = Result<StoredBlock, QueryError>>, QueryError> {
        let blocks = self.index.history(height);
        let blocks = blocks.map_err(|error| self.damage_log().unreadable(height, &error))?;
        Ok((height.0..)
            .map(Height)
            .zip(blocks)
            .map(|(height, block)| match self.asker.is_gone() {
                true => Err(QueryError::Unwanted),
                false => block.map_err(|error| self.damage_log().unreadable(height, &error)),
            }))
    }
}

/// What a proof is made of beside its block: the head before it, heads, manifests, certificate.
type Heads = (Digest, Vec<ExecLink>, Vec<Vec<u8>>, Certificate);

impl Place {
    pub(crate) fn found(&self) -> Found {
        self.found
    }

    /// Where in the log the envelope is.
    pub(crate) fn location(&self) -> Location {
        self.location
    }

    fn proof(
        &self,
        envelope: Envelope,
        block: &StoredBlock,
        (previous_exec_head, links, manifests, certificate): Heads,
    ) -> SettlementProof {
        let leaves = receipt_leaves(block);
        let Found {
            height,
            index,
            outcome,
        } = self.found;
        SettlementProof {
            envelope,
            height,
            index,
            outcome,
            receipt_count: leaves.len() as u64,
            receipt_path: merkle::path(&leaves, index as usize),
            previous_exec_head,
            links,
            manifests,
            certificate,
        }
    }
}

/// The leaves of a block's receipts tree.
fn receipt_leaves(block: &StoredBlock) -> Vec<Digest> {
    let (height, record) = (block.record.height, &block.record);
    let batches = block.batches.iter();
    let digests: Vec<_> = batches
        .flat_map(|batch| hash::envelope_digests_all(batch.envelopes()))
        .collect();
    let envelopes = digests.iter().map(|digests| &digests.leaf);
    let envelopes: Vec<_> = envelopes.zip(record.results.iter().copied()).collect();
    hash::receipt_leaves(height, &envelopes, &record.events)
}

//! Stop 5 as a stage: group commit. Owns no thread, link or clock; `node` hands it batches.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::StoreError;
use crate::metrics::StoreMetrics;
use crate::words::{RecordKind, Sequence};
use crate::writer::Writer;

/// How full a segment is when the next one is reserved: at 100 MB/s the other half lasts 0.3 s,
/// several times what zero-filling takes.
const PREPARE_AT_PERCENT: u64 = 50;

/// One record to store, and what to hand back once it is durable.
#[derive(Clone, Debug)]
pub struct Append<T> {
    /// What the payload is.
    pub kind: RecordKind,
    /// The payload's digest, as its owner computed it.
    pub digest: [u8; 32],
    /// The payload in pieces, stored one after the other.
    pub parts: Vec<Bytes>,
    /// Handed back once the record is durable.
    pub ticket: T,
}

/// A record that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable<T> {
    /// Where it is.
    pub sequence: Sequence,
    /// What was given with it.
    pub ticket: T,
}

/// Group commit over a [`Writer`].
#[derive(Debug)]
pub struct StoreStage {
    writer: Writer,
}

impl StoreStage {
    /// A stage that appends to `writer`.
    pub fn new(writer: Writer) -> Self {
        Self { writer }
    }

    /// Stores the inbox in one group, in order, and answers what is durable now; that is taken out
    /// of the inbox. A record that cannot be taken ([`StoreError::DiskFull`],
    /// [`StoreError::RecordOversize`]) ends the group: it stays the first of the inbox, and the
    /// next call answers its error unless there is space by then.
    ///
    /// # Errors
    /// The error of the first record, with the inbox as it was; or any other error of the writer,
    /// after which nothing in the inbox may be acknowledged and the node must stop.
    pub fn on_batch<T>(
        &mut self,
        inbox: &mut Vec<Append<T>>,
    ) -> Result<Vec<Durable<T>>, StoreError> {
        let sequences = self.append_all(inbox)?;
        self.writer.commit()?;
        let taken = inbox.drain(..sequences.len());
        let durable = sequences.into_iter().zip(taken);
        Ok(durable
            .map(|(sequence, Append { ticket, .. })| Durable { sequence, ticket })
            .collect())
    }

    /// Reserves the next segment once the current one is half full. A node with a thread to spare
    /// calls [`crate::Preparer::prepare_next`] there instead; true if it did.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] when there is no space yet, [`StoreError::Io`] otherwise.
    pub fn on_tick(&mut self) -> Result<bool, StoreError> {
        if self.writer.segment_fill_percent() < PREPARE_AT_PERCENT {
            return Ok(false);
        }
        self.writer.prepare_next()
    }

    /// The writer, for what is not a batch.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    fn append_all<T>(&mut self, inbox: &[Append<T>]) -> Result<Vec<Sequence>, StoreError> {
        let mut sequences = Vec::with_capacity(inbox.len());
        for Append {
            kind,
            digest,
            parts,
            ..
        } in inbox
        {
            let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
            match self.writer.append(*kind, *digest, &parts) {
                Ok(sequence) => sequences.push(sequence),
                Err(StoreError::DiskFull { .. } | StoreError::RecordOversize { .. })
                    if !sequences.is_empty() =>
                {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sequences)
    }

    /// Counters of the store.
    pub fn metrics(&self) -> &Arc<StoreMetrics> {
        self.writer.metrics()
    }
}

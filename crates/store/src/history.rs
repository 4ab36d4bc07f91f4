//! The log read as blocks: each final block with its manifest and its batches, in height order.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use clearway_types::batch::{BATCH_HEADER_BYTES, Batch, BatchHeader};
use clearway_types::codec::DecodeError;
use clearway_types::final_record::FinalRecord;
use clearway_types::manifest::Manifest;
use clearway_types::units::{Digest, Height};

use crate::error::StoreError;
use crate::reader::{Reader, Scan};
use crate::segment::Record;
use crate::words::{RecordKind, Sequence};

/// A batch as it lies in the log; its signatures and hashes are not checked here.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Its record.
    pub sequence: Sequence,
    /// The digest it was stored under.
    pub digest: Digest,
    /// Its head.
    pub header: BatchHeader,
    /// The whole record: header, then `header.count` envelopes.
    pub payload: Bytes,
}

impl StoredBatch {
    /// The envelopes in it: `header.count` times 192 bytes.
    #[must_use]
    pub fn envelopes(&self) -> &[u8] {
        &self.payload[BATCH_HEADER_BYTES..]
    }
}

/// A manifest as it lies in the log.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// Its record.
    pub sequence: Sequence,
    /// The digest it was stored under.
    pub digest: Digest,
    /// Its canonical bytes.
    pub bytes: Bytes,
    /// The same, read.
    pub manifest: Manifest,
}

/// A final block as it lies in the log.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// What consensus agreed on.
    pub manifest: StoredManifest,
    /// Its batches, in manifest order.
    pub batches: Vec<StoredBatch>,
    /// Its certificate and results.
    pub record: FinalRecord,
    /// The record of the certificate and results.
    pub sequence: Sequence,
    /// No record below this one is needed to read this block or a later one.
    pub low: Sequence,
}

/// Why the log cannot be read as blocks.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The log itself cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record's payload is not what its kind says.
    #[error("record {sequence} does not decode: {source}; the log was written by something else")]
    Decode {
        /// The record.
        sequence: Sequence,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A final block names something that is not in the log before it.
    #[error("block {height} names {what} {digest}, which is not in the log: restore a backup")]
    Missing {
        /// The block.
        height: Height,
        /// Manifest or batch.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// Final blocks are not in height order.
    #[error("block {found} follows block {previous} in the log: restore a backup")]
    Order {
        /// The block before.
        previous: Height,
        /// The block that should be the next one.
        found: Height,
    },
}

/// What is durable and belongs to no final block (yet).
#[derive(Debug, Default)]
pub struct Unfinished {
    /// In the order of the log.
    pub batches: Vec<StoredBatch>,
    /// In the order of the log.
    pub manifests: Vec<StoredManifest>,
}

/// Puts final blocks together from the records of the log, given in the order of the log.
#[derive(Debug)]
pub struct Assembler {
    first: Height,
    previous: Option<Height>,
    batches: HashMap<Digest, StoredBatch>,
    manifests: HashMap<Digest, StoredManifest>,
    by_sequence: BTreeMap<Sequence, Digest>,
}

/// Iterator over final blocks; see [`History::new`].
#[derive(Debug)]
pub struct History {
    scan: Scan,
    assembler: Assembler,
}

impl History {
    /// Final blocks from height `first` on. `from` is a record at or below the block's `low`;
    /// [`Sequence::FIRST`] always is.
    #[must_use]
    pub fn new(reader: &Reader, from: Sequence, first: Height) -> Self {
        Self {
            scan: reader.scan(from),
            assembler: Assembler::new(first),
        }
    }

    /// After the last block: what is durable and not final.
    #[must_use]
    pub fn unfinished(self) -> Unfinished {
        self.assembler.unfinished()
    }
}

impl Assembler {
    /// Gives blocks from height `first` on.
    #[must_use]
    pub fn new(first: Height) -> Self {
        Self {
            first,
            previous: None,
            batches: HashMap::new(),
            manifests: HashMap::new(),
            by_sequence: BTreeMap::new(),
        }
    }

    /// What was taken and belongs to no final block.
    #[must_use]
    pub fn unfinished(mut self) -> Unfinished {
        let mut unfinished = Unfinished::default();
        for digest in self.by_sequence.values() {
            if let Some(batch) = self.batches.remove(digest) {
                unfinished.batches.push(batch);
            } else if let Some(manifest) = self.manifests.remove(digest) {
                unfinished.manifests.push(manifest);
            }
        }
        unfinished
    }

    /// Takes the next record; gives the block that it completes.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn on_record(&mut self, record: &Record) -> Result<Option<StoredBlock>, HistoryError> {
        let sequence = record.sequence;
        let digest = Digest(record.digest);
        let decode = |source| HistoryError::Decode { sequence, source };
        match record.kind {
            RecordKind::Batch => {
                let payload = record.payload.clone();
                let (header, _) = Batch::decode_parts(&payload).map_err(decode)?;
                self.by_sequence.insert(sequence, digest);
                let stored = StoredBatch {
                    sequence,
                    digest,
                    header,
                    payload,
                };
                // Stored twice, as after a crash in the middle of a proposal: the later one counts.
                if let Some(earlier) = self.batches.insert(digest, stored) {
                    self.by_sequence.remove(&earlier.sequence);
                }
                Ok(None)
            }
            RecordKind::Manifest => {
                let bytes = record.payload.clone();
                let manifest = Manifest::decode(&bytes).map_err(decode)?;
                self.by_sequence.insert(sequence, digest);
                let stored = StoredManifest {
                    sequence,
                    digest,
                    bytes,
                    manifest,
                };
                if let Some(earlier) = self.manifests.insert(digest, stored) {
                    self.by_sequence.remove(&earlier.sequence);
                }
                Ok(None)
            }
            RecordKind::Final => {
                let record = FinalRecord::decode(&record.payload).map_err(decode)?;
                if record.height < self.first {
                    self.forget(&record);
                    return Ok(None);
                }
                self.block(sequence, record).map(Some)
            }
        }
    }

    /// A block before the first one asked for: what it names is final, as far as it was read.
    fn forget(&mut self, record: &FinalRecord) {
        if let Some(stored) = self.manifests.get(&record.manifest) {
            let named: Vec<Digest> = stored.manifest.batches.iter().map(|b| b.digest).collect();
            for digest in named {
                if let Some(batch) = self.batches.remove(&digest) {
                    self.by_sequence.remove(&batch.sequence);
                }
            }
        }
        self.drop_manifests_up_to(record.height);
    }

    /// A manifest at a height that is final, its own or another's, will not become final again.
    fn drop_manifests_up_to(&mut self, height: Height) {
        let by_sequence = &mut self.by_sequence;
        self.manifests.retain(|_, stored| {
            let keep = stored.manifest.height > height;
            if !keep {
                by_sequence.remove(&stored.sequence);
            }
            keep
        });
    }

    fn block(
        &mut self,
        sequence: Sequence,
        record: FinalRecord,
    ) -> Result<StoredBlock, HistoryError> {
        let height = record.height;
        if let Some(previous) = self.previous.filter(|previous| previous.next() != height) {
            return Err(HistoryError::Order {
                previous,
                found: height,
            });
        }
        self.previous = Some(height);
        let low = self.by_sequence.keys().next().copied().unwrap_or(sequence);
        let missing = |what, digest| HistoryError::Missing {
            height,
            what,
            digest,
        };
        let manifest = self
            .manifests
            .remove(&record.manifest)
            .ok_or_else(|| missing("manifest", record.manifest))?;
        self.by_sequence.remove(&manifest.sequence);
        let mut batches = Vec::with_capacity(manifest.manifest.batches.len());
        for named in &manifest.manifest.batches {
            let batch = self.batches.remove(&named.digest);
            let batch = batch.ok_or_else(|| missing("batch", named.digest))?;
            self.by_sequence.remove(&batch.sequence);
            batches.push(batch);
        }
        self.drop_manifests_up_to(height);
        Ok(StoredBlock {
            manifest,
            batches,
            record,
            sequence,
            low,
        })
    }
}

impl Iterator for History {
    type Item = Result<StoredBlock, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = match self.scan.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error.into())),
            };
            if let Some(item) = self.assembler.on_record(&record).transpose() {
                return Some(item);
            }
        }
    }
}

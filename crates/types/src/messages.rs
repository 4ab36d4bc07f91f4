//! What travels on the links between stages; the topology in `node` names each link.

use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{Batch, EnvelopeDigests};
use crate::certificate::Certificate;
use crate::code::{Outcome, ResultCode};
use crate::envelope::ENVELOPE_BYTES;
use crate::event::Event;
use crate::manifest::Manifest;
use crate::units::{Digest, Height, ParticipantId};
use crate::wire::HINT_BYTES;

/// One connection of a member: the unit that is never mixed with others in a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceId(pub u64);

/// One submit stream, unique while the node runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey(pub u64);

/// One envelope's place on a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    /// The stream.
    pub stream: StreamKey,
    /// Position on the stream, from 0.
    pub index: u32,
}

/// Consecutive places on one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OriginRun {
    /// The stream.
    pub stream: StreamKey,
    /// First position.
    pub first_index: u32,
    /// How many.
    pub count: u32,
}

/// `ingest_verify`: envelopes of one stream, in stream order; chains are never split over two.
#[derive(Clone, Debug)]
pub struct FrameBatch {
    /// Connection they came by.
    pub source: SourceId,
    /// Member who owns the connection.
    pub member: ParticipantId,
    /// Stream that waits for the answers.
    pub stream: StreamKey,
    /// Stream position of the first envelope.
    pub first_index: u32,
    /// Whole envelopes.
    pub slab: Bytes,
    /// A hint for each of them (see [`crate::wire`]), or nothing.
    pub hints: Bytes,
}

impl FrameBatch {
    /// Number of envelopes.
    #[must_use]
    pub fn envelope_count(&self) -> usize {
        self.slab.len() / ENVELOPE_BYTES
    }

    /// The hint for the envelope at this place.
    #[must_use]
    pub fn hint(&self, index: usize) -> Option<&[u8; HINT_BYTES]> {
        self.hints.as_chunks().0.get(index)
    }
}

/// `verify_ingest`: envelopes refused before order, answered with height 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusals {
    /// Stream that waits.
    pub stream: StreamKey,
    /// Stream position and code of each.
    pub items: Vec<(u32, ResultCode)>,
}

/// `verify_order`: envelopes whose signatures verify; all of one source.
#[derive(Clone, Debug)]
pub struct VerifiedBatch {
    /// Where the answers go, in envelope order.
    pub origins: Vec<OriginRun>,
    /// Whole envelopes.
    pub slab: Bytes,
    /// A hint for each of them as it came, right or wrong, or nothing.
    pub hints: Bytes,
    /// Hashes of each envelope, in order.
    pub digests: Vec<EnvelopeDigests>,
    /// Height of the key directory that verified them.
    pub directory_height: Height,
}

/// `order_store`: what must be durable before this validator votes.
#[derive(Clone, Debug)]
pub enum Persist {
    /// A lane batch.
    Batch(Arc<Batch>),
    /// A manifest with its canonical bytes.
    Manifest {
        /// Its height.
        height: Height,
        /// Its digest.
        digest: Digest,
        /// Its canonical bytes.
        bytes: Bytes,
    },
}

/// `store_order`: what has become durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persisted {
    /// The batch with this digest.
    Batch(Digest),
    /// The manifest with this digest.
    Manifest(Digest),
}

/// `order_execute`: a final block with everything it names, in height order without gaps.
#[derive(Clone, Debug)]
pub struct OrderedBlock {
    /// The block.
    pub manifest: Arc<Manifest>,
    /// Its digest.
    pub digest: Digest,
    /// Its batches, in manifest order.
    pub batches: Vec<Arc<Batch>>,
    /// Its certificate; `None` when only a descendant's was seen.
    pub certificate: Option<Certificate>,
}

/// An envelope that had been executed before: its first height goes into the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Duplicate {
    /// Position in the block's results.
    pub index: u32,
    /// Height of the first execution.
    pub height: Height,
}

/// `execute_store`: a block with its results.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub block: OrderedBlock,
    /// One outcome an envelope, in block order.
    pub results: Vec<Outcome>,
    /// First heights of the duplicates, ascending by index.
    pub duplicates: Vec<Duplicate>,
    /// What execution did by itself, in this order.
    pub events: Vec<Event>,
    /// Merkle root of the receipts.
    pub receipts_root: Digest,
    /// State root, at heights where one is due.
    pub state_root: Option<Digest>,
    /// H(previous head, height, receipts root, state root).
    pub exec_head: Digest,
}

/// `execute_order`: the result that the next manifests may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExecHead {
    /// Height executed.
    pub height: Height,
    /// Execution head there.
    pub head: Digest,
}

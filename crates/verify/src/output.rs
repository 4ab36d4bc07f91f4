//! What leaves the stage for one frame: the verified part, and the answers of the rest.

use std::collections::BTreeMap;

use bytes::BytesMut;
use clearway_crypto::backend::Item;
use clearway_crypto::gate::Verified;
use clearway_types::batch::EnvelopeDigests;
use clearway_types::code::ResultCode;
use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::messages::{FrameBatch, Origin, OriginRun, Refusals, StreamKey, VerifiedBatch};
use clearway_types::units::Height;
use clearway_types::wire::HINT_BYTES;

/// Gathers the verified envelopes of a frame of which some do not pass.
#[derive(Debug)]
pub(crate) struct Passed {
    stream: StreamKey,
    first_index: u32,
    slab: BytesMut,
    hints: BytesMut,
    pub(crate) digests: Vec<EnvelopeDigests>,
    origins: Vec<OriginRun>,
}

impl Passed {
    /// Of a frame with `frame`'s places, expecting up to `len` envelopes.
    pub(crate) fn new(frame: &FrameBatch, len: usize) -> Self {
        Self {
            stream: frame.stream,
            first_index: frame.first_index,
            slab: BytesMut::with_capacity(len * ENVELOPE_BYTES),
            hints: match frame.hints.is_empty() {
                true => BytesMut::new(),
                false => BytesMut::with_capacity(len * HINT_BYTES),
            },
            digests: Vec::with_capacity(len),
            origins: Vec::new(),
        }
    }

    /// Appends the envelope at `index` of the frame: the very bytes that were verified.
    pub(crate) fn push(&mut self, index: u32, item: &Verified<Item<'_>>, digests: EnvelopeDigests) {
        self.slab.extend_from_slice(item.message);
        self.slab.extend_from_slice(item.signature);
        if let Some(hint) = item.hint {
            self.hints.extend_from_slice(hint);
        }
        self.digests.push(digests);
        let place = self.first_index + index;
        match self.origins.last_mut() {
            Some(run) if run.first_index + run.count == place => run.count += 1,
            _ => self.origins.push(OriginRun {
                stream: self.stream,
                first_index: place,
                count: 1,
            }),
        }
    }

    /// What goes to ordering, verified by the directory of this height; each part in frame order.
    pub(crate) fn into_batch(self, directory_height: Height) -> VerifiedBatch {
        VerifiedBatch {
            origins: self.origins,
            slab: self.slab.freeze(),
            hints: self.hints.freeze(),
            digests: self.digests,
            directory_height,
        }
    }
}

/// Gathers refusals by the stream that waits for them.
#[derive(Debug, Default)]
pub(crate) struct Refused(BTreeMap<StreamKey, Vec<(u32, ResultCode)>>);

impl Refused {
    /// Answers one place.
    pub(crate) fn push(&mut self, origin: Origin, code: ResultCode) {
        let items = self.0.entry(origin.stream).or_default();
        items.push((origin.index, code));
    }

    /// One message per stream.
    pub(crate) fn into_messages(self) -> Vec<Refusals> {
        let streams = self.0.into_iter();
        streams
            .map(|(stream, items)| Refusals { stream, items })
            .collect()
    }
}

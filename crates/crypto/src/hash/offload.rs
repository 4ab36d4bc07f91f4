//! Hashing in bulk, offloaded to a device where one was given.

use std::sync::OnceLock;

use clearway_types::batch::EnvelopeDigests;
use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::units::Digest;

/// A device that hashes in bulk; it gives nothing where it cannot. Digests are the same wherever
/// they are made.
pub trait Offload: Send + Sync {
    /// [`super::node`] of each two neighbours. `lower` has pairs only.
    fn nodes(&self, lower: &[Digest]) -> Option<Vec<Digest>>;

    /// [`super::envelope_digests`] of each envelope of a slab.
    fn envelopes(&self, slab: &[u8]) -> Option<Vec<EnvelopeDigests>>;
}

/// Offloads whatever comes in numbers of at least `len_min`, for the rest of the process. False
/// when that was done before.
pub fn offload_to(device: Box<dyn Offload>, len_min: usize) -> bool {
    DEVICE.set((device, len_min.max(1))).is_ok()
}

/// Whether a device was given already.
#[must_use]
pub fn is_offloaded() -> bool {
    DEVICE.get().is_some()
}

static DEVICE: OnceLock<(Box<dyn Offload>, usize)> = OnceLock::new();

/// The nodes over these pairs, if a device makes them.
pub(crate) fn nodes(pairs: usize, lower: impl FnOnce() -> Vec<Digest>) -> Option<Vec<Digest>> {
    let nodes = device_for(pairs)?.nodes(&lower())?;
    (nodes.len() == pairs).then_some(nodes)
}

/// The digests of a slab's envelopes, if a device makes them.
pub(crate) fn envelopes(slab: &[u8]) -> Option<Vec<EnvelopeDigests>> {
    let len = slab.len() / ENVELOPE_BYTES;
    let digests = device_for(len)?.envelopes(slab)?;
    (digests.len() == len).then_some(digests)
}

fn device_for(len: usize) -> Option<&'static dyn Offload> {
    let (device, len_min) = DEVICE.get()?;
    (len >= *len_min).then_some(device.as_ref())
}

//! Lane batches: what one validator took in, hash-linked, named by manifests.

use bytes::Bytes;

use crate::codec::{DecodeError, Reader};
use crate::envelope::{ENVELOPE_BYTES, Envelope, envelopes};
use crate::limits::BATCH_ENVELOPES_MAX;
use crate::messages::OriginRun;
use crate::units::{Digest, Height, TimeMs, ValidatorIndex};

/// Encoded bytes of a [`BatchHeader`].
pub const BATCH_HEADER_BYTES: usize = 104;

/// Head of a lane batch; its digest, SHA-256 under `prefix::BATCH`, is the batch's digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Validator that took the envelopes in.
    pub lane: ValidatorIndex,
    /// Number of envelopes.
    pub count: u32,
    /// Position in the lane, from 1.
    pub index: u64,
    /// Digest of the batch before it in the lane; zero for the first.
    pub previous: Digest,
    /// Height of the key directory by which all signatures are verified, everywhere.
    pub directory_height: Height,
    /// Owner's clock when it was sealed; advice only.
    pub time: TimeMs,
    /// Merkle root of the envelopes' leaves.
    pub envelopes_root: Digest,
}

impl BatchHeader {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = [0; BATCH_HEADER_BYTES];
        out[0..4].copy_from_slice(&self.lane.0.to_le_bytes());
        out[4..8].copy_from_slice(&self.count.to_le_bytes());
        out[8..16].copy_from_slice(&self.index.to_le_bytes());
        out[16..48].copy_from_slice(&self.previous.0);
        out[48..56].copy_from_slice(&self.directory_height.0.to_le_bytes());
        out[56..64].copy_from_slice(&self.time.0.to_le_bytes());
        out[64..96].copy_from_slice(&self.envelopes_root.0);
        out
    }

    /// Reads what [`BatchHeader::to_bytes`] wrote; bytes 96..104 are reserved and zero.
    ///
    /// # Errors
    /// A cut record, a count out of range, or reserved bytes in use.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let lane = ValidatorIndex(reader.u32()?);
        let count = reader.u32()?;
        if count == 0 || count as usize > BATCH_ENVELOPES_MAX {
            return Err(DecodeError::Invalid { field: "count" });
        }
        let header = Self {
            lane,
            count,
            index: reader.u64()?,
            previous: reader.digest()?,
            directory_height: Height(reader.u64()?),
            time: TimeMs(reader.u64()?),
            envelopes_root: reader.digest()?,
        };
        match reader.u64()? {
            0 => Ok(header),
            _ => Err(DecodeError::Invalid { field: "reserved" }),
        }
    }
}

/// Hashes of one envelope, computed once at verification and carried along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EnvelopeDigests {
    /// First 16 bytes of SHA-256(body): the idempotency table compares them.
    pub body: [u8; 16],
    /// Leaf of the batch's Merkle tree: commits to all 192 bytes.
    pub leaf: Digest,
}

/// A sealed lane batch in memory; the slabs are the bytes that came off the wire.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its head.
    pub header: BatchHeader,
    /// Digest of the head.
    pub digest: Digest,
    /// Whole envelopes, in order, in one or more slabs.
    pub slabs: Vec<Bytes>,
    /// Hashes of each envelope, in order.
    pub digests: Vec<EnvelopeDigests>,
    /// Streams that wait for the results, in order; empty for a batch from disk or a peer.
    pub origins: Vec<OriginRun>,
}

impl Batch {
    /// All envelopes, in order.
    pub fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.slabs.iter().flat_map(|slab| envelopes(slab))
    }

    /// Bytes of envelopes.
    #[must_use]
    pub fn envelope_bytes(&self) -> usize {
        self.slabs.iter().map(Bytes::len).sum()
    }

    /// Reads a stored batch: header, then `count` envelopes.
    ///
    /// # Errors
    /// A damaged header or a length that is not the header's.
    pub fn decode_parts(payload: &Bytes) -> Result<(BatchHeader, Bytes), DecodeError> {
        let mut reader = Reader::new(payload);
        let header = BatchHeader::decode(&mut reader)?;
        // More than an address space holds is refused as any other length that is not there.
        let len = (header.count as usize).saturating_mul(ENVELOPE_BYTES);
        reader.bytes(len)?;
        reader.finish()?;
        Ok((header, payload.slice(BATCH_HEADER_BYTES..)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_decodes_to_itself() {
        let header = BatchHeader {
            lane: ValidatorIndex(2),
            count: 3,
            index: 4,
            previous: Digest([5; 32]),
            directory_height: Height(6),
            time: TimeMs(7),
            envelopes_root: Digest([8; 32]),
        };
        assert_eq!(
            BatchHeader::decode(&mut Reader::new(&header.to_bytes())),
            Ok(header)
        );
    }

    #[test]
    fn a_stored_batch_has_exactly_the_envelopes_it_announces() {
        let header = BatchHeader {
            lane: ValidatorIndex(0),
            count: 1,
            index: 1,
            previous: Digest::ZERO,
            directory_height: Height(0),
            time: TimeMs(0),
            envelopes_root: Digest::ZERO,
        };
        for (len, ok) in [(191, false), (192, true), (193, false), (0, false)] {
            let mut payload = header.to_bytes().to_vec();
            payload.resize(BATCH_HEADER_BYTES + len, 0);
            assert_eq!(
                Batch::decode_parts(&payload.into()).is_ok(),
                ok,
                "{len} bytes"
            );
        }
    }
}

//! Lane batches: what one validator took in, hash-linked, named by manifests.

use std::fmt;

use bytes::Bytes;

use crate::codec::{DecodeError, Reader};
use crate::envelope::{ENVELOPE_BYTES, Envelope, envelopes};
use crate::limits::BATCH_ENVELOPES_MAX;
use crate::messages::OriginRun;
use crate::units::{Digest, Height, Incarnation, TimeMs, ValidatorNumber};

/// Encoded bytes of a [`LaneId`].
pub const LANE_ID_BYTES: usize = 8;
/// Encoded bytes of a [`BatchHeader`].
pub const BATCH_HEADER_BYTES: usize = 104;

/// A lane: the chain of batches that one validator fills from one disk. A validator that lost its
/// disk no longer knows how far it was and would fork it, so the rules allow a later incarnation in
/// its place. No validator begins one yet: it fills the lane that its disk holds, or the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LaneId {
    /// Validator that fills it.
    pub owner: ValidatorNumber,
    /// Which of the owner's lanes it is.
    pub incarnation: Incarnation,
}

impl LaneId {
    /// The first lane of a validator.
    #[must_use]
    pub fn first(owner: ValidatorNumber) -> Self {
        let incarnation = Incarnation(1);
        Self { owner, incarnation }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LANE_ID_BYTES] {
        let mut out = [0; LANE_ID_BYTES];
        out[..4].copy_from_slice(&self.owner.0.to_le_bytes());
        out[4..].copy_from_slice(&self.incarnation.0.to_le_bytes());
        out
    }

    /// Reads what [`LaneId::to_bytes`] wrote.
    ///
    /// # Errors
    /// A cut record, or a number that is 0.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let owner = ValidatorNumber(reader.u32()?);
        let incarnation = Incarnation(reader.u32()?);
        match owner.0 == 0 || incarnation.0 == 0 {
            true => Err(DecodeError::Invalid { field: "lane" }),
            false => Ok(Self { owner, incarnation }),
        }
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.incarnation)
    }
}

/// Head of a lane batch; its digest, SHA-256 under `prefix::BATCH`, is the batch's digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Lane of the validator that took the envelopes in.
    pub lane: LaneId,
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
        out[0..8].copy_from_slice(&self.lane.to_bytes());
        out[8..16].copy_from_slice(&self.index.to_le_bytes());
        out[16..48].copy_from_slice(&self.previous.0);
        out[48..56].copy_from_slice(&self.directory_height.0.to_le_bytes());
        out[56..64].copy_from_slice(&self.time.0.to_le_bytes());
        out[64..96].copy_from_slice(&self.envelopes_root.0);
        out[96..100].copy_from_slice(&self.count.to_le_bytes());
        out
    }

    /// Reads what [`BatchHeader::to_bytes`] wrote; bytes 100..104 are reserved and zero.
    ///
    /// # Errors
    /// A cut record, a count out of range, or reserved bytes in use.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Self {
            lane: LaneId::decode(reader)?,
            index: reader.u64()?,
            previous: reader.digest()?,
            directory_height: Height(reader.u64()?),
            time: TimeMs(reader.u64()?),
            envelopes_root: reader.digest()?,
            count: reader.u32()?,
        };
        let reserved = reader.u32()?;
        if header.count == 0 || header.count as usize > BATCH_ENVELOPES_MAX {
            return Err(DecodeError::Invalid { field: "count" });
        }
        match reserved {
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
    /// For each slab a hint for each of its envelopes, or nothing: advice to the next verifier (see
    /// [`crate::wire`]), which no digest covers and no disk keeps. Empty for a batch from disk.
    pub hints: Vec<Bytes>,
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
            lane: LaneId {
                owner: ValidatorNumber(2),
                incarnation: Incarnation(9),
            },
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
    fn a_lane_has_an_owner_and_an_incarnation_from_1() {
        let lane = LaneId::first(ValidatorNumber(7));
        let bytes = lane.to_bytes();
        assert_eq!(bytes, [7, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(LaneId::decode(&mut Reader::new(&bytes)), Ok(lane));
        assert_eq!(lane.to_string(), "7/1");
        for at in [0, 4] {
            let mut bytes = bytes;
            bytes[at] = 0;
            let refused = DecodeError::Invalid { field: "lane" };
            assert_eq!(LaneId::decode(&mut Reader::new(&bytes)), Err(refused));
        }
    }

    #[test]
    fn a_stored_batch_has_exactly_the_envelopes_it_announces() {
        let header = BatchHeader {
            lane: LaneId::first(ValidatorNumber(1)),
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

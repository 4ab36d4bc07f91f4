//! The manifest: a block as consensus sees it, a few hundred bytes that name batches and results.

use std::fmt;

use crate::batch::{BatchHeader, LANE_ID_BYTES, LaneId};
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::{LANE_STEP_MAX, VALIDATORS_MAX};
use crate::units::{Digest, Height, TimeMs, ValidatorNumber};

/// Version of the rules and layouts that validators must share; first field of a manifest.
pub const PROTOCOL_VERSION: u32 = 2;
/// Encoded bytes before the references.
const HEAD_BYTES: usize = 4 + 8 + 32 + 8 + 32 + 8 + 4 + 8 + 32 + 4;
/// Encoded bytes of one reference.
const BATCH_REF_BYTES: usize = LANE_ID_BYTES + 4 + 8 + 32;

/// The time of one validator set, which the blocks of that time name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EpochId {
    /// Its number; that of the genesis is 0.
    pub number: u64,
    /// Digest of the validator set: numbers and keys.
    pub validators: Digest,
}

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} of validators {}", self.number, self.validators)
    }
}

/// One batch that a manifest puts in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchRef {
    /// Lane of the batch.
    pub lane: LaneId,
    /// Envelopes in it.
    pub count: u32,
    /// Position in the lane.
    pub index: u64,
    /// Digest of its header.
    pub digest: Digest,
}

impl BatchRef {
    /// The batch with this header and its digest.
    #[must_use]
    pub fn of(header: &BatchHeader, digest: Digest) -> Self {
        Self {
            lane: header.lane,
            count: header.count,
            index: header.index,
            digest,
        }
    }
}

/// A block: what consensus agrees on; its digest is SHA-256 under `prefix::MANIFEST`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Epoch in which it is proposed.
    pub epoch: EpochId,
    /// Its height; the parent's plus one.
    pub height: Height,
    /// Digest of the parent manifest, or the genesis hash below height 1.
    pub parent: Digest,
    /// The only clock of execution; never below the parent's.
    pub time: TimeMs,
    /// Validator that proposed it.
    pub leader: ValidatorNumber,
    /// Height whose execution result is named here; never falls.
    pub state_height: Height,
    /// Execution head at `state_height`.
    pub exec_head: Digest,
    /// Batches in execution order.
    pub batches: Vec<BatchRef>,
}

impl Manifest {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let refs_bytes = self.batches.len().saturating_mul(BATCH_REF_BYTES);
        let mut out = Vec::with_capacity(refs_bytes.saturating_add(HEAD_BYTES));
        out.u32(PROTOCOL_VERSION);
        out.u64(self.epoch.number);
        out.digest(self.epoch.validators);
        out.u64(self.height.0);
        out.digest(self.parent);
        out.u64(self.time.0);
        out.u32(self.leader.0);
        out.u64(self.state_height.0);
        out.digest(self.exec_head);
        out.count(self.batches.len());
        for batch in &self.batches {
            out.bytes(&batch.lane.to_bytes());
            out.u32(batch.count);
            out.u64(batch.index);
            out.digest(batch.digest);
        }
        out
    }

    /// Reads what [`Manifest::encode`] wrote; a manifest is a whole record.
    ///
    /// # Errors
    /// A cut or overlong record, another version, or more batches than lanes and steps allow.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let (found, supported) = (reader.u32()?, PROTOCOL_VERSION);
        if found != supported {
            return Err(DecodeError::Protocol { found, supported });
        }
        let mut manifest = Self {
            epoch: EpochId {
                number: reader.u64()?,
                validators: reader.digest()?,
            },
            height: Height(reader.u64()?),
            parent: reader.digest()?,
            time: TimeMs(reader.u64()?),
            leader: ValidatorNumber(reader.u32()?),
            state_height: Height(reader.u64()?),
            exec_head: reader.digest()?,
            batches: Vec::new(),
        };
        let count = reader.count(BATCH_REF_BYTES)?;
        if count > VALIDATORS_MAX * LANE_STEP_MAX {
            return Err(DecodeError::Invalid { field: "batches" });
        }
        for _ in 0..count {
            manifest.batches.push(BatchRef {
                lane: LaneId::decode(&mut reader)?,
                count: reader.u32()?,
                index: reader.u64()?,
                digest: reader.digest()?,
            });
        }
        reader.finish()?;
        Ok(manifest)
    }

    /// Envelopes in all batches.
    #[must_use]
    pub fn envelope_count(&self) -> usize {
        self.batches.iter().map(|batch| batch.count as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_to_itself_and_refuses_cuts_and_tails() {
        let batch = BatchRef {
            lane: LaneId::first(ValidatorNumber(2)),
            count: 2,
            index: 3,
            digest: Digest([4; 32]),
        };
        let manifest = Manifest {
            epoch: EpochId {
                number: 5,
                validators: Digest([6; 32]),
            },
            height: Height(9),
            parent: Digest([1; 32]),
            time: TimeMs(77),
            leader: ValidatorNumber(2),
            state_height: Height(8),
            exec_head: Digest([2; 32]),
            batches: vec![batch; 3],
        };
        let bytes = manifest.encode();
        assert_eq!(bytes.len(), HEAD_BYTES + 3 * BATCH_REF_BYTES);
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        let mut older = bytes.clone();
        older[0] = 1;
        let (found, supported) = (1, PROTOCOL_VERSION);
        let refused = DecodeError::Protocol { found, supported };
        assert_eq!(Manifest::decode(&older), Err(refused));
        for len in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "cut at {len}");
        }
        let tail = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            Manifest::decode(&tail),
            Err(DecodeError::Trailing { excess: 1 })
        );
    }
}

//! The manifest: a block as consensus sees it, a few hundred bytes that name batches and results.

use crate::codec::{DecodeError, Reader};
use crate::limits::{LANE_STEP_MAX, VALIDATORS_MAX};
use crate::units::{Digest, Height, TimeMs, ValidatorIndex};

/// Encoding version, first field of a manifest.
const VERSION: u32 = 1;
/// Encoded bytes of one reference.
const BATCH_REF_BYTES: usize = 4 + 4 + 8 + 32;

/// One batch that a manifest puts in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchRef {
    /// Lane of the batch.
    pub lane: ValidatorIndex,
    /// Envelopes in it.
    pub count: u32,
    /// Position in the lane.
    pub index: u64,
    /// Digest of its header.
    pub digest: Digest,
}

/// A block: what consensus agrees on; its digest is SHA-256 under `prefix::MANIFEST`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Epoch of the validator set.
    pub epoch: u64,
    /// Its height; the parent's plus one.
    pub height: Height,
    /// Digest of the parent manifest, or the genesis hash below height 1.
    pub parent: Digest,
    /// The only clock of execution; never below the parent's.
    pub time: TimeMs,
    /// Validator that proposed it.
    pub leader: ValidatorIndex,
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
        let mut out = Vec::with_capacity(refs_bytes.saturating_add(140));
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.height.0.to_le_bytes());
        out.extend_from_slice(&self.parent.0);
        out.extend_from_slice(&self.time.0.to_le_bytes());
        out.extend_from_slice(&self.leader.0.to_le_bytes());
        out.extend_from_slice(&self.state_height.0.to_le_bytes());
        out.extend_from_slice(&self.exec_head.0);
        let count = u32::try_from(self.batches.len()).expect("bounded by lanes and lane steps");
        out.extend_from_slice(&count.to_le_bytes());
        for batch in &self.batches {
            out.extend_from_slice(&batch.lane.0.to_le_bytes());
            out.extend_from_slice(&batch.count.to_le_bytes());
            out.extend_from_slice(&batch.index.to_le_bytes());
            out.extend_from_slice(&batch.digest.0);
        }
        out
    }

    /// Reads what [`Manifest::encode`] wrote; a manifest is a whole record.
    ///
    /// # Errors
    /// A cut or overlong record, another version, or more batches than lanes and steps allow.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u32()? != VERSION {
            return Err(DecodeError::Invalid { field: "version" });
        }
        let mut manifest = Self {
            epoch: reader.u64()?,
            height: Height(reader.u64()?),
            parent: reader.digest()?,
            time: TimeMs(reader.u64()?),
            leader: ValidatorIndex(reader.u32()?),
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
                lane: ValidatorIndex(reader.u32()?),
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
            lane: ValidatorIndex(1),
            count: 2,
            index: 3,
            digest: Digest([4; 32]),
        };
        let manifest = Manifest {
            epoch: 0,
            height: Height(9),
            parent: Digest([1; 32]),
            time: TimeMs(77),
            leader: ValidatorIndex(1),
            state_height: Height(8),
            exec_head: Digest([2; 32]),
            batches: vec![batch; 3],
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
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

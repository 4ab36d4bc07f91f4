//! What a checkpoint of the whole node holds: the final tip, the place in the log, the state.

use std::io::{self, Read, Write};

use clearway_execute::Snapshot;
use clearway_order::{FinalPoint, LaneTip};
use clearway_store::Sequence;
use clearway_types::codec::{DecodeError, Reader};
use clearway_types::limits::VALIDATORS_MAX;
use clearway_types::units::{Digest, Height, TimeMs};

/// First bytes; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"CWCHECK\x01";
/// Encoded bytes before the lane tips.
const HEAD_BYTES: usize = 8 + 8 + 8 + 32 + 8 + 8 + 32 + 8 + 8 + 4;
/// Encoded bytes of one lane tip.
const TIP_BYTES: usize = 8 + 32;

/// Where a restart begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CheckpointHead {
    /// Record from which on the log is read.
    pub(crate) log_from: Sequence,
    /// The final block whose state follows.
    pub(crate) point: FinalPoint,
}

impl CheckpointHead {
    /// Writes head and state.
    ///
    /// # Errors
    /// Those of the writer.
    pub(crate) fn write(&self, snapshot: &Snapshot, to: &mut dyn Write) -> io::Result<()> {
        let point = &self.point;
        let mut out = Vec::with_capacity(HEAD_BYTES + point.lanes.len() * TIP_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.log_from.0.to_le_bytes());
        out.extend_from_slice(&point.height.0.to_le_bytes());
        out.extend_from_slice(&point.digest.0);
        out.extend_from_slice(&point.time.0.to_le_bytes());
        out.extend_from_slice(&point.state_height.0.to_le_bytes());
        out.extend_from_slice(&point.named_head.0);
        out.extend_from_slice(&point.data_height.0.to_le_bytes());
        out.extend_from_slice(&point.view.to_le_bytes());
        let lane_count = u32::try_from(point.lanes.len()).expect("a lane a validator");
        out.extend_from_slice(&lane_count.to_le_bytes());
        for tip in &point.lanes {
            out.extend_from_slice(&tip.index.to_le_bytes());
            out.extend_from_slice(&tip.digest.0);
        }
        to.write_all(&out)?;
        snapshot.write(to)
    }

    /// Reads the head; `from` is left at the first byte of the state.
    ///
    /// # Errors
    /// Bytes that are no checkpoint of this version.
    pub(crate) fn read(from: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut head = [0; HEAD_BYTES];
        from.read_exact(&mut head)
            .map_err(|_| DecodeError::Short { offset: 0 })?;
        let mut reader = Reader::new(&head);
        if reader.array()? != MAGIC {
            return Err(DecodeError::Invalid { field: "magic" });
        }
        let log_from = Sequence(reader.u64()?);
        let mut point = FinalPoint {
            height: Height(reader.u64()?),
            digest: reader.digest()?,
            time: TimeMs(reader.u64()?),
            state_height: Height(reader.u64()?),
            named_head: reader.digest()?,
            data_height: Height(reader.u64()?),
            view: reader.u64()?,
            lanes: Vec::new(),
        };
        let lane_count = reader.u32()? as usize;
        if lane_count > VALIDATORS_MAX {
            return Err(DecodeError::Invalid { field: "lanes" });
        }
        for _ in 0..lane_count {
            let mut tip = [0; TIP_BYTES];
            from.read_exact(&mut tip)
                .map_err(|_| DecodeError::Short { offset: HEAD_BYTES })?;
            let mut reader = Reader::new(&tip);
            let (index, digest) = (reader.u64()?, Digest(reader.array()?));
            point.lanes.push(LaneTip { index, digest });
        }
        Ok(Self { log_from, point })
    }
}

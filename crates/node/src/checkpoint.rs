//! What a checkpoint of the whole node holds: the final tip, the place in the log, the state.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use clearway_execute::Snapshot;
use clearway_order::{FinalPoint, LaneTip};
use clearway_store::Sequence;
use clearway_types::batch::{LANE_ID_BYTES, LaneId};
use clearway_types::codec::{DecodeError, Reader, Writer};
use clearway_types::limits::VALIDATORS_MAX;
use clearway_types::units::{Height, TimeMs};

/// First bytes; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"CWCHECK\x02";
/// Encoded bytes before the lane tips.
const HEAD_BYTES: usize = 8 + 8 + 8 + 32 + 8 + 8 + 32 + 8 + 8 + 4;
/// Encoded bytes of one lane tip.
const TIP_BYTES: usize = LANE_ID_BYTES + 8 + 32;

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
        to.write_all(&self.to_bytes())?;
        snapshot.write(to)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let point = &self.point;
        let mut out = Vec::with_capacity(HEAD_BYTES + point.lanes.len() * TIP_BYTES);
        out.bytes(&MAGIC);
        out.u64(self.log_from.0);
        out.u64(point.height.0);
        out.digest(point.digest);
        out.u64(point.time.0);
        out.u64(point.state_height.0);
        out.digest(point.named_head);
        out.u64(point.data_height.0);
        out.u64(point.view);
        out.count(point.lanes.len());
        for (&owner, tip) in &point.lanes {
            let incarnation = tip.incarnation;
            out.bytes(&LaneId { owner, incarnation }.to_bytes());
            out.u64(tip.index);
            out.digest(tip.digest);
        }
        out
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
            lanes: BTreeMap::new(),
        };
        let lane_count = reader.u32()? as usize;
        let wrong = DecodeError::Invalid { field: "lanes" };
        if lane_count > VALIDATORS_MAX {
            return Err(wrong);
        }
        for _ in 0..lane_count {
            let mut tip = [0; TIP_BYTES];
            from.read_exact(&mut tip)
                .map_err(|_| DecodeError::Short { offset: HEAD_BYTES })?;
            let mut reader = Reader::new(&tip);
            let lane = LaneId::decode(&mut reader)?;
            let tip = LaneTip {
                incarnation: lane.incarnation,
                index: reader.u64()?,
                digest: reader.digest()?,
            };
            // One spelling alone: in the order of numbers, and no lane without a batch.
            let last = point.lanes.last_key_value();
            if tip.index == 0 || last.is_some_and(|(last, _)| *last >= lane.owner) {
                return Err(wrong);
            }
            point.lanes.insert(lane.owner, tip);
        }
        Ok(Self { log_from, point })
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::units::{Digest, Incarnation, ValidatorNumber};

    use super::*;

    /// Owner, incarnation and index of each lane; the digest has the index in it.
    fn head(lanes: &[(u32, u32, u8)]) -> CheckpointHead {
        let tip = |(owner, incarnation, index): &(u32, u32, u8)| {
            let tip = LaneTip {
                incarnation: Incarnation(*incarnation),
                index: u64::from(*index),
                digest: Digest([*index; 32]),
            };
            (ValidatorNumber(*owner), tip)
        };
        CheckpointHead {
            log_from: Sequence(1),
            point: FinalPoint {
                height: Height(2),
                digest: Digest([3; 32]),
                time: TimeMs(4),
                state_height: Height(5),
                named_head: Digest([6; 32]),
                data_height: Height(7),
                view: 8,
                lanes: lanes.iter().map(tip).collect(),
            },
        }
    }

    #[test]
    fn a_head_comes_back_the_same_and_leaves_the_state_unread() {
        for lanes in [&[][..], &[(1, 1, 1)], &[(1, 2, 3), (4, 1, 5), (9, 7, 2)]] {
            let head = head(lanes);
            let mut bytes = head.to_bytes();
            bytes.extend_from_slice(b"state");
            let mut from = bytes.as_slice();
            assert_eq!(CheckpointHead::read(&mut from), Ok(head));
            assert_eq!(from, b"state");
            for cut in 0..bytes.len() - 5 {
                let cut_off = CheckpointHead::read(&mut &bytes[..cut]);
                assert!(cut_off.is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn lanes_have_one_spelling() {
        let bytes = head(&[(1, 2, 3), (4, 1, 5)]).to_bytes();
        let (first, second) = (HEAD_BYTES, HEAD_BYTES + TIP_BYTES);
        let rows = [
            ("a version before", 7, 1),
            ("an owner of 0", first, 0),
            ("an incarnation of 0", first + 4, 0),
            ("a lane without a batch", first + 8, 0),
            ("an owner twice", second, 1),
            ("owners out of order", first, 5),
        ];
        for (name, at, byte) in rows {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            assert!(
                CheckpointHead::read(&mut bytes.as_slice()).is_err(),
                "{name}"
            );
        }
    }
}

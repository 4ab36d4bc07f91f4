//! What lies after the last whole record: zeros, a record being written, or the marks of damage.

use crate::error::{Damage, StoreError};
use crate::format::HEADER_BYTES;
use crate::recovery::Walk;
use crate::segment::{Segment, nonzero};
use crate::words::SegmentNumber;

/// Bytes after the last whole record that are not zero: no record, and not nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The segment.
    pub segment: SegmentNumber,
    /// Where the last whole record ends.
    pub offset: u64,
    /// From there to the last byte that is not zero.
    pub len_bytes: u64,
    /// Why no record is there.
    pub damage: Damage,
    /// All of it lies where one record would: a writer that is busy, or was killed, leaves no more
    /// than that. More is what a power cut leaves, or damage.
    pub one_record: bool,
}

/// Looks for bytes that are not zero after the end that a walk found.
pub(crate) fn find(segment: &Segment, walk: &Walk) -> Result<Option<Tail>, StoreError> {
    let offset = walk.cursor.offset;
    let mut end = offset;
    let len_bytes = segment.view.len_bytes();
    segment
        .view
        .for_each_chunk(offset, len_bytes, &mut |at, chunk| {
            if let Some(used) = nonzero(chunk) {
                end = at + used.end as u64;
            }
            Ok(())
        })?;
    if end == offset {
        return Ok(None);
    }
    let damage = match walk.stopped_by {
        Some(Damage::EndsEarly { .. }) | None => Damage::Slack,
        Some(damage) => damage,
    };
    let record_end = match damage {
        Damage::RecordHeader => offset + HEADER_BYTES as u64,
        Damage::Payload | Damage::Padding => segment.claimed_end(offset)?.unwrap_or(offset),
        _ => offset,
    };
    Ok(Some(Tail {
        segment: segment.number,
        offset,
        len_bytes: end - offset,
        damage,
        one_record: end <= record_end,
    }))
}

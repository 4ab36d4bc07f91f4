//! What a store is opened with.

use std::path::PathBuf;

use crate::error::StoreError;
use crate::limits::{
    PAGE_BYTES, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
};
use crate::words::Sequence;

/// Where a store lies and how it is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data directory; it is created when missing.
    pub dir: PathBuf,
    /// Hash of the network's genesis: a directory of another network is refused.
    pub genesis: [u8; 32],
    /// Bytes of segments created from now on, a multiple of 4,096; existing ones keep theirs.
    pub segment_bytes: u64,
    /// Which payloads are checked when the store is opened.
    pub verify_from: VerifyFrom,
}

/// Which payloads are checked at open. Headers and their chain are checked in any case, and so is
/// everything above the watermark; a payload is also checked each time it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyFrom {
    /// Those in the last segments, this many.
    LastSegments(u64),
    /// Those from this record on.
    Sequence(Sequence),
    /// All of them.
    Everything,
}

impl StoreOptions {
    /// Options with the default segment size, checking the last two segments.
    pub fn new(dir: impl Into<PathBuf>, genesis: [u8; 32]) -> Self {
        Self {
            dir: dir.into(),
            genesis,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            verify_from: VerifyFrom::LastSegments(2),
        }
    }

    /// Most payload bytes of one record with this segment size.
    pub fn payload_bytes_max(&self) -> u64 {
        PAYLOAD_BYTES_MAX.min(
            self.segment_bytes
                .saturating_sub(PAGE_BYTES + RECORD_HEADER_BYTES),
        )
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let in_range = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes);
        if in_range && self.segment_bytes.is_multiple_of(PAGE_BYTES) {
            return Ok(());
        }
        Err(StoreError::BadSegmentBytes {
            segment_bytes: self.segment_bytes,
            min: SEGMENT_BYTES_MIN,
            max: SEGMENT_BYTES_MAX,
        })
    }
}

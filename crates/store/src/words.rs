//! The store's own numbers and names, wrapped so that they cannot be mixed up.

use std::fmt;

/// Number of a record: 1 for the first of a store, then without gaps. 0 stands for "none yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// No record yet.
    pub const NONE: Sequence = Sequence(0);
    /// The first record of a store.
    pub const FIRST: Sequence = Sequence(1);

    /// The record after this one.
    pub fn next(self) -> Sequence {
        Sequence(
            self.0
                .checked_add(1)
                .expect("2^64 records cannot have been written"),
        )
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a segment: 1 for the first of a store, then without gaps. 0 means "no segment".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u64);

impl fmt::Display for SegmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a record is; the store does not read its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RecordKind {
    /// A lane's batch: header and envelopes as they came in.
    Batch = 1,
    /// A manifest: which batches a block is made of.
    Manifest = 2,
    /// A final block: its certificate and its results.
    Final = 3,
}

impl RecordKind {
    /// Every kind, for tables.
    pub const ALL: [RecordKind; 3] = [RecordKind::Batch, RecordKind::Manifest, RecordKind::Final];

    pub(crate) fn from_code(code: u16) -> Option<RecordKind> {
        RecordKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The number that stands for this kind on disk.
    pub fn code(self) -> u16 {
        self as u16
    }
}

/// Hash of a record: of its header, and with it of the payload's checksum, the caller's digest and
/// every record before it. FORMAT.md gives the input.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordHash(pub [u8; 32]);

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::error::Hex(self.0).fmt(f)
    }
}

/// Where a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The record.
    pub sequence: Sequence,
    /// Its place in that record, as the extractor numbers it.
    pub index: u32,
}

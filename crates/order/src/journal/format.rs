//! Frames of the journal's files, and the changes in them.
//!
//! A file is a row of frames from byte 0 on, each at a multiple of [`ALIGN_BYTES`]:
//!
//! | offset | bytes | field |
//! |--:|--:|---|
//! | 0 | 4 | `CWJ1` |
//! | 4 | 4 | bytes of the payload, little-endian as all numbers |
//! | 8 | 8 | generation: one higher each time the files take turns |
//! | 16 | 8 | sequence in the file, from 0; the first frame holds all blobs |
//! | 24 | 4 | CRC-32 of bytes 0..24 and of the payload |
//! | 28 | 4 | zero |
//! | 32 |  | payload: changes; then zeros up to the next frame |
//!
//! A frame is written at once and synced before the next, so after a power cut the last one alone
//! may be torn. What stands behind the last frame is older: of an earlier generation, or zeros.
use clearway_types::codec::{DecodeError, Reader, Writer as _};

use super::Key;

const MAGIC: [u8; 4] = *b"CWJ1";
const HEAD_BYTES: usize = 32;
/// Where a head's checksum is, of what stands before it and of the payload.
const CRC_AT: usize = 24;
/// Frames begin at sectors, which a disk writes whole: those of durable frames get the same bytes
/// again at most.
pub(super) const ALIGN_BYTES: usize = 512;
/// Bytes of a file, all there from the beginning: some four hundred views. A journal of more than
/// that grows its file.
pub(super) const FILE_BYTES: usize = 8 << 20;

/// One group of changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What a frame with so much payload takes in a file.
    pub(super) fn bytes(payload_bytes: usize) -> usize {
        (HEAD_BYTES + payload_bytes).next_multiple_of(ALIGN_BYTES)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len()).expect("changes of a sync fit 4 GiB");
        let mut bytes = Vec::with_capacity(Self::bytes(self.payload.len()));
        bytes.bytes(&MAGIC);
        bytes.u32(len);
        bytes.u64(self.generation);
        bytes.u64(self.sequence);
        let crc = crc_of(&bytes, self.payload);
        bytes.u32(crc);
        bytes.u32(0);
        bytes.bytes(self.payload);
        bytes.resize(Self::bytes(self.payload.len()), 0);
        bytes
    }

    /// The frame at the beginning of `bytes`, if a whole one is there.
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.starts_with(&MAGIC) {
            return None;
        }
        let read = || -> Result<_, DecodeError> {
            let mut read = Reader::new(bytes);
            read.bytes(MAGIC.len())?;
            let (len, generation, sequence) = (read.u32()?, read.u64()?, read.u64()?);
            let crc = read.u32()?;
            read.u32()?;
            let payload = read.bytes(usize::try_from(len).map_err(|_| invalid("length"))?)?;
            let frame = Self {
                generation,
                sequence,
                payload,
            };
            Ok((frame, crc))
        };
        let (frame, crc) = read().ok()?;
        (crc == crc_of(&bytes[..CRC_AT], frame.payload)).then_some(frame)
    }
}

fn crc_of(head: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(payload);
    crc.finalize()
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// 0 where there is no frame.
    pub(super) generation: u64,
    /// Of the frame that comes next.
    pub(super) sequence: u64,
    /// Where it goes.
    pub(super) end: usize,
    pub(super) payloads: Vec<Vec<u8>>,
    /// The highest generation of any whole frame, and whether the row lacks one of its own that
    /// was written after its end.
    pub(super) newest: u64,
    pub(super) lacks: bool,
}

/// The row of frames at the beginning of a file.
pub(super) fn row(file: &[u8]) -> Row {
    let mut row = Row::default();
    let next = |row: &Row| {
        let frame = Frame::decode(file.get(row.end..)?)?;
        let is_next = frame.sequence == row.sequence;
        let is_of_row = row.sequence == 0 || frame.generation == row.generation;
        (is_next && is_of_row).then_some(frame)
    };
    while let Some(frame) = next(&row) {
        row.generation = frame.generation;
        row.sequence += 1;
        row.end += Frame::bytes(frame.payload.len());
        row.payloads.push(frame.payload.to_vec());
    }
    row.newest = row.generation;
    for at in (row.end..file.len()).step_by(ALIGN_BYTES) {
        if let Some(frame) = Frame::decode(&file[at..]) {
            row.newest = row.newest.max(frame.generation);
            row.lacks |= frame.generation == row.generation && frame.sequence > row.sequence;
        }
    }
    row
}

/// A change of one blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change<'a> {
    Make {
        key: &'a Key,
        version: u16,
    },
    Write {
        key: &'a Key,
        at: u64,
        bytes: &'a [u8],
    },
    Resize {
        key: &'a Key,
        len: u64,
    },
    Remove {
        key: &'a Key,
    },
}

const MAKE: u8 = 1;
const WRITE: u8 = 2;
const RESIZE: u8 = 3;
const REMOVE: u8 = 4;

/// Longest blob that a change may make.
const BLOB_BYTES_MAX: u64 = 1 << 30;

impl<'a> Change<'a> {
    pub(super) fn key(&self) -> &'a Key {
        match self {
            Self::Make { key, .. }
            | Self::Write { key, .. }
            | Self::Resize { key, .. }
            | Self::Remove { key } => key,
        }
    }

    /// Adds it to a payload: kind (1), length of the partition (1), partition, length of the name
    /// (1), name; then version (2), or offset (8), length (4) and bytes, or length (8).
    pub(super) fn put(&self, payload: &mut Vec<u8>) {
        let kind = match self {
            Self::Make { .. } => MAKE,
            Self::Write { .. } => WRITE,
            Self::Resize { .. } => RESIZE,
            Self::Remove { .. } => REMOVE,
        };
        payload.u8(kind);
        let (partition, name) = self.key();
        for text in [partition.as_bytes(), name] {
            payload.u8(u8::try_from(text.len()).expect("names are short"));
            payload.bytes(text);
        }
        match self {
            Self::Make { version, .. } => payload.u16(*version),
            Self::Write { at, bytes, .. } => {
                let len = u32::try_from(bytes.len()).expect("blobs are below 4 GiB");
                payload.u64(*at);
                payload.u32(len);
                payload.bytes(bytes);
            }
            Self::Resize { len, .. } => payload.u64(*len),
            Self::Remove { .. } => {}
        }
    }

    /// Hands on each change of a payload.
    ///
    /// # Errors
    /// Bytes that are no changes.
    pub(super) fn each(
        payload: &[u8],
        mut take: impl FnMut(&Change<'_>),
    ) -> Result<(), DecodeError> {
        let mut read = Reader::new(payload);
        while !read.is_at_end() {
            let kind = read.u8()?;
            let len = read.u8()?;
            let partition = std::str::from_utf8(read.bytes(len.into())?);
            let partition = partition.map_err(|_| invalid("partition"))?.to_owned();
            let len = read.u8()?;
            let key = &(partition, read.bytes(len.into())?.to_vec());
            let change = match kind {
                MAKE => Change::Make {
                    key,
                    version: read.u16()?,
                },
                WRITE => {
                    let (at, len) = (read.u64()?, read.u32()?);
                    let bytes = read.bytes(usize::try_from(len).map_err(|_| invalid("length"))?)?;
                    Change::Write { key, at, bytes }
                }
                RESIZE => Change::Resize {
                    key,
                    len: read.u64()?,
                },
                REMOVE => Change::Remove { key },
                _ => return Err(invalid("kind")),
            };
            if change.end() > BLOB_BYTES_MAX {
                return Err(invalid("length"));
            }
            take(&change);
        }
        Ok(())
    }

    /// How long the blob becomes at least.
    fn end(&self) -> u64 {
        match self {
            Self::Make { .. } | Self::Remove { .. } => 0,
            Self::Resize { len, .. } => *len,
            Self::Write { at, bytes, .. } => at.saturating_add(bytes.len() as u64),
        }
    }
}

fn invalid(field: &'static str) -> DecodeError {
    DecodeError::Invalid { field }
}

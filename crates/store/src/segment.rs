//! One segment: its head page, the walk over its records, and reading one of them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::error::{At, Damage, Hex, StoreError};
use crate::format::{
    HEAD_BYTES, HEADER_BYTES, Head, HeadFault, RecordHeader, SegmentHead, ZERO_PADDING,
    padding_bytes, record_bytes, to_usize,
};
use crate::index::IndexSlot;
use crate::io::{Access, BlockIo, read_exact_at};
use crate::limits::{PAGE_BYTES, RECORD_HEADER_BYTES};
use crate::runs::Runs;
use crate::view::View;
use crate::words::{RecordHash, RecordKind, SegmentNumber, Sequence};

const NAME_DIGITS: usize = 20;
const SUFFIX: &str = ".seg";

/// A record as it was stored. The payload points into the memory map where there is one.
#[derive(Clone, Debug)]
pub struct Record {
    /// Place in the log.
    pub sequence: Sequence,
    /// What the payload is.
    pub kind: RecordKind,
    /// The digest that was given with it; the store does not recompute it.
    pub digest: [u8; 32],
    /// The parts that were given, one after the other.
    pub payload: Bytes,
    /// Hash of the record before it.
    pub previous: RecordHash,
    /// Hash of this record.
    pub hash: RecordHash,
}

/// A segment file that is in use.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: SegmentNumber,
    pub(crate) first_sequence: Sequence,
    /// Hash of the record before the first one.
    pub(crate) previous: RecordHash,
    pub(crate) view: View,
    /// Where each record starts; grows while the segment is written to.
    offsets: RwLock<Vec<u32>>,
    /// The id index, once it was looked for.
    pub(crate) index: Mutex<IndexSlot>,
    /// What takes its place until there is one.
    runs: Mutex<Runs>,
}

/// A place between two records during a walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    pub(crate) offset: u64,
    pub(crate) next: Sequence,
    /// Hash of the record before `next`.
    pub(crate) hash: RecordHash,
}

/// What a walk meets at a cursor.
pub(crate) enum Step {
    Record(RecordHeader),
    /// Bytes that were never written, or no room for another header.
    End,
    Damaged {
        offset: u64,
        damage: Damage,
    },
}

impl Segment {
    /// Opens a segment file and checks its head page and length. It is mapped unless another
    /// process may be writing to it (`shared`).
    pub(crate) fn open(
        io: &Arc<dyn BlockIo>,
        dir: &Path,
        first_sequence: Sequence,
        genesis: &[u8; 32],
        number: SegmentNumber,
        shared: bool,
    ) -> Result<Segment, StoreError> {
        let path = path(dir, first_sequence);
        let head = read_head(io, &path, genesis, number)?;
        if head.first_sequence() != first_sequence {
            return Err(corrupt(&path, number, 0, Damage::SegmentPlace));
        }
        if head.number() > number {
            return Err(StoreError::MissingSegment {
                segment: number,
                dir: dir.to_owned(),
            });
        }
        if head.number() < number {
            return Err(corrupt(&path, number, 0, Damage::SegmentPlace));
        }
        let len_bytes = head.segment_bytes();
        let file = io.open(&path, Access::Read).at("open", &path)?;
        let view = match shared {
            true => View::unmapped(io, &path, number, len_bytes, file)?,
            false => View::of_file(io, &path, number, len_bytes, file)?,
        };
        Ok(Segment::new(&head, view))
    }

    pub(crate) fn new(head: &SegmentHead, view: View) -> Segment {
        Segment {
            number: head.number(),
            first_sequence: head.first_sequence(),
            previous: head.previous(),
            view,
            offsets: RwLock::default(),
            index: Mutex::default(),
            runs: Mutex::default(),
        }
    }

    /// The rows of records that were looked through for want of an index file.
    pub(crate) fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock()
    }

    pub(crate) fn start(&self) -> Cursor {
        Cursor {
            offset: PAGE_BYTES,
            next: self.first_sequence,
            hash: self.previous,
        }
    }

    pub(crate) fn record_count(&self) -> u64 {
        self.offsets.read().len() as u64
    }

    pub(crate) fn push_offset(&self, offset: u64) {
        let offset = u32::try_from(offset).expect("segments are at most 1 GiB");
        self.offsets.write().push(offset);
    }

    /// Where a record starts. The record must be in this segment.
    pub(crate) fn offset_of(&self, sequence: Sequence) -> u64 {
        let index = to_usize(sequence.0 - self.first_sequence.0);
        self.offsets.read()[index].into()
    }

    /// Looks at the record under the cursor and, if it is whole and follows the one before it,
    /// moves the cursor behind it. The caller has checked the file's length.
    pub(crate) fn step(&self, cursor: &mut Cursor, payload: bool) -> Result<Step, StoreError> {
        let offset = cursor.offset;
        if offset + RECORD_HEADER_BYTES > self.view.len_bytes() {
            return Ok(Step::End);
        }
        let header = match self.header_at(offset)? {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(Step::End),
            Err(damage) => return Ok(Step::Damaged { offset, damage }),
        };
        if let Err(damage) = self.check_place(&header, offset, cursor) {
            return Ok(Step::Damaged { offset, damage });
        }
        if payload && let Err((offset, damage)) = self.check_payload(&header, offset)? {
            return Ok(Step::Damaged { offset, damage });
        }
        cursor.offset += record_bytes(header.payload_bytes().into());
        cursor.next = header.sequence().next();
        cursor.hash = header.hash();
        Ok(Step::Record(header))
    }

    /// Reads a durable record and checks all of it but the chain.
    pub(crate) fn read(&self, sequence: Sequence) -> Result<Record, StoreError> {
        self.view.check_length()?;
        let offset = self.offset_of(sequence);
        let header = match self.header_at(offset)? {
            Ok(Some(header)) => header,
            Ok(None) => return Err(self.view.corrupt(offset, Damage::RecordHeader)),
            Err(damage) => return Err(self.view.corrupt(offset, damage)),
        };
        let place = Cursor {
            offset,
            next: sequence,
            hash: header.previous(),
        };
        self.check_place(&header, offset, &place)
            .map_err(|damage| self.view.corrupt(offset, damage))?;
        let payload = self.payload(&header, offset)?;
        Ok(Record {
            sequence,
            kind: header.kind(),
            digest: header.digest(),
            payload,
            previous: header.previous(),
            hash: header.hash(),
        })
    }

    /// The checked payload of a durable record whose header stands at `offset`.
    pub(crate) fn payload(&self, header: &RecordHeader, offset: u64) -> Result<Bytes, StoreError> {
        let start = offset + RECORD_HEADER_BYTES;
        let payload = self.view.bytes(start, header.payload_bytes().into())?;
        if crc32fast::hash(&payload) != header.payload_crc() {
            return Err(self.view.corrupt(start, Damage::Payload));
        }
        Ok(payload)
    }

    /// Checks that the unused end of a sealed segment is zero.
    pub(crate) fn check_slack(&self, from: u64) -> Result<(), StoreError> {
        let end = self.view.len_bytes();
        self.view
            .for_each_chunk(from, end, &mut |at, chunk| match nonzero(chunk) {
                Some(used) => Err(self.view.corrupt(at + used.start as u64, Damage::Slack)),
                None => Ok(()),
            })
    }

    /// The end of the record that starts at `offset`, where its header is whole and fits.
    pub(crate) fn claimed_end(&self, offset: u64) -> Result<Option<u64>, StoreError> {
        if offset + RECORD_HEADER_BYTES > self.view.len_bytes() {
            return Ok(None);
        }
        let header = self.header_at(offset)?.ok().flatten();
        let end = header.map(|header| offset + record_bytes(header.payload_bytes().into()));
        Ok(end.filter(|end| *end <= self.view.len_bytes()))
    }

    fn header_at(&self, at: u64) -> Result<Result<Option<RecordHeader>, Damage>, StoreError> {
        let mut image = [0; HEADER_BYTES];
        self.view.copy_to(at, &mut image)?;
        Ok(RecordHeader::parse(&image))
    }

    /// Extent, sequence and chain of a header whose checksum is right.
    fn check_place(
        &self,
        header: &RecordHeader,
        offset: u64,
        cursor: &Cursor,
    ) -> Result<(), Damage> {
        let payload_bytes = header.payload_bytes();
        if offset + record_bytes(payload_bytes.into()) > self.view.len_bytes() {
            return Err(Damage::RecordExtent { payload_bytes });
        }
        if header.sequence() != cursor.next {
            return Err(Damage::RecordSequence {
                found: header.sequence(),
                expected: cursor.next,
            });
        }
        if header.previous() != cursor.hash {
            return Err(Damage::RecordChain);
        }
        Ok(())
    }

    fn check_payload(
        &self,
        header: &RecordHeader,
        offset: u64,
    ) -> Result<Result<(), (u64, Damage)>, StoreError> {
        let start = offset + RECORD_HEADER_BYTES;
        let end = start + u64::from(header.payload_bytes());
        let mut hasher = crc32fast::Hasher::new();
        self.view.for_each_chunk(start, end, &mut |_, chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        if hasher.finalize() != header.payload_crc() {
            return Ok(Err((start, Damage::Payload)));
        }
        let mut padding = ZERO_PADDING;
        let padding = &mut padding[..to_usize(padding_bytes(end - start))];
        self.view.copy_to(end, padding)?;
        Ok(match nonzero(padding) {
            Some(used) => Err((end + used.start as u64, Damage::Padding)),
            None => Ok(()),
        })
    }
}

/// From the first byte that is not zero to behind the last one.
pub(crate) fn nonzero(bytes: &[u8]) -> Option<Range<usize>> {
    let first = bytes.iter().position(|&byte| byte != 0)?;
    let last = bytes.iter().rposition(|&byte| byte != 0)?;
    Some(first..last + 1)
}

/// The file of the segment that starts with a record.
pub(crate) fn path(dir: &Path, first_sequence: Sequence) -> PathBuf {
    dir.join(format!("{:0NAME_DIGITS$}{SUFFIX}", first_sequence.0))
}

/// The first sequence that a file's name claims, if it is a segment's name.
pub(crate) fn parse_name(name: &str) -> Option<Sequence> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != NAME_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Sequence)
}

/// A page that starts with the head and is zero otherwise.
pub(crate) fn head_page(head: SegmentHead) -> Vec<u8> {
    let mut page = head.seal().to_vec();
    page.resize(to_usize(PAGE_BYTES), 0);
    page
}

/// Reads and checks a head page. A segment gets its name only after its head was synced, so a bad
/// head is damage, never a torn write.
fn read_head(
    io: &Arc<dyn BlockIo>,
    path: &Path,
    genesis: &[u8; 32],
    number: SegmentNumber,
) -> Result<SegmentHead, StoreError> {
    let len_bytes = io.len_bytes(path).at("stat", path)?;
    if len_bytes < PAGE_BYTES {
        let damage = Damage::Length {
            found: len_bytes,
            expected: PAGE_BYTES,
        };
        return Err(corrupt(path, number, len_bytes, damage));
    }
    let mut page = vec![0; to_usize(PAGE_BYTES)];
    let file = io.open(path, Access::Read).at("open", path)?;
    read_exact_at(file.as_ref(), 0, &mut page).at("pread", path)?;
    let (head, rest) = page
        .split_first_chunk::<HEAD_BYTES>()
        .expect("a page is longer");
    let head = match SegmentHead::parse(head) {
        Ok(head) => head,
        Err(HeadFault::Version(found)) => return Err(StoreError::version(path, found)),
        Err(HeadFault::Blank | HeadFault::Damaged) => {
            return Err(corrupt(path, number, 0, Damage::SegmentHead));
        }
    };
    if let Some(used) = nonzero(rest) {
        let offset = (HEAD_BYTES + used.start) as u64;
        return Err(corrupt(path, number, offset, Damage::SegmentHead));
    }
    if head.genesis != *genesis {
        return Err(StoreError::ForeignGenesis {
            path: path.to_owned(),
            found: Hex(head.genesis),
            expected: Hex(*genesis),
        });
    }
    // A head with a right checksum and impossible numbers was not written by this program.
    if head.segment_bytes() <= PAGE_BYTES
        || head.segment_bytes() > crate::limits::SEGMENT_BYTES_MAX
        || head.first_sequence() == Sequence::NONE
    {
        return Err(corrupt(path, number, 0, Damage::SegmentHead));
    }
    Ok(head)
}

fn corrupt(path: &Path, segment: SegmentNumber, offset: u64, damage: Damage) -> StoreError {
    StoreError::Corrupt {
        segment,
        offset,
        path: path.to_owned(),
        damage,
    }
}

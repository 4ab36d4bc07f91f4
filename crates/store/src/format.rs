//! The bytes on disk as Rust types; FORMAT.md says the same in words. All numbers little-endian.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::error::Damage;
use crate::limits::{FORMAT_VERSION, RECORD_ALIGN_BYTES, RECORD_HEADER_BYTES};
use crate::words::{RecordHash, RecordKind, SegmentNumber, Sequence};

/// Bytes of every file head and of a watermark slot.
pub(crate) const HEAD_BYTES: usize = 128;
/// Where the checksum of a head lies; the same in every version, so that a newer version can be
/// told from a damaged one.
const HEAD_CRC_AT: usize = HEAD_BYTES - 4;
/// Version of the record header.
const RECORD_VERSION: u16 = 1;
const RECORD_MAGIC: [u8; 4] = *b"CWRC";
/// Where the checksum of a record header lies; the chain hash covers what is before it.
const RECORD_CRC_AT: usize = HEADER_BYTES - 4;
pub(crate) const HEADER_BYTES: usize = 96;

const _: () = assert!(size_of::<RecordHeader>() == HEADER_BYTES);
const _: () = assert!(HEADER_BYTES as u64 == RECORD_HEADER_BYTES);
const _: () = assert!(size_of::<IdentityHead>() == HEAD_BYTES);
const _: () = assert!(size_of::<SegmentHead>() == HEAD_BYTES);
const _: () = assert!(size_of::<WatermarkSlot>() == HEAD_BYTES);
const _: () = assert!(size_of::<IndexHead>() == HEAD_BYTES);
const _: () = assert!(size_of::<CheckpointFileHead>() == HEAD_BYTES);
const _: () = assert!(size_of::<CheckpointTail>() == 64);
const _: () = assert!(size_of::<IndexRow>() == 32);
const _: () = assert!(size_of::<IndexPage>() == 4096);
const _: () = assert!(size_of::<BlocksHead>() == HEAD_BYTES);
const _: () = assert!(size_of::<BlockRow>() == 24);
const _: () = assert!(size_of::<BatchRow>() == 24);
const _: () = assert!(size_of::<OpenRow>() == 48);

/// Why a head was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadFault {
    /// All zero: never written.
    Blank,
    /// Not what was written.
    Damaged,
    /// Whole, and of a version that this program does not read.
    Version(u32),
}

/// A 128-byte head: magic, version, fields, checksum.
pub(crate) trait Head: FromBytes + IntoBytes + Immutable + KnownLayout + Sized {
    const MAGIC: [u8; 8];

    /// The head as bytes with magic, version and checksum filled in.
    fn seal(mut self) -> [u8; HEAD_BYTES] {
        let image = self.as_mut_bytes();
        image[..8].copy_from_slice(&Self::MAGIC);
        image[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let crc = crc32fast::hash(&image[..HEAD_CRC_AT]);
        image[HEAD_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        let mut sealed = [0; HEAD_BYTES];
        sealed.copy_from_slice(image);
        sealed
    }

    fn parse(image: &[u8; HEAD_BYTES]) -> Result<Self, HeadFault> {
        if image.iter().all(|&byte| byte == 0) {
            return Err(HeadFault::Blank);
        }
        let crc = crc32fast::hash(&image[..HEAD_CRC_AT]).to_le_bytes();
        if image[..8] != Self::MAGIC || image[HEAD_CRC_AT..] != crc {
            return Err(HeadFault::Damaged);
        }
        let head = Self::read_from_bytes(image).expect("the length is the type's, checked above");
        let version = u32::from_le_bytes([image[8], image[9], image[10], image[11]]);
        match version {
            FORMAT_VERSION => Ok(head),
            0 => Err(HeadFault::Damaged),
            other => Err(HeadFault::Version(other)),
        }
    }
}

/// The head of a data directory's identity file.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct IdentityHead {
    magic: [u8; 8],
    version: U32,
    reserved: U32,
    pub(crate) genesis: [u8; 32],
    reserved_2: [u8; 76],
    crc: U32,
}

impl Head for IdentityHead {
    const MAGIC: [u8; 8] = *b"CWSTORE\0";
}

impl IdentityHead {
    pub(crate) fn new(genesis: [u8; 32]) -> Self {
        Self {
            genesis,
            ..Self::new_zeroed()
        }
    }
}

/// The first bytes of a segment's head page.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct SegmentHead {
    magic: [u8; 8],
    version: U32,
    reserved: U32,
    number: U64,
    first_sequence: U64,
    segment_bytes: U64,
    pub(crate) genesis: [u8; 32],
    previous: [u8; 32],
    reserved_2: [u8; 20],
    crc: U32,
}

impl Head for SegmentHead {
    const MAGIC: [u8; 8] = *b"CWSEGMNT";
}

impl SegmentHead {
    pub(crate) fn new(
        number: SegmentNumber,
        first_sequence: Sequence,
        segment_bytes: u64,
        genesis: [u8; 32],
        previous: RecordHash,
    ) -> Self {
        Self {
            number: number.0.into(),
            first_sequence: first_sequence.0.into(),
            segment_bytes: segment_bytes.into(),
            genesis,
            previous: previous.0,
            ..Self::new_zeroed()
        }
    }

    pub(crate) fn number(&self) -> SegmentNumber {
        SegmentNumber(self.number.get())
    }

    pub(crate) fn first_sequence(&self) -> Sequence {
        Sequence(self.first_sequence.get())
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.get()
    }

    pub(crate) fn previous(&self) -> RecordHash {
        RecordHash(self.previous)
    }
}

/// One of the two slots of the watermark file.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct WatermarkSlot {
    magic: [u8; 8],
    version: U32,
    reserved: U32,
    generation: U64,
    sequence: U64,
    segment: U64,
    end_offset: U64,
    hash: [u8; 32],
    pub(crate) genesis: [u8; 32],
    reserved_2: [u8; 12],
    crc: U32,
}

impl Head for WatermarkSlot {
    const MAGIC: [u8; 8] = *b"CWWATERM";
}

impl WatermarkSlot {
    pub(crate) fn new(generation: u64, genesis: [u8; 32], mark: &Mark) -> Self {
        Self {
            generation: generation.into(),
            sequence: mark.sequence.0.into(),
            segment: mark.segment.0.into(),
            end_offset: mark.end_offset.into(),
            hash: mark.hash.0,
            genesis,
            ..Self::new_zeroed()
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// The record hash in the bytes of a slot, whether they are whole or not.
    pub(crate) fn hash_in(image: &[u8; HEAD_BYTES]) -> RecordHash {
        let slot = Self::read_from_bytes(image).expect("the length is the type's");
        RecordHash(slot.hash)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            sequence: Sequence(self.sequence.get()),
            segment: SegmentNumber(self.segment.get()),
            end_offset: self.end_offset.get(),
            hash: RecordHash(self.hash),
        }
    }
}

/// A place in the log: the end of record `sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) sequence: Sequence,
    pub(crate) segment: SegmentNumber,
    /// First byte after the record, padding included.
    pub(crate) end_offset: u64,
    pub(crate) hash: RecordHash,
}

/// The head of an index file.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct IndexHead {
    magic: [u8; 8],
    version: U32,
    row_bytes: U32,
    segment: U64,
    pub(crate) row_count: U64,
    reserved: U64,
    segment_hash: [u8; 32],
    /// Of everything that follows the head.
    pub(crate) pages_hash: [u8; 32],
    reserved_2: [u8; 20],
    crc: U32,
}

impl Head for IndexHead {
    const MAGIC: [u8; 8] = *b"CWINDEX\0";
}

impl IndexHead {
    /// `segment_hash` is the hash of the segment's last record: it ties the rows to the content.
    pub(crate) fn new(
        segment: SegmentNumber,
        segment_hash: RecordHash,
        row_count: usize,
        pages: &[IndexPage],
    ) -> Self {
        Self {
            row_bytes: U32::new(32),
            segment: segment.0.into(),
            row_count: (row_count as u64).into(),
            segment_hash: segment_hash.0,
            pages_hash: *blake3::hash(pages.as_bytes()).as_bytes(),
            ..Self::new_zeroed()
        }
    }

    pub(crate) fn belongs_to(&self, segment: SegmentNumber, segment_hash: RecordHash) -> bool {
        self.segment.get() == segment.0 && self.segment_hash == segment_hash.0
    }

    /// Bytes of the whole file; `None` for a count that no file has.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        let page_count = self.row_count.get().div_ceil(INDEX_PAGE_ROWS as u64);
        page_count
            .checked_mul(size_of::<IndexPage>() as u64)?
            .checked_add(HEAD_BYTES as u64)
    }
}

/// Rows of one page of an index.
pub(crate) const INDEX_PAGE_ROWS: usize = 127;

/// A page of an index: a look-up reads few of them long after the file was opened, so each has a
/// checksum of its own. The rows of the last one end in zeros.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct IndexPage {
    pub(crate) rows: [IndexRow; INDEX_PAGE_ROWS],
    reserved: [u8; 28],
    crc: U32,
}

impl IndexPage {
    /// The pages of all rows of a segment.
    pub(crate) fn all(rows: &[IndexRow], segment_hash: RecordHash) -> Vec<Self> {
        let chunks = rows.chunks(INDEX_PAGE_ROWS).zip(0..);
        let page = |(rows, number): (&[IndexRow], u64)| {
            let mut page = Self::new_zeroed();
            page.rows[..rows.len()].copy_from_slice(rows);
            page.crc = page.crc_at(number, segment_hash).into();
            page
        };
        chunks.map(page).collect()
    }

    /// Whether these are the bytes written as page `number` of the segment whose last record has
    /// this hash.
    pub(crate) fn is_whole(&self, number: u64, segment_hash: RecordHash) -> bool {
        self.crc.get() == self.crc_at(number, segment_hash)
    }

    /// Covers segment and place, too: a whole page in another one's place is damage.
    fn crc_at(&self, number: u64, segment_hash: RecordHash) -> u32 {
        let bytes = self.as_bytes();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&segment_hash.0);
        hasher.update(&number.to_le_bytes());
        hasher.update(&bytes[..bytes.len() - size_of::<U32>()]);
        hasher.finalize()
    }
}

/// One row of an index; rows are sorted by id, signer, sequence, position.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct IndexRow {
    pub(crate) id: [u8; 16],
    pub(crate) signer: U32,
    pub(crate) position: U32,
    pub(crate) sequence: U64,
}

impl IndexRow {
    pub(crate) fn key(&self) -> ([u8; 16], u32) {
        (self.id, self.signer.get())
    }

    pub(crate) fn sort_key(&self) -> ([u8; 16], u32, u64, u32) {
        (
            self.id,
            self.signer.get(),
            self.sequence.get(),
            self.position.get(),
        )
    }
}

/// The head of a file of block places.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct BlocksHead {
    magic: [u8; 8],
    version: U32,
    reserved: U32,
    segment: U64,
    pub(crate) first_height: U64,
    pub(crate) block_count: U64,
    pub(crate) batch_count: U64,
    pub(crate) open_count: U64,
    segment_hash: [u8; 32],
    pub(crate) rows_hash: [u8; 32],
    reserved_2: [u8; 4],
    crc: U32,
}

impl Head for BlocksHead {
    const MAGIC: [u8; 8] = *b"CWBLOCKS";
}

impl BlocksHead {
    /// `segment_hash` is the hash of the segment's last record: it ties the rows to the content.
    /// The counts are those of blocks, batches and open records.
    pub(crate) fn new(
        segment: SegmentNumber,
        segment_hash: RecordHash,
        first_height: u64,
        counts: [usize; 3],
        rows_hash: [u8; 32],
    ) -> Self {
        let [block_count, batch_count, open_count] = counts.map(|count| U64::new(count as u64));
        Self {
            segment: segment.0.into(),
            first_height: first_height.into(),
            block_count,
            batch_count,
            open_count,
            segment_hash: segment_hash.0,
            rows_hash,
            ..Self::new_zeroed()
        }
    }

    pub(crate) fn belongs_to(&self, segment: SegmentNumber, segment_hash: RecordHash) -> bool {
        self.segment.get() == segment.0 && self.segment_hash == segment_hash.0
    }

    /// Bytes of the whole file; `None` for counts that no file has.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        let part = |count: &U64, row_bytes: usize| count.get().checked_mul(row_bytes as u64);
        part(&self.block_count, size_of::<BlockRow>())?
            .checked_add(part(&self.batch_count, size_of::<BatchRow>())?)?
            .checked_add(part(&self.open_count, size_of::<OpenRow>())?)?
            .checked_add(HEAD_BYTES as u64)
    }
}

/// Where a final block lies; its height is that of the first row and then one more each row.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct BlockRow {
    pub(crate) time_ms: U64,
    pub(crate) low: U64,
    pub(crate) sequence: U64,
}

/// Which block ordered a batch; rows are sorted by the batch's record.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct BatchRow {
    pub(crate) sequence: U64,
    pub(crate) height: U64,
    pub(crate) first_index: U32,
    pub(crate) count: U32,
}

/// A batch or manifest (then with its height) that no block up to the segment's end has named.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct OpenRow {
    pub(crate) sequence: U64,
    pub(crate) height: U64,
    pub(crate) digest: [u8; 32],
}

/// The head of a checkpoint file.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct CheckpointFileHead {
    magic: [u8; 8],
    version: U32,
    reserved: U32,
    pub(crate) height: U64,
    pub(crate) genesis: [u8; 32],
    reserved_2: [u8; 68],
    crc: U32,
}

impl Head for CheckpointFileHead {
    const MAGIC: [u8; 8] = *b"CWCHKPT\0";
}

impl CheckpointFileHead {
    pub(crate) fn new(height: u64, genesis: [u8; 32]) -> Self {
        Self {
            height: height.into(),
            genesis,
            ..Self::new_zeroed()
        }
    }
}

/// The last 64 bytes of a checkpoint file.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct CheckpointTail {
    pub(crate) magic: [u8; 8],
    pub(crate) content_bytes: U64,
    /// BLAKE3 of the head and the content.
    pub(crate) hash: [u8; 32],
    pub(crate) reserved: [u8; 16],
}

impl CheckpointTail {
    pub(crate) const MAGIC: [u8; 8] = *b"CWCHKEND";
}

/// The header of a record.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct RecordHeader {
    magic: [u8; 4],
    version: U16,
    kind: U16,
    payload_bytes: U32,
    payload_crc: U32,
    sequence: U64,
    previous: [u8; 32],
    digest: [u8; 32],
    reserved: U32,
    header_crc: U32,
}

impl RecordHeader {
    pub(crate) fn new(
        kind: RecordKind,
        sequence: Sequence,
        previous: RecordHash,
        digest: [u8; 32],
        payload_bytes: u32,
        payload_crc: u32,
    ) -> Self {
        let mut header = Self {
            magic: RECORD_MAGIC,
            version: RECORD_VERSION.into(),
            kind: kind.code().into(),
            payload_bytes: payload_bytes.into(),
            payload_crc: payload_crc.into(),
            sequence: sequence.0.into(),
            previous: previous.0,
            digest,
            reserved: U32::ZERO,
            header_crc: U32::ZERO,
        };
        header.header_crc = crc32fast::hash(&header.as_bytes()[..RECORD_CRC_AT]).into();
        header
    }

    /// `Ok(None)` for bytes that were never written. Says nothing about place, chain or payload.
    pub(crate) fn parse(image: &[u8; HEADER_BYTES]) -> Result<Option<RecordHeader>, Damage> {
        if image.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let header = Self::read_from_bytes(image).expect("the length is the type's");
        let crc = crc32fast::hash(&image[..RECORD_CRC_AT]);
        if header.magic != RECORD_MAGIC || header.header_crc.get() != crc {
            return Err(Damage::RecordHeader);
        }
        if header.version.get() != RECORD_VERSION {
            return Err(Damage::RecordVersion {
                found: header.version.get(),
            });
        }
        if RecordKind::from_code(header.kind.get()).is_none() {
            return Err(Damage::RecordKind {
                found: header.kind.get(),
            });
        }
        if header.reserved.get() != 0 {
            return Err(Damage::RecordHeader);
        }
        Ok(Some(header))
    }

    pub(crate) fn kind(&self) -> RecordKind {
        RecordKind::from_code(self.kind.get()).expect("checked when parsed or built")
    }

    pub(crate) fn sequence(&self) -> Sequence {
        Sequence(self.sequence.get())
    }

    pub(crate) fn previous(&self) -> RecordHash {
        RecordHash(self.previous)
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    pub(crate) fn payload_bytes(&self) -> u32 {
        self.payload_bytes.get()
    }

    pub(crate) fn payload_crc(&self) -> u32 {
        self.payload_crc.get()
    }

    /// The record's hash, which the next record names.
    pub(crate) fn hash(&self) -> RecordHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"clearway store record v1");
        hasher.update(&self.as_bytes()[..RECORD_CRC_AT]);
        RecordHash(*hasher.finalize().as_bytes())
    }
}

/// What the first record of a store names as the record before it.
pub(crate) fn genesis_link(genesis: &[u8; 32]) -> RecordHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"clearway store genesis v1");
    hasher.update(genesis);
    RecordHash(*hasher.finalize().as_bytes())
}

/// What a payload is padded with; a part of it.
pub(crate) const ZERO_PADDING: [u8; 8] = [0; 8];
const _: () = assert!(ZERO_PADDING.len() as u64 == RECORD_ALIGN_BYTES);

/// Bytes of zero padding after a payload.
pub(crate) fn padding_bytes(payload_bytes: u64) -> u64 {
    payload_bytes.next_multiple_of(RECORD_ALIGN_BYTES) - payload_bytes
}

/// Bytes that a record takes in its segment.
pub(crate) fn record_bytes(payload_bytes: u64) -> u64 {
    RECORD_HEADER_BYTES + payload_bytes + padding_bytes(payload_bytes)
}

/// A byte count as an index. Clearway runs on 64-bit machines only; limits.rs asserts it.
pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("64-bit target")
}

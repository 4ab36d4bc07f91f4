//! Bounds of the store: every size, count and loop, with the sum that justifies it.

/// Bytes of a segment's head page, and the distance of the two watermark slots. A page is the
/// largest unit that common disks tear, so damage to one slot cannot reach the other.
pub const PAGE_BYTES: u64 = 4096;

/// Records start at multiples of this many bytes, so that headers can be read in place.
pub const RECORD_ALIGN_BYTES: u64 = 8;

/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: u64 = 96;

/// Bytes of a segment unless the options say otherwise. At 100 MB/s one segment lasts 0.6 s, its
/// zero-filling takes about 0.05 s of the disk, and 10 GB are 160 files.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;

/// Fewest bytes of a segment: the head page and one page of records.
pub const SEGMENT_BYTES_MIN: u64 = 2 * PAGE_BYTES;

/// Most bytes of a segment: offsets inside one are kept as `u32`.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Most bytes of one record's payload, whatever the segment size: a batch is at most about 1 MiB
/// and a block's results at most a few MiB, so this leaves an order of magnitude.
pub const PAYLOAD_BYTES_MAX: u64 = 32 << 20;

/// Bytes left free when a segment is made, or a quarter of a segment where that is less: for the
/// indexes and checkpoints of others, and the ordering engine's journal, which must not meet a full
/// disk (100 views a second take it about 1 MiB before it is pruned).
pub const SPARE_BYTES_MAX: u64 = 16 << 20;

/// Most slices handed to the system in one write (IOV_MAX of Linux and macOS is 1,024).
pub const IO_SLICE_COUNT_MAX: usize = 1024;

/// Bytes zeroed or compared at a time when a segment is filled or its tail is cut. The kernel keeps
/// what is written at once as one piece, and goes through all of it with each sync of a record
/// there: the decisions have the figures.
pub const ZERO_CHUNK_BYTES: usize = 16 << 10;

/// Bytes of a large file that are written between two of its syncs: a sync beside it waits
/// for as much, a millisecond on an ordinary disk.
pub const BULK_BYTES: u64 = 1 << 20;

/// Most places a look-up returns for one id: an honest id has one, a replayed id a few.
pub const LOCATION_COUNT_MAX: usize = 64;

/// Checkpoints kept: the newest, and the one before it in case the newest is damaged.
pub const CHECKPOINT_COUNT_KEPT: usize = 2;

/// Bytes of block places that are kept in memory of segments asked for lately, beside the file of
/// one segment: a busy segment has 20 KiB of them, one of idle blocks alone 3 MiB.
pub const BLOCK_ROWS_BYTES_KEPT: usize = 32 << 20;

/// Format version that this crate writes, and the only one that it reads. It stands for the
/// payloads of records and checkpoints, too: a change to what a batch, manifest, final record,
/// state root or snapshot holds raises it, and adds a row to [`WRITTEN_BY`].
pub const FORMAT_VERSION: u32 = 5;

/// Which program writes a format version, as people know it.
pub const WRITTEN_BY: [(u32, &str); 5] = [
    (1, "Clearway 0.1.0 up to commit 544d670"),
    (2, "Clearway 0.1.0 up to commit f15248f"),
    (3, "Clearway 0.1.0 up to commit ec4df89"),
    (4, "Clearway 0.1.0 up to commit 0a1505d"),
    (FORMAT_VERSION, "this version of Clearway"),
];

const _: () = assert!(SEGMENT_BYTES_MAX <= u32::MAX as u64);
const _: () = assert!(PAYLOAD_BYTES_MAX + PAGE_BYTES + RECORD_HEADER_BYTES < SEGMENT_BYTES_DEFAULT);
const _: () = assert!(RECORD_HEADER_BYTES.is_multiple_of(RECORD_ALIGN_BYTES));
const _: () = assert!(
    usize::BITS >= 64,
    "segments are mapped whole: 64-bit targets only"
);

//! Stop 5: the durable block store: append-only segments, synced before anybody is told.
//!
//! # In
//! Records: a kind, a digest and a payload in pieces ([`stage::Append`]). The store does not read
//! payloads; batches, manifests and final blocks are all bytes to it.
//!
//! # Out
//! Tickets of records that are durable ([`stage::Durable`]), and to any number of [`Reader`]s the
//! same bytes, mapped and without a copy. Receipts marked FINAL rest on these tickets. [`history`]
//! alone reads payloads: it puts the records of final blocks together for replay.
//!
//! # Never
//! It never acknowledges before data and watermark are synced; never retries after a failed write
//! or sync; never writes through a map; never cuts or repairs at or below the watermark; never
//! believes an index more than the log, or takes a missing one for "no"; never reads a clock but
//! to time its syncs.
//!
//! # Limits
//! [`limits`]: payloads up to 32 MiB and less than a segment, segments up to 1 GiB. Memory: 4 bytes
//! a record and two maps per segment, log and index (Linux allows 65,530 maps: 2 TB of default
//! segments); no open file per segment; a sixth of a segment that is asked about and has no index
//! file yet; see [`BlockIndex`] for block places. One writer process a directory, held by a lock.
//!
//! # Cost
//! Disk: payload + 96 bytes and at most 7 of padding, a zero-filling beforehand, two syncs a group
//! of any size. CPU: one CRC-32 of the payload when written and one each time it is read (about
//! 10 GB/s), one BLAKE3 of 116 bytes per record. Memory: nothing is copied on the way in or out.
//!
//! FORMAT.md has every byte and the order of every sync; DECISIONS.md says why.

pub mod blocks;
pub mod checkpoint;
pub mod config;
pub mod error;
mod format;
pub mod fuzz;
mod guard;
pub mod history;
mod identity;
mod index;
pub mod io;
pub mod limits;
mod mapped;
pub mod metrics;
mod reader;
mod recovery;
mod runs;
mod segment;
pub mod stage;
mod tail;
pub mod testing;
mod view;
mod watermark;
mod words;
mod writer;

pub use blocks::{BatchPlace, BlockIndex, BlockPlace};
pub use checkpoint::{Checkpoint, CheckpointSearch, load_newest_checkpoint, write_checkpoint};
pub use config::{StoreOptions, VerifyFrom};
pub use error::{Damage, Hex, StoreError};
pub use guard::LogGuard;
pub use index::Extractor;
pub use io::{Access, BlockFile, BlockIo, LockGuard, RealIo};
pub use mapped::Mapped;
pub use metrics::StoreMetrics;
pub use reader::{CheckedLog, Reader, Scan};
pub use recovery::Recovery;
pub use segment::Record;
pub use stage::{Append, Durable, StoreStage};
pub use tail::Tail;
pub use watermark::DamagedSlot;
pub use words::{Location, RecordHash, RecordKind, SegmentNumber, Sequence};
pub use writer::{Prepared, Preparer, Store, Writer};

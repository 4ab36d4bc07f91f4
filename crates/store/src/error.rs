//! What can go wrong in the store: each error says what, where, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::{FORMAT_VERSION, WRITTEN_BY};
use crate::words::{SegmentNumber, Sequence};

/// What to do about an error of the system.
fn remedy(operation: &str, source: &io::Error) -> &'static str {
    match (operation, source.kind()) {
        ("stat" | "open", io::ErrorKind::NotFound) => {
            "check the path: the data folder of a node has this file (`data_dir`, by default \
             `data` beside its configuration)"
        }
        _ => "check the disk and its file system, then restart",
    }
}

/// The system's error number, where it gave one.
fn os_error(code: Option<i32>) -> String {
    code.map_or_else(String::new, |code| format!(", os error {code}"))
}

/// Everything the store answers instead of a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A system call failed. On the writing side the writer is poisoned from here on.
    #[error("{operation} failed on {}: {source}; {}", path.display(), remedy(operation, source))]
    Io {
        /// The call that failed, such as `fdatasync`.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// An earlier write or sync failed; nothing is accepted on this handle any more.
    #[error("the store stopped when {operation} failed on {} ({reason}{}); nothing after that \
        was stored: check the disk, then restart", path.display(), os_error(*os_code))]
    Poisoned {
        /// The call that failed first.
        operation: &'static str,
        /// The file or directory it failed on.
        path: PathBuf,
        /// The kind of that failure.
        reason: io::ErrorKind,
        /// The system's error number, where it gave one.
        os_code: Option<i32>,
    },

    /// The next segment cannot be reserved. The log itself is whole; reads go on, and the same
    /// call succeeds once there is space.
    #[error("no space for the next segment in {} ({bytes_needed} bytes needed); free space, \
        then append again: nothing was lost", dir.display())]
    DiskFull {
        /// The data directory.
        dir: PathBuf,
        /// Bytes that the next segment takes.
        bytes_needed: u64,
    },

    /// Stored bytes are not what was written. No file was changed.
    #[error("segment {segment} is damaged at byte {offset} of {}: {damage}; the files were left \
        as they are: keep a copy and repair this segment from a peer or a backup", path.display())]
    Corrupt {
        /// The damaged segment; zero for a file that is none.
        segment: SegmentNumber,
        /// Byte offset in the file.
        offset: u64,
        /// The file.
        path: PathBuf,
        /// What is wrong there.
        damage: Damage,
    },

    /// A segment that must exist is not in the directory.
    #[error("segment {segment} (of the *.seg files, in the order of their names) is missing from \
        {}; put it back from a peer or a backup, and do not start without it", dir.display())]
    MissingSegment {
        /// The missing segment.
        segment: SegmentNumber,
        /// The data directory.
        dir: PathBuf,
    },

    /// The segment that is written to was cut or written over. The writer is poisoned from its next
    /// append or commit on.
    #[error("{} was cut, emptied or written over from outside while it was written to, and durable \
        records of it are gone: keep a copy, and restore the log from a backup or a peer",
        path.display())]
    SegmentRuined {
        /// Its file.
        path: PathBuf,
    },

    /// Another log stands in the place of the one that is written to: watermark and segment are
    /// other files. The writer is poisoned from its next append or commit on.
    #[error("{}: another log was put in the place of the one that is written to: put the right \
        folder back, which alone holds what was committed since it was copied", dir.display())]
    LogExchanged {
        /// The data directory.
        dir: PathBuf,
    },

    /// Neither watermark slot can be read though the directory is in use.
    #[error("{}: neither durable watermark can be read, so committed and torn records cannot be \
        told apart; restore this file from a backup, or the directory from a peer", path.display())]
    WatermarkLost {
        /// The watermark file.
        path: PathBuf,
    },

    /// While running, the watermark's name was given to another file that can be read as one.
    #[error("{}: another watermark file stands in the place of the one that this node writes; if \
        the whole folder was exchanged, stop the node and put its own folder back; if only this \
        file was, remove it, and the running node writes it anew", path.display())]
    WatermarkReplaced {
        /// The watermark file.
        path: PathBuf,
    },

    /// The identity file is damaged, or is missing beside segments.
    #[error("{}: the identity of this data directory cannot be read; restore the file from a \
        backup, or point the node at the right directory", path.display())]
    IdentityLost {
        /// The identity file.
        path: PathBuf,
    },

    /// The directory belongs to another network.
    #[error("{} belongs to genesis {found}, this node was started for {expected}; point it at its \
        own data directory or its own genesis file", path.display())]
    ForeignGenesis {
        /// The file that says so.
        path: PathBuf,
        /// Genesis hash found on disk.
        found: Hex,
        /// Genesis hash asked for.
        expected: Hex,
    },

    /// The directory was written by a newer version.
    #[error("{} has format version {found}, this program reads version {supported}; run the newer \
        version, nothing was changed", path.display())]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// Version found on disk.
        found: u32,
        /// The version that this program reads.
        supported: u32,
    },

    /// The directory was written by an older version, in a format that this one does not read.
    #[error("{} has format version {found}, written by {}; this program reads version {supported} \
        alone. Replay it, inspect it or go on with it by that program; to change over, give this \
        one a new data directory and a genesis with the balances. Nothing was changed",
        path.display(), written_by(*found))]
    OlderFormat {
        /// The file that says so.
        path: PathBuf,
        /// Version found on disk.
        found: u32,
        /// The version that this program reads.
        supported: u32,
    },

    /// Another process holds the data directory.
    #[error("{} is held by another process; stop that one first, or give this one a directory of \
        its own", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },

    /// A read-only open of a directory that holds no store.
    #[error("{} holds no store; check the path", dir.display())]
    NoStore {
        /// The directory.
        dir: PathBuf,
    },

    /// A look-up that nobody waits for any more.
    #[error("the look-up was cancelled by its asker")]
    Unwanted,

    /// A record that fits no segment.
    #[error(
        "a record of {payload_bytes} payload bytes exceeds the limit of {payload_bytes_max}; \
        split it, or use larger segments"
    )]
    RecordOversize {
        /// Bytes asked for.
        payload_bytes: u64,
        /// Most bytes this store takes.
        payload_bytes_max: u64,
    },

    /// An option outside its limits.
    #[error("option segment_bytes is {segment_bytes}; use a multiple of 4096 from {min} to {max}")]
    BadSegmentBytes {
        /// The value given.
        segment_bytes: u64,
        /// Least value.
        min: u64,
        /// Largest value.
        max: u64,
    },
}

impl StoreError {
    /// A whole file of a version that this program does not read.
    pub(crate) fn version(path: &Path, found: u32) -> Self {
        let (path, supported) = (path.to_owned(), FORMAT_VERSION);
        match found < supported {
            true => Self::OlderFormat {
                path,
                found,
                supported,
            },
            false => Self::NewerFormat {
                path,
                found,
                supported,
            },
        }
    }
}

/// The program that writes a format version.
fn written_by(version: u32) -> &'static str {
    let row = WRITTEN_BY.iter().find(|(row, _)| *row == version);
    row.map_or("an unknown program", |(_, program)| program)
}

/// What is wrong with stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A record header's checksum, magic or reserved bytes are wrong.
    #[error("the record header fails its checksum")]
    RecordHeader,
    /// A whole record header of an unknown version.
    #[error("the record header has the unknown version {found}")]
    RecordVersion {
        /// Version found.
        found: u16,
    },
    /// A whole record header of an unknown kind.
    #[error("the record is of the unknown kind {found}")]
    RecordKind {
        /// Kind found.
        found: u16,
    },
    /// A record that would reach past the end of its segment.
    #[error("the record claims {payload_bytes} payload bytes, more than the segment has left")]
    RecordExtent {
        /// Bytes claimed.
        payload_bytes: u32,
    },
    /// A record of another place in the log.
    #[error("the record is number {found} where {expected} belongs")]
    RecordSequence {
        /// Sequence found.
        found: Sequence,
        /// Sequence expected.
        expected: Sequence,
    },
    /// A record that does not follow the one before it.
    #[error("the record does not name the hash of the record before it")]
    RecordChain,
    /// A payload that differs from what was written.
    #[error("the payload fails its checksum")]
    Payload,
    /// Padding that is not zero.
    #[error("the padding after the payload is not zero")]
    Padding,
    /// Unused bytes of a segment that are not zero.
    #[error("the unused end of the segment is not zero")]
    Slack,
    /// The log ends before a record that was stored.
    #[error("the log ends before record {expected}, which was durable")]
    EndsEarly {
        /// First sequence that is not there.
        expected: Sequence,
    },
    /// A segment's head page is wrong.
    #[error("the head page fails its checksum")]
    SegmentHead,
    /// A whole head page that belongs to another file.
    #[error("the head page belongs to another segment")]
    SegmentPlace,
    /// The file is shorter or longer than it was created.
    #[error("the file has {found} bytes instead of {expected}")]
    Length {
        /// Length found.
        found: u64,
        /// Length at creation.
        expected: u64,
    },
    /// The record at the watermark is not the one that the watermark names.
    #[error("the record here is not the one that the durable watermark names")]
    Watermark,
    /// A record above the watermark is not whole, and the slot that may have named it is damaged.
    #[error(
        "a record here is not whole, and the watermark slot that may have named it is damaged \
        too, so it cannot be told whether it was acknowledged"
    )]
    WatermarkUnclear,
    /// A record that reaches past the durable part of its segment.
    #[error("the record is longer than it was when the store was opened")]
    Changed,
    /// A checkpoint or index file fails its checksum.
    #[error("the file fails its checksum")]
    File,
}

/// Thirty-two bytes shown as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex(pub [u8; 32]);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Puts a name and a place to a failed system call.
pub(crate) trait At<T> {
    fn at(self, operation: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, operation: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io {
            operation,
            path: path.to_owned(),
            source,
        })
    }
}

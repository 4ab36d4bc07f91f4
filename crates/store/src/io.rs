//! The narrow door to the disk: every file operation of the store goes through these two traits,
//! so that crash tests and simulations run the real code.

mod real;

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::limits::{IO_SLICE_COUNT_MAX, ZERO_CHUNK_BYTES};
use crate::mapped::Mapped;

pub use real::RealIo;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A new, empty file; one that is there already is emptied.
    Create,
}

/// Keeps the directory's lock until it is dropped.
pub trait LockGuard: Send + Sync + fmt::Debug {}

/// A file system. Names in a directory become durable by `sync_dir`, bytes of a file by
/// [`BlockFile::sync_data`]; nothing else is assumed.
pub trait BlockIo: Send + Sync + fmt::Debug {
    /// Makes a directory and its parents, durably; one that exists is fine.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn BlockFile>>;
    /// Gives a file a new name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Names of the files in a directory, sorted; without directories.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Length of a file in bytes.
    fn len_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock on a file, creating it; `None` when somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>>;
    /// Bytes that an ordinary user can still write below a directory.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Nanoseconds of a monotonic clock, used to measure syncs and for nothing else.
    fn monotonic_ns(&self) -> u64;
}

/// An open file.
pub trait BlockFile: Send + Sync + fmt::Debug {
    /// Reads at most `buffer.len()` bytes; 0 only at the end of the file.
    fn read_some_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes a prefix of the slices, at most 1,024 of them, and says how many bytes it took.
    fn write_some_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Makes the bytes and the length durable; never called again on a file after it failed.
    fn sync_data(&self) -> io::Result<()>;
    /// Maps the first `bytes` bytes for reading, where the file system can; `None` where reads go
    /// through [`BlockFile::read_some_at`].
    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapped>>>;
}

/// Writes all of the parts one after the other. A short write goes on; an error leaves an unknown
/// prefix written.
pub(crate) fn write_all_at(
    file: &dyn BlockFile,
    mut offset: u64,
    parts: &[&[u8]],
) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| IoSlice::new(part))
        .collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let window = &rest[..rest.len().min(IO_SLICE_COUNT_MAX)];
        match file.write_some_at(offset, window) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills the buffer; `UnexpectedEof` when the file ends before.
pub(crate) fn read_exact_at(
    file: &dyn BlockFile,
    mut offset: u64,
    mut buffer: &mut [u8],
) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_some_at(offset, buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                offset += read as u64;
                buffer = &mut buffer[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes zeros from `offset` on.
pub(crate) fn write_zeros_at(file: &dyn BlockFile, offset: u64, bytes: u64) -> io::Result<()> {
    static ZEROS: [u8; ZERO_CHUNK_BYTES] = [0; ZERO_CHUNK_BYTES];
    let end = offset + bytes;
    let mut at = offset;
    while at < end {
        let chunk = crate::format::to_usize((end - at).min(ZERO_CHUNK_BYTES as u64));
        write_all_at(file, at, &[&ZEROS[..chunk]])?;
        at += chunk as u64;
    }
    Ok(())
}

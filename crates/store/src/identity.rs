//! Whose directory this is: the lock that keeps a second process out and the identity file.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::error::{At, Hex, StoreError};
use crate::format::{HEAD_BYTES, Head, HeadFault, IdentityHead};
use crate::io::{Access, BlockFile, BlockIo, LockGuard, read_exact_at, write_all_at};

pub(crate) const LOCK_NAME: &str = "LOCK";
pub(crate) const IDENTITY_NAME: &str = "identity";

/// Takes the directory for this process.
pub(crate) fn lock(io: &Arc<dyn BlockIo>, dir: &Path) -> Result<Box<dyn LockGuard>, StoreError> {
    let path = dir.join(LOCK_NAME);
    io.lock(&path)
        .at("flock", &path)?
        .ok_or(StoreError::Locked { path })
}

/// Writes the identity of a new directory.
pub(crate) fn create(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    genesis: [u8; 32],
) -> Result<(), StoreError> {
    create_file(
        io,
        dir,
        IDENTITY_NAME,
        &[&IdentityHead::new(genesis).seal()],
    )
}

/// Checks the identity of a directory that has one.
pub(crate) fn check(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    genesis: &[u8; 32],
) -> Result<(), StoreError> {
    let path = dir.join(IDENTITY_NAME);
    if io.len_bytes(&path).at("stat", &path)? != HEAD_BYTES as u64 {
        return Err(StoreError::IdentityLost { path });
    }
    let mut image = [0; HEAD_BYTES];
    let file = io.open(&path, Access::Read).at("open", &path)?;
    read_exact_at(file.as_ref(), 0, &mut image).at("pread", &path)?;
    match IdentityHead::parse(&image) {
        Ok(head) if head.genesis == *genesis => Ok(()),
        Ok(head) => Err(StoreError::ForeignGenesis {
            path,
            found: Hex(head.genesis),
            expected: Hex(*genesis),
        }),
        Err(HeadFault::Version(found)) => Err(StoreError::version(&path, found)),
        Err(HeadFault::Blank | HeadFault::Damaged) => Err(StoreError::IdentityLost { path }),
    }
}

/// The file that has the name now; nothing when it is gone, or a pipe, a directory or a device
/// stands in its place.
///
/// # Errors
/// The system's.
pub(crate) fn open_named(
    io: &Arc<dyn BlockIo>,
    path: &Path,
) -> Result<Option<Arc<dyn BlockFile>>, StoreError> {
    match io.open(path, Access::Read) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
            Ok(None)
        }
        file => file.map(Some).at("open", path),
    }
}

/// Makes a small file appear whole or not at all: temporary name, sync, rename, directory sync.
pub(crate) fn create_file(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
) -> Result<(), StoreError> {
    put_file(io, dir, name, parts)?;
    io.sync_dir(dir).at("fsync of the directory", dir)
}

/// As [`create_file`], but for the directory's sync; the file is open for writing.
pub(crate) fn put_file(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
) -> Result<Arc<dyn BlockFile>, StoreError> {
    let temporary = dir.join(format!("{name}.tmp"));
    let path = dir.join(name);
    let file = io
        .open(&temporary, Access::Create)
        .at("create", &temporary)?;
    write_all_at(file.as_ref(), 0, parts).at("pwrite", &temporary)?;
    file.sync_data().at("fdatasync", &temporary)?;
    io.rename(&temporary, &path).at("rename", &path)?;
    Ok(file)
}

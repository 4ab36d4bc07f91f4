//! The operating system's files behind [`BlockIo`].

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{Access, BlockFile, BlockIo, LockGuard};
use crate::mapped::Mapped;

/// The operating system's files. `sync_data` is `fdatasync`, and `F_FULLFSYNC` on macOS (the
/// standard library does that), because `fsync` there leaves bytes in the disk's cache.
#[derive(Debug)]
pub struct RealIo {
    started: Instant,
}

impl RealIo {
    /// The file system of this machine.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for RealIo {
    fn default() -> Self {
        Self::new()
    }
}

impl BlockIo for RealIo {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        // A path without a parent is relative to the working directory.
        let parent = match dir.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return fs::create_dir(dir),
        };
        self.create_dir(parent)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.sync_dir(parent),
        }
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn BlockFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match access {
            Access::Read => {}
            Access::ReadWrite => {
                options.write(true);
            }
            Access::Create => {
                options.write(true).create(true).truncate(true);
            }
        }
        let file = open_regular(&mut options, path)?;
        Ok(Arc::new(RealFile { file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                continue;
            }
            // The store's names are ASCII; a name that is not text is not the store's.
            if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn len_bytes(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = open_regular(&mut options, path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // A lock file that somebody removes as stale would let a second writer in: the directory
        // itself cannot be made anew under the files. Where the system locks no directory, the file
        // alone must do.
        let dir = path.parent().map(File::open).transpose()?;
        if let Some(dir) = &dir
            && matches!(dir.try_lock(), Err(TryLockError::WouldBlock))
        {
            return Ok(None);
        }
        Ok(Some(Box::new(RealLock {
            _file: file,
            _dir: dir,
        })))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).expect("584 years of uptime")
    }
}

/// The system drops the lock with the file, so also when the process is killed.
#[derive(Debug)]
struct RealLock {
    _file: File,
    _dir: Option<File>,
}

/// Opens what is a regular file, and waits for nobody: a named pipe would wait for its other end.
fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let no_wait = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a small flag");
    let file = options.custom_flags(no_wait).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file: something else was put in its place",
        )),
    }
}

impl LockGuard for RealLock {}

#[derive(Debug)]
struct RealFile {
    file: File,
}

impl BlockFile for RealFile {
    fn read_some_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_some_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.file, slices, offset)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapped>>> {
        Mapped::new(&self.file, bytes).map(|map| Some(Arc::new(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_and_waits_for_nobody() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let pipe = dir.path().join("pipe");
        // No program of its own: until a child runs it, it holds the locks of other tests.
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("made");
        let io = RealIo::new();
        for access in [Access::Read, Access::ReadWrite, Access::Create] {
            let error = io.open(&pipe, access).expect_err("no file");
            assert_eq!(
                error.kind(),
                io::ErrorKind::InvalidInput,
                "{access:?}: {error}"
            );
        }
        let error = io.lock(&pipe).expect_err("no file");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }

    #[test]
    fn a_lock_holds_also_when_its_file_is_removed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("LOCK");
        let io = RealIo::new();
        let first = io.lock(&path).expect("no error").expect("free");
        assert!(io.lock(&path).expect("no error").is_none());
        fs::remove_file(&path).expect("removed as stale");
        assert!(io.lock(&path).expect("no error").is_none());
        drop(first);
        assert!(io.lock(&path).expect("no error").is_some());
    }
}

//! A file system in memory: fast, deterministic, and open to being damaged by a test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::format::to_usize;
use crate::io::{Access, BlockFile, BlockIo, LockGuard};
use crate::mapped::Mapped;

/// Files in memory. Clones share them; every byte is as good as synced.
#[derive(Clone, Debug, Default)]
pub struct MemoryIo {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>,
    dirs: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    capacity_bytes: Option<u64>,
    now_ns: AtomicU64,
    sync_ns: u64,
}

impl MemoryIo {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file system with these files, and the directories they lie in.
    pub fn from_files(files: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let io = Self::new();
        {
            let mut state = io.state.lock();
            for (path, bytes) in files {
                if let Some(dir) = path.parent() {
                    state.dirs.insert(dir.to_owned());
                }
                state.files.insert(path, Arc::new(Mutex::new(bytes)));
            }
        }
        io
    }

    /// A copy of all files.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state.lock();
        state
            .files
            .iter()
            .map(|(path, bytes)| (path.clone(), bytes.lock().clone()))
            .collect()
    }

    /// Changes a file behind the store's back. The file must exist.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.state.lock().files.get(path).cloned();
        let file = file.expect("a test damages a file that exists");
        change(&mut file.lock());
    }

    /// Lets the files together grow to this many bytes and no further.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.state.lock().capacity_bytes = Some(capacity_bytes);
    }

    /// Lets each later sync of a file take so long on this file system's clock.
    pub fn set_sync_ns(&self, sync_ns: u64) {
        self.state.lock().sync_ns = sync_ns;
    }

    fn used_bytes(&self) -> u64 {
        self.state
            .lock()
            .files
            .values()
            .map(|bytes| bytes.lock().len() as u64)
            .sum()
    }
}

impl BlockIo for MemoryIo {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.state.lock().dirs.insert(dir.to_owned());
        Ok(())
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn BlockFile>> {
        let mut state = self.state.lock();
        let bytes = match (state.files.get(path), access) {
            (Some(bytes), _) => Arc::clone(bytes),
            (None, Access::Create) => {
                let bytes = Arc::default();
                state.files.insert(path.to_owned(), Arc::clone(&bytes));
                bytes
            }
            (None, Access::Read | Access::ReadWrite) => {
                return Err(io::ErrorKind::NotFound.into());
            }
        };
        if access == Access::Create {
            bytes.lock().clear();
        }
        Ok(Arc::new(MemoryFile {
            io: self.clone(),
            bytes,
            access,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let bytes = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.state.lock().files.remove(path);
        removed
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.files.keys().filter(|path| path.parent() == Some(dir));
        let names = inside.filter_map(|path| path.file_name()?.to_str());
        Ok(names.map(str::to_owned).collect())
    }

    fn len_bytes(&self, path: &Path) -> io::Result<u64> {
        let file = self.state.lock().files.get(path).cloned();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(file.lock().len() as u64)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let path = path.to_owned();
        if !self.state.lock().locked.insert(path.clone()) {
            return Ok(None);
        }
        Ok(Some(Box::new(MemoryLock {
            state: Arc::clone(&self.state),
            path,
        })))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let capacity_bytes = self.state.lock().capacity_bytes.unwrap_or(u64::MAX);
        Ok(capacity_bytes.saturating_sub(self.used_bytes()))
    }

    /// One microsecond later with each call, and by what syncs take.
    fn monotonic_ns(&self) -> u64 {
        self.state.lock().now_ns.fetch_add(1_000, Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct MemoryLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl LockGuard for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.state.lock().locked.remove(&self.path);
    }
}

#[derive(Debug)]
struct MemoryFile {
    io: MemoryIo,
    bytes: Arc<Mutex<Vec<u8>>>,
    access: Access,
}

impl BlockFile for MemoryFile {
    fn read_some_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes.lock();
        let rest = bytes.get(to_usize(offset)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_some_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let offset = to_usize(offset);
        let written: usize = slices.iter().map(|slice| slice.len()).sum();
        let growth = (offset + written).saturating_sub(self.bytes.lock().len()) as u64;
        if growth > 0 && growth > self.io.free_bytes(Path::new(""))? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut bytes = self.bytes.lock();
        if bytes.len() < offset + written {
            bytes.resize(offset + written, 0);
        }
        let mut at = offset;
        for slice in slices {
            bytes[at..at + slice.len()].copy_from_slice(slice);
            at += slice.len();
        }
        Ok(written)
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = self.io.state.lock();
        state.now_ns.fetch_add(state.sync_ns, Ordering::Relaxed);
        Ok(())
    }

    fn map(&self, _bytes: u64) -> io::Result<Option<Arc<Mapped>>> {
        Ok(None)
    }
}

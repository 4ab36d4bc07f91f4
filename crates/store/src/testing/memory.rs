//! A file system in memory: fast, deterministic, and open to being damaged by a test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            let mut state = lock(&io.state);
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
        let state = lock(&self.state);
        state
            .files
            .iter()
            .map(|(path, bytes)| (path.clone(), lock(bytes).clone()))
            .collect()
    }

    /// Changes a file behind the store's back. The file must exist.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let file = lock(&self.state).files.get(path).cloned();
        change(&mut lock(&file.expect("a test damages a file that exists")));
    }

    /// Lets the files together grow to this many bytes and no further.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        lock(&self.state).capacity_bytes = Some(capacity_bytes);
    }

    /// Lets each later sync of a file take so long on this file system's clock.
    pub fn set_sync_ns(&self, sync_ns: u64) {
        lock(&self.state).sync_ns = sync_ns;
    }

    fn used_bytes(&self) -> u64 {
        lock(&self.state)
            .files
            .values()
            .map(|bytes| lock(bytes).len() as u64)
            .sum()
    }
}

impl BlockIo for MemoryIo {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        lock(&self.state).dirs.insert(dir.to_owned());
        Ok(())
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn BlockFile>> {
        let mut state = lock(&self.state);
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
            lock(&bytes).clear();
        }
        Ok(Arc::new(MemoryFile {
            io: self.clone(),
            bytes,
            access,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let bytes = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = lock(&self.state).files.remove(path);
        removed
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = lock(&self.state);
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.files.keys().filter(|path| path.parent() == Some(dir));
        let names = inside.filter_map(|path| path.file_name()?.to_str());
        Ok(names.map(str::to_owned).collect())
    }

    fn len_bytes(&self, path: &Path) -> io::Result<u64> {
        let file = lock(&self.state).files.get(path).cloned();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(lock(&file).len() as u64)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let path = path.to_owned();
        if !lock(&self.state).locked.insert(path.clone()) {
            return Ok(None);
        }
        Ok(Some(Box::new(MemoryLock {
            state: Arc::clone(&self.state),
            path,
        })))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let capacity_bytes = lock(&self.state).capacity_bytes.unwrap_or(u64::MAX);
        Ok(capacity_bytes.saturating_sub(self.used_bytes()))
    }

    /// One microsecond later with each call, and by what syncs take.
    fn monotonic_ns(&self) -> u64 {
        lock(&self.state).now_ns.fetch_add(1_000, Ordering::Relaxed)
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
        lock(&self.state).locked.remove(&self.path);
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
        let bytes = lock(&self.bytes);
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
        let growth = (offset + written).saturating_sub(lock(&self.bytes).len()) as u64;
        if growth > 0 && growth > self.io.free_bytes(Path::new(""))? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut bytes = lock(&self.bytes);
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
        let state = lock(&self.io.state);
        state.now_ns.fetch_add(state.sync_ns, Ordering::Relaxed);
        Ok(())
    }

    fn map(&self, _bytes: u64) -> io::Result<Option<Arc<Mapped>>> {
        Ok(None)
    }
}

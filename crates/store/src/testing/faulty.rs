//! A file system whose k-th call fails.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::io::{Access, BlockFile, BlockIo, LockGuard};
use crate::mapped::Mapped;

/// How a call fails. The numbers are the system's, such as 5 for EIO and 28 for ENOSPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call does nothing and answers this error.
    Error(i32),
    /// A write takes half of its bytes and then answers this error; other calls do nothing.
    TornWrite(i32),
    /// A write takes half of its bytes and says so; other calls work.
    ShortWrite,
}

/// Passes every call on, except for one.
#[derive(Clone, Debug)]
pub struct FaultyIo {
    inner: Arc<dyn BlockIo>,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    call_count: AtomicU64,
    fail_at: AtomicU64,
    fault: Fault,
}

impl Plan {
    /// Counts a call; the fault if this is the one.
    fn count(&self) -> Option<Fault> {
        let call = self.call_count.fetch_add(1, Ordering::Relaxed);
        (call == self.fail_at.load(Ordering::Relaxed)).then_some(self.fault)
    }

    /// For calls that either work or not.
    fn check(&self) -> io::Result<()> {
        match self.count() {
            None | Some(Fault::ShortWrite) => Ok(()),
            Some(Fault::Error(code) | Fault::TornWrite(code)) => {
                Err(io::Error::from_raw_os_error(code))
            }
        }
    }
}

impl FaultyIo {
    /// Fails the call with this number, counted from 0.
    pub fn new(inner: Arc<dyn BlockIo>, fail_at: u64, fault: Fault) -> Self {
        let plan = Plan {
            call_count: AtomicU64::new(0),
            fail_at: fail_at.into(),
            fault,
        };
        Self {
            inner,
            plan: Arc::new(plan),
        }
    }

    /// Calls so far, the failed one included.
    pub fn call_count(&self) -> u64 {
        self.plan.call_count.load(Ordering::Relaxed)
    }

    /// Whether the fault has happened.
    pub fn fired(&self) -> bool {
        self.call_count() > self.plan.fail_at.load(Ordering::Relaxed)
    }

    /// Lets the call after the next `calls` ones fail.
    pub fn fail_after(&self, calls: u64) {
        self.plan
            .fail_at
            .store(self.call_count() + calls, Ordering::Relaxed);
    }
}

impl BlockIo for FaultyIo {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.create_dir(dir)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn BlockFile>> {
        self.plan.check()?;
        let inner = self.inner.open(path, access)?;
        Ok(Arc::new(FaultyFile {
            inner,
            plan: Arc::clone(&self.plan),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.plan.check()?;
        self.inner.list(dir)
    }

    fn len_bytes(&self, path: &Path) -> io::Result<u64> {
        self.plan.check()?;
        self.inner.len_bytes(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.plan.check()?;
        self.inner.lock(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.plan.check()?;
        self.inner.free_bytes(dir)
    }

    fn monotonic_ns(&self) -> u64 {
        self.inner.monotonic_ns()
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn BlockFile>,
    plan: Arc<Plan>,
}

impl FaultyFile {
    fn write_half(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let joined: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let half = joined.len().div_ceil(2);
        self.inner
            .write_some_at(offset, &[IoSlice::new(&joined[..half])])
    }
}

impl BlockFile for FaultyFile {
    fn read_some_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.plan.check()?;
        self.inner.read_some_at(offset, buffer)
    }

    fn write_some_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.plan.count() {
            None => self.inner.write_some_at(offset, slices),
            Some(Fault::Error(code)) => Err(io::Error::from_raw_os_error(code)),
            Some(Fault::ShortWrite) => self.write_half(offset, slices),
            Some(Fault::TornWrite(code)) => {
                self.write_half(offset, slices)?;
                Err(io::Error::from_raw_os_error(code))
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.plan.check()?;
        self.inner.sync_data()
    }

    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapped>>> {
        self.plan.check()?;
        self.inner.map(bytes)
    }
}

//! Looks after the log's files while the node runs: what somebody damages or removes from outside
//! is written anew from what the writer holds open, before the next start would need a backup.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{At, StoreError};
use crate::format::{Head as _, SegmentHead, to_usize};
use crate::identity::{self, LOCK_NAME, open_named};
use crate::io::{Access, BlockFile, BlockIo, LockGuard, read_exact_at, write_all_at};
use crate::limits::{PAGE_BYTES, ZERO_CHUNK_BYTES};
use crate::reader::Shared;
use crate::recovery::TEMPORARY_SUFFIX;
use crate::segment::Segment;
use crate::watermark::Watermark;

/// Newest durable bytes that are compared: in a new segment its head page.
const TAIL_BYTES: u64 = PAGE_BYTES;

/// The segment that is written to, as writer and guard settle it between them.
#[derive(Debug)]
pub(crate) struct Home {
    /// Nothing once the writer is poisoned or gone: nobody writes to the directory then.
    pub(crate) active: Option<(Arc<Segment>, Arc<dyn BlockFile>)>,
    /// Its file has lost its name, and a copy has it: the open file is gone with the process.
    pub(crate) is_lost: bool,
    /// Bytes of it that were synced and are durable.
    synced_bytes: u64,
    /// Durable bytes at the last look, and what was read of the open file then: these bytes are
    /// never written again.
    seen: Option<(u64, Vec<u8>)>,
    /// What no copy mends: nothing may be told durable any more.
    ruin: Option<Ruin>,
    /// The copy failed half-way, at the sync of its name perhaps: it is made once more.
    is_owed: bool,
    /// Files were written anew, and no look has said so yet: one may fail after it.
    is_mended: bool,
    /// Keeps the lock of a directory that was made anew.
    _lock: Option<Box<dyn LockGuard>>,
    /// Of the sealed segments the one that is looked at next.
    next: usize,
}

/// Why a writer ends though each of its calls succeeds.
#[derive(Debug)]
enum Ruin {
    /// Durable bytes of this file are gone.
    Segment(PathBuf),
    /// This directory holds another log.
    Log(PathBuf),
}

impl Ruin {
    fn error(&self) -> StoreError {
        match self {
            Self::Segment(path) => StoreError::SegmentRuined { path: path.clone() },
            Self::Log(dir) => StoreError::LogExchanged { dir: dir.clone() },
        }
    }
}

impl Home {
    pub(crate) fn new(segment: Arc<Segment>, file: Arc<dyn BlockFile>, synced_bytes: u64) -> Self {
        Self {
            active: Some((segment, file)),
            is_lost: false,
            synced_bytes,
            seen: None,
            ruin: None,
            is_owed: false,
            is_mended: false,
            _lock: None,
            next: 0,
        }
    }

    /// The writer goes on in this segment. One that was found to be ruined meanwhile is not left
    /// behind: the next append fails.
    pub(crate) fn set_active(&mut self, segment: Arc<Segment>, file: Arc<dyn BlockFile>) {
        self.active = Some((segment, file));
        (self.synced_bytes, self.seen) = (PAGE_BYTES, None);
        (self.is_lost, self.is_owed) = (self.ruin.is_some(), false);
    }

    /// Everything up to here is durable in the open file, and under its name once this is done.
    ///
    /// # Errors
    /// As of [`Home::copy_lost`].
    pub(crate) fn on_synced(
        &mut self,
        bytes: u64,
        (io, dir): (&Arc<dyn BlockIo>, &Path),
    ) -> Result<(), StoreError> {
        self.synced_bytes = bytes;
        self.copy_lost(io, dir)
    }

    /// Gives the segment its name again with all that was appended, where it was found to have lost
    /// it.
    ///
    /// # Errors
    /// As of [`Home::copy`].
    pub(crate) fn copy_lost(&self, io: &Arc<dyn BlockIo>, dir: &Path) -> Result<(), StoreError> {
        match self.is_lost {
            true => self.copy(io, dir),
            false => Ok(()),
        }
    }

    /// From the next append or commit on the writer has ended.
    fn end_by(&mut self, ruin: Ruin) -> StoreError {
        let error = ruin.error();
        (self.is_lost, self.ruin) = (true, Some(ruin));
        error
    }

    /// Whether the open file has lost its name: to nothing, to what is no file, or to a file that
    /// is shorter or has another head or other newest bytes, as a copy does once more is written.
    ///
    /// # Errors
    /// When the open file itself is shorter than it was made, has lost its head, or holds something
    /// else where the last look read; or when the system fails.
    fn is_nameless(&mut self, io: &Arc<dyn BlockIo>) -> Result<bool, StoreError> {
        let Some((segment, file)) = &self.active else {
            return Ok(false);
        };
        let (path, len_bytes) = (segment.view.path(), segment.view.len_bytes());
        let synced_bytes = self.synced_bytes;
        let sample_of = |file: &dyn BlockFile, bytes| sample(file, bytes, len_bytes);
        let as_seen = match &self.seen {
            Some((bytes, seen)) => {
                let now = sample_of(file.as_ref(), *bytes).at("pread", path)?;
                now.is_some_and(|now| now == *seen)
            }
            None => true,
        };
        let own = sample_of(file.as_ref(), synced_bytes).at("pread", path)?;
        let own = own.filter(|own| as_seen && own.starts_with(&SegmentHead::MAGIC));
        let Some(own) = own else {
            let ruin = Ruin::Segment(path.to_owned());
            return Err(self.end_by(ruin));
        };
        let Some(named) = open_named(io, path)? else {
            return Ok(true);
        };
        let named = sample_of(named.as_ref(), synced_bytes).at("pread", path)?;
        let is_nameless = named.is_none_or(|named| named != own);
        self.seen = Some((synced_bytes, own));
        Ok(is_nameless)
    }

    /// Gives a copy of the open file its name, where that was lost: all that was written so far.
    ///
    /// # Errors
    /// When the system fails; what had the name before still has it.
    fn copy(&self, io: &Arc<dyn BlockIo>, dir: &Path) -> Result<(), StoreError> {
        let Some((segment, file)) = &self.active else {
            return Ok(());
        };
        let path = segment.view.path();
        if let Some(ruin) = &self.ruin {
            return Err(ruin.error());
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(TEMPORARY_SUFFIX);
        let temporary = Path::new(&temporary);
        let copy = io.open(temporary, Access::Create).at("create", temporary)?;
        let (len_bytes, mut at) = (segment.view.len_bytes(), 0);
        let mut buffer = vec![0; ZERO_CHUNK_BYTES];
        while at < len_bytes {
            let chunk = &mut buffer[..ZERO_CHUNK_BYTES.min(to_usize(len_bytes - at))];
            read_exact_at(file.as_ref(), at, chunk).at("pread", path)?;
            write_all_at(copy.as_ref(), at, &[chunk]).at("pwrite", temporary)?;
            at += chunk.len() as u64;
        }
        copy.sync_data().at("fdatasync", temporary)?;
        io.rename(temporary, path).at("rename", path)?;
        io.sync_dir(dir).at("fsync of the directory", dir)
    }
}

/// Notices while the node runs what would otherwise stop its next start.
#[derive(Debug)]
pub struct LogGuard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) genesis: [u8; 32],
    pub(crate) watermark: Arc<Mutex<Option<Watermark>>>,
    pub(crate) home: Arc<Mutex<Home>>,
}

impl LogGuard {
    /// Looks whether watermark and identity are as they were written and whether the segments have
    /// their names, the one that is written to with its newest bytes, and writes anew what is not:
    /// the watermark, the identity, the segment that is written to, and the directory where all of
    /// it was removed. True if it did, now or in a look that failed afterwards. Does nothing once
    /// the writer is gone or poisoned. Of the sealed segments it looks at one. A few system calls,
    /// none of which waits for the disk but those of the first look at a segment, unless there is
    /// damage; for once a second.
    ///
    /// # Errors
    /// [`StoreError::WatermarkReplaced`] when another readable watermark stands there, which is
    /// left as it is; [`StoreError::MissingSegment`] for a sealed segment, which only a backup has;
    /// [`StoreError::ForeignGenesis`] and the like when another log was put there;
    /// [`StoreError::Io`] when the system fails. The writer stays usable but for two, which its
    /// next append or commit gives too: [`StoreError::SegmentRuined`], durable bytes of the
    /// segment that is written to are gone from the file itself; [`StoreError::LogExchanged`],
    /// watermark and segment are those of another log.
    pub fn look(&self) -> Result<bool, StoreError> {
        let mut home = self.home.lock();
        let Some((segment, _)) = &home.active else {
            return Ok(false);
        };
        let (io, dir) = (&self.shared.io, &self.shared.dir);
        let is_gone = is_gone(io, segment.view.path())?;
        if is_gone && is_away(io, dir)? {
            io.create_dir(dir).at("mkdir", dir)?;
            let path = dir.join(LOCK_NAME);
            let locked = io.lock(&path).at("flock", &path)?;
            home._lock = Some(locked.ok_or(StoreError::Locked { path })?);
        }
        let looked = match self.watermark.lock().as_mut() {
            Some(watermark) => watermark.look(&self.shared.metrics),
            None => return Ok(false),
        };
        let is_replaced = matches!(looked, Err(StoreError::WatermarkReplaced { .. }));
        if is_replaced && home.is_nameless(io)? {
            return Err(home.end_by(Ruin::Log(dir.clone())));
        }
        home.is_mended |= looked?;
        home.is_mended |= self.look_at_identity()?;
        let is_nameless = home.is_nameless(io)?;
        if is_nameless || home.is_owed {
            // From here on the next record goes to a segment that has a name.
            (home.is_lost, home.is_owed) = (true, true);
            home.copy(io, dir)?;
            home.is_owed = false;
            self.shared.metrics.files_restored.add(1);
            home.is_mended = true;
        }
        self.look_at_sealed(&mut home.next)?;
        Ok(std::mem::take(&mut home.is_mended))
    }

    /// Writes it anew where it is damaged or gone: it names the genesis and nothing else.
    fn look_at_identity(&self) -> Result<bool, StoreError> {
        let (io, dir) = (&self.shared.io, &self.shared.dir);
        match identity::check(io, dir, &self.genesis) {
            Ok(()) => return Ok(false),
            Err(StoreError::IdentityLost { .. }) => {}
            Err(StoreError::Io { source, .. }) if is_not_found(&source) => {}
            Err(error) => return Err(error),
        }
        identity::create(io, dir, self.genesis)?;
        self.shared.metrics.files_restored.add(1);
        Ok(true)
    }

    /// One of the sealed segments each time. It is read through a map, which is no source for a
    /// copy: a file that was cut before it was removed would end the process.
    fn look_at_sealed(&self, next: &mut usize) -> Result<(), StoreError> {
        let segments = self.shared.segments();
        let sealed = &segments[..segments.len() - 1];
        *next = if *next < sealed.len() { *next } else { 0 };
        let Some(segment) = sealed.get(*next) else {
            return Ok(());
        };
        if is_gone(&self.shared.io, segment.view.path())? {
            return Err(StoreError::MissingSegment {
                segment: segment.number,
                dir: self.shared.dir.clone(),
            });
        }
        *next += 1;
        Ok(())
    }
}

pub(crate) fn is_gone(io: &Arc<dyn BlockIo>, path: &Path) -> Result<bool, StoreError> {
    match io.len_bytes(path) {
        Err(error) if is_not_found(&error) => Ok(true),
        len_bytes => len_bytes.map(|_| false).at("stat", path),
    }
}

/// Whether the directory itself is not there.
fn is_away(io: &Arc<dyn BlockIo>, dir: &Path) -> Result<bool, StoreError> {
    match io.list(dir) {
        Err(error) if is_not_found(&error) => Ok(true),
        names => names.map(|_| false).at("list", dir),
    }
}

/// Head page, newest durable bytes and last byte of a segment; nothing where the file is shorter.
fn sample(file: &dyn BlockFile, synced_bytes: u64, len_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let ranges = [
        (0, PAGE_BYTES),
        (synced_bytes - TAIL_BYTES, TAIL_BYTES),
        (len_bytes - 1, 1),
    ];
    let mut sample = Vec::new();
    for (from, bytes) in ranges {
        let mut part = vec![0; to_usize(bytes)];
        match read_exact_at(file, from, &mut part) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        sample.append(&mut part);
    }
    Ok(Some(sample))
}

fn is_not_found(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

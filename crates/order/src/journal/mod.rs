//! The engine's journal: the blobs that the engine keeps, in memory, and every change of them in
//! one row of frames on the disk. A sync is one write and one sync of bytes that the file has
//! already, whatever was made, written or removed since the last one.
//!
//! No engine, no runtime and no clock: `engine/storage.rs` puts it into the engine's terms.
mod disk;
mod format;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::disk::{JournalDisk, RealDisk};
pub(crate) use self::disk::{foreign, is_there, set_aside};
use self::format::{Change, FILE_BYTES, Frame, row};

/// Files that take turns: one is written to, the other holds what was before, or nothing.
const FILES: usize = 2;

/// Partition and name.
pub(crate) type Key = (String, Vec<u8>);

/// The bytes of a blob as its holder sees them.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) version: u16,
    pub(crate) bytes: Vec<u8>,
}

/// A blob, shared by the journal and by who has opened it.
pub(crate) type Shared = Arc<Mutex<Content>>;

/// Why a journal does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The system fails.
    #[error("the engine's journal: {0}")]
    Io(#[from] io::Error),
    /// A frame is not whole, and later ones are: no power cut does that.
    #[error("{path} is damaged at byte {at}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the frame begins.
        at: usize,
    },
}

/// The blobs and the files that they are kept in.
pub(crate) struct Journal {
    state: Mutex<State>,
}

struct State {
    blobs: BTreeMap<Key, Shared>,
    /// Changes that no file has yet.
    pending: Vec<u8>,
    log: Log,
}

/// The row of frames.
struct Log {
    disk: Box<dyn JournalDisk>,
    /// The file that is written to.
    active: usize,
    generation: u64,
    /// Of the next frame; 0 before the first of this run.
    sequence: u64,
    /// Where it goes.
    end: usize,
    /// A write or sync failed: what the file holds is not known, and is never written again.
    is_broken: bool,
}

impl Journal {
    /// Opens the journal of a folder, and makes one where there is none.
    pub(crate) fn open(dir: &Path) -> Result<Self, JournalError> {
        Self::on(Box::new(RealDisk::open(dir)?), dir)
    }

    fn on(disk: Box<dyn JournalDisk>, dir: &Path) -> Result<Self, JournalError> {
        let mut rows = Vec::with_capacity(FILES);
        for file in 0..FILES {
            rows.push(row(&disk.read(file)?));
        }
        let newest = (0..FILES).max_by_key(|file| rows[*file].generation);
        let active = newest.expect("there are files");
        let damaged = |file: usize, at: usize| JournalError::Damaged {
            path: disk::path(dir, file),
            at,
        };
        // What no power cut does: a frame that is not whole before a later one.
        let generation = rows[active].generation;
        if let Some(file) = rows.iter().position(|row| row.newest > generation) {
            return Err(damaged(file, 0));
        }
        let row = rows.swap_remove(active);
        if row.lacks {
            return Err(damaged(active, row.end));
        }
        let mut blobs = BTreeMap::new();
        for payload in &row.payloads {
            let read = Change::each(payload, |change| apply(&mut blobs, change));
            read.map_err(|_| damaged(active, 0))?;
        }
        // The first sync writes all of it anew, into the other file: what was read may have come
        // from a cache that a failed sync left, and the last frame may be torn behind its end.
        let log = Log {
            disk,
            active,
            generation: row.generation,
            sequence: 0,
            end: 0,
            is_broken: false,
        };
        let state = State {
            blobs,
            pending: Vec::new(),
            log,
        };
        Ok(Self {
            state: Mutex::new(state),
        })
    }

    /// The blob of this name, made with `version` where there is none; `None` where it is open
    /// already.
    pub(crate) fn open_blob(&self, key: &Key, version: u16) -> Option<Shared> {
        let mut state = self.state.lock();
        if let Some(blob) = state.blobs.get(key) {
            let is_open = Arc::strong_count(blob) > 1;
            return (!is_open).then(|| Arc::clone(blob));
        }
        Change::Make { key, version }.put(&mut state.pending);
        let bytes = Vec::new();
        let blob = Arc::new(Mutex::new(Content { version, bytes }));
        state.blobs.insert(key.clone(), Arc::clone(&blob));
        Some(blob)
    }

    /// Writes into an open blob, which grows as far as that takes.
    pub(crate) fn write(&self, key: &Key, blob: &Shared, at: u64, bytes: &[u8]) {
        let change = Change::Write { key, at, bytes };
        self.change(blob, &change);
    }

    /// Cuts an open blob, or fills it up with zeros.
    pub(crate) fn resize(&self, key: &Key, blob: &Shared, len: u64) {
        self.change(blob, &Change::Resize { key, len });
    }

    /// A blob that was removed changes for its holder alone.
    fn change(&self, blob: &Shared, change: &Change<'_>) {
        let mut state = self.state.lock();
        alter(&mut blob.lock().bytes, change);
        let kept = state.blobs.get(change.key());
        if kept.is_some_and(|kept| Arc::ptr_eq(kept, blob)) {
            change.put(&mut state.pending);
        }
    }

    /// Removes a blob, or all of a partition; false where there is none.
    pub(crate) fn remove(&self, partition: &str, name: Option<&[u8]>) -> bool {
        let mut state = self.state.lock();
        let State { blobs, pending, .. } = &mut *state;
        let is_meant = |key: &Key| key.0 == partition && name.is_none_or(|name| key.1 == name);
        let before = blobs.len();
        blobs.retain(|key, _| {
            let goes = is_meant(key);
            if goes {
                Change::Remove { key }.put(pending);
            }
            !goes
        });
        blobs.len() < before
    }

    /// Names of the blobs of a partition, sorted.
    pub(crate) fn names(&self, partition: &str) -> Vec<Vec<u8>> {
        let state = self.state.lock();
        let keys = state.blobs.keys().filter(|key| key.0 == partition);
        keys.map(|key| key.1.clone()).collect()
    }

    /// Makes every change so far durable.
    ///
    /// # Errors
    /// The system's; from then on each sync fails, since nobody knows what the disk has.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let State {
            blobs,
            pending,
            log,
        } = &mut *state;
        if log.is_broken {
            return Err(io::Error::other("an earlier write or sync has failed"));
        }
        if pending.is_empty() {
            return Ok(());
        }
        let written = match log.fits(pending.len()) {
            true => log.append(pending),
            false => log.begin_anew(&image(blobs)),
        };
        log.is_broken = written.is_err();
        pending.clear();
        written
    }
}

impl Log {
    fn fits(&self, payload_bytes: usize) -> bool {
        let has_begun = self.sequence > 0;
        has_begun && self.end + Frame::bytes(payload_bytes) <= FILE_BYTES
    }

    fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let frame = Frame {
            generation: self.generation,
            sequence: self.sequence,
            payload,
        };
        let bytes = frame.encode();
        self.disk.write(self.active, self.end, &bytes)?;
        self.disk.sync(self.active)?;
        (self.sequence, self.end) = (self.sequence + 1, self.end + bytes.len());
        Ok(())
    }

    /// All blobs as the first frame of the other file, which counts from then on. The file before
    /// is whole until that is durable.
    fn begin_anew(&mut self, image: &[u8]) -> io::Result<()> {
        self.active = (self.active + 1) % FILES;
        (self.generation, self.sequence, self.end) = (self.generation + 1, 0, 0);
        self.append(image)
    }
}

/// Changes that make these blobs from nothing.
fn image(blobs: &BTreeMap<Key, Shared>) -> Vec<u8> {
    let mut changes = Vec::new();
    for (key, blob) in blobs {
        let Content { version, bytes } = &*blob.lock();
        let version = *version;
        Change::Make { key, version }.put(&mut changes);
        Change::Write { key, at: 0, bytes }.put(&mut changes);
    }
    changes
}

fn apply(blobs: &mut BTreeMap<Key, Shared>, change: &Change<'_>) {
    let key = change.key();
    match change {
        Change::Make { version, .. } => {
            let content = Content {
                version: *version,
                bytes: Vec::new(),
            };
            blobs.insert(key.clone(), Arc::new(Mutex::new(content)));
        }
        Change::Remove { .. } => drop(blobs.remove(key)),
        Change::Write { .. } | Change::Resize { .. } => {
            if let Some(blob) = blobs.get(key) {
                alter(&mut blob.lock().bytes, change);
            }
        }
    }
}

fn alter(content: &mut Vec<u8>, change: &Change<'_>) {
    let place = |at: u64| usize::try_from(at).expect("blobs fit the memory");
    match change {
        Change::Write { at, bytes, .. } => {
            let at = place(*at);
            let end = at + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[at..end].copy_from_slice(bytes);
        }
        Change::Resize { len, .. } => content.resize(place(*len), 0),
        Change::Make { .. } | Change::Remove { .. } => {}
    }
}

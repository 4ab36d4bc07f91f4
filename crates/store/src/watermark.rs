//! The durable watermark: up to which record everything was synced, kept in two slots.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{At, Hex, StoreError};
use crate::format::{HEAD_BYTES, Head, HeadFault, Mark, WatermarkSlot, to_usize};
use crate::identity::{create_file, open_named, put_file};
use crate::io::{Access, BlockFile, BlockIo, read_exact_at, write_all_at};
use crate::limits::PAGE_BYTES;
use crate::metrics::StoreMetrics;
use crate::words::RecordHash;

pub(crate) const WATERMARK_NAME: &str = "watermark";
const SLOT_COUNT: u64 = 2;
const FILE_BYTES: u64 = SLOT_COUNT * PAGE_BYTES;
/// Reads of the file beside a writer, at most. Each takes microseconds and each change of it a
/// sync, so that two in a row agree at once.
const READ_COUNT_MAX: usize = 100;

/// The watermark file, open for writing. Generations alternate between the slots, so a torn write
/// can only damage the older of the two.
#[derive(Debug)]
pub(crate) struct Watermark {
    io: Arc<dyn BlockIo>,
    file: Arc<dyn BlockFile>,
    dir: PathBuf,
    path: PathBuf,
    genesis: [u8; 32],
    generation: u64,
    /// What was written last into each slot.
    slots: [[u8; HEAD_BYTES]; 2],
    /// The last [`Watermark::look`] found the file as it was written, or has put it right.
    is_sound: bool,
}

/// What the watermark file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) mark: Mark,
    pub(crate) generation: u64,
    /// The other slot, where it is not the one that was written before this one.
    pub(crate) lost: Option<LostSlot>,
}

/// A slot that is not what was written into it: it may have held the newest watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostSlot {
    pub(crate) slot: DamagedSlot,
    /// The record hash in its bytes. Where a record of the log has it, the slot vouched for
    /// nothing above that record; without one it may have vouched for anything.
    pub(crate) hash: Option<RecordHash>,
}

/// A watermark slot that was torn by a power cut, has rotted, or is a stale copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedSlot {
    /// Which of the two, 0 or 1.
    pub index: u64,
}

impl fmt::Display for DamagedSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, offset) = (self.index, self.index * PAGE_BYTES);
        write!(f, "slot {index} (byte {offset} of `{WATERMARK_NAME}`)")
    }
}

/// One slot as it lies there.
enum Slot {
    Blank,
    Whole(WatermarkSlot),
    Damaged(RecordHash),
}

/// Makes the file of a new store, pointing at its start.
pub(crate) fn create(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    genesis: [u8; 32],
    mark: &Mark,
) -> Result<(), StoreError> {
    let mut image = WatermarkSlot::new(0, genesis, mark).seal().to_vec();
    image.resize(to_usize(FILE_BYTES), 0);
    create_file(io, dir, WATERMARK_NAME, &[&image])
}

/// As [`read`], beside a process that may be writing: between two slots read one after the other
/// several generations can pass, and a slot can be read half written. So a slot that looks lost is
/// believed once two reads agree on it; a busy writer has put it right long before the last try.
pub(crate) fn read_beside_writer(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    genesis: &[u8; 32],
) -> Result<Found, StoreError> {
    let mut found = read(io, dir, genesis)?;
    for _ in 1..READ_COUNT_MAX {
        if found.lost.is_none() {
            break;
        }
        let again = read(io, dir, genesis)?;
        if std::mem::replace(&mut found, again) == again {
            break;
        }
    }
    Ok(found)
}

/// Reads the newest whole slot, and judges the other one by it.
pub(crate) fn read(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    genesis: &[u8; 32],
) -> Result<Found, StoreError> {
    let path = dir.join(WATERMARK_NAME);
    // What somebody appended does no harm to the slots.
    if io.len_bytes(&path).at("stat", &path)? < FILE_BYTES {
        return Err(StoreError::WatermarkLost { path });
    }
    let file = io.open(&path, Access::Read).at("open", &path)?;
    let slots = [
        read_slot(file.as_ref(), &path, 0)?,
        read_slot(file.as_ref(), &path, 1)?,
    ];
    let whole = (0..).zip(&slots).filter_map(|(index, slot)| match slot {
        Slot::Whole(slot) if plausible(slot, index) => Some((index, slot)),
        _ => None,
    });
    let Some((index, newest)) = whole.max_by_key(|(_, slot)| slot.generation()) else {
        return Err(StoreError::WatermarkLost { path });
    };
    if newest.genesis != *genesis {
        return Err(StoreError::ForeignGenesis {
            path,
            found: Hex(newest.genesis),
            expected: Hex(*genesis),
        });
    }
    Ok(Found {
        mark: newest.mark(),
        generation: newest.generation(),
        lost: judge_other(&slots, index, newest),
    })
}

fn read_slot(file: &dyn BlockFile, path: &Path, index: u64) -> Result<Slot, StoreError> {
    let mut image = [0; HEAD_BYTES];
    read_exact_at(file, index * PAGE_BYTES, &mut image).at("pread", path)?;
    match WatermarkSlot::parse(&image) {
        Ok(slot) => Ok(Slot::Whole(slot)),
        Err(HeadFault::Blank) => Ok(Slot::Blank),
        Err(HeadFault::Damaged) => Ok(Slot::Damaged(WatermarkSlot::hash_in(&image))),
        Err(HeadFault::Version(found)) => Err(StoreError::version(path, found)),
    }
}

/// Generations follow each other, so the slot beside the newest holds the generation before it; a
/// new store's is blank. Anything else there was torn, has rotted, or was put back from a copy.
fn judge_other(slots: &[Slot; 2], newest_index: u64, newest: &WatermarkSlot) -> Option<LostSlot> {
    let index = 1 - newest_index;
    let before = newest.generation().checked_sub(1);
    let hash = match (&slots[to_usize(index)], before) {
        (Slot::Blank, None) => return None,
        (Slot::Whole(other), Some(before))
            if other.generation() == before && other.genesis == newest.genesis =>
        {
            return None;
        }
        (Slot::Damaged(hash), _) => Some(*hash),
        (Slot::Blank | Slot::Whole(_), _) => None,
    };
    let slot = DamagedSlot { index };
    Some(LostSlot { slot, hash })
}

/// Whether a whole slot can have been written into this place by this program.
fn plausible(slot: &WatermarkSlot, slot_index: u64) -> bool {
    let generation = slot.generation();
    generation % SLOT_COUNT == slot_index && generation < u64::MAX
}

impl Watermark {
    /// Opens the file for writing slots after generation `found.generation`.
    pub(crate) fn open(
        io: &Arc<dyn BlockIo>,
        dir: &Path,
        genesis: [u8; 32],
        found: &Found,
    ) -> Result<Watermark, StoreError> {
        let path = dir.join(WATERMARK_NAME);
        let file = io.open(&path, Access::ReadWrite).at("open", &path)?;
        // The other slot is written by the first advance, before anybody can look.
        let newest = WatermarkSlot::new(found.generation, genesis, &found.mark).seal();
        Ok(Watermark {
            io: Arc::clone(io),
            file,
            dir: dir.to_owned(),
            path,
            genesis,
            generation: found.generation,
            slots: [newest; 2],
            is_sound: true,
        })
    }

    /// Writes the mark into the older slot and syncs it. The data it names is already synced.
    pub(crate) fn advance(&mut self, mark: &Mark) -> Result<(), StoreError> {
        let generation = self.generation + 1;
        let slot = WatermarkSlot::new(generation, self.genesis, mark).seal();
        let index = generation % SLOT_COUNT;
        write_all_at(self.file.as_ref(), index * PAGE_BYTES, &[&slot]).at("pwrite", &self.path)?;
        self.file.sync_data().at("fdatasync", &self.path)?;
        self.generation = generation;
        self.slots[to_usize(index)] = slot;
        Ok(())
    }

    /// Looks whether the file under its name is still what was written, and writes it anew where
    /// it is not; true if it did. A handful of calls that no disk is asked for.
    ///
    /// # Errors
    /// [`StoreError::WatermarkReplaced`], with nothing changed; or the system's, after which the
    /// next look tries again: it writes to a file of its own, never to the handle of the log.
    pub(crate) fn look(&mut self, metrics: &StoreMetrics) -> Result<bool, StoreError> {
        let holds = match open_named(&self.io, &self.path)? {
            Some(file) => self.holds_slots(file.as_ref())?,
            None => false,
        };
        if holds && self.is_sound && self.has_its_length()? {
            return Ok(false);
        }
        if std::mem::take(&mut self.is_sound) {
            metrics.watermarks_damaged.add(1);
        }
        // A file that can be read as a watermark while ours has lost its name alone: the whole
        // directory may have been exchanged, and a copy of another day must stay what it is.
        if !holds
            && self.holds_slots(self.file.as_ref())?
            && !is_lost(read(&self.io, &self.dir, &self.genesis))?
        {
            let path = self.path.clone();
            return Err(StoreError::WatermarkReplaced { path });
        }
        self.renew()?;
        self.is_sound = true;
        Ok(true)
    }

    fn has_its_length(&self) -> Result<bool, StoreError> {
        let len_bytes = self.io.len_bytes(&self.path).at("stat", &self.path)?;
        Ok(len_bytes == FILE_BYTES)
    }

    /// Whether a file holds both slots as they were written last.
    fn holds_slots(&self, file: &dyn BlockFile) -> Result<bool, StoreError> {
        for (index, slot) in (0..).zip(&self.slots) {
            let mut image = [0; HEAD_BYTES];
            match read_exact_at(file, index * PAGE_BYTES, &mut image) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                read => read.at("pread", &self.path)?,
            }
            if image != *slot {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts a new file in the place of the damaged one. What is written from now on goes there,
    /// also where the sync of its name fails.
    fn renew(&mut self) -> Result<(), StoreError> {
        let mut image = Vec::with_capacity(to_usize(FILE_BYTES));
        for slot in &self.slots {
            image.extend_from_slice(slot);
            image.resize(image.len() + to_usize(PAGE_BYTES) - HEAD_BYTES, 0);
        }
        self.file = put_file(&self.io, &self.dir, WATERMARK_NAME, &[&image])?;
        let synced = self.io.sync_dir(&self.dir);
        synced.at("fsync of the directory", &self.dir)
    }
}

/// Whether neither slot of a watermark file can be read.
fn is_lost(read: Result<Found, StoreError>) -> Result<bool, StoreError> {
    match read {
        Err(StoreError::WatermarkLost { .. }) => Ok(true),
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error @ StoreError::Io { .. }) => Err(error),
        Ok(_) | Err(_) => Ok(false),
    }
}

//! The durable watermark: up to which record everything was synced, kept in two slots.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{At, Hex, StoreError};
use crate::format::{HEAD_BYTES, Head, HeadFault, Mark, WatermarkSlot, to_usize};
use crate::identity::create_file;
use crate::io::{Access, BlockFile, BlockIo, read_exact_at, write_all_at};
use crate::limits::PAGE_BYTES;
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
    file: Arc<dyn BlockFile>,
    path: PathBuf,
    genesis: [u8; 32],
    generation: u64,
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
    if io.len_bytes(&path).at("stat", &path)? != FILE_BYTES {
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
        Ok(Watermark {
            file,
            path,
            genesis,
            generation: found.generation,
        })
    }

    /// Writes the mark into the older slot and syncs it. The data it names is already synced.
    pub(crate) fn advance(&mut self, mark: &Mark) -> Result<(), StoreError> {
        let generation = self.generation + 1;
        let slot = WatermarkSlot::new(generation, self.genesis, mark).seal();
        let offset = generation % SLOT_COUNT * PAGE_BYTES;
        write_all_at(self.file.as_ref(), offset, &[&slot]).at("pwrite", &self.path)?;
        self.file.sync_data().at("fdatasync", &self.path)?;
        self.generation = generation;
        Ok(())
    }
}

//! The durable watermark: up to which record everything was synced, kept in two slots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{At, Hex, StoreError};
use crate::format::{HEAD_BYTES, Head, HeadFault, Mark, WatermarkSlot, to_usize};
use crate::identity::create_file;
use crate::io::{Access, BlockFile, BlockIo, read_exact_at, write_all_at};
use crate::limits::PAGE_BYTES;

pub(crate) const WATERMARK_NAME: &str = "watermark";
const SLOT_COUNT: u64 = 2;
const FILE_BYTES: u64 = SLOT_COUNT * PAGE_BYTES;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) mark: Mark,
    pub(crate) generation: u64,
    /// One slot was neither blank nor whole: torn by a power cut, or damaged.
    pub(crate) slot_damaged: bool,
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

/// Reads the newest whole slot.
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
    let mut newest: Option<WatermarkSlot> = None;
    let mut slot_damaged = false;
    for slot_index in 0..SLOT_COUNT {
        let mut image = [0; HEAD_BYTES];
        read_exact_at(file.as_ref(), slot_index * PAGE_BYTES, &mut image).at("pread", &path)?;
        match WatermarkSlot::parse(&image) {
            Ok(slot) if !plausible(&slot, slot_index) => slot_damaged = true,
            Ok(slot) => {
                if newest.is_none_or(|other| other.generation() < slot.generation()) {
                    newest = Some(slot);
                }
            }
            Err(HeadFault::Blank) => {}
            Err(HeadFault::Damaged) => slot_damaged = true,
            Err(HeadFault::Version(found)) => return Err(StoreError::version(&path, found)),
        }
    }
    match newest {
        None => Err(StoreError::WatermarkLost { path }),
        Some(slot) if slot.genesis != *genesis => Err(StoreError::ForeignGenesis {
            path,
            found: Hex(slot.genesis),
            expected: Hex(*genesis),
        }),
        Some(slot) => Ok(Found {
            mark: slot.mark(),
            generation: slot.generation(),
            slot_damaged,
        }),
    }
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

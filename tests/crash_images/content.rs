//! The bytes of a file in a model: what is zero costs nothing, since a log is mostly zeros.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Unit in which a disk keeps or loses what was not synced.
pub(crate) const SECTOR_BYTES: u64 = size_of::<Sector>() as u64;

type Sector = [u8; 512];

/// A file's bytes, by sector; a sector that is not there is zero.
#[derive(Clone, Default)]
pub(crate) struct Content {
    length: u64,
    sectors: BTreeMap<u64, Sector>,
}

impl Content {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        content.write(0, bytes);
        content
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Writes; a file that ends before `offset` has zeros up to it then.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (at, piece) in pieces(offset, bytes) {
            let sector = self.sectors.get_mut(&(at / SECTOR_BYTES));
            if sector.is_none() && piece.iter().all(|&byte| byte == 0) {
                continue;
            }
            let within = to_usize(at % SECTOR_BYTES);
            let sector = match sector {
                Some(sector) => sector,
                None => self.sectors.entry(at / SECTOR_BYTES).or_insert([0; 512]),
            };
            sector[within..within + piece.len()].copy_from_slice(piece);
        }
        self.length = self.length.max(offset + bytes.len() as u64);
    }

    /// Cuts the file, or adds zeros to it.
    pub(crate) fn resize(&mut self, length: u64) {
        if length < self.length {
            self.sectors.split_off(&length.div_ceil(SECTOR_BYTES));
            if let Some(last) = self.sectors.get_mut(&(length / SECTOR_BYTES)) {
                last[to_usize(length % SECTOR_BYTES)..].fill(0);
            }
        }
        self.length = length;
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; to_usize(self.length)];
        for (&sector, piece) in &self.sectors {
            let start = to_usize(sector * SECTOR_BYTES);
            let end = bytes.len().min(start + piece.len());
            bytes[start..end].copy_from_slice(&piece[..end - start]);
        }
        bytes
    }

    /// Makes the file.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let file = File::create_new(path)?;
        file.set_len(self.length)?;
        for (&sector, piece) in &self.sectors {
            let start = sector * SECTOR_BYTES;
            let bytes = to_usize((self.length - start).min(SECTOR_BYTES));
            file.write_all_at(&piece[..bytes], start)?;
        }
        Ok(())
    }
}

/// The pieces of a write that lie in one sector each, with their offsets.
pub(crate) fn pieces(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let (mut at, mut rest) = (offset, bytes);
    std::iter::from_fn(move || {
        let room = to_usize(SECTOR_BYTES - at % SECTOR_BYTES);
        let (piece, after) = rest.split_at(room.min(rest.len()));
        let start = at;
        (at, rest) = (at + piece.len() as u64, after);
        (!piece.is_empty()).then_some((start, piece))
    })
}

pub(crate) fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("files of a test fit the memory")
}

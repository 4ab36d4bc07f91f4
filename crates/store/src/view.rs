//! Reading a file of fixed length through a map where there is one, through reads where not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{At, Damage, StoreError};
use crate::format::to_usize;
use crate::io::{Access, BlockFile, BlockIo, read_exact_at};
use crate::limits::ZERO_CHUNK_BYTES;
use crate::mapped::Mapped;
use crate::words::SegmentNumber;

/// Takes one chunk of a file with its offset.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), StoreError>;

/// A file of known length, open for reading.
#[derive(Debug)]
pub(crate) struct View {
    io: Arc<dyn BlockIo>,
    path: PathBuf,
    segment: SegmentNumber,
    len_bytes: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Mapped(Arc<Mapped>),
    File(Arc<dyn BlockFile>),
}

impl View {
    /// Opens a file that must have exactly `len_bytes` bytes. `segment` only goes into errors.
    pub(crate) fn open(
        io: &Arc<dyn BlockIo>,
        path: &Path,
        segment: SegmentNumber,
        len_bytes: u64,
    ) -> Result<View, StoreError> {
        let file = io.open(path, Access::Read).at("open", path)?;
        View::of_file(io, path, segment, len_bytes, file)
    }

    /// The same over a file that is open already.
    pub(crate) fn of_file(
        io: &Arc<dyn BlockIo>,
        path: &Path,
        segment: SegmentNumber,
        len_bytes: u64,
        file: Arc<dyn BlockFile>,
    ) -> Result<View, StoreError> {
        let mut view = View::unmapped(io, path, segment, len_bytes, file)?;
        let Source::File(file) = &view.source else {
            unreachable!("unmapped says so")
        };
        // The open file is let go once it is mapped, so that a long log does not run out of them.
        if let Some(map) = file.map(len_bytes).at("mmap", path)? {
            view.source = Source::Mapped(map);
        }
        Ok(view)
    }

    /// The same without a map: for a file that another process may be writing to, since a map's
    /// bytes must not change while they are read. Keeps the file open.
    pub(crate) fn unmapped(
        io: &Arc<dyn BlockIo>,
        path: &Path,
        segment: SegmentNumber,
        len_bytes: u64,
        file: Arc<dyn BlockFile>,
    ) -> Result<View, StoreError> {
        let view = View {
            io: Arc::clone(io),
            path: path.to_owned(),
            segment,
            len_bytes,
            source: Source::File(file),
        };
        view.check_length()?;
        Ok(view)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Asks the file system for the length: a file cut by somebody else must not be read through
    /// its map.
    pub(crate) fn check_length(&self) -> Result<(), StoreError> {
        let found = self.io.len_bytes(&self.path).at("stat", &self.path)?;
        if found == self.len_bytes {
            return Ok(());
        }
        let damage = Damage::Length {
            found,
            expected: self.len_bytes,
        };
        Err(self.corrupt(found.min(self.len_bytes), damage))
    }

    pub(crate) fn corrupt(&self, offset: u64, damage: Damage) -> StoreError {
        let path = self.path.clone();
        StoreError::Corrupt {
            segment: self.segment,
            offset,
            path,
            damage,
        }
    }

    /// Declares the first bytes unchanging, so that `bytes` may hand them out without a copy.
    pub(crate) fn set_stable(&self, bytes: u64) {
        if let Source::Mapped(map) = &self.source {
            map.set_stable(bytes);
        }
    }

    /// Copies bytes out. The caller has checked the length.
    pub(crate) fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        assert!(
            offset + buffer.len() as u64 <= self.len_bytes,
            "read beyond the file"
        );
        match &self.source {
            Source::Mapped(map) => {
                map.copy_to(offset, buffer);
                Ok(())
            }
            Source::File(file) => self.read(file.as_ref(), offset, buffer),
        }
    }

    /// Stable bytes; without a copy where the file is mapped. The caller has checked the length.
    pub(crate) fn bytes(&self, offset: u64, len_bytes: u64) -> Result<Bytes, StoreError> {
        assert!(offset + len_bytes <= self.len_bytes, "read beyond the file");
        match &self.source {
            Source::Mapped(map) => map.slice(offset..offset + len_bytes).ok_or_else(|| {
                // The file says otherwise than when it was opened.
                self.corrupt(offset, Damage::Changed)
            }),
            Source::File(file) => {
                let mut buffer = vec![0; to_usize(len_bytes)];
                self.read(file.as_ref(), offset, &mut buffer)?;
                Ok(buffer.into())
            }
        }
    }

    /// Visits a range in chunks of at most 256 KiB, in order, each with its offset.
    pub(crate) fn for_each_chunk(
        &self,
        offset: u64,
        end: u64,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut buffer = vec![0; ZERO_CHUNK_BYTES.min(to_usize(end - offset))];
        let mut at = offset;
        while at < end {
            let chunk = to_usize((end - at).min(buffer.len() as u64));
            self.copy_to(at, &mut buffer[..chunk])?;
            visit(at, &buffer[..chunk])?;
            at += chunk as u64;
        }
        Ok(())
    }

    fn read(&self, file: &dyn BlockFile, offset: u64, buf: &mut [u8]) -> Result<(), StoreError> {
        match read_exact_at(file, offset, buf) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.check_length()?;
                Err(StoreError::Io {
                    operation: "pread",
                    path: self.path.clone(),
                    source: error,
                })
            }
            result => result.at("pread", &self.path),
        }
    }
}

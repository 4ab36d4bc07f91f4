//! The index file of one segment: checked as a whole when it is loaded, and page by page whenever
//! a look-up reads it, which may be weeks later.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use zerocopy::{FromZeros, IntoBytes};

use crate::error::{At, Damage, StoreError};
use crate::format::{
    HEAD_BYTES, Head, HeadFault, INDEX_PAGE_ROWS, IndexHead, IndexPage, IndexRow, to_usize,
};
use crate::io::BlockIo;
use crate::limits::LOCATION_COUNT_MAX;
use crate::view::View;
use crate::words::{Location, RecordHash, SegmentNumber, Sequence};

/// A loaded index file.
#[derive(Debug)]
pub(crate) struct Index {
    view: View,
    row_count: usize,
    /// Hash of the segment's last record.
    segment_hash: RecordHash,
}

pub(super) enum Loaded {
    Whole(Index),
    Missing,
    Damaged,
}

impl Index {
    /// Loads an index file and checks that all of it belongs to this segment's content.
    pub(super) fn load(
        io: &Arc<dyn BlockIo>,
        path: &Path,
        segment: SegmentNumber,
        segment_hash: RecordHash,
    ) -> Result<Loaded, StoreError> {
        let len_bytes = match io.len_bytes(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Loaded::Missing);
            }
            len_bytes => len_bytes.at("stat", path)?,
        };
        if len_bytes < HEAD_BYTES as u64 {
            return Ok(Loaded::Damaged);
        }
        let view = match View::open(io, path, segment, len_bytes) {
            Err(error) if is_no_file(&error) => return Ok(Loaded::Damaged),
            view => view?,
        };
        let mut image = [0; HEAD_BYTES];
        view.copy_to(0, &mut image)?;
        let head = match IndexHead::parse(&image) {
            Ok(head) => head,
            // Another version's is rebuilt as ours: an index is never worth refusing to start.
            Err(HeadFault::Blank | HeadFault::Damaged | HeadFault::Version(_)) => {
                return Ok(Loaded::Damaged);
            }
        };
        if !head.belongs_to(segment, segment_hash) || head.file_bytes() != Some(len_bytes) {
            return Ok(Loaded::Damaged);
        }
        let mut hasher = blake3::Hasher::new();
        view.for_each_chunk(HEAD_BYTES as u64, len_bytes, &mut |_, chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        if *hasher.finalize().as_bytes() != head.pages_hash {
            return Ok(Loaded::Damaged);
        }
        Ok(Loaded::Whole(Index {
            view,
            row_count: to_usize(head.row_count.get()),
            segment_hash,
        }))
    }

    /// The places of an id, newest first; an error when a page on the way is not what was written.
    pub(super) fn find(&self, key: ([u8; 16], u32)) -> Result<Vec<Location>, StoreError> {
        self.view.check_length()?;
        let mut pages = Pages {
            index: self,
            number: None,
            page: IndexPage::new_zeroed(),
        };
        let first = pages.partition_point(0..self.row_count, |row| row.key() < key)?;
        // An id has few rows: their end is near, and mostly in the page that is at hand.
        let mut reach = 1;
        while first + reach < self.row_count && pages.row(first + reach)?.key() <= key {
            reach *= 2;
        }
        let near = first + reach / 2..self.row_count.min(first + reach);
        let end = pages.partition_point(near, |row| row.key() <= key)?;
        let rows = (first..end).rev().take(LOCATION_COUNT_MAX);
        rows.map(|row_index| {
            let row = pages.row(row_index)?;
            Ok(Location {
                sequence: Sequence(row.sequence.get()),
                index: row.position.get(),
            })
        })
        .collect()
    }
}

/// Whether a folder or the like has the name, as the disk says of what is no regular file.
fn is_no_file(error: &StoreError) -> bool {
    let is_said = |source: &std::io::Error| source.kind() == std::io::ErrorKind::InvalidInput;
    matches!(error, StoreError::Io { source, .. } if is_said(source))
}

/// Reads rows by way of the page that they are in, and keeps the page that was read last.
struct Pages<'a> {
    index: &'a Index,
    /// Of the page at hand; `None` when there is none.
    number: Option<usize>,
    page: IndexPage,
}

impl Pages<'_> {
    fn partition_point(
        &mut self,
        rows: Range<usize>,
        below: impl Fn(&IndexRow) -> bool,
    ) -> Result<usize, StoreError> {
        let (mut low, mut high) = (rows.start, rows.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if below(self.row(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn row(&mut self, row_index: usize) -> Result<&IndexRow, StoreError> {
        let number = row_index / INDEX_PAGE_ROWS;
        if self.number != Some(number) {
            self.number = None;
            self.read(number)?;
            self.number = Some(number);
        }
        Ok(&self.page.rows[row_index % INDEX_PAGE_ROWS])
    }

    /// The page is copied out before it is checked: bytes in a map may change in between.
    fn read(&mut self, number: usize) -> Result<(), StoreError> {
        let Index {
            view, segment_hash, ..
        } = self.index;
        let offset = (HEAD_BYTES + number * size_of::<IndexPage>()) as u64;
        view.copy_to(offset, self.page.as_mut_bytes())?;
        match self.page.is_whole(number as u64, *segment_hash) {
            true => Ok(()),
            false => Err(view.corrupt(offset, Damage::File)),
        }
    }
}

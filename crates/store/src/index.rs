//! Finding a record by a transfer's id: one sorted file per sealed segment, rebuilt from the
//! segment whenever it is missing or damaged, and a plain scan of what is not indexed yet.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Damage, StoreError};
use crate::format::{HEAD_BYTES, Head, HeadFault, IndexHead, IndexRow};
use crate::identity::create_file;
use crate::io::BlockIo;
use crate::limits::LOCATION_COUNT_MAX;
use crate::metrics::add;
use crate::reader::Reader;
use crate::segment::{Record, Segment};
use crate::view::View;
use crate::words::{RecordHash, RecordKind, Sequence};

const SUFFIX: &str = "idx";

/// Tells the store which ids a record's payload holds. The answer for the same payload must never
/// change, since it is kept in files.
pub trait Extractor: Send + Sync {
    /// Calls `row(id, signer, index)` for each transfer in the payload; `index` is its place in
    /// the record.
    fn extract(&self, kind: RecordKind, payload: &[u8], row: &mut dyn FnMut([u8; 16], u32, u32));
}

/// Where a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The record.
    pub sequence: Sequence,
    /// Its place in that record, as the extractor numbers it.
    pub index: u32,
}

impl Reader {
    /// Finds where transfers of this id and signer are, newest first and at most 64 of them,
    /// among the durable records. Sealed segments answer from their index; the last segment and
    /// those without an index are scanned, so call [`Reader::index_sealed`] now and then.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and [`StoreError::Io`] when a scanned record cannot be read.
    pub fn find(
        &self,
        id: [u8; 16],
        signer: u32,
        extractor: &dyn Extractor,
    ) -> Result<Vec<Location>, StoreError> {
        let durable = self.durable();
        let mut found = Vec::new();
        let segments = self.shared.segments();
        for (index, segment) in segments.iter().enumerate().rev() {
            if segment.first_sequence > durable {
                continue;
            }
            let last_hash = segments.get(index + 1).map(|following| following.previous);
            let indexed = match last_hash {
                Some(last_hash) => self.find_in_index(segment, last_hash, (id, signer))?,
                None => None,
            };
            match indexed {
                Some(locations) => found.extend(locations),
                None => self.find_by_scan(segment, (id, signer), extractor, &mut found)?,
            }
            if found.len() >= LOCATION_COUNT_MAX {
                found.truncate(LOCATION_COUNT_MAX);
                break;
            }
        }
        Ok(found)
    }

    /// Builds the index files that are missing or damaged, for every sealed segment whose records
    /// are all durable; answers how many. Blocks on the disk: call it off the writer's thread.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a segment cannot be read back, [`StoreError::Io`] when the
    /// index cannot be written. The log is not touched in any case.
    pub fn index_sealed(&self, extractor: &dyn Extractor) -> Result<usize, StoreError> {
        let _one_builder = self
            .shared
            .index_building
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let durable = self.durable();
        let segments = self.shared.segments();
        let mut built_count = 0;
        for pair in segments.windows(2) {
            let (segment, following) = (&pair[0], &pair[1]);
            if following.first_sequence > durable.next() {
                break;
            }
            if self.index_of(segment, following.previous)?.is_none() {
                self.build_index(segment, following.previous, extractor)?;
                // Look-ups went on from the log meanwhile; from here on they use the new file.
                *segment.index.lock().unwrap_or_else(PoisonError::into_inner) = IndexSlot::Unknown;
                built_count += 1;
            }
        }
        Ok(built_count)
    }

    /// Places from the segment's index, newest first; `None` if there is no whole index.
    fn find_in_index(
        &self,
        segment: &Segment,
        last_hash: RecordHash,
        key: ([u8; 16], u32),
    ) -> Result<Option<Vec<Location>>, StoreError> {
        let Some(index) = self.index_of(segment, last_hash)? else {
            return Ok(None);
        };
        match index.find(key) {
            // Cut or replaced since it was loaded: the log answers instead.
            Err(StoreError::Corrupt { .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The segment's index if there is a whole one; a bad one is judged once, not each time.
    fn index_of(
        &self,
        segment: &Segment,
        last_hash: RecordHash,
    ) -> Result<Option<Arc<Index>>, StoreError> {
        let mut slot = segment.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let IndexSlot::Unknown = *slot {
            let path = path(&self.shared.dir, segment.first_sequence);
            *slot = match Index::load(&self.shared.io, &path, segment, last_hash)? {
                Loaded::Whole(index) => IndexSlot::Loaded(Arc::new(index)),
                Loaded::Missing => IndexSlot::Absent,
                Loaded::Damaged => {
                    add(&self.shared.metrics.index_damaged_count, 1);
                    IndexSlot::Absent
                }
            };
        }
        match &*slot {
            IndexSlot::Loaded(index) => Ok(Some(Arc::clone(index))),
            IndexSlot::Absent | IndexSlot::Unknown => Ok(None),
        }
    }

    fn build_index(
        &self,
        segment: &Segment,
        last_hash: RecordHash,
        extractor: &dyn Extractor,
    ) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        self.for_each_record(segment, &mut |record| {
            extractor.extract(record.kind, &record.payload, &mut |id, signer, index| {
                rows.push(IndexRow {
                    id,
                    signer: signer.into(),
                    position: index.into(),
                    sequence: record.sequence.0.into(),
                });
            });
        })?;
        rows.sort_unstable_by_key(IndexRow::sort_key);
        let head = IndexHead::new(segment.number, last_hash, &rows).seal();
        let path = path(&self.shared.dir, segment.first_sequence);
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("an ASCII name");
        create_file(
            &self.shared.io,
            &self.shared.dir,
            name,
            &[&head, rows.as_bytes()],
        )?;
        add(&self.shared.metrics.index_built_count, 1);
        Ok(())
    }

    fn find_by_scan(
        &self,
        segment: &Segment,
        key: ([u8; 16], u32),
        extractor: &dyn Extractor,
        found: &mut Vec<Location>,
    ) -> Result<(), StoreError> {
        let start = found.len();
        self.for_each_record(segment, &mut |record| {
            extractor.extract(record.kind, &record.payload, &mut |id, signer, index| {
                if (id, signer) == key {
                    found.push(Location {
                        sequence: record.sequence,
                        index,
                    });
                }
            });
        })?;
        found[start..].sort_unstable_by(|a, b| b.cmp(a));
        Ok(())
    }

    /// The durable records of one segment, in order.
    fn for_each_record(
        &self,
        segment: &Segment,
        visit: &mut dyn FnMut(&Record),
    ) -> Result<(), StoreError> {
        let durable = self.durable();
        let first = segment.first_sequence.0;
        for sequence in (first..first + segment.record_count()).map(Sequence) {
            if sequence > durable {
                break;
            }
            let record = segment
                .read(sequence)
                .inspect_err(|error| self.count(error))?;
            visit(&record);
        }
        Ok(())
    }
}

/// What is known about a segment's index file.
#[derive(Debug, Default)]
pub(crate) enum IndexSlot {
    /// Not looked at yet.
    #[default]
    Unknown,
    /// Missing or damaged: the segment is scanned until an index is built.
    Absent,
    /// Whole.
    Loaded(Arc<Index>),
}

/// A loaded index file.
#[derive(Debug)]
pub(crate) struct Index {
    view: View,
    row_count: usize,
}

enum Loaded {
    Whole(Index),
    Missing,
    Damaged,
}

impl Index {
    /// Loads an index file and checks that all of it belongs to this segment's content.
    fn load(
        io: &Arc<dyn BlockIo>,
        path: &Path,
        segment: &Segment,
        last_hash: RecordHash,
    ) -> Result<Loaded, StoreError> {
        use crate::error::At;
        let len_bytes = match io.len_bytes(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Loaded::Missing);
            }
            len_bytes => len_bytes.at("stat", path)?,
        };
        if len_bytes < HEAD_BYTES as u64 {
            return Ok(Loaded::Damaged);
        }
        let view = View::open(io, path, segment.number, len_bytes)?;
        let mut image = [0; HEAD_BYTES];
        view.copy_to(0, &mut image)?;
        let head = match IndexHead::parse(&image) {
            Ok(head) => head,
            // A newer index is rebuilt as ours: an index is never worth refusing to start.
            Err(HeadFault::Blank | HeadFault::Damaged | HeadFault::Newer(_)) => {
                return Ok(Loaded::Damaged);
            }
        };
        let rows_bytes = len_bytes - HEAD_BYTES as u64;
        let row_bytes = size_of::<IndexRow>() as u64;
        let row_count = head.row_count.get();
        if !head.belongs_to(segment.number, last_hash)
            || row_count.checked_mul(row_bytes) != Some(rows_bytes)
        {
            return Ok(Loaded::Damaged);
        }
        let mut hasher = blake3::Hasher::new();
        view.for_each_chunk(HEAD_BYTES as u64, len_bytes, &mut |_, chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        if *hasher.finalize().as_bytes() != head.rows_hash {
            return Ok(Loaded::Damaged);
        }
        Ok(Loaded::Whole(Index {
            view,
            row_count: crate::format::to_usize(row_count),
        }))
    }

    /// The places of an id, newest first.
    fn find(&self, key: ([u8; 16], u32)) -> Result<Vec<Location>, StoreError> {
        self.view.check_length()?;
        let first = self.partition_point(|row| row.key() < key)?;
        let end = self.partition_point(|row| row.key() <= key)?;
        let rows = (first..end).rev().take(LOCATION_COUNT_MAX);
        rows.map(|row_index| {
            let row = self.row(row_index)?;
            Ok(Location {
                sequence: Sequence(row.sequence.get()),
                index: row.position.get(),
            })
        })
        .collect()
    }

    fn partition_point(&self, below: impl Fn(&IndexRow) -> bool) -> Result<usize, StoreError> {
        let (mut low, mut high) = (0, self.row_count);
        while low < high {
            let middle = low + (high - low) / 2;
            if below(&self.row(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn row(&self, row_index: usize) -> Result<IndexRow, StoreError> {
        let mut image = [0; size_of::<IndexRow>()];
        let offset = HEAD_BYTES + row_index * image.len();
        self.view.copy_to(offset as u64, &mut image)?;
        IndexRow::read_from_bytes(&image)
            .map_err(|_| self.view.corrupt(offset as u64, Damage::File))
    }
}

/// Whether a file's name is that of an index.
pub(crate) fn is_index_name(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|suffix| suffix == SUFFIX)
}

/// The index file of the segment that starts with a record.
fn path(dir: &Path, first_sequence: Sequence) -> PathBuf {
    crate::segment::path(dir, first_sequence).with_extension(SUFFIX)
}

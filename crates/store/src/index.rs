//! Finding a record by a transfer's id: one sorted file per sealed segment, rebuilt from the
//! segment whenever it is missing or damaged, and sorted rows in memory for what has no file yet.

mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::IntoBytes;

use self::file::{Index, Loaded};
use crate::error::StoreError;
use crate::format::{Head, IndexHead, IndexPage, IndexRow};
use crate::identity::create_file;
use crate::limits::LOCATION_COUNT_MAX;
use crate::reader::Reader;
use crate::runs::Runs;
use crate::segment::Segment;
use crate::words::{Location, RecordHash, RecordKind, Sequence};

const SUFFIX: &str = "idx";

/// Tells the store which ids a record's payload holds. The answer for the same payload must never
/// change, since it is kept in files.
pub trait Extractor: Send + Sync {
    /// Calls `row(id, signer, index)` for each transfer in the payload; `index` is its place in
    /// the record.
    fn extract(&self, kind: RecordKind, payload: &[u8], row: &mut dyn FnMut([u8; 16], u32, u32));
}

impl Reader {
    /// Finds where transfers of this id and signer are, newest first and at most 64 of them,
    /// among the durable records. Sealed segments answer from their index file, the last segment
    /// and those without a file from rows in memory, a sixth of the segment's size: call
    /// [`Reader::index_sealed`] now and then to let them go.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and [`StoreError::Io`] when a record cannot be read.
    pub fn find(
        &self,
        id: [u8; 16],
        signer: u32,
        extractor: &dyn Extractor,
    ) -> Result<Vec<Location>, StoreError> {
        self.find_while(id, signer, extractor, &|| true)
    }

    /// As [`Reader::find`], for as long as `wanted` says so: it is asked before each segment, and
    /// before each record that has to be read first.
    ///
    /// # Errors
    /// As [`Reader::find`], and [`StoreError::Unwanted`].
    pub fn find_while(
        &self,
        id: [u8; 16],
        signer: u32,
        extractor: &dyn Extractor,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Vec<Location>, StoreError> {
        let durable = self.durable();
        let mut found = Vec::new();
        let segments = self.shared.segments();
        for (index, segment) in segments.iter().enumerate().rev() {
            if segment.first_sequence > durable {
                continue;
            }
            if !wanted() {
                return Err(StoreError::Unwanted);
            }
            let last_hash = segments.get(index + 1).map(|following| following.previous);
            let indexed = match last_hash {
                Some(last_hash) => self.find_in_index(segment, last_hash, (id, signer))?,
                None => None,
            };
            match indexed {
                Some(locations) => found.extend(locations),
                None => {
                    let mut runs = segment.runs();
                    self.take_in(segment, &mut runs, extractor, wanted)?;
                    found.extend(runs.find((id, signer)));
                }
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
        let _one_builder = self.shared.index_building.lock();
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
                // Look-ups went on from memory meanwhile; from here on they use the new file.
                *segment.index.lock() = IndexSlot::Unknown;
                built_count += 1;
            }
            // A look-up that began before the file was there may fill the rows again after it.
            *segment.runs() = Runs::default();
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
            // Removed, cut or changed since it was loaded: the log answers instead.
            Err(error) if is_of_lost_file(&error) => {
                self.give_up_index(segment, &index);
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// Uses an index no more, so that it is built again.
    fn give_up_index(&self, segment: &Segment, index: &Arc<Index>) {
        let mut slot = segment.index.lock();
        // Not the file that took its place meanwhile.
        if matches!(&*slot, IndexSlot::Loaded(loaded) if Arc::ptr_eq(loaded, index)) {
            *slot = IndexSlot::Absent;
            self.shared.metrics.indexes_damaged.add(1);
        }
    }

    /// The segment's index if there is a whole one; a bad one is judged once, not each time.
    fn index_of(
        &self,
        segment: &Segment,
        last_hash: RecordHash,
    ) -> Result<Option<Arc<Index>>, StoreError> {
        let mut slot = segment.index.lock();
        if let IndexSlot::Unknown = *slot {
            let path = path(&self.shared.dir, segment.first_sequence);
            *slot = match Index::load(&self.shared.io, &path, segment.number, last_hash)? {
                Loaded::Whole(index) => IndexSlot::Loaded(Arc::new(index)),
                Loaded::Missing => IndexSlot::Absent,
                Loaded::Damaged => {
                    self.shared.metrics.indexes_damaged.add(1);
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
        let first = segment.first_sequence.0;
        for sequence in (first..first + segment.record_count()).map(Sequence) {
            self.rows_of(segment, sequence, extractor, &mut rows)?;
        }
        rows.sort_unstable_by_key(IndexRow::sort_key);
        let pages = IndexPage::all(&rows, last_hash);
        let head = IndexHead::new(segment.number, last_hash, rows.len(), &pages).seal();
        let path = path(&self.shared.dir, segment.first_sequence);
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("an ASCII name");
        create_file(
            &self.shared.io,
            &self.shared.dir,
            name,
            &[&head, pages.as_bytes()],
        )?;
        self.shared.metrics.indexes_built.add(1);
        Ok(())
    }

    /// Sorts in the rows of durable records that came since the last look-up.
    fn take_in(
        &self,
        segment: &Segment,
        runs: &mut Runs,
        extractor: &dyn Extractor,
        wanted: &dyn Fn() -> bool,
    ) -> Result<(), StoreError> {
        let durable = self.durable();
        let last = Sequence(segment.first_sequence.0 + segment.record_count() - 1).min(durable);
        let first = segment.first_sequence.0 + runs.record_count();
        let mut rows = Vec::new();
        let mut result = Ok(());
        for sequence in (first..=last.0).map(Sequence) {
            result = match wanted() {
                true => self.rows_of(segment, sequence, extractor, &mut rows),
                false => Err(StoreError::Unwanted),
            };
            if result.is_err() {
                break;
            }
            runs.count_record();
        }
        // What was read before an error need not be read again.
        runs.push(rows);
        result
    }

    /// The rows of one durable record.
    fn rows_of(
        &self,
        segment: &Segment,
        sequence: Sequence,
        extractor: &dyn Extractor,
        rows: &mut Vec<IndexRow>,
    ) -> Result<(), StoreError> {
        let record = segment
            .read(sequence)
            .inspect_err(|error| self.count(error))?;
        extractor.extract(record.kind, &record.payload, &mut |id, signer, index| {
            rows.push(IndexRow {
                id,
                signer: signer.into(),
                position: index.into(),
                sequence: record.sequence.0.into(),
            });
        });
        Ok(())
    }
}

/// What is known about a segment's index file.
#[derive(Debug, Default)]
pub(crate) enum IndexSlot {
    /// Not looked at yet.
    #[default]
    Unknown,
    /// Missing, or damaged when loaded or since: rows in memory answer until an index is built.
    Absent,
    /// Whole when it was loaded.
    Loaded(Arc<Index>),
}

/// Whether an index file is not what it was when it was loaded; other errors of the disk say
/// nothing about it.
fn is_of_lost_file(error: &StoreError) -> bool {
    match error {
        StoreError::Corrupt { .. } => true,
        StoreError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::config::StoreOptions;
    use crate::io::BlockIo;
    use crate::testing::MemoryIo;
    use crate::writer::{Store, Writer};

    /// The payload is one id.
    struct OneId;

    impl Extractor for OneId {
        fn extract(&self, _: RecordKind, payload: &[u8], row: &mut dyn FnMut([u8; 16], u32, u32)) {
            row(payload[..16].try_into().expect("16 bytes"), 1, 0);
        }
    }

    fn append(writer: &mut Writer, count: usize) {
        for _ in 0..count {
            let appended = writer.append(RecordKind::Batch, [0; 32], &[&[7; 1000]]);
            appended.expect("memory does not fail");
        }
        writer.commit().expect("memory does not fail");
    }

    #[test]
    fn a_look_up_that_overlaps_the_building_of_an_index_leaves_no_rows_behind() {
        let mut options = StoreOptions::new("/data", [1; 32]);
        options.segment_bytes = 8192;
        let io: Arc<dyn BlockIo> = Arc::new(MemoryIo::new());
        let (mut writer, reader, _) = Store::open(io, options).expect("a new store");
        append(&mut writer, 2);
        let writer = Cell::new(Some(writer));
        // Asked before the first segment: it is sealed and indexed before the look-up reads it.
        let wanted = || {
            if let Some(mut writer) = writer.take() {
                append(&mut writer, 3);
                assert_eq!(reader.index_sealed(&OneId).expect("memory"), 1);
            }
            true
        };
        let found = reader.find_while([7; 16], 1, &OneId, &wanted);
        assert!(!found.expect("memory").is_empty());
        let rows = || reader.shared.segments()[0].runs().record_count();
        assert!(rows() > 0, "the look-up went on from memory");
        assert_eq!(reader.index_sealed(&OneId).expect("memory"), 0);
        assert_eq!(rows(), 0);
        assert_eq!(reader.find([7; 16], 1, &OneId).expect("memory").len(), 5);
    }
}

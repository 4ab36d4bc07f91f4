//! The places of one segment's blocks: built from its records, kept in a file beside it.

use std::path::{Path, PathBuf};

use clearway_types::final_record::FinalRecord;
use clearway_types::manifest::Manifest;
use clearway_types::units::{Digest, Height, TimeMs};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::blocks::open::Open;
use crate::blocks::{BatchPlace, BlockPlace};
use crate::error::{At, Damage, StoreError};
use crate::format::{BatchRow, BlockRow, BlocksHead, HEAD_BYTES, Head, OpenRow, to_usize};
use crate::history::HistoryError;
use crate::identity::create_file;
use crate::io::{Access, read_exact_at};
use crate::reader::Reader;
use crate::segment::{Segment, Step};
use crate::words::{RecordHash, RecordKind, Sequence};

const SUFFIX: &str = "blk";

/// Where the final blocks of one segment lie, which batches they ordered, and what waited at the
/// segment's end.
#[derive(Debug)]
pub(crate) struct Rows {
    /// Height of the first block; of the next one where there is none.
    first: Height,
    blocks: Vec<BlockRow>,
    batches: Vec<BatchRow>,
    open: Vec<OpenRow>,
}

impl Rows {
    /// Walks a segment's records up to `end`; `open` is what waited before the first one and
    /// `first` the height that comes next.
    pub(crate) fn build(
        reader: &Reader,
        segment: &Segment,
        end: Sequence,
        mut open: Open,
        first: Height,
    ) -> Result<(Self, Open), HistoryError> {
        segment.view.check_length()?;
        let mut rows = Self {
            first,
            blocks: Vec::new(),
            batches: Vec::new(),
            open: Vec::new(),
        };
        let mut cursor = segment.start();
        while cursor.next <= end {
            let offset = cursor.offset;
            let header = match segment.step(&mut cursor, false)? {
                Step::Record(header) => header,
                Step::End => {
                    let expected = cursor.next;
                    let damage = Damage::EndsEarly { expected };
                    return Err(segment.view.corrupt(offset, damage).into());
                }
                Step::Damaged { offset, damage } => {
                    return Err(segment.view.corrupt(offset, damage).into());
                }
            };
            let (sequence, digest) = (header.sequence(), Digest(header.digest()));
            let decode = |source| HistoryError::Decode { sequence, source };
            match header.kind() {
                RecordKind::Batch => open.on_batch(digest, sequence),
                RecordKind::Manifest => {
                    let payload = segment.payload(&header, offset)?;
                    let manifest = Manifest::decode(&payload).map_err(decode)?;
                    open.on_manifest(digest, manifest.height, sequence);
                }
                RecordKind::Final => {
                    let payload = segment.payload(&header, offset)?;
                    let named = FinalRecord::decode_name(&payload).map_err(decode)?;
                    rows.push(reader, &mut open, named, sequence)?;
                }
            }
        }
        rows.batches.sort_unstable_by_key(|row| row.sequence.get());
        rows.open = open.rows();
        Ok((rows, open))
    }

    fn push(
        &mut self,
        reader: &Reader,
        open: &mut Open,
        (height, digest): (Height, Digest),
        sequence: Sequence,
    ) -> Result<(), HistoryError> {
        if height != self.end() {
            return Err(HistoryError::Order {
                previous: Height(self.end().0 - 1),
                found: height,
            });
        }
        let what = "manifest";
        let missing = HistoryError::Missing {
            height,
            what,
            digest,
        };
        let Some(at) = open.manifest(&digest) else {
            return Err(missing);
        };
        let record = reader.get(at)?.ok_or(missing)?;
        let decode = |source| HistoryError::Decode {
            sequence: at,
            source,
        };
        let manifest = Manifest::decode(&record.payload).map_err(decode)?;
        let (place, batches) = open.on_final(&manifest, digest, sequence)?;
        self.blocks.push(BlockRow {
            time_ms: place.time.0.into(),
            low: place.low.0.into(),
            sequence: place.sequence.0.into(),
        });
        self.batches.extend(batches.iter().map(|place| BatchRow {
            sequence: place.record.0.into(),
            height: place.height.0.into(),
            first_index: place.first_index.into(),
            count: place.count.into(),
        }));
        Ok(())
    }

    /// Height after the last block in the segment.
    pub(crate) fn end(&self) -> Height {
        Height(self.first.0 + self.blocks.len() as u64)
    }

    /// What waited at the segment's end.
    pub(crate) fn open(&self) -> Open {
        Open::of_rows(&self.open)
    }

    /// Whether a record still waited at the segment's end.
    pub(crate) fn is_open(&self, record: Sequence) -> bool {
        let found = self
            .open
            .binary_search_by_key(&record.0, |row| row.sequence.get());
        found.is_ok()
    }

    /// The block at a height.
    pub(crate) fn block(&self, height: Height) -> Option<BlockPlace> {
        let index = to_usize(height.0.checked_sub(self.first.0)?);
        let row = self.blocks.get(index)?;
        Some(BlockPlace {
            height,
            time: TimeMs(row.time_ms.get()),
            low: Sequence(row.low.get()),
            sequence: Sequence(row.sequence.get()),
        })
    }

    /// Every block, in height order.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = BlockPlace> {
        let heights = (self.first.0..self.end().0).map(Height);
        heights.filter_map(|height| self.block(height))
    }

    /// The block that ordered the batch in a record.
    pub(crate) fn batch(&self, record: Sequence) -> Option<BatchPlace> {
        let found = self
            .batches
            .binary_search_by_key(&record.0, |row| row.sequence.get());
        found.ok().map(|index| place(&self.batches[index]))
    }

    /// Every batch that a block here ordered.
    pub(crate) fn batches(&self) -> impl Iterator<Item = BatchPlace> {
        self.batches.iter().map(place)
    }

    /// Memory that the rows take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.blocks) + size_of_val(&*self.batches) + size_of_val(&*self.open)
    }

    /// Writes the file of a sealed segment whose last record has this hash.
    pub(crate) fn save(
        &self,
        reader: &Reader,
        segment: &Segment,
        last_hash: RecordHash,
    ) -> Result<(), StoreError> {
        let parts = [
            self.blocks.as_bytes(),
            self.batches.as_bytes(),
            self.open.as_bytes(),
        ];
        let counts = [self.blocks.len(), self.batches.len(), self.open.len()];
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        let hash = *hasher.finalize().as_bytes();
        let head = BlocksHead::new(segment.number, last_hash, self.first.0, counts, hash).seal();
        let path = path(&reader.shared.dir, segment.first_sequence);
        let name = path.file_name().and_then(|name| name.to_str());
        let [blocks, batches, open] = parts;
        create_file(
            &reader.shared.io,
            &reader.shared.dir,
            name.expect("an ASCII name"),
            &[&head, blocks, batches, open],
        )
    }

    /// Reads the file of a sealed segment; `None` when there is no whole one.
    pub(crate) fn load(
        reader: &Reader,
        segment: &Segment,
        last_hash: RecordHash,
    ) -> Result<Option<Self>, StoreError> {
        let Some(head) = Cover::load(reader, segment, last_hash)? else {
            return Ok(None);
        };
        let path = path(&reader.shared.dir, segment.first_sequence);
        let mut bytes = vec![0; to_usize(head.file_bytes) - HEAD_BYTES];
        let file = reader.shared.io.open(&path, Access::Read);
        let file = file.at("open", &path)?;
        read_exact_at(file.as_ref(), HEAD_BYTES as u64, &mut bytes).at("pread", &path)?;
        if *blake3::hash(&bytes).as_bytes() != head.rows_hash {
            return Ok(None);
        }
        let (blocks, rest) = rows(&bytes, head.counts[0]);
        let (batches, rest) = rows(rest, head.counts[1]);
        let (open, _) = rows(rest, head.counts[2]);
        let rows = Self {
            first: head.first,
            blocks,
            batches,
            open,
        };
        Ok(Some(rows))
    }
}

/// What the head of a file says that it covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cover {
    /// Height of the first block, or of the next one where there is none.
    pub(crate) first: Height,
    /// Height after the last block.
    pub(crate) end: Height,
    file_bytes: u64,
    counts: [usize; 3],
    rows_hash: [u8; 32],
}

impl Cover {
    /// Reads the head of a segment's file; `None` when there is none, or none of this segment.
    pub(crate) fn load(
        reader: &Reader,
        segment: &Segment,
        last_hash: RecordHash,
    ) -> Result<Option<Self>, StoreError> {
        let (io, path) = (
            &reader.shared.io,
            path(&reader.shared.dir, segment.first_sequence),
        );
        let len_bytes = match io.len_bytes(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            len_bytes => len_bytes.at("stat", &path)?,
        };
        if len_bytes < HEAD_BYTES as u64 {
            return Ok(None);
        }
        let mut image = [0; HEAD_BYTES];
        let file = io.open(&path, Access::Read).at("open", &path)?;
        read_exact_at(file.as_ref(), 0, &mut image).at("pread", &path)?;
        // A file of another version is built anew: it only repeats what the log says.
        let Ok(head) = BlocksHead::parse(&image) else {
            return Ok(None);
        };
        let (first, count) = (head.first_height.get(), head.block_count.get());
        let end = first.checked_add(count);
        let (true, Some(end)) = (head.file_bytes() == Some(len_bytes), end) else {
            return Ok(None);
        };
        if !head.belongs_to(segment.number, last_hash) {
            return Ok(None);
        }
        let counts = [head.block_count, head.batch_count, head.open_count];
        Ok(Some(Self {
            first: Height(first),
            end: Height(end),
            file_bytes: len_bytes,
            counts: counts.map(|count| to_usize(count.get())),
            rows_hash: head.rows_hash,
        }))
    }
}

/// The first `count` rows, and what follows them. The head's lengths were checked.
fn rows<R: FromBytes + Immutable + KnownLayout + Copy>(
    bytes: &[u8],
    count: usize,
) -> (Vec<R>, &[u8]) {
    let (rows, rest) = bytes.split_at(count * size_of::<R>());
    let rows = rows.chunks_exact(size_of::<R>());
    let read = |row: &[u8]| R::read_from_bytes(row).expect("the length is the type's");
    (rows.map(read).collect(), rest)
}

fn place(row: &BatchRow) -> BatchPlace {
    BatchPlace {
        record: Sequence(row.sequence.get()),
        height: Height(row.height.get()),
        first_index: row.first_index.get(),
        count: row.count.get(),
    }
}

/// Whether a file's name is that of block places.
pub(crate) fn is_blocks_name(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|suffix| suffix == SUFFIX)
}

/// The file of the segment that starts with a record.
fn path(dir: &Path, first_sequence: Sequence) -> PathBuf {
    crate::segment::path(dir, first_sequence).with_extension(SUFFIX)
}

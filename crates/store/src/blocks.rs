//! Where every final block since genesis lies, and which block ordered a batch: files beside the
//! sealed segments, memory for the rest. What is missing or damaged is built again from the log.

mod file;
mod open;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use clearway_types::manifest::Manifest;
use clearway_types::units::{Digest, Height, TimeMs};
use parking_lot::{Mutex, MutexGuard};

use crate::blocks::file::{Cover, Rows};
use crate::blocks::open::Open;
use crate::error::StoreError;
use crate::format::to_usize;
use crate::history::{History, HistoryError, StoredBlock};
use crate::limits::BLOCK_ROWS_BYTES_KEPT;
use crate::reader::Reader;
use crate::segment::Segment;
use crate::words::{RecordHash, Sequence};

pub(crate) use file::is_blocks_name;

/// Where a final block lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockPlace {
    /// The block.
    pub height: Height,
    /// Its time.
    pub time: TimeMs,
    /// No record below this one is needed to read this block or a later one.
    pub low: Sequence,
    /// The record of its certificate and results.
    pub sequence: Sequence,
}

/// Which block ordered a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchPlace {
    /// The batch's record.
    pub record: Sequence,
    /// The block.
    pub height: Height,
    /// Place of the batch's first envelope in the block's results.
    pub first_index: u32,
    /// Envelopes in the batch.
    pub count: u32,
}

/// Places of blocks and batches, complete from genesis to the last final record it was told of.
///
/// Memory: 8 bytes a sealed segment, 24 a block and 24 a batch of the segments that have no file
/// yet (the active one, as a rule), and the places of a few segments that were asked for lately.
/// Time: a question reads one file, or builds it from its segment when it is not whole.
#[derive(Debug)]
pub struct BlockIndex {
    reader: Reader,
    state: Mutex<State>,
    files: Mutex<Files>,
}

#[derive(Debug)]
struct State {
    /// For each of the first segments, all of which have files: the height after its last block.
    saved: Vec<Height>,
    /// Blocks of the segments after them, without gaps.
    blocks: VecDeque<BlockPlace>,
    /// Batches that these blocks ordered, wherever they lie.
    batches: BTreeMap<Sequence, BatchPlace>,
    open: Open,
    /// Height of the next final block.
    next: Height,
}

/// Files that were read lately, the newest last.
#[derive(Debug, Default)]
struct Files {
    kept: VecDeque<(usize, Arc<Rows>)>,
}

impl BlockIndex {
    /// Reads what the files cover and walks the rest of the log; writes the files of sealed
    /// segments that lack one. A file that cannot be written is left for later.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn open(reader: &Reader) -> Result<Self, HistoryError> {
        let index = Self {
            reader: reader.clone(),
            state: Mutex::new(State {
                saved: Vec::new(),
                blocks: VecDeque::new(),
                batches: BTreeMap::new(),
                open: Open::default(),
                next: Height(1),
            }),
            files: Mutex::default(),
        };
        let segments = reader.shared.segments();
        // What waits at the end of the segments passed so far, where that is known.
        let mut waiting = Some(Open::default());
        for (number, segment) in segments.iter().enumerate() {
            let sealed = index.sealed(&segments, number);
            let (next, all_saved) = index.covered(number);
            if let (true, Some(last_hash)) = (all_saved, sealed)
                && let Some(cover) = Cover::load(reader, segment, last_hash)?
                && cover.first == next
            {
                index.state().pass(cover.end);
                waiting = None;
                continue;
            }
            let open = match waiting.take() {
                Some(open) => open,
                None => index.rows(number - 1)?.open(),
            };
            let end = index.end_of(&segments, number);
            let (rows, open) = Rows::build(reader, segment, end, open, next)?;
            if let (true, Some(last_hash)) = (all_saved, sealed)
                && index.save(&rows, segment, last_hash).is_ok()
            {
                index.state().pass(rows.end());
            } else {
                index.state().keep(&rows);
            }
            waiting = Some(open);
        }
        let open = match waiting {
            Some(open) => open,
            None => index.rows(segments.len() - 1)?.open(),
        };
        index.state().open = open;
        Ok(index)
    }

    /// A batch is durable.
    pub fn on_batch(&self, digest: Digest, sequence: Sequence) {
        self.state().open.on_batch(digest, sequence);
    }

    /// A manifest is durable.
    pub fn on_manifest(&self, digest: Digest, height: Height, sequence: Sequence) {
        self.state().open.on_manifest(digest, height, sequence);
    }

    /// A block's certificate and results are durable, as its manifest and batches have been.
    ///
    /// # Errors
    /// A block that does not follow the one before it, or names what is not in the log.
    pub fn on_final(
        &self,
        manifest: &Manifest,
        digest: Digest,
        sequence: Sequence,
    ) -> Result<(), HistoryError> {
        let mut state = self.state();
        if manifest.height != state.next {
            return Err(HistoryError::Order {
                previous: Height(state.next.0 - 1),
                found: manifest.height,
            });
        }
        let (place, batches) = state.open.on_final(manifest, digest, sequence)?;
        state.next = manifest.height.next();
        state.blocks.push_back(place);
        let batches = batches.into_iter().map(|place| (place.record, place));
        state.batches.extend(batches);
        Ok(())
    }

    /// Height of the last block; 0 before the first.
    #[must_use]
    pub fn height(&self) -> Height {
        Height(self.state().next.0 - 1)
    }

    /// Where the block at a height lies; `None` for heights that are not final here.
    ///
    /// # Errors
    /// When neither its file nor its segment can be read.
    pub fn block(&self, height: Height) -> Result<Option<BlockPlace>, HistoryError> {
        let number = {
            let state = self.state();
            if height.0 == 0 || height >= state.next {
                return Ok(None);
            }
            if let Some(place) = state.block(height) {
                return Ok(Some(place));
            }
            state.saved.partition_point(|end| *end <= height)
        };
        Ok(self.rows(number)?.block(height))
    }

    /// Which block ordered the batch in a record; `None` when none has up to [`Self::height`], or
    /// when a later record of the same batch counts.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub fn batch(&self, record: Sequence) -> Result<Option<BatchPlace>, HistoryError> {
        let saved_count = {
            let state = self.state();
            if let Some(place) = state.batches.get(&record) {
                return Ok(Some(*place));
            }
            state.saved.len()
        };
        let segments = self.reader.shared.segments();
        let following = segments.partition_point(|segment| segment.first_sequence <= record);
        for number in following.saturating_sub(1)..saved_count {
            let rows = self.rows(number)?;
            if let Some(place) = rows.batch(record) {
                return Ok(Some(place));
            }
            if !rows.is_open(record) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// A record from which on the block at `height` and all later ones can be read; for heights
    /// to come, the one from which the last block can be read.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub fn scan_start(&self, height: Height) -> Result<Sequence, HistoryError> {
        let height = height.max(Height(1)).min(self.height());
        Ok(self
            .block(height)?
            .map_or(Sequence::FIRST, |place| place.low))
    }

    /// Final blocks from `height` on, in order and without gaps; the first one given is that of
    /// `height`, if it is final here.
    ///
    /// # Errors
    /// As [`Self::block`]; each block may have its own.
    pub fn history(
        &self,
        height: Height,
    ) -> Result<impl Iterator<Item = Result<StoredBlock, HistoryError>> + use<>, HistoryError> {
        let height = height.max(Height(1));
        let from = self.scan_start(height)?;
        let mut expected = Some(height);
        let blocks = History::new(&self.reader, from, height);
        Ok(blocks.map(move |block| {
            let block = block?;
            let found = block.record.height;
            match expected.take().filter(|expected| *expected != found) {
                Some(expected) => Err(HistoryError::Order {
                    previous: Height(expected.0 - 1),
                    found,
                }),
                None => Ok(block),
            }
        }))
    }

    /// Writes the files of segments that have been sealed since, and lets their places go from
    /// memory; answers how many. Blocks on the disk: call it off the writer's thread.
    ///
    /// # Errors
    /// When a segment cannot be read or a file cannot be written; the places stay in memory then.
    pub fn save_sealed(&self) -> Result<usize, HistoryError> {
        let mut saved_count = 0;
        loop {
            let segments = self.reader.shared.segments();
            let number = self.state().saved.len();
            let Some(last_hash) = self.sealed(&segments, number) else {
                return Ok(saved_count);
            };
            let mut files = self.files.lock();
            let rows = self.build(&mut files, &segments, number)?;
            self.save(&rows, &segments[number], last_hash)?;
            let mut state = self.state();
            if state.next < rows.end() {
                // The segment's last blocks are durable, and about to be told of.
                return Ok(saved_count);
            }
            state.saved.push(rows.end());
            state.forget_before(rows.end());
            saved_count += 1;
        }
    }

    /// Hash of a segment's last record, when it is sealed and all of it is durable.
    fn sealed(&self, segments: &[Arc<Segment>], number: usize) -> Option<RecordHash> {
        let following = segments.get(number + 1)?;
        let durable = self.reader.durable();
        (following.first_sequence <= durable.next()).then_some(following.previous)
    }

    /// The last durable record of a segment.
    fn end_of(&self, segments: &[Arc<Segment>], number: usize) -> Sequence {
        let durable = self.reader.durable();
        segments.get(number + 1).map_or(durable, |following| {
            Sequence(following.first_sequence.0 - 1).min(durable)
        })
    }

    /// The next height after what is known, and whether the first `number` segments have files.
    fn covered(&self, number: usize) -> (Height, bool) {
        let state = self.state();
        (state.next, state.saved.len() == number)
    }

    /// The places of a segment that has, or had, a file.
    fn rows(&self, number: usize) -> Result<Arc<Rows>, HistoryError> {
        let mut files = self.files.lock();
        self.load(&mut files, number)
    }

    fn load(&self, files: &mut Files, number: usize) -> Result<Arc<Rows>, HistoryError> {
        if let Some(rows) = files.find(number) {
            return Ok(rows);
        }
        let segments = self.reader.shared.segments();
        if let Some(rows) = self.load_file(&segments, number)? {
            return Ok(files.keep(number, rows));
        }
        self.reader.metrics().indexes_damaged.add(1);
        let rows = self.build(files, &segments, number)?;
        if let Some(last_hash) = self.sealed(&segments, number) {
            // The places are in memory; that the file cannot be written costs time alone.
            drop(self.save(&rows, &segments[number], last_hash));
        }
        Ok(rows)
    }

    fn load_file(
        &self,
        segments: &[Arc<Segment>],
        number: usize,
    ) -> Result<Option<Rows>, HistoryError> {
        let Some(last_hash) = self.sealed(segments, number) else {
            return Ok(None);
        };
        Ok(Rows::load(&self.reader, &segments[number], last_hash)?)
    }

    /// Builds a segment's places from its records and from what waited before them, going back
    /// over files that are not whole.
    fn build(
        &self,
        files: &mut Files,
        segments: &[Arc<Segment>],
        number: usize,
    ) -> Result<Arc<Rows>, HistoryError> {
        let mut from = number;
        let mut before = (Open::default(), Height(1));
        while from > 0 {
            let rows = match files.find(from - 1) {
                Some(rows) => Some(rows),
                None => self.load_file(segments, from - 1)?.map(Arc::new),
            };
            if let Some(rows) = rows {
                before = (rows.open(), rows.end());
                break;
            }
            from -= 1;
        }
        for at in from..number {
            let end = self.end_of(segments, at);
            let (rows, open) = Rows::build(&self.reader, &segments[at], end, before.0, before.1)?;
            before = (open, rows.end());
        }
        let end = self.end_of(segments, number);
        let (rows, _) = Rows::build(&self.reader, &segments[number], end, before.0, before.1)?;
        Ok(files.keep(number, rows))
    }

    fn save(
        &self,
        rows: &Rows,
        segment: &Segment,
        last_hash: RecordHash,
    ) -> Result<(), StoreError> {
        rows.save(&self.reader, segment, last_hash)?;
        self.reader.metrics().indexes_built.add(1);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Notes a segment whose places its file has.
    fn pass(&mut self, end: Height) {
        self.saved.push(end);
        self.next = end;
    }

    /// Takes in the places of a segment that has no file.
    fn keep(&mut self, rows: &Rows) {
        self.blocks.extend(rows.blocks());
        let batches = rows.batches().map(|place| (place.record, place));
        self.batches.extend(batches);
        self.next = rows.end();
    }

    fn block(&self, height: Height) -> Option<BlockPlace> {
        let first = self.blocks.front()?.height;
        let index = to_usize(height.0.checked_sub(first.0)?);
        self.blocks.get(index).copied()
    }

    /// Lets go what the files tell by now.
    fn forget_before(&mut self, end: Height) {
        while self.blocks.front().is_some_and(|place| place.height < end) {
            self.blocks.pop_front();
        }
        self.batches.retain(|_, place| place.height >= end);
    }
}

impl Files {
    fn find(&mut self, number: usize) -> Option<Arc<Rows>> {
        let at = self.kept.iter().position(|(kept, _)| *kept == number)?;
        let entry = self.kept.remove(at)?;
        let rows = Arc::clone(&entry.1);
        self.kept.push_back(entry);
        Some(rows)
    }

    fn keep(&mut self, number: usize, rows: Rows) -> Arc<Rows> {
        let rows = Arc::new(rows);
        self.kept.retain(|(kept, _)| *kept != number);
        self.kept.push_back((number, Arc::clone(&rows)));
        let bytes = |files: &Self| {
            files
                .kept
                .iter()
                .map(|(_, rows)| rows.bytes())
                .sum::<usize>()
        };
        while self.kept.len() > 1 && bytes(self) > BLOCK_ROWS_BYTES_KEPT {
            self.kept.pop_front();
        }
        rows
    }
}

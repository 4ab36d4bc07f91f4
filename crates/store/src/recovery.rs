//! Opening a directory: who may, what is there, what is whole, and what is cut.
//!
//! Everything is read and judged before the first byte is changed, so a damaged store is left as
//! it was found.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::blocks;
use crate::config::{StoreOptions, VerifyFrom};
use crate::error::{At, Damage, StoreError};
use crate::format::{Mark, genesis_link};
use crate::identity::{self, IDENTITY_NAME};
use crate::index;
use crate::io::{BlockFile, BlockIo, write_all_at, write_zeros_at};
use crate::limits::PAGE_BYTES;
use crate::segment::{self, Cursor, Segment, Step, nonzero};
use crate::tail::{self, Tail};
use crate::watermark::{self, DamagedSlot, Found, WATERMARK_NAME};
use crate::words::{RecordHash, SegmentNumber, Sequence};

/// Name under which the next segment is filled with zeros.
pub(crate) const PREPARED_NAME: &str = "next.prepared";
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// What was found when the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The directory was empty and is now a new store.
    pub fresh: bool,
    /// The newest record; everything up to it is durable.
    pub durable: Sequence,
    /// What the durable watermark said before anything was changed.
    pub watermark: Sequence,
    /// A watermark slot that was torn or damaged; the other one served.
    pub watermark_slot_damaged: Option<DamagedSlot>,
    /// Whole, chained records above the watermark. They are kept: nobody was answered for them,
    /// unless a slot is damaged or the watermark is an old copy.
    pub record_count_kept: u64,
    /// What follows the last whole record and is not zero, before anything was changed. Looked
    /// for when the store is opened for reading alone.
    pub tail: Option<Tail>,
    /// Bytes of a torn tail that were not zero and are now.
    pub bytes_cut: u64,
    /// Segments in the directory.
    pub segment_count: u64,
    /// Records whose payload was checked; headers were checked for all.
    pub record_count_verified: u64,
}

/// A directory as it is, judged.
pub(crate) struct Survey {
    pub(crate) segments: Vec<Segment>,
    pub(crate) found: Found,
    /// Where the next record goes, in the last segment.
    pub(crate) end: Cursor,
    /// The newest record, which may lie in the segment before the last one.
    pub(crate) last: Mark,
    pub(crate) report: Recovery,
    names: Vec<String>,
}

/// Which files of a store a directory has.
#[derive(Clone, Copy)]
struct Present {
    identity: bool,
    watermark: bool,
    segments: bool,
}

impl Present {
    fn of(names: &[String]) -> Self {
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        Self {
            identity: has(IDENTITY_NAME),
            watermark: has(WATERMARK_NAME),
            segments: names.iter().any(|name| segment::parse_name(name).is_some()),
        }
    }

    /// Identity and watermark are made in this order, before the first segment.
    fn check(self, dir: &Path) -> Result<(), StoreError> {
        if !self.identity && (self.watermark || self.segments) {
            return Err(StoreError::IdentityLost {
                path: dir.join(IDENTITY_NAME),
            });
        }
        if !self.watermark && self.segments {
            return Err(StoreError::WatermarkLost {
                path: dir.join(WATERMARK_NAME),
            });
        }
        Ok(())
    }
}

/// Makes identity and watermark of a new directory; of one that has segments, demands them.
pub(crate) fn ensure_identity(
    io: &Arc<dyn BlockIo>,
    options: &StoreOptions,
) -> Result<bool, StoreError> {
    let dir = &options.dir;
    let present = Present::of(&io.list(dir).at("list", dir)?);
    if present.identity {
        identity::check(io, dir, &options.genesis)?;
    }
    present.check(dir)?;
    if !present.identity {
        identity::create(io, dir, options.genesis)?;
    }
    if !present.watermark {
        watermark::create(io, dir, options.genesis, &start_mark(options))?;
    }
    Ok(!present.identity)
}

/// Demands identity and watermark of a directory that is opened for reading alone. Where there is
/// neither, or no more than a writer that has just begun, there is nothing to read.
pub(crate) fn check_is_store(io: &Arc<dyn BlockIo>, dir: &Path) -> Result<(), StoreError> {
    let names = match io.list(dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Vec::new()
        }
        names => names.at("list", dir)?,
    };
    let present = Present::of(&names);
    present.check(dir)?;
    match present.watermark {
        true => Ok(()),
        false => Err(StoreError::NoStore { dir: dir.into() }),
    }
}

/// Reads and judges the whole directory without changing it. With `shared` another process may
/// be writing to the last segment meanwhile.
pub(crate) fn survey(
    io: &Arc<dyn BlockIo>,
    options: &StoreOptions,
    shared: bool,
) -> Result<Survey, StoreError> {
    let dir = &options.dir;
    identity::check(io, dir, &options.genesis)?;
    // Before the names, so that a writer beside us cannot have put the mark into a segment that
    // is not among them.
    let found = match shared {
        true => watermark::read_beside_writer(io, dir, &options.genesis)?,
        false => watermark::read(io, dir, &options.genesis)?,
    };
    let names = io.list(dir).at("list", dir)?;
    let segments = open_segments(io, options, &names, shared)?;
    check_presence(dir, options, &segments, &found.mark)?;
    let start = start_cursor(options);
    let lost_hash = found.lost.and_then(|lost| lost.hash);
    let mut walk = Walk {
        mark: found.mark,
        verify_from: first_to_verify(options.verify_from, &segments),
        lost_hash,
        lost_slot_placed: lost_hash == Some(start.hash),
        stopped_by: None,
        cursor: start,
        last: start_mark(options),
        report: Recovery {
            watermark: found.mark.sequence,
            segment_count: segments.len() as u64,
            ..Recovery::default()
        },
    };
    walk.all(&segments)?;
    let settled = match segments.last() {
        Some(segment) if shared => walk.settled_tail(segment)?,
        _ => None,
    };
    let lost = match lost_slot(&found, &walk) {
        // A writer that has opened a new store meanwhile has written its second slot by now.
        Some(_) if shared && found.generation == 0 => lost_slot(
            &watermark::read_beside_writer(io, dir, &options.genesis)?,
            &walk,
        ),
        lost => lost,
    };
    let tail = match segments.last() {
        Some(segment) if !shared && lost.is_some() => tail::find(segment, &walk)?,
        _ => settled,
    };
    if let Some(tail) = tail.filter(|_| lost.is_some() && !walk.lost_slot_placed) {
        let segment = segments.last().expect("its tail was found");
        return Err(segment.view.corrupt(tail.offset, Damage::WatermarkUnclear));
    }
    let Walk {
        cursor: end,
        last,
        mut report,
        ..
    } = walk;
    report.durable = last.sequence;
    report.watermark_slot_damaged = lost;
    report.tail = tail;
    Ok(Survey {
        segments,
        found,
        end,
        last,
        report,
        names,
    })
}

fn open_segments(
    io: &Arc<dyn BlockIo>,
    options: &StoreOptions,
    names: &[String],
    shared: bool,
) -> Result<Vec<Segment>, StoreError> {
    let firsts: Vec<_> = names
        .iter()
        .filter_map(|n| segment::parse_name(n))
        .collect();
    let mut segments = Vec::with_capacity(firsts.len());
    for (number, first) in (1..).zip(&firsts) {
        let shared = shared && number == firsts.len() as u64;
        let number = SegmentNumber(number);
        let (dir, genesis) = (&options.dir, &options.genesis);
        segments.push(Segment::open(io, dir, *first, genesis, number, shared)?);
    }
    Ok(segments)
}

/// The slot that is not what was written into it. A store that holds a record has written a second
/// generation, so the slot of that one is not blank.
fn lost_slot(found: &Found, walk: &Walk) -> Option<DamagedSlot> {
    let blank = found.generation == 0 && walk.last.sequence > Sequence::NONE;
    let blank = blank.then_some(DamagedSlot { index: 1 });
    found.lost.map(|lost| lost.slot).or(blank)
}

impl Survey {
    /// Cuts the torn tail of the last segment and makes what was kept durable. `file` is that
    /// segment, open for writing.
    pub(crate) fn repair_tail(
        &mut self,
        io: &Arc<dyn BlockIo>,
        dir: &Path,
        file: &dyn BlockFile,
    ) -> Result<(), StoreError> {
        let last = self
            .segments
            .last()
            .expect("a survey is repaired once it has a segment");
        self.report.bytes_cut = zero_tail(last, file, self.end.offset)?;
        let mark = &self.found.mark;
        let kept_from = if mark.segment == last.number {
            mark.end_offset
        } else {
            PAGE_BYTES
        };
        rewrite(last, file, kept_from, self.end.offset)?;
        file.sync_data().at("fdatasync", last.view.path())?;
        io.sync_dir(dir).at("fsync of the directory", dir)
    }

    /// Removes what a crash left half made.
    pub(crate) fn remove_leftovers(
        &self,
        io: &Arc<dyn BlockIo>,
        dir: &Path,
    ) -> Result<(), StoreError> {
        for name in self.names.iter().filter(|name| is_leftover(name)) {
            let path = dir.join(name);
            io.remove(&path).at("remove", &path)?;
        }
        Ok(())
    }
}

/// Names that only a crash leaves behind; other people's files are none of ours.
fn is_leftover(name: &str) -> bool {
    match name.strip_suffix(TEMPORARY_SUFFIX) {
        None => name == PREPARED_NAME,
        Some(stem) => {
            let of_a_segment = segment::parse_name(stem).is_some()
                || index::is_index_name(stem)
                || blocks::is_blocks_name(stem);
            stem == IDENTITY_NAME || stem == WATERMARK_NAME || of_a_segment
        }
    }
}

/// The place before the first record of a store.
pub(crate) fn start_cursor(options: &StoreOptions) -> Cursor {
    Cursor {
        offset: PAGE_BYTES,
        next: Sequence::FIRST,
        hash: genesis_link(&options.genesis),
    }
}

fn start_mark(options: &StoreOptions) -> Mark {
    Mark {
        sequence: Sequence::NONE,
        segment: SegmentNumber(1),
        end_offset: PAGE_BYTES,
        hash: genesis_link(&options.genesis),
    }
}

/// Whether the segment that the watermark names is there at all.
fn check_presence(
    dir: &Path,
    options: &StoreOptions,
    segments: &[Segment],
    mark: &Mark,
) -> Result<(), StoreError> {
    let missing = |number| StoreError::MissingSegment {
        segment: SegmentNumber(number),
        dir: dir.to_owned(),
    };
    let segment_count = segments.len() as u64;
    if mark.sequence > Sequence::NONE && mark.segment.0 > segment_count {
        return Err(missing(segment_count + 1));
    }
    match segments.first() {
        Some(first) if mark.sequence == Sequence::NONE && *mark != start_mark(options) => {
            Err(first.view.corrupt(PAGE_BYTES, Damage::Watermark))
        }
        _ => Ok(()),
    }
}

fn first_to_verify(verify_from: VerifyFrom, segments: &[Segment]) -> Sequence {
    match verify_from {
        VerifyFrom::Everything => Sequence::FIRST,
        VerifyFrom::Sequence(sequence) => sequence,
        VerifyFrom::LastSegments(count) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let first = segments.len().saturating_sub(count);
            segments
                .get(first)
                .map_or(Sequence(u64::MAX), |segment| segment.first_sequence)
        }
    }
}

pub(crate) struct Walk {
    mark: Mark,
    verify_from: Sequence,
    /// The record hash that a damaged watermark slot holds, and whether a record has it.
    lost_hash: Option<RecordHash>,
    lost_slot_placed: bool,
    /// What ended the log, unless the last segment is full.
    pub(crate) stopped_by: Option<Damage>,
    pub(crate) cursor: Cursor,
    last: Mark,
    report: Recovery,
}

impl Walk {
    fn all(&mut self, segments: &[Segment]) -> Result<(), StoreError> {
        for (index, segment) in segments.iter().enumerate() {
            if segment.first_sequence != self.cursor.next || segment.previous != self.cursor.hash {
                return Err(segment.view.corrupt(0, Damage::SegmentPlace));
            }
            self.cursor = segment.start();
            let following = segments.get(index + 1).map(|next| next.first_sequence);
            self.one(segment, following)?;
        }
        Ok(())
    }

    /// What follows the last whole record of a segment that a writer may be adding to: its new
    /// records must not be taken for a tail. So the walk goes on after each look, until it stands
    /// where it stood before, for the same reason: then all that the look saw lies in the one
    /// record that was not whole yet. Each round moves on, and a segment is bounded.
    fn settled_tail(&mut self, segment: &Segment) -> Result<Option<Tail>, StoreError> {
        loop {
            let before = (self.cursor.offset, self.stopped_by);
            let tail = tail::find(segment, self)?;
            if tail.is_none() {
                return Ok(None);
            }
            self.one(segment, None)?;
            if (self.cursor.offset, self.stopped_by) == before {
                return Ok(tail);
            }
        }
    }

    /// Walks one segment to its end, to a tail that may be cut, or to damage. A segment that has
    /// one after it was synced before that one was made: it holds no tail.
    fn one(&mut self, segment: &Segment, following: Option<Sequence>) -> Result<(), StoreError> {
        while Some(self.cursor.next) != following {
            let above_mark = self.cursor.next > self.mark.sequence;
            let payload = above_mark || self.cursor.next >= self.verify_from;
            let start = self.cursor.offset;
            let (offset, damage) = match segment.step(&mut self.cursor, payload)? {
                Step::Record(header) => {
                    segment.push_offset(start);
                    self.report.record_count_verified += u64::from(payload);
                    self.report.record_count_kept += u64::from(above_mark);
                    self.lost_slot_placed |= self.lost_hash == Some(self.cursor.hash);
                    self.last = Mark {
                        sequence: header.sequence(),
                        segment: segment.number,
                        end_offset: self.cursor.offset,
                        hash: self.cursor.hash,
                    };
                    // The record that the watermark names must be the one it was written for.
                    if self.last.sequence == self.mark.sequence && self.last != self.mark {
                        return Err(segment.view.corrupt(start, Damage::Watermark));
                    }
                    continue;
                }
                Step::End => (
                    start,
                    Damage::EndsEarly {
                        expected: self.cursor.next,
                    },
                ),
                Step::Damaged { offset, damage } => (offset, damage),
            };
            if above_mark && following.is_none() {
                self.stopped_by = Some(damage);
                return Ok(());
            }
            return Err(segment.view.corrupt(offset, damage));
        }
        Ok(())
    }
}

/// Zeroes what is not zero from `from` on: stale bytes must never be taken for records later.
/// Answers how many bytes the tail had.
fn zero_tail(segment: &Segment, file: &dyn BlockFile, from: u64) -> Result<u64, StoreError> {
    let path = segment.view.path();
    let mut tail_end = from;
    segment
        .view
        .for_each_chunk(from, segment.view.len_bytes(), &mut |at, chunk| {
            let Some(used) = nonzero(chunk) else {
                return Ok(());
            };
            tail_end = at + used.end as u64;
            write_zeros_at(file, at + used.start as u64, used.len() as u64).at("pwrite", path)
        })?;
    Ok(tail_end - from)
}

/// Writes kept bytes once more. A sync that failed in an earlier run may have left them in memory
/// marked as written although the disk never took them; only a new write makes them dirty again.
fn rewrite(seg: &Segment, file: &dyn BlockFile, from: u64, end: u64) -> Result<(), StoreError> {
    seg.view.for_each_chunk(from, end, &mut |at, chunk| {
        write_all_at(file, at, &[chunk]).at("pwrite", seg.view.path())
    })
}

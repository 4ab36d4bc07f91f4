//! The one writer: append, commit, roll to the next segment, and stop for good at the first error.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::config::StoreOptions;
use crate::error::{At, StoreError};
use crate::format::{
    Mark, RecordHeader, SegmentHead, ZERO_PADDING, padding_bytes, record_bytes, to_usize,
};
use crate::guard::{self, Home, LogGuard};
use crate::io::{Access, BlockFile, BlockIo, LockGuard, write_all_at, write_zeros_at};
use crate::limits::{BULK_BYTES, PAGE_BYTES, SPARE_BYTES_MAX};
use crate::metrics::StoreMetrics;
use crate::reader::{Reader, Shared};
use crate::recovery::{self, PREPARED_NAME, Recovery};
use crate::segment::{self, Segment};
use crate::view::View;
use crate::watermark::Watermark;
use crate::words::{RecordHash, RecordKind, SegmentNumber, Sequence};
use zerocopy::IntoBytes;

/// The door to a data directory.
#[derive(Debug)]
pub struct Store;

impl Store {
    /// Opens a data directory for writing, or makes it; cuts a torn tail and leaves a damaged
    /// store untouched.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::MissingSegment`], [`StoreError::WatermarkLost`] or
    /// [`StoreError::IdentityLost`] when something durable is not as it was written;
    /// [`StoreError::Locked`], [`StoreError::ForeignGenesis`], [`StoreError::NewerFormat`],
    /// [`StoreError::OlderFormat`] when the directory is not ours to open; [`StoreError::Io`] when
    /// the system fails.
    pub fn open(
        io: Arc<dyn BlockIo>,
        options: StoreOptions,
    ) -> Result<(Writer, Reader, Recovery), StoreError> {
        options.check()?;
        let dir = options.dir.clone();
        io.create_dir(&dir).at("mkdir", &dir)?;
        let lock = crate::identity::lock(&io, &dir)?;
        let fresh = recovery::ensure_identity(&io, &options)?;
        let mut survey = recovery::survey(&io, &options, false)?;
        survey.remove_leftovers(&io, &dir)?;
        let preparer = Preparer::new(Arc::clone(&io), &options);
        let file = match survey.segments.last() {
            Some(last) => {
                let path = last.view.path().to_owned();
                io.open(&path, Access::ReadWrite).at("open", &path)?
            }
            None => {
                let end = &survey.end;
                let (file, first) = preparer.create(SegmentNumber(1), end.next, end.hash)?;
                survey.segments.push(first);
                file
            }
        };
        survey.repair_tail(&io, &dir, file.as_ref())?;
        let mut watermark = Watermark::open(&io, &dir, options.genesis, &survey.found)?;
        let mark = survey.last;
        watermark.advance(&mark)?;
        let segment_count = survey.segments.len() as u64;
        let report = Recovery {
            fresh,
            segment_count,
            ..survey.report
        };
        let shared = Arc::new(Shared::new(io, &options, survey.segments, &mark));
        let home = Home::new(shared.last_segment(), Arc::clone(&file), survey.end.offset);
        let writer = Writer {
            active: Active {
                segment: shared.last_segment(),
                file,
                end: survey.end.offset,
            },
            home: Arc::new(Mutex::new(home)),
            last: mark,
            durable: mark.sequence,
            watermark: Arc::new(Mutex::new(Some(watermark))),
            preparer,
            poison: None,
            payload_bytes_max: options.payload_bytes_max(),
            shared: Arc::clone(&shared),
            _lock: lock,
        };
        Ok((writer, Reader::new(shared), report))
    }

    /// Opens a directory for reading alone: takes no lock, changes nothing, and sees the same
    /// records that opening it for writing would keep: up to the watermark of this moment, and
    /// those above it that are whole and chained. The report says how many lie above, which slot
    /// of the watermark is damaged, and what follows the last record. Good for replay and
    /// inspection, beside a running node or on a copy.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::NoStore`] where there is nothing to read.
    pub fn open_read_only(
        io: Arc<dyn BlockIo>,
        options: StoreOptions,
    ) -> Result<(Reader, Recovery), StoreError> {
        recovery::check_is_store(&io, &options.dir)?;
        let survey = recovery::survey(&io, &options, true)?;
        let shared = Shared::new(io, &options, survey.segments, &survey.last);
        Ok((Reader::new(Arc::new(shared)), survey.report))
    }
}

/// Appends records. There is one per directory, it may move between threads, and after the first
/// failed write or sync it answers nothing but [`StoreError::Poisoned`].
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    active: Active,
    home: Arc<Mutex<Home>>,
    /// The end of what was appended.
    last: Mark,
    durable: Sequence,
    /// Nothing once the writer is poisoned or gone: nobody writes to the file then.
    watermark: Arc<Mutex<Option<Watermark>>>,
    preparer: Preparer,
    poison: Option<Poison>,
    payload_bytes_max: u64,
    _lock: Box<dyn LockGuard>,
}

#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    file: Arc<dyn BlockFile>,
    /// Where the next record goes.
    end: u64,
}

#[derive(Clone, Debug)]
struct Poison {
    operation: &'static str,
    path: PathBuf,
    reason: io::ErrorKind,
    os_code: Option<i32>,
}

impl Writer {
    /// Writes one record: `parts` one after the other, under the caller's `digest` of them. It is
    /// neither durable nor visible to readers before [`Writer::commit`].
    ///
    /// # Errors
    /// [`StoreError::RecordOversize`] and [`StoreError::DiskFull`] leave the writer usable and
    /// wrote nothing; any other error poisons it.
    pub fn append(
        &mut self,
        kind: RecordKind,
        digest: [u8; 32],
        parts: &[&[u8]],
    ) -> Result<Sequence, StoreError> {
        self.check_poison()?;
        let payload_bytes = self.check_size(parts)?;
        let needed = record_bytes(payload_bytes.into());
        let is_full = self.active.end + needed > self.active.segment.view.len_bytes();
        if is_full || self.home.lock().is_lost {
            self.roll(needed)?;
        }
        let sequence = self.last.sequence.next();
        let mut crc = crc32fast::Hasher::new();
        parts.iter().for_each(|part| crc.update(part));
        let crc = crc.finalize();
        let header = RecordHeader::new(kind, sequence, self.last.hash, digest, payload_bytes, crc);
        let padding = &ZERO_PADDING[..to_usize(padding_bytes(payload_bytes.into()))];
        let mut slices = Vec::with_capacity(parts.len() + 2);
        slices.push(header.as_bytes());
        slices.extend_from_slice(parts);
        slices.push(padding);
        let start = self.active.end;
        let written = write_all_at(self.active.file.as_ref(), start, &slices);
        let written = written.at("pwrite", self.active.segment.view.path());
        self.guard(written)?;
        self.active.segment.push_offset(start);
        self.active.end = start + needed;
        self.last = Mark {
            sequence,
            segment: self.active.segment.number,
            end_offset: self.active.end,
            hash: header.hash(),
        };
        self.metrics().records.add(1);
        self.metrics().payload_bytes.add(payload_bytes.into());
        self.metrics().written_bytes.add(needed);
        Ok(sequence)
    }

    /// Makes everything appended so far durable and visible, and answers its last sequence. Two
    /// syncs: the records, then the watermark that names them.
    ///
    /// # Errors
    /// Any error poisons the writer: what was appended since the last commit may or may not be
    /// there after a restart.
    pub fn commit(&mut self) -> Result<Sequence, StoreError> {
        self.check_poison()?;
        if self.durable == self.last.sequence {
            return Ok(self.durable);
        }
        let started = self.shared.io.monotonic_ns();
        // An earlier segment of this group was synced when it was left, see `roll`.
        let synced = self.active.file.sync_data();
        let synced = synced.at("fdatasync", self.active.segment.view.path());
        self.guard(synced)?;
        // What was appended before the file was found to have lost its name is in it alone.
        let place = (&self.shared.io, self.shared.dir.as_path());
        let copied = self.home.lock().on_synced(self.active.end, place);
        self.guard(copied)?;
        let advanced = match self.watermark.lock().as_mut() {
            Some(watermark) => watermark.advance(&self.last),
            None => unreachable!("a writer that is not poisoned has its watermark"),
        };
        self.guard(advanced)?;
        let elapsed = self.shared.io.monotonic_ns().saturating_sub(started);
        self.active.segment.view.set_stable(self.active.end);
        self.durable = self.last.sequence;
        self.shared.publish(self.durable);
        let metrics = self.metrics();
        metrics.sync.record(Duration::from_nanos(elapsed));
        Ok(self.durable)
    }

    /// The newest durable record.
    pub fn durable(&self) -> Sequence {
        self.durable
    }

    /// The newest appended record, durable or not.
    pub fn appended(&self) -> Sequence {
        self.last.sequence
    }

    /// How much of the active segment's room for records is used.
    pub fn segment_fill_percent(&self) -> u64 {
        let room_bytes = self.active.segment.view.len_bytes() - PAGE_BYTES;
        (self.active.end - PAGE_BYTES) * 100 / room_bytes
    }

    /// Hash of the newest appended record; the genesis link in an empty store.
    pub fn last_hash(&self) -> RecordHash {
        self.last.hash
    }

    /// Counters of this store.
    pub fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.shared.metrics
    }

    /// A handle that zero-fills the next segment ahead of need, from any thread.
    pub fn preparer(&self) -> Preparer {
        self.preparer.clone()
    }

    /// A handle that looks after the log's files, from any thread.
    pub fn log_guard(&self) -> LogGuard {
        LogGuard {
            shared: Arc::clone(&self.shared),
            genesis: self.preparer.genesis,
            watermark: Arc::clone(&self.watermark),
            home: Arc::clone(&self.home),
        }
    }

    /// Zero-fills the next segment now, on this thread, unless one is ready; true if it did.
    ///
    /// # Errors
    /// As [`Preparer::prepare_next`]; the writer stays usable.
    pub fn prepare_next(&self) -> Result<bool, StoreError> {
        self.check_poison()?;
        let prepared = self.preparer.prepare_next();
        if matches!(prepared, Err(StoreError::DiskFull { .. })) {
            self.metrics().disk_full.add(1);
        }
        prepared
    }

    fn check_poison(&self) -> Result<(), StoreError> {
        match &self.poison {
            None => Ok(()),
            Some(Poison {
                operation,
                path,
                reason,
                os_code,
            }) => Err(StoreError::Poisoned {
                operation,
                path: path.clone(),
                reason: *reason,
                os_code: *os_code,
            }),
        }
    }

    /// Remembers a failed call for good: what the disk holds is not known any more.
    fn guard<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        let poison = match &result {
            Err(StoreError::Io {
                operation,
                path,
                source,
            }) => Poison {
                operation,
                path: path.clone(),
                reason: source.kind(),
                os_code: source.raw_os_error(),
            },
            Err(StoreError::SegmentRuined { path } | StoreError::LogExchanged { dir: path }) => {
                Poison {
                    operation: "pread",
                    path: path.clone(),
                    reason: io::ErrorKind::InvalidData,
                    os_code: None,
                }
            }
            _ => return result,
        };
        self.metrics().write_failures.add(1);
        self.let_go();
        self.poison = Some(poison);
        result
    }

    /// From here on nobody looks after the files, which may be somebody else's.
    fn let_go(&self) {
        self.home.lock().active = None;
        *self.watermark.lock() = None;
    }

    fn check_size(&self, parts: &[&[u8]]) -> Result<u32, StoreError> {
        let payload_bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let payload_bytes_max = self.payload_bytes_max;
        if payload_bytes > payload_bytes_max {
            return Err(StoreError::RecordOversize {
                payload_bytes,
                payload_bytes_max,
            });
        }
        Ok(u32::try_from(payload_bytes).expect("the limit is far below 4 GiB"))
    }

    /// Leaves the active segment for the next one. The old one is synced before the new one gets
    /// its name, so a segment that has a successor is known to be whole.
    fn roll(&mut self, needed: u64) -> Result<(), StoreError> {
        assert!(
            PAGE_BYTES + needed <= self.preparer.segment_bytes,
            "check_size bounds a record"
        );
        let (io, dir) = (&self.shared.io, &self.shared.dir);
        let copied = self.home.lock().copy_lost(io, dir);
        let prepared = copied
            .and_then(|()| self.preparer.drop_nameless())
            .and_then(|()| self.preparer.prepare_next());
        match prepared.map_err(|error| self.preparer.full(error)) {
            Ok(late) => self.metrics().segments_unprepared.add(u64::from(late)),
            Err(error @ StoreError::DiskFull { .. }) => {
                self.metrics().disk_full.add(1);
                return Err(error);
            }
            Err(error) => return self.guard(Err(error)),
        }
        // Nothing to sync where the last commit did it already.
        if self.durable < self.last.sequence {
            let path = self.active.segment.view.path();
            let synced = self.active.file.sync_data().at("fdatasync", path);
            self.guard(synced)?;
        }
        self.active.segment.view.set_stable(self.active.end);
        let number = SegmentNumber(self.active.segment.number.0 + 1);
        let created = self
            .preparer
            .create(number, self.last.sequence.next(), self.last.hash);
        let (file, segment) = self.guard(created)?;
        let segment = Arc::new(segment);
        self.shared.push_segment(Arc::clone(&segment));
        // The old segment is whole under its name: copied above, or by the guard since then.
        self.home
            .lock()
            .set_active(Arc::clone(&segment), Arc::clone(&file));
        self.active = Active {
            segment,
            file,
            end: PAGE_BYTES,
        };
        self.metrics().segments_rolled.add(1);
        Ok(())
    }
}

impl Drop for Writer {
    /// A preparer that outlives the writer must not fill a file that the next writer may own.
    fn drop(&mut self) {
        *self.preparer.lock() = Ready::Closed;
        self.let_go();
    }
}

/// How far the next segment is after a piece of work on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prepared {
    /// There was nothing to do: it was ready, or the writer is gone.
    Before,
    /// It is ready now.
    Now,
    /// There is more to do.
    Partly,
}

/// The next segment, as far as it is.
#[derive(Debug)]
enum Ready {
    /// Nothing prepared.
    Nothing,
    /// Zero-filled and synced up to here.
    Filling(Arc<dyn BlockFile>, u64),
    /// Zero-filled and synced.
    Prepared(Arc<dyn BlockFile>),
    /// The writer is gone; the directory may belong to another one.
    Closed,
}

/// Zero-fills the next segment ahead of need, so that the writer never waits for it. Cheap to
/// clone; call it from a thread that may block on the disk.
#[derive(Clone, Debug)]
pub struct Preparer {
    io: Arc<dyn BlockIo>,
    dir: PathBuf,
    genesis: [u8; 32],
    segment_bytes: u64,
    ready: Arc<Mutex<Ready>>,
}

impl Preparer {
    fn new(io: Arc<dyn BlockIo>, options: &StoreOptions) -> Self {
        Self {
            io,
            dir: options.dir.clone(),
            genesis: options.genesis,
            segment_bytes: options.segment_bytes,
            ready: Arc::new(Mutex::new(Ready::Nothing)),
        }
    }

    /// Zero-fills and syncs the next segment, or what is left of it; true if it did. Does nothing
    /// once the writer is gone.
    ///
    /// # Errors
    /// As [`Preparer::prepare_some`].
    pub fn prepare_next(&self) -> Result<bool, StoreError> {
        Ok(self.prepare_up_to(self.segment_bytes)? != Prepared::Before)
    }

    /// Zero-fills and syncs up to [`BULK_BYTES`] of the next segment. A caller with time leaves a
    /// pause between two calls: all at once would keep the writer's syncs waiting.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] when there is no space: the half-made file is removed, it was
    /// never part of the log. [`StoreError::Io`] for anything else.
    pub fn prepare_some(&self) -> Result<Prepared, StoreError> {
        self.prepare_up_to(BULK_BYTES)
    }

    /// Fills at most `bytes_max`, with one sync.
    fn prepare_up_to(&self, bytes_max: u64) -> Result<Prepared, StoreError> {
        let mut ready = self.lock();
        let filled = match std::mem::replace(&mut *ready, Ready::Nothing) {
            Ready::Nothing => self.begin().and_then(|file| self.fill(file, 0, bytes_max)),
            Ready::Filling(file, from) => self.fill(file, from, bytes_max),
            done @ (Ready::Prepared(_) | Ready::Closed) => {
                *ready = done;
                return Ok(Prepared::Before);
            }
        };
        match filled.map_err(|error| self.full(error)) {
            Ok(state) => {
                *ready = state;
                Ok(match *ready {
                    Ready::Filling(..) => Prepared::Partly,
                    _ => Prepared::Now,
                })
            }
            Err(error @ StoreError::DiskFull { .. }) => {
                let path = self.dir.join(PREPARED_NAME);
                match self.io.remove(&path) {
                    Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
                    removed => removed.at("remove", &path)?,
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The error of the system that there is no space, as that of the store.
    fn full(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Io { source, .. } if is_full(&source) => StoreError::DiskFull {
                dir: self.dir.clone(),
                bytes_needed: self.bytes_needed(),
            },
            error => error,
        }
    }

    /// Free bytes without which no segment is begun: filling a disk to its last block takes it from
    /// everybody.
    fn bytes_needed(&self) -> u64 {
        self.segment_bytes + SPARE_BYTES_MAX.min(self.segment_bytes / 4)
    }

    /// Forgets a prepared file that has lost its name.
    fn drop_nameless(&self) -> Result<(), StoreError> {
        let path = self.dir.join(PREPARED_NAME);
        let mut ready = self.lock();
        let is_there = matches!(*ready, Ready::Prepared(_) | Ready::Filling(..));
        if is_there && guard::is_gone(&self.io, &path)? {
            *ready = Ready::Nothing;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock()
    }

    /// An empty file, where there is room for a whole one.
    fn begin(&self) -> Result<Arc<dyn BlockFile>, StoreError> {
        let bytes_needed = self.bytes_needed();
        let free_bytes = self.io.free_bytes(&self.dir).at("statvfs", &self.dir)?;
        if free_bytes < bytes_needed {
            let dir = self.dir.clone();
            return Err(StoreError::DiskFull { dir, bytes_needed });
        }
        let path = self.dir.join(PREPARED_NAME);
        self.io.open(&path, Access::Create).at("create", &path)
    }

    /// Writes zeros from here on, at most `bytes_max`, and syncs them.
    fn fill(
        &self,
        file: Arc<dyn BlockFile>,
        from: u64,
        bytes_max: u64,
    ) -> Result<Ready, StoreError> {
        let path = self.dir.join(PREPARED_NAME);
        let to = self.segment_bytes.min(from + bytes_max);
        write_zeros_at(file.as_ref(), from, to - from).at("pwrite", &path)?;
        file.sync_data().at("fdatasync", &path)?;
        Ok(match to == self.segment_bytes {
            true => Ready::Prepared(file),
            false => Ready::Filling(file, to),
        })
    }

    /// Turns the prepared file into a segment: head, sync, name, directory sync, in this order.
    fn create(
        &self,
        number: SegmentNumber,
        first_sequence: Sequence,
        previous: RecordHash,
    ) -> Result<(Arc<dyn BlockFile>, Segment), StoreError> {
        self.prepare_next()?;
        let prepared = self.dir.join(PREPARED_NAME);
        let path = segment::path(&self.dir, first_sequence);
        let mut ready = self.lock();
        let Ready::Prepared(file) = std::mem::replace(&mut *ready, Ready::Nothing) else {
            unreachable!("prepared above, and only this writer takes it or closes")
        };
        let head = SegmentHead::new(
            number,
            first_sequence,
            self.segment_bytes,
            self.genesis,
            previous,
        );
        let page = segment::head_page(head);
        write_all_at(file.as_ref(), 0, &[&page]).at("pwrite", &prepared)?;
        file.sync_data().at("fdatasync", &prepared)?;
        self.io.rename(&prepared, &path).at("rename", &path)?;
        self.io
            .sync_dir(&self.dir)
            .at("fsync of the directory", &self.dir)?;
        let view = View::of_file(
            &self.io,
            &path,
            number,
            self.segment_bytes,
            Arc::clone(&file),
        )?;
        Ok((file, Segment::new(&head, view)))
    }
}

/// No space, or no quota.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

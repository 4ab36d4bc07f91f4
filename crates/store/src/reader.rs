//! Reading what is durable, from any thread, while the writer appends.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::config::StoreOptions;
use crate::error::{Damage, StoreError};
use crate::format::Mark;
use crate::io::BlockIo;
use crate::metrics::StoreMetrics;
use crate::segment::{Record, Segment, Step};
use crate::words::Sequence;

/// What the writer and the readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) io: Arc<dyn BlockIo>,
    pub(crate) dir: PathBuf,
    pub(crate) metrics: Arc<StoreMetrics>,
    /// Held while index files are built, so that two threads do not build the same one.
    pub(crate) index_building: Mutex<()>,
    durable: AtomicU64,
    /// Replaced as a whole when a segment is added, so that readers take it with one count.
    segments: RwLock<Arc<Vec<Arc<Segment>>>>,
}

impl Shared {
    /// `mark` is the newest durable record; what lies above it is not shown.
    pub(crate) fn new(
        io: Arc<dyn BlockIo>,
        options: &StoreOptions,
        segments: Vec<Segment>,
        mark: &Mark,
    ) -> Shared {
        for segment in &segments {
            if segment.number < mark.segment {
                segment.view.set_stable(segment.view.len_bytes());
            } else if segment.number == mark.segment {
                segment.view.set_stable(mark.end_offset);
            }
        }
        let metrics = Arc::new(StoreMetrics::default());
        metrics.durable_sequence.set(mark.sequence.0);
        Shared {
            io,
            dir: options.dir.clone(),
            metrics,
            index_building: Mutex::default(),
            durable: AtomicU64::new(mark.sequence.0),
            segments: RwLock::new(Arc::new(segments.into_iter().map(Arc::new).collect())),
        }
    }

    /// Shows readers everything up to `sequence`, which is durable and declared stable.
    pub(crate) fn publish(&self, sequence: Sequence) {
        self.durable.store(sequence.0, Ordering::Release);
        self.metrics.durable_sequence.set(sequence.0);
    }

    pub(crate) fn push_segment(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write();
        Arc::make_mut(&mut segments).push(segment);
    }

    pub(crate) fn last_segment(&self) -> Arc<Segment> {
        let segments = self.segments.read();
        Arc::clone(segments.last().expect("an open store has a segment"))
    }

    /// The segments as they are now, oldest first.
    pub(crate) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        self.segments.read().clone()
    }

    /// The segment of a record that is durable.
    fn segment_of(&self, sequence: Sequence) -> Arc<Segment> {
        let segments = self.segments.read();
        let following = segments.partition_point(|segment| segment.first_sequence <= sequence);
        Arc::clone(
            &segments[following
                .checked_sub(1)
                .expect("the first segment starts at 1")],
        )
    }

    pub(crate) fn durable(&self) -> Sequence {
        Sequence(self.durable.load(Ordering::Acquire))
    }
}

/// Reads durable records without copying them. Cheap to clone; usable beside the writer and after
/// it stopped.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

/// What [`Reader::verify_all`] has checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckedLog {
    /// Records whose header, place, chain and payload are right.
    pub record_count: u64,
    /// Their payload bytes.
    pub payload_bytes: u64,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Reader {
        Reader { shared }
    }

    /// The newest durable record.
    pub fn durable(&self) -> Sequence {
        self.shared.durable()
    }

    /// Counters of this store, the same as the writer's.
    pub fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.shared.metrics
    }

    /// Reads one record and checks header, place and payload; `None` if it is not durable (yet).
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is not what was written, [`StoreError::Io`] when it cannot
    /// be read. The store stays usable.
    pub fn get(&self, sequence: Sequence) -> Result<Option<Record>, StoreError> {
        if sequence == Sequence::NONE || sequence > self.durable() {
            return Ok(None);
        }
        let result = self.shared.segment_of(sequence).read(sequence);
        match &result {
            Ok(record) => {
                self.shared.metrics.reads.add(1);
                self.shared
                    .metrics
                    .read_bytes
                    .add(record.payload.len() as u64);
            }
            Err(error) => self.count(error),
        }
        result.map(Some)
    }

    /// The records from `from` to the one that is the newest durable now, in order, each checked
    /// to follow the one before it. Ends after the first error.
    pub fn scan(&self, from: Sequence) -> Scan {
        let next = from.max(Sequence::FIRST);
        Scan {
            reader: self.clone(),
            next,
            end: self.durable(),
            previous: None,
        }
    }

    /// Reads the whole store again and checks every header, link and payload up to the durable
    /// watermark, and that the unused end of each segment with a durable record after it is zero.
    /// Takes as long as the disk needs to read it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] at the first damage, [`StoreError::Io`] when something cannot be
    /// read.
    pub fn verify_all(&self) -> Result<CheckedLog, StoreError> {
        let result = self.verify();
        if let Err(error) = &result {
            self.count(error);
        }
        result
    }

    fn verify(&self) -> Result<CheckedLog, StoreError> {
        let durable = self.durable();
        let mut checked = CheckedLog::default();
        let segments = self.shared.segments();
        let mut chain = None;
        for (index, segment) in segments.iter().enumerate() {
            segment.view.check_length()?;
            let mut cursor = segment.start();
            if chain.is_some_and(|hash| hash != cursor.hash) {
                return Err(segment.view.corrupt(0, Damage::SegmentPlace));
            }
            let following = segments.get(index + 1).map(|next| next.first_sequence);
            while cursor.next <= durable && Some(cursor.next) != following {
                let offset = cursor.offset;
                match segment.step(&mut cursor, true)? {
                    Step::Record(header) => {
                        checked.record_count += 1;
                        checked.payload_bytes += u64::from(header.payload_bytes());
                    }
                    Step::End => {
                        let damage = Damage::EndsEarly {
                            expected: cursor.next,
                        };
                        return Err(segment.view.corrupt(offset, damage));
                    }
                    Step::Damaged { offset, damage } => {
                        return Err(segment.view.corrupt(offset, damage));
                    }
                }
            }
            if following.is_some() && cursor.next <= durable {
                segment.check_slack(cursor.offset)?;
            }
            chain = Some(cursor.hash);
        }
        Ok(checked)
    }

    pub(crate) fn count(&self, error: &StoreError) {
        if matches!(error, StoreError::Corrupt { .. }) {
            self.shared.metrics.corrupt.add(1);
        }
    }
}

/// Records in order; see [`Reader::scan`].
#[derive(Debug)]
pub struct Scan {
    reader: Reader,
    next: Sequence,
    end: Sequence,
    previous: Option<crate::words::RecordHash>,
}

impl Iterator for Scan {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.end {
            return None;
        }
        let result = self.reader.get(self.next).transpose()?.and_then(|record| {
            if self.previous.is_some_and(|hash| hash != record.previous) {
                let segment = self.reader.shared.segment_of(self.next);
                let offset = segment.offset_of(self.next);
                let error = segment.view.corrupt(offset, Damage::RecordChain);
                self.reader.count(&error);
                return Err(error);
            }
            Ok(record)
        });
        match &result {
            Ok(record) => {
                self.previous = Some(record.hash);
                self.next = self.next.next();
            }
            Err(_) => self.end = Sequence::NONE,
        }
        Some(result)
    }
}

//! The checkpointer: prepares segments, indexes sealed ones, writes checkpoints and looks after the
//! files of the log, off the hot path.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clearway_execute::Snapshot;
use clearway_order::FinalPoint;
use clearway_store::history::HistoryError;
use clearway_store::{
    BlockIo, Extractor, LogGuard, Prepared, Preparer, Reader, RecordKind, StoreError, Writer,
    write_checkpoint,
};
use clearway_types::batch::BATCH_HEADER_BYTES;
use clearway_types::envelope::envelopes;
use clearway_types::units::Digest;
use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::checkpoint::CheckpointHead;
use crate::disk::{Disk, is_for_want_of_room};
use crate::log_index::LogIndex;

/// How often the checkpointer looks whether a segment has to be prepared or indexed.
const ROUND: Duration = Duration::from_millis(50);
/// Between two pieces of a segment that is prepared: up to 200 MB a second, and most of the disk's
/// time is left to syncs. Where that is too slow, the writer fills the rest itself.
const FILL_PAUSE: Duration = Duration::from_millis(5);
/// Shortest and longest pause before work that failed is tried again.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// How long a checkpoint waits for its block to be durable.
const DURABLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at the files of the log: a start in between would need a backup.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// A state to be kept.
pub(crate) struct Keep {
    pub(crate) snapshot: Snapshot,
    pub(crate) point: FinalPoint,
}

clearway_flow::metrics! {
    /// Figures of the checkpointer.
    pub struct CheckpointerMetrics in "checkpointer" {
        /// Checkpoints written.
        checkpoints: total,
        /// Height of the newest checkpoint.
        checkpoint_height: gauge,
        /// Checkpoints, preparations, indexes or looks at the files of the log that failed; the
        /// log alone carries on then.
        failures: total,
        /// Index files found damaged or lost, as far as the log has told of them.
        damages_told: total,
    }
}

/// When work that failed is tried again: each try may read or fill a whole segment, and writes a
/// line.
#[derive(Debug, Default)]
pub(crate) struct Again {
    pause: Duration,
    from: Option<Instant>,
}

impl Again {
    fn is_due(&self, now: Instant) -> bool {
        self.from.is_none_or(|from| now >= from)
    }

    /// Each failure in a row doubles the pause.
    fn note(&mut self, done: bool, now: Instant) {
        self.pause = match done {
            true => Duration::ZERO,
            false => (self.pause * 2).clamp(AGAIN_MIN, AGAIN_MAX),
        };
        self.from = Some(now + self.pause);
    }

    /// Not before this pause either.
    fn pause_at_least(&mut self, pause: Duration, now: Instant) {
        self.from = self.from.max(Some(now + pause));
    }
}

/// What the checkpointer works with.
pub(crate) struct Checkpointer {
    io: Arc<dyn BlockIo>,
    checkpoints: PathBuf,
    genesis: Digest,
    reader: Reader,
    preparer: Preparer,
    log: LogGuard,
    index: Arc<LogIndex>,
    pub(crate) metrics: Arc<CheckpointerMetrics>,
    disk: Arc<Disk>,
    /// A segment is being prepared, piece by piece.
    is_filling: bool,
    /// When the rest of the work is due meanwhile.
    round_due: Option<Instant>,
    prepare_again: Again,
    index_again: Again,
    look_again: Again,
}

impl Checkpointer {
    /// A checkpointer of this log, whose checkpoints of this cluster go into a folder.
    pub(crate) fn new(
        io: Arc<dyn BlockIo>,
        (checkpoints, genesis): (PathBuf, Digest),
        writer: &Writer,
        (reader, index): (&Reader, &Arc<LogIndex>),
        disk: &Arc<Disk>,
    ) -> Self {
        Self {
            io,
            checkpoints,
            genesis,
            preparer: writer.preparer(),
            log: writer.log_guard(),
            reader: reader.clone(),
            index: Arc::clone(index),
            metrics: Arc::default(),
            disk: Arc::clone(disk),
            is_filling: false,
            round_due: None,
            prepare_again: Again::default(),
            index_again: Again::default(),
            look_again: Again::default(),
        }
    }

    /// Works until nobody can hand it a state any more.
    pub(crate) fn run(&mut self, jobs: &Receiver<Keep>) {
        loop {
            let pause = match self.is_filling {
                true => FILL_PAUSE,
                false => ROUND,
            };
            match jobs.recv_timeout(pause) {
                Ok(keep) => self.on_keep(&keep),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.on_idle(Instant::now()),
            }
        }
    }

    /// Keeps a state.
    pub(crate) fn on_keep(&self, keep: &Keep) {
        self.note("checkpoint", self.keep(keep));
    }

    /// Prepares a piece of the next segment, indexes what was sealed and looks after the files of
    /// the log; the latter two once a round. Each unless it has just failed.
    pub(crate) fn on_idle(&mut self, now: Instant) {
        if self.prepare_again.is_due(now) {
            let prepared = self.preparer.prepare_some();
            self.is_filling = matches!(prepared, Ok(Prepared::Partly));
            let prepared = prepared.map(drop).map_err(HistoryError::from);
            let done = self.note("segment", prepared);
            self.prepare_again.note(done, now);
        }
        if self.is_filling && self.round_due.is_some_and(|due| now < due) {
            return;
        }
        self.round_due = Some(now + ROUND);
        if self.index_again.is_due(now) {
            let done = self.index();
            self.index_again.note(done, now);
        }
        if self.look_again.is_due(now) {
            let done = look_at(&self.log).is_ok();
            self.metrics.failures.add(u64::from(!done));
            self.look_again.note(done, now);
            self.look_again.pause_at_least(LOOK_PAUSE, now);
        }
    }

    /// None of this work is needed to go on: a failure is counted, said and survived. Answers
    /// whether it was done.
    fn note(&self, what: &'static str, result: Result<(), HistoryError>) -> bool {
        let done = result.is_ok();
        if let Err(error) = result {
            self.metrics.failures.add(1);
            if let HistoryError::Store(error) = &error
                && is_for_want_of_room(error)
            {
                self.disk.on_left_out(error);
                return done;
            }
            tracing::warn!(%error, what, "the checkpointer failed; the log alone carries on");
        }
        done
    }

    /// Where identifiers and blocks of sealed segments are; where one of the two fails, the other
    /// still lets go of what it holds in memory. Answers whether both were done.
    fn index(&self) -> bool {
        let identifiers = self.reader.index_sealed(&EnvelopeIds).map(drop);
        let identifiers = self.note(
            "index of identifiers",
            identifiers.map_err(HistoryError::from),
        );
        let blocks = self.note("index of blocks", self.index.save_sealed().map(drop));
        self.tell_damage();
        identifiers && blocks
    }

    /// No answer is wrong for an index that was damaged or lost, but its disk is to be looked at.
    fn tell_damage(&self) {
        let found_count = self.reader.metrics().indexes_damaged.value();
        let files = found_count - self.metrics.damages_told.value();
        if files > 0 {
            self.metrics.damages_told.set(found_count);
            tracing::warn!(
                files,
                "index files were damaged or lost; they are built again from the log: check the \
                 disk"
            );
        }
    }

    /// Writes a checkpoint once the block it stands on is durable: state must not overtake the log.
    fn keep(&self, keep: &Keep) -> Result<(), HistoryError> {
        let height = keep.snapshot.height();
        if height.0 == 0 || height.0 == self.metrics.checkpoint_height.value() {
            return Ok(());
        }
        if !self.index.wait_durable(height, DURABLE_TIMEOUT, &|| true) {
            tracing::warn!(
                height = height.0,
                "block not durable in time; no checkpoint"
            );
            return Ok(());
        }
        let log_from = height.min(keep.snapshot.log_from());
        let log_from = self.index.scan_start(log_from)?;
        let head = CheckpointHead {
            log_from,
            point: keep.point.clone(),
        };
        let mut fill = |to: &mut dyn std::io::Write| head.write(&keep.snapshot, to);
        write_checkpoint(
            &self.io,
            &self.checkpoints,
            self.genesis.0,
            height.0,
            &mut fill,
        )?;
        self.metrics.checkpoints.add(1);
        self.metrics.checkpoint_height.set(height.0);
        Ok(())
    }
}

/// Files of the log that were damaged from outside cost this run nothing, but without them the next
/// start would need a backup.
///
/// # Errors
/// Why they are not whole, which is logged too.
pub(crate) fn look_at(log: &LogGuard) -> Result<(), StoreError> {
    let looked = log.look();
    match &looked {
        Ok(false) => {}
        Ok(true) => tracing::error!(
            "files of the log were damaged or removed from outside while the node ran; they were \
             written anew, nothing was lost: find out what changes files of the data folder, and \
             check the disk"
        ),
        Err(error) => tracing::error!(
            %error,
            "the files of the log are not whole, or cannot be looked after: the next start may \
             need a backup"
        ),
    }
    looked.map(drop)
}

/// Identifiers in batch records, for look-ups however old.
pub(crate) struct EnvelopeIds;

impl Extractor for EnvelopeIds {
    fn extract(&self, kind: RecordKind, payload: &[u8], row: &mut dyn FnMut([u8; 16], u32, u32)) {
        if kind != RecordKind::Batch {
            return;
        }
        for (index, envelope) in (0..).zip(envelopes(&payload[BATCH_HEADER_BYTES..])) {
            row(envelope.body.id.0, envelope.body.signer.get(), index);
        }
    }
}

#[cfg(test)]
mod tests {
    use clearway_store::testing::{Fault, FaultyIo, MemoryIo};
    use clearway_store::{BlockIndex, Store, StoreOptions};
    use clearway_types::batch::{BatchHeader, LaneId};
    use clearway_types::envelope::ENVELOPE_BYTES;
    use clearway_types::units::{Height, TimeMs, ValidatorNumber};
    use tokio::sync::watch;

    use super::*;
    use crate::admin::Readiness;
    use crate::log_index::Tip;
    use crate::testing::lines_of;

    const BATCH_COUNT: u64 = 30;

    /// A checkpointer of a log with several sealed segments, the disk it fails on, their count, and
    /// the log's writer, without which no further segment is wanted.
    fn with_sealed(memory: &MemoryIo) -> (Checkpointer, FaultyIo, usize, Writer) {
        let io = FaultyIo::new(Arc::new(memory.clone()), u64::MAX, Fault::Error(5));
        let shared: Arc<dyn BlockIo> = Arc::new(io.clone());
        let mut options = StoreOptions::new("log", [1; 32]);
        options.segment_bytes = 8192;
        let (mut writer, reader, _) = Store::open(Arc::clone(&shared), options).expect("new");
        let tip = Tip {
            height: Height(0),
            exec_head: Digest::ZERO,
            time: TimeMs(0),
        };
        let blocks = BlockIndex::open(&reader).expect("memory");
        let index = Arc::new(LogIndex::new(blocks, tip));
        for number in 1..=BATCH_COUNT {
            let header = BatchHeader {
                lane: LaneId::first(ValidatorNumber(1)),
                count: 1,
                index: number,
                previous: Digest::ZERO,
                directory_height: Height(0),
                time: TimeMs(0),
                envelopes_root: Digest::ZERO,
            };
            let digest = Digest([u8::try_from(number).expect("small"); 32]);
            let parts: [&[u8]; 2] = [&header.to_bytes(), &[0; ENVELOPE_BYTES]];
            let sequence = writer.append(RecordKind::Batch, digest.0, &parts);
            writer.commit().expect("memory");
            index.on_batch(digest, sequence.expect("memory"));
        }
        let readiness = watch::Sender::new(Readiness::Ready);
        let disk = Arc::new(Disk::new(Arc::clone(&shared), "data".into(), readiness));
        let place = ("checkpoints".into(), Digest([1; 32]));
        let checkpointer = Checkpointer::new(shared, place, &writer, (&reader, &index), &disk);
        let sealed_count = files(memory, "seg").len() - 1;
        assert!(sealed_count > 1);
        (checkpointer, io, sealed_count, writer)
    }

    /// Files of this kind.
    fn files(memory: &MemoryIo, suffix: &str) -> Vec<PathBuf> {
        let names = memory.files().into_keys();
        names
            .filter(|name| name.extension().is_some_and(|s| s == suffix))
            .collect()
    }

    #[test]
    fn what_fails_is_tried_again_ever_less_often_and_at_once_after_a_success() {
        let from = Instant::now();
        let (mut again, mut tries) = (Again::default(), Vec::new());
        for second in 0..200 {
            let now = from + Duration::from_secs(second);
            if again.is_due(now) {
                tries.push(second);
                again.note(false, now);
            }
        }
        assert_eq!(tries, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
        again.note(true, from);
        assert!(again.is_due(from));
    }

    #[test]
    fn a_segment_that_cannot_be_prepared_waits_before_the_next_try() {
        let memory = MemoryIo::new();
        let (mut checkpointer, io, _, _writer) = with_sealed(&memory);
        let from = Instant::now();
        let prepared = || {
            memory
                .files()
                .keys()
                .any(|path| path.ends_with("next.prepared"))
        };
        assert!(!prepared());
        // The first call is that of the segment.
        io.fail_after(0);
        for (ms, is_prepared) in [(0, false), (50, false), (900, false), (1100, true)] {
            checkpointer.on_idle(from + Duration::from_millis(ms));
            assert_eq!(checkpointer.metrics.failures.value(), 1, "{ms} ms");
            assert_eq!(prepared(), is_prepared, "{ms} ms");
        }
    }

    #[test]
    fn an_index_that_fails_does_not_keep_the_other_one_from_being_written() {
        let memory = MemoryIo::new();
        let (checkpointer, io, sealed_count, _writer) = with_sealed(&memory);
        let counts = || ["idx", "blk"].map(|suffix| files(&memory, suffix).len());
        // The first call is that of the identifiers.
        io.fail_after(0);
        checkpointer.index();
        assert_eq!(checkpointer.metrics.failures.value(), 1);
        assert_eq!(counts(), [0, sealed_count]);
        checkpointer.index();
        assert_eq!(checkpointer.metrics.failures.value(), 1);
        assert_eq!(counts(), [sealed_count; 2]);
    }

    #[test]
    fn an_index_that_rots_or_goes_while_running_hides_no_payment_and_is_told_of() {
        let memory = MemoryIo::new();
        let (checkpointer, _, _, _writer) = with_sealed(&memory);
        let (lines, _) = lines_of(|| checkpointer.index());
        assert_eq!(
            lines, [""; 0],
            "an index that was not there yet is no damage"
        );
        let find = || {
            let found = checkpointer.reader.find([0; 16], 0, &EnvelopeIds);
            found.expect("memory").len()
        };
        assert_eq!(find(), usize::try_from(BATCH_COUNT).expect("small"));
        let (whole, path) = (memory.files(), files(&memory, "idx").remove(0));
        let losses: [&dyn Fn(); 3] = [
            &|| memory.damage(&path, |bytes| bytes[200] ^= 4),
            &|| memory.damage(&path, |bytes| bytes.fill(0)),
            &|| memory.remove(&path).expect("it is there"),
        ];
        for (told, lose) in (1..).zip(losses) {
            lose();
            assert_eq!(find(), usize::try_from(BATCH_COUNT).expect("small"));
            let (lines, _) = lines_of(|| checkpointer.index());
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(checkpointer.metrics.damages_told.value(), told);
            assert!(lines[0].starts_with("WARN"), "{lines:?}");
            assert!(lines[0].contains("files=1"), "{lines:?}");
            assert_eq!(memory.files(), whole);
            let (lines, _) = lines_of(|| checkpointer.index());
            assert_eq!(lines, [""; 0], "told once");
        }
    }

    #[test]
    fn a_watermark_damaged_while_running_is_written_anew_within_a_second_and_told_of() {
        let memory = MemoryIo::new();
        let (mut checkpointer, _, _, _writer) = with_sealed(&memory);
        let (from, path) = (Instant::now(), PathBuf::from("log/watermark"));
        checkpointer.on_idle(from);
        let whole = memory.files();
        memory.damage(&path, Vec::clear);
        for (ms, count) in [(999, 0), (1000, 1), (2000, 1)] {
            let now = from + Duration::from_millis(ms);
            let (lines, _) = lines_of(|| checkpointer.on_idle(now));
            assert_eq!(memory.files() == whole, count == 1, "{ms} ms");
            let told = lines.iter().filter(|line| line.starts_with("ERROR"));
            assert_eq!(told.count(), usize::from(ms == 1000), "{ms} ms: {lines:?}");
            let damaged = &checkpointer.reader.metrics().watermarks_damaged;
            assert_eq!(damaged.value(), count, "{ms} ms");
        }
        assert_eq!(checkpointer.metrics.failures.value(), 0);
    }
}

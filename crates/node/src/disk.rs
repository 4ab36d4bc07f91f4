//! The disk under the data folder: room held back for the engine's journal, and what operators hear
//! when there is none left.

use std::fmt::Display;
use std::io::{self, ErrorKind, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clearway_order::JournalRoom;
use clearway_store::{Access, BlockIo, StoreError};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::admin::Readiness;

/// File in the data folder that holds room back.
const RESERVE_NAME: &str = "reserve";
/// Its bytes. The journal has its own from the beginning, but a file system that copies what is
/// written over takes a block or two for each view. It is given up when the disk is full, so that
/// the view under way ends in good order.
const RESERVE_BYTES: u64 = 8 << 20;
/// With less than this left, beside the reserve, no view is begun.
const JOURNAL_BYTES_MIN: u64 = 2 << 20;
/// Bytes written at once.
const CHUNK_BYTES: u64 = 1 << 20;
/// An operator hears of a full disk this often.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

clearway_flow::metrics! {
    /// Figures of the disk.
    pub struct DiskMetrics in "disk" {
        /// 1 while payments wait for room on the disk.
        full: gauge,
        /// Bytes free under the data folder when they were last looked at.
        free_bytes: gauge,
    }
}

/// What waits for room, and when that was last said.
#[derive(Debug, Default)]
struct State {
    log_waits: bool,
    journal_waits: bool,
    since: Option<Instant>,
    warned: Warned,
    /// Of what the node does without: must not take the place of a warning that it waits.
    warned_left_out: Warned,
}

/// When operators last heard of something.
#[derive(Debug, Default)]
struct Warned(Option<Instant>);

impl Warned {
    /// Whether to say it again.
    fn again(&mut self, now: Instant) -> bool {
        let again = self.0.is_none_or(|at| now - at >= WARNING_PAUSE);
        if again {
            self.0 = Some(now);
        }
        again
    }
}

/// The disk as store, checkpointer and ordering see it.
pub(crate) struct Disk {
    io: Arc<dyn BlockIo>,
    dir: PathBuf,
    readiness: watch::Sender<Readiness>,
    metrics: Arc<DiskMetrics>,
    state: Mutex<State>,
}

impl Disk {
    pub(crate) fn new(
        io: Arc<dyn BlockIo>,
        dir: PathBuf,
        readiness: watch::Sender<Readiness>,
    ) -> Self {
        Self {
            io,
            dir,
            readiness,
            metrics: Arc::default(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn metrics(&self) -> &Arc<DiskMetrics> {
        &self.metrics
    }

    /// The node has started: ready, unless it waits for room by now.
    pub(crate) fn on_start(&self) {
        let state = self.state();
        let to = match state.since {
            None => Readiness::Ready,
            Some(_) => Readiness::DiskFull,
        };
        turn(&self.readiness, Readiness::Starting, to);
    }

    /// The log waits for room, or does not any more.
    pub(crate) fn on_log(&self, waits: Option<&StoreError>) {
        let mut state = self.state();
        state.log_waits = waits.is_some();
        match waits {
            Some(error) => self.wait(&mut state, error),
            None => self.go_on(&mut state),
        }
    }

    /// Something failed for want of room that the node can do without.
    pub(crate) fn on_left_out(&self, error: &StoreError) {
        if self.state().warned_left_out.again(Instant::now()) {
            let (dir, free_bytes) = (self.dir.display(), self.free_bytes().ok());
            tracing::warn!(
                %dir,
                free_bytes,
                "disk full: {error}; free space, the node goes on without it until then"
            );
        }
    }

    /// Whether the node was asked to stop, or ends because a stage has failed.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(
            *self.readiness.borrow(),
            Readiness::Stopping | Readiness::Failed
        )
    }

    fn on_journal(&self, waits: bool) {
        let mut state = self.state();
        state.journal_waits = waits;
        match waits {
            true => self.wait(&mut state, &"no room for the ordering engine's journal"),
            false => self.go_on(&mut state),
        }
    }

    fn wait(&self, state: &mut State, why: &dyn Display) {
        state.since.get_or_insert_with(Instant::now);
        self.metrics.full.set(1);
        turn(&self.readiness, Readiness::Ready, Readiness::DiskFull);
        self.warn(state, why);
    }

    fn go_on(&self, state: &mut State) {
        if state.log_waits || state.journal_waits {
            return;
        }
        if let Some(since) = state.since.take() {
            self.metrics.full.set(0);
            turn(&self.readiness, Readiness::DiskFull, Readiness::Ready);
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "the disk has room again; the node goes on");
            state.warned = Warned::default();
        }
    }

    fn warn(&self, state: &mut State, why: &dyn Display) {
        if state.warned.again(Instant::now()) {
            // A disk that does not tell its free space is not said to have none.
            let (dir, free_bytes) = (self.dir.display(), self.free_bytes().ok());
            tracing::error!(
                %dir,
                free_bytes,
                "disk full: {why}; free space, the node waits and goes on by itself"
            );
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let free = self.io.free_bytes(&self.dir)?;
        self.metrics.free_bytes.set(free);
        Ok(free)
    }

    /// Whether this much is free. A disk that does not tell is found full when it is written.
    fn has_free(&self, bytes: u64) -> bool {
        self.free_bytes().map_or(true, |free| free >= bytes)
    }

    fn reserve(&self) -> PathBuf {
        self.dir.join(RESERVE_NAME)
    }

    /// Holds the reserve; where it is held already nothing is written.
    fn hold(&self) -> io::Result<()> {
        let path = self.reserve();
        if self
            .io
            .len_bytes(&path)
            .is_ok_and(|bytes| bytes == RESERVE_BYTES)
        {
            return Ok(());
        }
        if !self.has_free(RESERVE_BYTES + JOURNAL_BYTES_MIN) {
            return Err(ErrorKind::StorageFull.into());
        }
        let held = self.fill(&path);
        if held.is_err() {
            self.release();
        }
        held
    }

    fn fill(&self, path: &std::path::Path) -> io::Result<()> {
        let file = self.io.open(path, Access::Create)?;
        let zeros = vec![0; usize::try_from(CHUNK_BYTES).expect("a megabyte")];
        let mut offset = 0;
        while offset < RESERVE_BYTES {
            let left = (RESERVE_BYTES - offset).min(CHUNK_BYTES);
            let chunk = &zeros[..usize::try_from(left).expect("a megabyte at most")];
            offset += file.write_some_at(offset, &[IoSlice::new(chunk)])? as u64;
        }
        file.sync_data()
    }

    /// Gives the reserve up.
    fn release(&self) {
        // One that is not there, or cannot be removed, gives no room: that shows elsewhere.
        let _ = self.io.remove(&self.reserve());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl JournalRoom for Disk {
    fn has_room(&self) -> bool {
        // While the log waits, each view would end without a block and leave its votes behind.
        if self.state().log_waits {
            return false;
        }
        let room = self.has_free(JOURNAL_BYTES_MIN);
        if !room {
            self.release();
            self.on_journal(true);
        }
        room
    }

    fn ran_out(&self) -> bool {
        let full = !self.has_free(JOURNAL_BYTES_MIN);
        // A disk may have no room for us and say that it has: a quota, for example.
        self.release();
        let full = full || self.hold().is_err_and(|error| is_full(&error));
        if full {
            self.release();
            self.on_journal(true);
        }
        full
    }

    fn has_room_again(&self) -> bool {
        let room = match self.hold() {
            Ok(()) => !self.state().log_waits && self.has_free(JOURNAL_BYTES_MIN),
            Err(error) if is_full(&error) => false,
            // The reserve is a precaution: a node goes on without one.
            Err(error) => {
                tracing::warn!(%error, "no room can be held back for a full disk");
                true
            }
        };
        self.on_journal(!room);
        room
    }
}

/// Changes one readiness into another and leaves any third as it is.
fn turn(readiness: &watch::Sender<Readiness>, from: Readiness, to: Readiness) {
    readiness.send_if_modified(|now| {
        let turns = *now == from;
        if turns {
            *now = to;
        }
        turns
    });
}

/// No space, or no quota.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// Whether the store failed for want of room.
pub(crate) fn is_for_want_of_room(error: &StoreError) -> bool {
    match error {
        StoreError::DiskFull { .. } => true,
        StoreError::Io { source, .. } => is_full(source),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use clearway_store::testing::MemoryIo;

    use super::*;
    use crate::testing::lines_of;

    #[test]
    fn a_full_disk_shows_until_log_and_journal_both_have_room_and_the_reserve_is_held_again() {
        let io = MemoryIo::new();
        let dir = PathBuf::from("data");
        io.create_dir(&dir).expect("made");
        let reserve = dir.join(RESERVE_NAME);
        let readiness = watch::Sender::new(Readiness::Ready);
        let disk = Disk::new(Arc::new(io.clone()), dir, readiness.clone());
        let held = || io.files().get(&reserve).map_or(0, Vec::len) as u64;
        let shown = || (*readiness.borrow(), disk.metrics().full.value());
        let room = RESERVE_BYTES + 2 * JOURNAL_BYTES_MIN;

        io.set_capacity_bytes(room);
        assert!(disk.has_room_again(), "at start");
        assert_eq!(held(), RESERVE_BYTES);
        assert!(disk.has_room());
        assert_eq!(shown(), (Readiness::Ready, 0));

        io.set_capacity_bytes(RESERVE_BYTES + JOURNAL_BYTES_MIN - 1);
        assert!(!disk.has_room());
        assert_eq!(held(), 0, "given up for the view under way");
        assert_eq!(shown(), (Readiness::DiskFull, 1));
        assert!(!disk.has_room_again());

        let full = StoreError::DiskFull {
            dir: "data/log".into(),
            bytes_needed: 1,
        };
        disk.on_log(Some(&full));
        io.set_capacity_bytes(room);
        assert!(!disk.has_room_again(), "the log waits");
        disk.on_log(None);
        assert_eq!(shown(), (Readiness::DiskFull, 1), "the journal waits");
        assert!(disk.has_room_again());
        assert_eq!(held(), RESERVE_BYTES);
        assert_eq!(shown(), (Readiness::Ready, 0));
    }

    #[test]
    fn a_start_beside_a_full_disk_shows_it_until_there_is_room() {
        for (full_at_start, shown) in [(true, Readiness::DiskFull), (false, Readiness::Ready)] {
            let readiness = watch::Sender::new(Readiness::Starting);
            let io = Arc::new(MemoryIo::new());
            let disk = Disk::new(io, "data".into(), readiness.clone());
            disk.on_journal(true);
            assert_eq!(*readiness.borrow(), Readiness::Starting);
            if !full_at_start {
                disk.on_journal(false);
            }
            disk.on_start();
            assert_eq!(*readiness.borrow(), shown);
            disk.on_journal(false);
            assert_eq!(*readiness.borrow(), Readiness::Ready);
        }
    }

    #[test]
    fn a_journal_that_failed_ran_out_only_where_no_room_is_to_be_had() {
        let io = MemoryIo::new();
        io.create_dir(&PathBuf::from("data")).expect("made");
        let readiness = watch::Sender::new(Readiness::Ready);
        let disk = Disk::new(Arc::new(io.clone()), "data".into(), readiness);
        assert!(!disk.ran_out(), "an ample disk");
        io.set_capacity_bytes(RESERVE_BYTES);
        assert!(disk.ran_out());
    }

    #[test]
    fn a_full_disk_is_told_once_a_minute() {
        let (mut warned, from) = (Warned::default(), Instant::now());
        let said = (0..600).filter(|&s| warned.again(from + Duration::from_millis(200 * s)));
        assert_eq!(said.count(), 2, "in two minutes, five times a second");
    }

    #[test]
    fn what_the_node_does_without_is_told_apart_from_what_it_waits_for() {
        let io = MemoryIo::new();
        let readiness = watch::Sender::new(Readiness::Ready);
        let disk = Disk::new(Arc::new(io), "data".into(), readiness);
        let full = || StoreError::DiskFull {
            dir: "data/log".into(),
            bytes_needed: 1,
        };
        let (lines, ()) = lines_of(|| {
            for _ in 0..3 {
                disk.on_left_out(&full());
                disk.on_log(Some(&full()));
            }
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("the node goes on without it"),
            "{lines:?}"
        );
        assert!(lines[1].contains("the node waits and goes on"), "{lines:?}");
    }

    #[test]
    fn a_node_that_stops_or_has_failed_does_not_wait_for_room() {
        let readiness = watch::Sender::new(Readiness::Starting);
        let io = Arc::new(MemoryIo::new());
        let disk = Disk::new(io, "data".into(), readiness.clone());
        for (now, stops) in [
            (Readiness::Starting, false),
            (Readiness::Ready, false),
            (Readiness::DiskFull, false),
            (Readiness::Stopping, true),
            (Readiness::Failed, true),
        ] {
            readiness.send_replace(now);
            assert_eq!(disk.is_stopping(), stops, "{now:?}");
        }
    }
}

//! Standard output and error of the process: no reader that leaves or stops reading and no full
//! disk behind them ends the program or holds it up.

use std::collections::VecDeque;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clearway_node::log::LINES_DROPPED;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes that wait for a slow reader of standard error: seconds of a log at level `trace`.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// How long a line waits for room. A reader that takes nothing meanwhile has stopped reading, and
/// nobody waits for it again before it goes on.
const ROOM_TIMEOUT: Duration = Duration::from_millis(100);
/// How often it is looked whether standard output still has a reader.
const READER_ROUND: Duration = Duration::from_millis(500);
/// How long the end of the program waits for the last lines to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Standard output for results. A reader that has gone away has seen what it wanted: what comes
/// after it is written nowhere. Any other failure is the caller's.
pub(crate) fn results() -> BufWriter<UntilGone<io::StdoutLock<'static>>> {
    BufWriter::new(UntilGone {
        to: io::stdout().lock(),
        gone: false,
    })
}

/// Writes until the reader has gone, then nowhere.
pub(crate) struct UntilGone<W> {
    to: W,
    gone: bool,
}

impl<W> UntilGone<W> {
    fn unless_gone<T>(
        &mut self,
        without: T,
        write: impl FnOnce(&mut W) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.gone {
            return Ok(without);
        }
        match write(&mut self.to) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(without)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for UntilGone<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_gone(bytes.len(), |to| to.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_gone((), Write::flush)
    }
}

/// Waits until nobody can read standard output any more, for results that come as long as somebody
/// does.
pub(crate) async fn until_reader_gone() {
    let mut round = tokio::time::interval(READER_ROUND);
    while !has_no_reader(&io::stdout()) {
        round.tick().await;
    }
}

/// Whether the other end of a pipe or terminal is closed.
fn has_no_reader(of: &impl AsFd) -> bool {
    let mut streams = [PollFd::new(of, PollFlags::empty())];
    let polled = poll(&mut streams, Some(&Timespec::default()));
    polled.is_ok()
        && streams[0]
            .revents()
            .intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Whether colours are wanted on a stream: on a terminal alone, and not against `NO_COLOR`.
pub(crate) fn is_coloured(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !unwanted
}

/// Text and a line end on standard error. What cannot be written is counted and dropped.
pub(crate) fn say_aside(text: &str) {
    let mut line = Vec::with_capacity(text.len() + 1);
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    match LOG.get() {
        Some(log) => log.push(line),
        None => write_aside(&line),
    }
}

/// From here on standard error is written by a thread of its own, so that nobody else waits for
/// its reader. Where no thread can be started it is written as before.
pub(crate) fn start_log_thread() {
    let log = LOG.get_or_init(Log::default);
    let started = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| log.write_on());
    if started.is_err() {
        log.lock().direct = true;
    }
}

/// Waits, not for long, until all that was said has been read.
pub(crate) fn finish() {
    if let Some(log) = LOG.get() {
        log.finish(FLUSH_TIMEOUT);
    }
}

/// A writer for the log's lines.
#[derive(Clone, Copy)]
pub(crate) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match LOG.get() {
            Some(log) => log.push(line.to_vec()),
            None => write_aside(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static LOG: OnceLock<Log> = OnceLock::new();

fn write_aside(line: &[u8]) {
    if io::stderr().lock().write_all(line).is_err() {
        LINES_DROPPED.add(1);
    }
}

/// Lines on their way to standard error.
#[derive(Default)]
struct Log {
    waiting: Mutex<Waiting>,
    /// Signalled when a line has come.
    work: Condvar,
    /// Signalled when a line has been written, or given up.
    room: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// A line is being written.
    writing: bool,
    /// The reader took nothing for as long as a line waits.
    stalled: bool,
    /// There is no thread that writes.
    direct: bool,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.bytes > WAITING_BYTES_MAX
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    fn push(&self, line: Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.direct {
            return write_aside(&line);
        }
        while waiting.is_full() && !waiting.stalled {
            let waited = self.room.wait_for(&mut waiting, ROOM_TIMEOUT);
            waiting.stalled |= waited.timed_out();
        }
        if waiting.is_full() {
            LINES_DROPPED.add(1);
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        drop(waiting);
        self.work.notify_one();
    }

    fn write_on(&self) -> ! {
        loop {
            let mut waiting = self.lock();
            let line = loop {
                match waiting.lines.pop_front() {
                    Some(line) => break line,
                    None => self.work.wait(&mut waiting),
                }
            };
            waiting.writing = true;
            drop(waiting);
            write_aside(&line);
            let mut waiting = self.lock();
            waiting.bytes -= line.len();
            (waiting.writing, waiting.stalled) = (false, false);
            drop(waiting);
            self.room.notify_all();
        }
    }

    fn finish(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        let mut waiting = self.lock();
        while waiting.writing || !waiting.lines.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.room.wait_for(&mut waiting, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_has_no_reader_once_its_other_end_is_closed() {
        let (reader, writer) = io::pipe().expect("a pipe");
        assert!(!has_no_reader(&writer));
        drop(reader);
        assert!(has_no_reader(&writer));
        let file = tempfile::tempfile().expect("a temporary file");
        assert!(!has_no_reader(&file), "a file is read later");
    }

    /// Fails with this kind from the second write on.
    struct Failing(ErrorKind, usize);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            match self.1 {
                1 => Ok(bytes.len()),
                _ => Err(self.0.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is() {
        let (to, gone) = (Failing(ErrorKind::BrokenPipe, 0), false);
        let mut out = UntilGone { to, gone };
        for _ in 0..5 {
            out.write_all(b"line\n").expect("gone is fine");
        }
        assert_eq!(out.to.1, 2, "nothing is written after the first failure");
        let (to, gone) = (Failing(ErrorKind::StorageFull, 0), false);
        let mut out = UntilGone { to, gone };
        out.write_all(b"line\n").expect("the first fits");
        let error = out.write_all(b"line\n").expect_err("the disk is full");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn lines_for_a_reader_that_has_stopped_are_dropped_and_counted_and_hold_nobody_up() {
        let log = Log::default();
        let dropped = LINES_DROPPED.value();
        let line = vec![b'x'; 64 << 10];
        let fits = WAITING_BYTES_MAX / line.len() + 1;
        let started = Instant::now();
        for _ in 0..fits + 100 {
            log.push(line.clone());
        }
        assert_eq!(log.lock().lines.len(), fits);
        assert!(LINES_DROPPED.value() >= dropped + 100);
        assert!(
            started.elapsed() < 20 * ROOM_TIMEOUT,
            "one wait and not a hundred: {:?}",
            started.elapsed()
        );
        let started = Instant::now();
        log.finish(ROOM_TIMEOUT);
        assert!(started.elapsed() >= ROOM_TIMEOUT, "the lines wait");
    }
}

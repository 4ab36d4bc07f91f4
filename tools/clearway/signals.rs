//! Signals that ask for an end, and what must not be left behind then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::{Failure, Kind, OrFail as _};
use crate::{leave, streams, ui};

/// Tries to empty a folder that a node may still write into, this often at most.
const TRIES_MAX: u32 = 400;
/// How long a try waits for the one before.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a command that was told of a signal has to put things in order.
const ORDER_TIMEOUT: Duration = Duration::from_secs(1);

/// The signals that ask for an end.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    /// Of a terminal that has gone; `None` where the caller wants the program to outlive it.
    hang_up: Option<Signal>,
}

impl Ends {
    /// Must be called within a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// Waits for one, and tells how the program ends: with the code that a shell gives for it.
    pub(crate) async fn next(&mut self) -> Kind {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        Kind::of_signal(tokio::select! {
            _ = hang_up => SignalKind::hangup(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        })
    }
}

/// Whether the program was started with a signal that is ignored, as `nohup` does.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, kind.as_raw_value())
}

/// Whether the mask of ignored signals in a process's status names this one.
fn ignores(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

/// From here on a write beyond the limit of file sizes fails; before, it would end the program.
pub(crate) fn survive_small_files() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    if let Ok(runtime) = runtime {
        let _inside = runtime.enter();
        // The signal stays caught when nobody listens any more. Where it cannot be caught the
        // program ends at such a write, as any other would.
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    }
}

/// What is removed when a signal ends the program, in the order in which it was made.
static LEFTOVERS: Mutex<Vec<Made>> = Mutex::new(Vec::new());
/// The command that is told of a signal and puts things in order before the program ends.
static TOLD: Mutex<Option<oneshot::Sender<Kind>>> = Mutex::new(None);
/// What is said when a signal ends the program, and whether to scripts too.
static LAST_WORDS: Mutex<Option<(Failure, bool)>> = Mutex::new(None);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Made {
    /// A file, or a folder with all that is in it.
    Whole(PathBuf),
    /// A folder, unless others use it too.
    Empty(PathBuf),
}

/// A file or folder that a signal's end removes too, while this lives.
#[derive(Debug)]
pub(crate) struct Leftover(Made);

impl Leftover {
    /// A file, or a folder with all that is in it; to be named before it is made.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        Self::of(Made::Whole(path.to_owned()))
    }

    /// A folder that is removed where nothing is in it.
    pub(crate) fn folder(path: &Path) -> Result<Self, Failure> {
        Self::of(Made::Empty(path.to_owned()))
    }

    /// A file and what `make` gives of it, which fails where the file is there already: a signal
    /// waits meanwhile, and removes it only where it was made.
    pub(crate) fn made<T>(
        path: &Path,
        make: impl FnOnce() -> io::Result<T>,
    ) -> Result<io::Result<(T, Self)>, Failure> {
        listen()?;
        let mut leftovers = LEFTOVERS.lock();
        let made = make();
        Ok(made.map(|made| {
            let whole = Made::Whole(path.to_owned());
            leftovers.push(whole.clone());
            (made, Self(whole))
        }))
    }

    fn of(made: Made) -> Result<Self, Failure> {
        listen()?;
        LEFTOVERS.lock().push(made.clone());
        Ok(Self(made))
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        LEFTOVERS.lock().retain(|made| *made != self.0);
    }
}

/// A folder that is gone when the work is done, when it fails, and when a signal ends it.
#[derive(Debug)]
pub(crate) struct Scratch {
    // Removed first: a signal at this very moment removes what is left.
    dir: TempDir,
    _leftover: Leftover,
}

impl Scratch {
    /// A new folder among the system's temporary ones.
    pub(crate) fn new() -> Result<Self, Failure> {
        listen()?;
        // A signal waits for the lock, and finds the folder in the list.
        let mut leftovers = LEFTOVERS.lock();
        let dir = tempfile::Builder::new().prefix("clearway-").tempdir();
        let dir = dir.map_err(|error| {
            let message = format!(
                "cannot make a temporary folder: {error}; set TMPDIR to a folder with room, or \
                 give --keep DIR"
            );
            Failure::new(Kind::Failed, message)
        })?;
        let made = Made::Whole(dir.path().to_owned());
        leftovers.push(made.clone());
        Ok(Self {
            dir,
            _leftover: Leftover(made),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Work that a signal does not cut in two: one that comes meanwhile ends the program afterwards.
/// The work makes and drops no [`Leftover`].
pub(crate) fn undivided<T>(work: impl FnOnce() -> T) -> T {
    let _wait = LEFTOVERS.lock();
    work()
}

/// Words that a signal's end says while this lives: what the reader must know and do then.
#[derive(Debug)]
pub(crate) struct LastWords(());

impl LastWords {
    /// With `json` scripts are told, too. Where signals cannot be listened to, one ends the program
    /// without a word, as it ends any other: no reason to do nothing.
    pub(crate) fn new(words: Failure, json: bool) -> Self {
        // Nothing can be done about it here.
        drop(listen());
        *LAST_WORDS.lock() = Some((words, json));
        Self(())
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        LAST_WORDS.lock().take();
    }
}

/// How the program ends once a signal has come. The command that waits for it has a moment to put
/// things in order and to call [`end`].
pub(crate) fn notice() -> Result<oneshot::Receiver<Kind>, Failure> {
    listen()?;
    let (tell, told) = oneshot::channel();
    *TOLD.lock() = Some(tell);
    Ok(told)
}

/// Ends the program as after a signal.
pub(crate) fn end(kind: Kind) -> ! {
    streams::finish();
    leave::after_output(kind as u8)
}

/// From here on a signal is noticed, and removes the leftovers before it ends the program.
fn listen() -> Result<(), Failure> {
    static LISTENS: OnceLock<Result<(), String>> = OnceLock::new();
    let listens = LISTENS.get_or_init(|| start_listening().map_err(|error| error.to_string()));
    listens.clone().or_fail(Kind::Failed)
}

fn start_listening() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut ends = runtime.block_on(async { Ends::new() })?;
    let watch = move || {
        let kind = runtime.block_on(ends.next());
        if let Some(told) = TOLD.lock().take()
            && told.send(kind).is_ok()
        {
            // It may be stuck, for example behind a reader of its results.
            std::thread::sleep(ORDER_TIMEOUT);
        }
        let leftovers = LEFTOVERS.lock();
        if !leftovers.is_empty() {
            ui::note("interrupted: unfinished files are removed");
        }
        leftovers.iter().for_each(bar);
        if let Some((words, json)) = LAST_WORDS.lock().take() {
            say_last(words.of(kind), json);
        }
        streams::finish();
        // Last of all: from here on a thread could make a folder anew.
        leftovers.iter().rev().for_each(remove);
        // A reader that does not read may hold up the thread that prints.
        leave::at_once(kind as u8);
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(watch).map(drop)
}

/// Says why the program ends, within a moment: a reader of its results that does not read must not
/// keep it from ending.
fn say_last(words: Failure, json: bool) {
    let (said, is_said) = mpsc::channel();
    let say = move || {
        words.report(json);
        // Nobody waits any more where it was late.
        let _ = said.send(());
    };
    let thread = std::thread::Builder::new().name("last-words".to_owned());
    if thread.spawn(say).is_ok() {
        let _ = is_said.recv_timeout(ORDER_TIMEOUT);
    }
}

/// Removes a file or a folder, and bars its name with an empty file: threads of this process that
/// still work there would make a folder and what is above it anew, and a node that runs even does
/// so by design. They find no folder and give up.
fn bar(made: &Made) {
    let Made::Whole(path) = made else {
        return;
    };
    for _ in 0..TRIES_MAX {
        // What is in its way shows next.
        let _ = match path.is_dir() {
            true => std::fs::remove_dir_all(path),
            false => std::fs::remove_file(path),
        };
        let barred = std::fs::File::create_new(path);
        if !barred.is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Removes what bars a name, and folders that nobody else uses.
fn remove(made: &Made) {
    // Nobody is left to tell; a folder that has something in it stays.
    let _ = match made {
        Made::Whole(path) => std::fs::remove_file(path),
        Made::Empty(path) => std::fs::remove_dir(path),
    };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_folder_into_which_threads_write_does_not_come_back() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let path = parent.path().join("a/b");
        let made = Made::Whole(path.clone());
        let (stop, tries) = (AtomicBool::new(false), AtomicU64::new(0));
        let write = || {
            let inner = path.join("c/d");
            while !stop.load(Ordering::Relaxed) {
                let _ = std::fs::create_dir_all(&inner);
                let _ = std::fs::write(inner.join("file"), "x");
                tries.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(write);
            while !path.is_dir() {
                std::thread::yield_now();
            }
            bar(&made);
            let enough = tries.load(Ordering::Relaxed) + 1000;
            while tries.load(Ordering::Relaxed) < enough {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
            assert!(path.is_file(), "it came back");
        });
        remove(&made);
        remove(&Made::Empty(parent.path().join("a")));
        let left = std::fs::read_dir(parent.path()).expect("listed").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_signal_that_the_caller_ignores_is_seen_in_the_mask() {
        let hang_up = SignalKind::hangup().as_raw_value();
        let rows = [
            ("Name:\tx\nSigIgn:\t0000000000000001\nSigCgt:\t0", true),
            ("SigIgn:\t0000000000001000\n", false),
            ("SigCgt:\t0000000000000001\n", false),
            ("", false),
        ];
        for (status, expected) in rows {
            assert_eq!(ignores(status, hang_up), expected, "{status}");
        }
    }
}

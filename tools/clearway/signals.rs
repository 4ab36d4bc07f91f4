//! Signals that ask for an end, and what must not be left behind then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Kind, OrFail as _};
use crate::{streams, ui};

/// Looks at a folder that a node may still write into until it stays away, this often at most.
const REMOVALS_MAX: u32 = 400;
/// How long a removed folder must stay away.
const AWAY: Duration = Duration::from_millis(5);

/// The signals that ask for an end.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    /// Must be called within a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one, and gives the exit code that a shell gives a program that it ended.
    pub(crate) async fn next(&mut self) -> i32 {
        let number = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        128 + number.as_raw_value()
    }
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

/// What is removed when a signal ends the program.
static LEFTOVERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn leftovers() -> MutexGuard<'static, Vec<PathBuf>> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file or folder that a signal's end removes too, while this lives.
#[derive(Debug)]
pub(crate) struct Leftover(PathBuf);

impl Leftover {
    pub(crate) fn new(path: &Path) -> Self {
        leftovers().push(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        leftovers().retain(|path| *path != self.0);
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
        clean_up_at_a_signal()?;
        // A signal waits for the lock, and finds the folder in the list.
        let mut leftovers = leftovers();
        let dir = tempfile::Builder::new().prefix("clearway-").tempdir();
        let dir = dir.map_err(|error| {
            let message = format!(
                "cannot make a temporary folder: {error}; set TMPDIR to a folder with room, or \
                 give --keep DIR"
            );
            Failure::new(Kind::Failed, message)
        })?;
        leftovers.push(dir.path().to_owned());
        let leftover = Leftover(dir.path().to_owned());
        Ok(Self {
            dir,
            _leftover: leftover,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// From here on a signal removes the leftovers before it ends the program.
fn clean_up_at_a_signal() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut ends = runtime.block_on(async { Ends::new() })?;
    let watch = move || {
        let code = runtime.block_on(ends.next());
        ui::note("interrupted: what was made so far is removed");
        for path in leftovers().iter() {
            remove(path);
        }
        streams::finish();
        std::process::exit(code);
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(watch).map(drop).or_fail(Kind::Failed)
}

/// Removes a file, or a folder into which threads of this process may write meanwhile: they find it
/// gone and give up.
fn remove(path: &Path) {
    for _ in 0..REMOVALS_MAX {
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(path),
            false => std::fs::remove_file(path),
        };
        let gone = removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if gone {
            return;
        }
        std::thread::sleep(AWAY);
    }
}

//! Everything that a node does to its files, from outside its code: a library that Linux loads in
//! front of the C library writes it down, or plays a full disk or one that hangs.
//!
//! What a caller does: [`Recorder::build`] once, then [`Recorder::record`],
//! [`Recorder::fill_disk`] or [`Recorder::hold_syncs`] on the command that
//! [`crate::NodeProcess::start`] gets.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The library's source; it is no part of any crate, since it must not be linked into one.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorder/preload.rs");

/// Held while the library is built: tests of one process share its name.
static BUILDING: Mutex<()> = Mutex::new(());

/// The built library.
#[derive(Clone, Debug)]
pub struct Recorder {
    library: PathBuf,
}

impl Recorder {
    /// Builds the library beside the test's own program, unless it is there already. `None`, and
    /// a loud word, on systems other than 64-bit Linux.
    ///
    /// # Panics
    /// When it cannot be built; the compiler's words are in the message.
    #[must_use]
    pub fn build() -> Option<Self> {
        if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            eprintln!("SKIPPED: files are watched on 64-bit Linux alone; NOTHING WAS TESTED HERE");
            return None;
        }
        let source = std::fs::read(SOURCE).expect("the source stands in the repository");
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        let program = std::env::current_exe().expect("a running program");
        let name = format!("librecorder-{:016x}.so", hasher.finish());
        let library = program.with_file_name(name);
        let _one_of_this_process = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        if !library.exists() {
            // Processes that build it at the same time each make a whole one; one of them stays.
            let made = library.with_extension(std::process::id().to_string());
            compile(&made);
            std::fs::rename(&made, &library).expect("the folder of the build can be written");
        }
        Some(Self { library })
    }

    /// Has every change below `root` appended to the record at `log`, which must lie elsewhere.
    /// The record is read by [`crate::record::read`]. Once the file `kill` exists, the program
    /// dies of SIGKILL after its next change: a kill from outside could come between a change and
    /// its place in the record.
    pub fn record(&self, command: &mut Command, root: &Path, log: &Path, kill: &Path) {
        self.watch(command, root)
            .env("RECORDER_LOG", log)
            .env("RECORDER_KILL", kill);
    }

    /// While the file `full` exists, nothing below `root` can grow: a write past the end of a file
    /// is cut short there, and one that starts there fails with `ENOSPC`, as does `fallocate`.
    /// Bytes that a file has already can be written over, and names still come and go.
    pub fn fill_disk(&self, command: &mut Command, root: &Path, full: &Path) {
        self.watch(command, root).env("RECORDER_FULL", full);
    }

    /// While the file `stuck` exists, no sync of anything below `root` ends.
    pub fn hold_syncs(&self, command: &mut Command, root: &Path, stuck: &Path) {
        self.watch(command, root).env("RECORDER_STUCK", stuck);
    }

    fn watch<'a>(&self, command: &'a mut Command, root: &Path) -> &'a mut Command {
        let root = root.canonicalize().expect("the watched folder is there");
        command
            .env("LD_PRELOAD", &self.library)
            .env("RECORDER_ROOT", root)
    }
}

fn compile(made: &Path) {
    // Cargo says where it is; the compiler of the same toolchain stands beside it.
    let cargo = std::env::var_os("CARGO").map(PathBuf::from);
    let beside = cargo.map(|cargo| cargo.with_file_name("rustc"));
    let rustc = beside
        .filter(|rustc| rustc.exists())
        .unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition", "2024", "--crate-type", "cdylib"])
        .args(["-C", "opt-level=2", "-C", "panic=abort", "-D", "warnings"])
        .arg(SOURCE)
        .arg("-o")
        .arg(made)
        .output()
        .expect("the compiler starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{SOURCE}: {said}");
}

//! The journal's two files on the disk.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::FILES;
use super::format::FILE_BYTES;

/// Their names in the journal's folder.
const NAMES: [&str; FILES] = ["journal-0", "journal-1"];
/// File beside them that the engine's runtime has a lock on.
const HOLD: &str = ".hold";
/// Folder beside them, for files that are not needed any more and may be damaged.
const ASIDE: &str = "settled";

const PAGE_BYTES: usize = 4096;

/// Where the frames go.
pub(super) trait JournalDisk: Send {
    /// All bytes of a file.
    fn read(&self, file: usize) -> io::Result<Vec<u8>>;
    /// Writes bytes, which are durable after the next sync.
    fn write(&mut self, file: usize, at: usize, bytes: &[u8]) -> io::Result<()>;
    /// Makes the bytes of a file durable.
    fn sync(&mut self, file: usize) -> io::Result<()>;
}

/// Where one of the files is.
pub(super) fn path(dir: &Path, file: usize) -> PathBuf {
    dir.join(NAMES[file])
}

/// The operating system's files.
pub(super) struct RealDisk {
    files: [File; FILES],
}

impl RealDisk {
    /// Opens both files, and makes them in their full length where they are not there: a sync of a
    /// frame changes no length and no place of the file then, which costs a file system most.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let files = [open_file(dir, 0)?, open_file(dir, 1)?];
        File::open(dir)?.sync_all()?;
        Ok(Self { files })
    }
}

fn open_file(dir: &Path, file: usize) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let opened = options.open(path(dir, file))?;
    let len = usize::try_from(opened.metadata()?.len()).unwrap_or(usize::MAX);
    if len < FILE_BYTES {
        // One that was cut short keeps what it has: zeros say where that ends. Page by page: the
        // kernel keeps what is written at once as one piece, and goes through all of it each time
        // a frame in it is synced.
        for at in (len..FILE_BYTES).step_by(PAGE_BYTES) {
            let zeros = &[0; PAGE_BYTES][..PAGE_BYTES.min(FILE_BYTES - at)];
            opened.write_all_at(zeros, at as u64)?;
        }
        opened.sync_all()?;
    }
    Ok(opened)
}

impl JournalDisk for RealDisk {
    fn read(&self, file: usize) -> io::Result<Vec<u8>> {
        let file = &self.files[file];
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn write(&mut self, file: usize, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.files[file].write_all_at(bytes, at as u64)
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        self.files[file].sync_data()
    }
}

/// The first thing that would be opened as a file and is none: a pipe would be waited for without
/// end.
pub(crate) fn foreign(dir: &Path) -> Option<PathBuf> {
    let journal = (0..FILES).map(|file| path(dir, file));
    let mut paths = std::iter::once(dir.join(HOLD)).chain(journal);
    paths.find(|path| fs::metadata(path).is_ok_and(|about| !about.is_file()))
}

/// Whether there is a journal.
pub(crate) fn is_there(dir: &Path) -> bool {
    (0..FILES).any(|file| path(dir, file).exists())
}

/// Moves the files away, and says where to and how many there were.
///
/// # Errors
/// The system's; one may have been moved.
pub(crate) fn set_aside(dir: &Path) -> io::Result<(PathBuf, usize)> {
    let aside = dir.join(ASIDE);
    let mut count = 0;
    for name in NAMES {
        if dir.join(name).exists() {
            fs::create_dir_all(&aside)?;
            fs::rename(dir.join(name), aside.join(name))?;
            count += 1;
        }
    }
    Ok((aside, count))
}

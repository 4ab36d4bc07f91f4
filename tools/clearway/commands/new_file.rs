//! A file that a command makes: written beside its name, which it gets once it is whole.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clearway_node::publish;

use crate::failure::Failure;
use crate::signals::Leftover;

/// A new file, made before the work. Until it is whole it has another name; removed when it is
/// dropped before that, and when a signal comes first.
pub(super) struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    _leftover: Leftover,
}

impl NewFile {
    /// Looks whether the name is free, for `what`; nothing is ever overwritten.
    pub(super) fn create(what: &str, path: &Path) -> Result<Self, Failure> {
        let place = path.display();
        if path == Path::new("-") {
            let message = format!("{what} goes into a file, and never to standard output");
            return Err(Failure::usage(message).remedy("name a new file, ./- for one of that name"));
        }
        if path.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!(
                "{place} exists already and nothing is overwritten: name a new file, or move this \
                 one away"
            )));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let made = Leftover::made(&part, || File::create_new(&part))?;
        let (file, leftover) = made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let part = part.display();
                let message = format!("{part} exists already and nothing is overwritten");
                Failure::usage(message).remedy(format!("remove {part}"))
            }
            _ => Failure::usage(format!("{place}: {error}")).remedy("name a file to make"),
        })?;
        Ok(Self {
            path: path.into(),
            part,
            file,
            _leftover: leftover,
        })
    }

    /// Its name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs what was written, and gives the file its name.
    pub(super) fn publish(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        publish(&self.part, &self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone where it has its name; where it cannot be removed its ending says what it is.
        let _ = std::fs::remove_file(&self.part);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::failure::Kind;

    #[test]
    fn a_file_that_has_the_name_of_the_part_stays_and_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let [path, kept] = ["paid.proof", "kept"].map(|name| dir.path().join(name));
        std::fs::write(&kept, "kept").expect("written");
        let made = NewFile::create("a proof", &path).expect("free");
        let part = made.part.clone();
        let refused = || {
            let refused = NewFile::create("a proof", &path)
                .err()
                .expect("it is there");
            assert_eq!(refused.kind(), Kind::Usage);
            let words = format!("remove {}", part.display());
            assert!(refused.to_string().contains(&words), "{refused}");
        };
        refused();
        assert!(part.exists(), "it is the first one's");
        drop(made);
        assert!(!part.exists());
        // A link to a file of somebody's.
        std::os::unix::fs::symlink(&kept, &part).expect("linked");
        refused();
        assert!(part.is_symlink());
        assert_eq!(std::fs::read(&kept).expect("read"), b"kept");
    }
}

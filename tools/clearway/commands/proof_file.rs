//! The file into which a proof goes: written beside its name, which it gets once it is whole.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clearway_node::publish;
use clearway_types::wire::proof::SettlementProof;

use crate::failure::{Failure, Kind};
use crate::signals::Leftover;

/// A new file for one proof, made before anything is asked. Until it is whole it has another name;
/// removed when it is dropped without a proof, and when a signal comes first.
pub(super) struct ProofFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    _leftover: Leftover,
}

impl ProofFile {
    /// Looks whether the name is free; nothing is ever overwritten.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let place = path.display();
        if path == Path::new("-") {
            let message = "a proof goes into a file, and never to standard output";
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

    /// Writes the canonical bytes, syncs them and gives them their name.
    fn write(&mut self, proof: &SettlementProof) -> Result<(), Failure> {
        let written = self.file.write_all(&proof.encode());
        let written = written.and_then(|()| self.file.sync_all());
        let named = written.and_then(|()| publish(&self.part, &self.path));
        named.map_err(|error| {
            let message = format!(
                "the proof was checked and cannot be written to {}: {error}",
                self.path.display()
            );
            Failure::new(Kind::Failed, message).remedy("make room, or name another file")
        })
    }
}

impl Drop for ProofFile {
    fn drop(&mut self) {
        // Gone where it has its name; where it cannot be removed its ending says what it is.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// Keeps a proof where there is a file for it.
pub(super) fn keep(
    file: Option<ProofFile>,
    proof: Option<&SettlementProof>,
) -> Result<(), Failure> {
    match (file, proof) {
        (None, _) => Ok(()),
        (Some(mut file), Some(proof)) => file.write(proof),
        (Some(file), None) => {
            let message = format!(
                "there is no proof yet, so {} was not made",
                file.path.display()
            );
            Err(Failure::new(Kind::Unavailable, message).remedy("ask again in a moment"))
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_the_name_of_the_part_stays_and_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let [path, kept] = ["paid.proof", "kept"].map(|name| dir.path().join(name));
        std::fs::write(&kept, "kept").expect("written");
        let made = ProofFile::create(&path).expect("free");
        let part = made.part.clone();
        let refused = || {
            let refused = ProofFile::create(&path).err().expect("it is there");
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

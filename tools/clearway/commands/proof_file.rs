//! The file into which a proof goes: written beside its name, which it gets once it is whole.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

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
        // What a killed command has left under this name is of a process that is gone.
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let made = Leftover::made(&part, || File::create(&part))?;
        let (file, leftover) = made.map_err(|error| {
            Failure::usage(format!("{place}: {error}")).remedy("name a file to make")
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
        let named = written.and_then(|()| self.take_name());
        named.map_err(|error| {
            let message = format!(
                "the proof was checked and cannot be written to {}: {error}",
                self.path.display()
            );
            Failure::new(Kind::Failed, message).remedy("make room, or name another file")
        })
    }

    /// Unlike renaming, a further name leaves a file that somebody else has made meanwhile.
    fn take_name(&self) -> std::io::Result<()> {
        match std::fs::hard_link(&self.part, &self.path) {
            // A file system without such names.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                std::fs::rename(&self.part, &self.path)
            }
            linked => linked,
        }
    }
}

impl Drop for ProofFile {
    fn drop(&mut self) {
        // Gone where it was renamed; where it cannot be removed its ending says what it is.
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

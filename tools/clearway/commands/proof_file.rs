//! The file into which a proof goes: made before anything is asked, and gone where it stays empty.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clearway_types::wire::proof::SettlementProof;

use crate::failure::{Failure, Kind};
use crate::signals::Leftover;

/// A new file for one proof; removed when it is dropped without one, and when a signal comes first.
pub(super) struct ProofFile {
    path: PathBuf,
    file: File,
    unwritten: Option<Leftover>,
}

impl ProofFile {
    /// Takes the name; nothing is ever overwritten.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let place = path.display();
        let made = Leftover::made(path, || File::create_new(path))?;
        let (file, unwritten) = made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::usage(format!(
                "{place} exists already and nothing is overwritten: name a new file, or move this \
                 one away"
            )),
            _ => Failure::usage(format!("{place}: {error}")).remedy("name a file to make"),
        })?;
        Ok(Self {
            path: path.into(),
            file,
            unwritten: Some(unwritten),
        })
    }

    /// Writes the canonical bytes and syncs them.
    fn write(&mut self, proof: &SettlementProof) -> Result<(), Failure> {
        let written = self.file.write_all(&proof.encode());
        let written = written.and_then(|()| self.file.sync_all());
        if written.is_ok() {
            self.unwritten = None;
        }
        written.map_err(|error| {
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
        if self.unwritten.is_some() {
            // A file that cannot be removed is empty or cut, and no checker takes it for a proof.
            let _ = std::fs::remove_file(&self.path);
        }
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

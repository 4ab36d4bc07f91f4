//! The file into which a proof goes.

use std::io::Write as _;

use clearway_types::wire::proof::SettlementProof;

use crate::commands::new_file::NewFile;
use crate::failure::{Failure, Kind};

/// Keeps a proof, its canonical bytes, where there is a file for it.
pub(super) fn keep(file: Option<NewFile>, proof: Option<&SettlementProof>) -> Result<(), Failure> {
    match (file, proof) {
        (None, _) => Ok(()),
        (Some(mut file), Some(proof)) => {
            let written = file.write_all(&proof.encode());
            written.and_then(|()| file.publish()).map_err(|error| {
                let message = format!(
                    "the proof was checked and cannot be written to {}: {error}",
                    file.path().display()
                );
                Failure::new(Kind::Failed, message).remedy("make room, or name another file")
            })
        }
        (Some(file), None) => {
            let message = format!(
                "there is no proof yet, so {} was not made",
                file.path().display()
            );
            Err(Failure::new(Kind::Unavailable, message).remedy("ask again in a moment"))
        }
    }
}

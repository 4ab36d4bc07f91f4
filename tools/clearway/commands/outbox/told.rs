//! Envelopes that were told to have moved nothing and never to: kept aside, so that a later
//! question gets the same answer. Nothing else in the cluster remembers what was not executed.

use std::fs::DirEntry;
use std::path::PathBuf;
use std::time::SystemTime;

use clearway_client::Answer;
use clearway_types::units::TransferId;

use super::{ENTRIES_MAX, Entry, Outbox};
use crate::commands::answer::stays;
use crate::failure::Failure;

/// How their files end.
const ENDING: &str = "told";
/// As many are kept as may wait; the oldest make room.
const TOLD_MAX: usize = ENTRIES_MAX;

/// What was told of an envelope that waits no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Its instruction has its result in the log, where it is found for ever.
    Executed,
    /// It moved nothing and never will, which no log says.
    MovedNothing,
    /// No copy of it was sent.
    Unsent,
}

impl End {
    /// By the answer that was told.
    pub(crate) fn of(answer: Answer) -> Self {
        match stays(answer) {
            true => Self::Executed,
            false => Self::MovedNothing,
        }
    }
}

impl Outbox {
    /// Takes an entry out of what waits, and keeps it for later questions.
    pub(crate) fn keep_told(&self, id: TransferId) -> Result<(), Failure> {
        let path = self.path(id);
        match std::fs::rename(&path, self.told_path(id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(self.failure(&path, &error));
            }
            _ => {}
        }
        self.drop_oldest();
        Ok(())
    }

    /// An envelope that was told to have moved nothing, as far as it is kept and whole.
    pub(crate) fn told(&self, id: TransferId) -> Option<Entry> {
        let entry = self.read(&self.told_path(id)).ok()?;
        (entry.id() == id).then_some(entry)
    }

    /// Forgets one whose identifier is used again.
    pub(super) fn forget_told(&self, id: TransferId) {
        // Where it cannot be removed, what waits under the same identifier counts all the same.
        let _ = std::fs::remove_file(self.told_path(id));
    }

    fn told_path(&self, id: TransferId) -> PathBuf {
        self.path(id).with_extension(ENDING)
    }

    /// What cannot be removed is only more than need be.
    fn drop_oldest(&self) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let is_told = |entry: &DirEntry| {
            let path = entry.path();
            path.extension().is_some_and(|ending| ending == ENDING)
        };
        let told = entries.filter_map(Result::ok).filter(is_told);
        let mut told: Vec<(SystemTime, PathBuf)> = told
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        told.sort_unstable();
        for (_, path) in told.iter().rev().skip(TOLD_MAX) {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::{entry, same};
    use super::*;

    #[test]
    fn what_was_told_waits_no_more_and_is_found_until_its_identifier_is_used_again() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = Outbox::beside(Path::new("unused"), Some(dir.path()), String::new());
        let first = entry(1);
        outbox.keep(first).expect("written");
        assert!(outbox.told(first.id()).is_none(), "it waits");
        outbox.keep_told(first.id()).expect("kept aside");
        assert!(outbox.find(first.id()).expect("read").is_none());
        assert!(outbox.names().expect("listed").is_empty());
        let told = outbox.told(first.id()).expect("it is kept");
        assert!(same(&told, &first));
        // Told once more, as by two commands at a time.
        outbox.keep_told(first.id()).expect("there is none");
        assert!(outbox.told(first.id()).is_some());
        outbox.keep(first).expect("written again");
        assert!(outbox.told(first.id()).is_none(), "it waits again");
    }

    #[test]
    fn the_oldest_of_what_was_told_make_room() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = Outbox::beside(Path::new("unused"), Some(dir.path()), String::new());
        let old = SystemTime::UNIX_EPOCH;
        for number in 0..TOLD_MAX {
            let file = std::fs::File::create(dir.path().join(format!("{number}.told")));
            file.and_then(|file| file.set_modified(old)).expect("made");
        }
        outbox.keep(entry(1)).expect("written");
        outbox.keep_told(entry(1).id()).expect("kept aside");
        assert!(outbox.told(entry(1).id()).is_some());
        let left = std::fs::read_dir(dir.path()).expect("listed").count();
        assert_eq!(left, TOLD_MAX);
    }
}

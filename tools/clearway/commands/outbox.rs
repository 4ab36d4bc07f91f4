//! The outbox: what a member has signed and not been told the end of, one file per envelope, so
//! that a command that is cut off can be taken up again with the same bytes.

mod told;

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clearway_types::envelope::Envelope;
use clearway_types::hex;
use clearway_types::units::TransferId;
use rustix::io::Errno;

use crate::commands::entry::{Damaged, Entry, EntryError, Flaw};
use crate::failure::{Failure, Kind};
use crate::ui;

pub(crate) use told::End;

/// Envelopes that may wait in an outbox: 1,000 files of a block each take 4 MiB.
pub(super) const ENTRIES_MAX: usize = 1000;
/// Tries to write an entry whose file others take for one that was left behind.
const WRITES_MAX: usize = 8;
/// How the files of those end that wait.
const ENDING: &str = "json";
/// Longest file that is read: an entry has about 700 bytes.
const ENTRY_BYTES_MAX: u64 = 4096;

/// The `--outbox` switch of all commands that sign, or ask about what was signed.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct OutboxArg {
    /// Folder for what is signed and whose end is not known; KEY.outbox without it
    #[arg(long = "outbox", value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

/// A folder of entries; made when the first one is written.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    folder: PathBuf,
    /// The arguments of commands that ask about what is in it, as a shell takes them.
    again: String,
}

/// An entry that this command sends: no other one sends it, or takes it for unsent, meanwhile.
#[derive(Debug)]
pub(crate) struct Held {
    _locked: File,
}

/// Folder of a key's outbox where none is named.
pub(crate) fn folder_beside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".outbox");
    name.into()
}

impl Outbox {
    /// The named folder, or the one beside a key file, and the arguments of commands that ask about
    /// what is in it.
    pub(crate) fn beside(key: &Path, named: Option<&Path>, again: String) -> Self {
        let folder = named.map_or_else(|| folder_beside(key), Path::to_owned);
        Self { folder, again }
    }

    /// Keeps an entry, to be sent; durable when this returns. Nothing where one with the same
    /// identifier is there by now: it stays as it is, and tells what to do.
    ///
    /// # Errors
    /// Nothing may be sent then.
    pub(crate) fn keep(&self, entry: Entry) -> Result<Option<Held>, Failure> {
        self.write(entry, false)
    }

    /// As [`Outbox::keep`], in place of an entry whose envelope can never be executed.
    pub(crate) fn replace(&self, entry: Entry) -> Result<Option<Held>, Failure> {
        self.write(entry, true)
    }

    /// Takes an entry that is there, to send it: waits until no other command sends it. Nothing
    /// where it is not there any more as these bytes.
    pub(crate) fn hold(&self, envelope: &Envelope) -> Result<Option<Held>, Failure> {
        let id = envelope.body.id;
        let path = self.path(id);
        let is_there = || {
            let entry = self.find(id)?;
            Ok::<_, Failure>(entry.is_some_and(|entry| entry.envelope == *envelope))
        };
        if !is_there()? {
            return Ok(None);
        }
        let locked = File::open(&path).and_then(|file| {
            if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                ui::note(&format!("waiting for another command that sends {id}"));
                file.lock()?;
            }
            Ok(file)
        });
        let _locked = match locked {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            locked => locked.map_err(|error| self.failure(&path, &error))?,
        };
        Ok(is_there()?.then_some(Held { _locked }))
    }

    fn write(&self, entry: Entry, replace: bool) -> Result<Option<Held>, Failure> {
        self.make_folder()?;
        self.sweep();
        if !replace {
            self.check_room()?;
        }
        let held = self.write_and(entry, replace, Self::sync)?;
        self.forget_told(entry.id());
        Ok(held)
    }

    /// One that takes the place of another needs no room.
    fn check_room(&self) -> Result<(), Failure> {
        let waiting = self.names()?.len();
        if waiting < ENTRIES_MAX {
            return Ok(());
        }
        let message = format!(
            "{} holds {waiting} envelopes whose end is not known: type `clearway resend` first",
            self.folder.display()
        );
        Err(Failure::new(Kind::Failed, message))
    }

    /// Writes an entry and makes its name durable by `sync`.
    fn write_and(
        &self,
        entry: Entry,
        replace: bool,
        sync: impl FnOnce(&Self) -> std::io::Result<()>,
    ) -> Result<Option<Held>, Failure> {
        let path = self.path(entry.id());
        let temporary = self
            .folder
            .join(format!("{}.{}.tmp", entry.id(), std::process::id()));
        let text = entry.to_text()?;
        let write = || -> std::io::Result<File> {
            let file = write_private(&temporary, text.as_bytes())?;
            match replace {
                true => std::fs::rename(&temporary, &path),
                // Unlike renaming, this leaves an entry that another process has just made.
                false => std::fs::hard_link(&temporary, &path),
            }?;
            Ok(file)
        };
        // Another command may sweep the file away before it is locked.
        let mut written = write();
        for _ in 1..WRITES_MAX {
            match &written {
                Err(error) if error.kind() == ErrorKind::NotFound => written = write(),
                _ => break,
            }
        }
        // Gone where it was renamed; where it cannot be removed it is only never read.
        let _ = std::fs::remove_file(&temporary);
        let locked = match written {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            written => written.map_err(|error| self.failure(&path, &error))?,
        };
        let synced = sync(self).map_err(|error| {
            let failure = self.failure(&self.folder, &error);
            // What is told as not sent must not be sent by the next `clearway resend`.
            match std::fs::remove_file(&path) {
                Ok(()) => failure,
                Err(_) => failure.adding(&format!("remove {}", path.display())),
            }
        });
        synced.map(|()| Some(Held { _locked: locked }))
    }

    /// The entry with this identifier, if there is one.
    pub(crate) fn find(&self, id: TransferId) -> Result<Option<Entry>, EntryError> {
        let path = self.path(id);
        // Of the name itself: a link to nothing keeps others from having it, too.
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Ok(_) => self.read(&path).map(Some),
            Err(error) => Err(self.failure(&path, &error).into()),
        }
    }

    /// Every entry, oldest identifiers first; a file that is none keeps no other one back.
    pub(crate) fn all(&self) -> Result<Vec<Result<Entry, EntryError>>, Failure> {
        self.sweep();
        let names = self.names()?;
        Ok(names.iter().map(|path| self.read(path)).collect())
    }

    /// Forgets an envelope that the log knows, or that was not sent.
    pub(crate) fn forget(&self, id: TransferId) -> Result<(), Failure> {
        let path = self.path(id);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failure(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Puts a damaged entry aside, where no command looks; tells where.
    pub(crate) fn put_aside(&self, id: TransferId) -> Result<PathBuf, Failure> {
        let (path, aside) = (self.path(id), self.folder.join(format!("{id}.damaged")));
        let renamed = match path.is_file() {
            true => std::fs::rename(&path, &aside),
            false => Err(std::io::Error::other("this is no file")),
        };
        renamed.map_err(|error| self.failure(&path, &error))?;
        Ok(aside)
    }

    /// The arguments of commands that ask about what is in it.
    pub(crate) fn again(&self) -> &str {
        &self.again
    }

    /// The folder, whether it is there or not.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the entry with this identifier is.
    pub(crate) fn path(&self, id: TransferId) -> PathBuf {
        self.folder.join(id.to_string()).with_extension(ENDING)
    }

    /// The files of all entries, whole or not, oldest identifiers first.
    pub(crate) fn names(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
            entries => entries.map_err(|error| self.failure(&self.folder, &error))?,
        };
        for entry in entries {
            let path = entry
                .map_err(|error| self.failure(&self.folder, &error))?
                .path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                names.push(path);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes what commands left that were killed while they wrote an entry: as long as they live
    /// they hold a lock on it. Where that cannot be seen, or removed, it is only never read.
    fn sweep(&self) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            if !is_temporary(&entry.file_name().to_string_lossy()) {
                continue;
            }
            // A pipe would wait for its other end.
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let path = entry.path();
            let left = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if left {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn read(&self, path: &Path) -> Result<Entry, EntryError> {
        let text = self.text(path)?;
        match Entry::of_text(&text) {
            None => Err(EntryError::Damaged(Damaged::new(
                path,
                &text,
                Flaw::NoEntry,
                &self.again,
            ))),
            Some(entry) if self.path(entry.id()) == path.with_extension(ENDING) => Ok(entry),
            // Under another name it would never be found, nor forgotten.
            Some(entry) => Err(EntryError::Misnamed(path.to_owned(), entry.id())),
        }
    }

    /// An entry that the key in its slot has not signed, however whole it looks.
    pub(crate) fn unsigned(&self, entry: &Entry) -> EntryError {
        let (path, body) = (self.path(entry.id()), &entry.envelope.body);
        let (signer, slot) = (body.signer(), body.flags().key_slot());
        let flaw = Flaw::Unsigned { signer, slot };
        match self.text(&path) {
            Ok(text) => EntryError::Damaged(Damaged::new(&path, &text, flaw, &self.again)),
            Err(failure) => failure.into(),
        }
    }

    /// What is in a file; nothing where it is none, or longer than an entry.
    fn text(&self, path: &Path) -> Result<String, Failure> {
        let meta = std::fs::metadata(path).map_err(|error| self.failure(path, &error))?;
        let bytes = match meta.is_file() && meta.len() <= ENTRY_BYTES_MAX {
            true => std::fs::read(path).map_err(|error| self.failure(path, &error))?,
            false => Vec::new(),
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn make_folder(&self) -> Result<(), Failure> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let made = builder.create(&self.folder);
        made.map_err(|error| self.failure(&self.folder, &error))
    }

    /// Makes names in the folder durable.
    fn sync(&self) -> std::io::Result<()> {
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    fn failure(&self, path: &Path, error: &std::io::Error) -> Failure {
        let what = match error.kind() {
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                "that is no folder: name one with --outbox FOLDER"
            }
            _ if Errno::from_io_error(error) == Some(Errno::LOOP) => {
                "remove that link, which leads to itself"
            }
            _ => "make the folder writable, or name another with --outbox FOLDER",
        };
        Failure::new(
            Kind::Failed,
            format!("outbox {}: {error}; {what}", path.display()),
        )
    }
}

/// Whether this is the name of an entry that is being written: identifier, process, ending.
fn is_temporary(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let [id, process, "tmp"] = parts[..] else {
        return false;
    };
    hex::decode_array::<16>(id).is_some() && process.parse::<u32>().is_ok()
}

/// Writes a file that is its owner's alone, and keeps it locked.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.lock()?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use clearway_types::envelope::ENVELOPE_BYTES;
    use clearway_types::units::Digest;
    use zerocopy::{FromBytes as _, IntoBytes as _};

    use super::*;

    pub(super) fn entry(number: u8) -> Entry {
        let mut envelope = Envelope::read_from_bytes(&[7; ENVELOPE_BYTES]).expect("any bytes");
        envelope.body.id = TransferId([number; 16]);
        Entry {
            genesis: Digest([9; 32]),
            envelope,
        }
    }

    fn beside_key(dir: &Path) -> Outbox {
        Outbox::beside(&dir.join("key.age"), None, String::new())
    }

    fn named(dir: &Path) -> Outbox {
        Outbox::beside(Path::new("unused"), Some(dir), String::new())
    }

    pub(super) fn same(a: &Entry, b: &Entry) -> bool {
        a.genesis == b.genesis && a.envelope.as_bytes() == b.envelope.as_bytes()
    }

    #[test]
    fn what_is_in_the_way_of_the_outbox_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("file");
        std::fs::write(&file, "x").expect("written");
        let first = entry(1);
        let kept = named(&file).keep(first).map(|_| ());
        let said = kept.expect_err("it is a file").to_string();
        assert!(said.contains("no folder: name one with --outbox"), "{said}");
        let outbox = named(dir.path());
        let path = outbox.path(first.id());
        std::os::unix::fs::symlink(&path, &path).expect("made");
        let found = outbox.find(first.id()).map(|_| ());
        let said = Failure::from(found.expect_err("it leads nowhere")).to_string();
        assert!(said.contains("remove that link"), "{said}");
    }

    #[test]
    fn an_entry_is_sent_by_one_command_at_a_time_and_by_none_once_it_is_another() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = beside_key(dir.path());
        let first = entry(1);
        let hold = || outbox.hold(&first.envelope).expect("read");
        assert!(hold().is_none(), "nothing is there");
        let kept = outbox.keep(first).expect("written").expect("none is there");
        // Another command waits for the one that sends it, and finds what that one leaves.
        let waits = |leave: &dyn Fn(), kept: Held| {
            std::thread::scope(|scope| {
                let waiting = scope.spawn(hold);
                let other = File::open(outbox.path(first.id())).expect("it is there");
                let tried = other.try_lock();
                assert!(
                    matches!(tried, Err(TryLockError::WouldBlock)),
                    "it is being sent"
                );
                leave();
                drop(kept);
                waiting.join().expect("no panic")
            })
        };
        let held = waits(&|| (), kept).expect("it is still there");
        assert!(waits(&|| outbox.forget(first.id()).expect("gone"), held).is_none());
        let kept = outbox.keep(first).expect("written").expect("none is there");
        let mut other = first;
        other.envelope.signature[0] ^= 1;
        assert!(waits(&|| drop(outbox.replace(other).expect("replaced")), kept).is_none());
        assert!(outbox.hold(&other.envelope).expect("read").is_some());
    }

    #[test]
    fn what_is_kept_is_found_until_it_is_forgotten() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = beside_key(dir.path());
        assert!(outbox.all().expect("no folder yet").is_empty());
        for number in [2, 1] {
            outbox.keep(entry(number)).expect("written");
        }
        let all = outbox.all().expect("read");
        let all: Vec<Entry> = all.into_iter().map(|one| one.expect("whole")).collect();
        assert!(same(&all[0], &entry(1)) && same(&all[1], &entry(2)));
        let kept = outbox.keep(entry(1)).expect("looked");
        assert!(kept.is_none(), "it is there already");
        let mut other = entry(1);
        other.genesis = Digest([8; 32]);
        outbox.replace(other).expect("replaced");
        let found = outbox.find(entry(1).id()).expect("read").expect("there");
        assert!(same(&found, &other));
        for _ in 0..2 {
            outbox.forget(entry(1).id()).expect("gone");
        }
        assert!(outbox.find(entry(1).id()).expect("read").is_none());
        let left = std::fs::read_dir(dir.path().join("key.age.outbox")).expect("a folder");
        assert_eq!(left.count(), 1, "nothing temporary stays");
    }

    #[test]
    fn what_a_killed_command_was_writing_is_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = named(dir.path());
        let id = "01".repeat(16);
        let stays = [
            "notes.tmp",
            "01.7.tmp",
            &format!("{id}.x.tmp"),
            &format!("{id}.tmp"),
        ];
        let left = [format!("{id}.7.tmp"), format!("{id}.4194304.tmp")];
        let busy = dir.path().join(format!("{id}.8.tmp"));
        let names = || {
            let entries = std::fs::read_dir(dir.path()).expect("listed");
            let names = entries.map(|entry| entry.expect("read").file_name());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        let file = write_private(&busy, b"half").expect("written");
        for name in stays {
            std::fs::write(dir.path().join(name), "half").expect("written");
        }
        let before = names();
        for listed in [true, false] {
            for name in &left {
                std::fs::write(dir.path().join(name), "half").expect("written");
            }
            match listed {
                true => assert!(outbox.all().expect("read").is_empty()),
                false => drop(outbox.keep(entry(2)).expect("written")),
            }
            outbox.forget(entry(2).id()).expect("gone");
            assert_eq!(names(), before, "listed {listed}");
        }
        drop(file);
        outbox.all().expect("read");
        assert!(!busy.exists(), "its writer has ended");
    }

    #[cfg(unix)]
    #[test]
    fn entries_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = beside_key(dir.path());
        outbox.keep(entry(1)).expect("written");
        for (path, mode) in [
            (outbox.folder.clone(), 0o700),
            (outbox.path(entry(1).id()), 0o600),
        ] {
            let meta = std::fs::metadata(&path).expect("it is there");
            assert_eq!(
                meta.permissions().mode() & 0o777,
                mode,
                "{}",
                path.display()
            );
        }
    }

    /// What is said of a damaged entry.
    fn said(read: &Result<Entry, EntryError>) -> String {
        match read {
            Err(EntryError::Damaged(damaged)) => Failure::from(damaged).to_string(),
            Err(EntryError::Misnamed(path, id)) => {
                Failure::from(EntryError::Misnamed(path.clone(), *id)).to_string()
            }
            _ => panic!("it is whole, or cannot be read"),
        }
    }

    #[test]
    fn a_damaged_entry_is_named_and_never_sent() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = named(dir.path());
        for number in [1, 3] {
            outbox.keep(entry(number)).expect("written");
        }
        let path = outbox.path(entry(1).id());
        let whole = std::fs::read_to_string(&path).expect("read");
        let other = whole.replace("\"id\": \"01", "\"id\": \"02");
        let newer = whole.replace("outbox/2", "outbox/3");
        // One digit of the envelope's end.
        let end = whole.find("\"envelope\"").expect("a field") + 13 + 2 * 116;
        let mut ends = whole.clone();
        ends.replace_range(end..=end, "1");
        // One of its signer: of another member it would keep the identifier from its own.
        let signer = end - 8;
        let mut signs = whole.clone();
        signs.replace_range(signer..=signer, "1");
        for text in [
            "",
            &whole[..100],
            &other,
            &newer,
            &ends,
            &signs,
            &"x".repeat(5000),
        ] {
            std::fs::write(&path, text).expect("written");
            let all = outbox.all().expect("listed");
            let [bad, good] = &all[..] else {
                panic!("{} entries", all.len());
            };
            let said = said(bad);
            assert!(
                said.contains("0101") && said.contains("no outbox entry of this version"),
                "{said}"
            );
            assert!(same(good.as_ref().expect("it is whole"), &entry(3)));
        }
    }

    #[test]
    fn an_entry_under_another_name_is_said_to_be_the_one_in_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = named(dir.path());
        outbox.keep(entry(1)).expect("written");
        let path = outbox.path(entry(1).id());
        let name = path.file_name().expect("a name").to_string_lossy();
        for other in [outbox.path(entry(2).id()), dir.path().join("copy.json")] {
            for (copy, words) in [(true, "is there too"), (false, "rename it back to")] {
                match copy {
                    true => drop(std::fs::copy(&path, &other).expect("copied")),
                    false => std::fs::rename(&path, &other).expect("renamed"),
                }
                let all = outbox.all().expect("listed");
                let said = said(all.last().expect("it is there"));
                let holds = format!("holds the entry of {}", entry(1).id());
                for words in [&holds, words, &name] {
                    assert!(said.contains(words), "{said}");
                }
            }
            std::fs::rename(&other, &path).expect("renamed back");
            outbox.find(entry(1).id()).expect("whole").expect("there");
        }
    }

    #[test]
    fn a_full_outbox_takes_no_more() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = named(dir.path());
        for number in 0..ENTRIES_MAX {
            std::fs::write(dir.path().join(format!("{number}.json")), "").expect("written");
        }
        let failure = outbox.keep(entry(1)).expect_err("full");
        assert!(failure.to_string().contains("clearway resend"), "{failure}");
        // One that takes the place of another still fits.
        std::fs::rename(dir.path().join("0.json"), outbox.path(entry(1).id())).expect("renamed");
        outbox.replace(entry(1)).expect("replaced");
        let found = outbox.find(entry(1).id()).expect("read").expect("there");
        assert!(same(&found, &entry(1)));
    }

    #[test]
    fn an_entry_that_is_not_durable_is_not_left_to_be_sent() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let outbox = named(dir.path());
        for replace in [false, true] {
            let written = outbox.write_and(entry(1), replace, |_| Err(ErrorKind::Other.into()));
            written.expect_err("its name is not durable");
            let left = std::fs::read_dir(dir.path()).expect("a folder");
            assert_eq!(left.count(), 0, "replace {replace}");
        }
        // Another process's entry is not this one's to remove.
        outbox.keep(entry(1)).expect("written");
        let kept = outbox.keep(entry(1)).expect("looked");
        assert!(kept.is_none(), "it is there already");
        assert!(outbox.find(entry(1).id()).expect("read").is_some());
    }
}

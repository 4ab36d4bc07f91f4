//! The record of a watched program: what it did to its files, in the order in which it happened.

use std::path::{Path, PathBuf};

/// One change, or one word about a sync. Paths are below the watched folder; files are known by
/// their number (`st_ino`), since names move and a number comes back once its file is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A new, empty file.
    Create {
        /// Its number from now on.
        file: u64,
        /// Its name.
        path: PathBuf,
    },
    /// A file that was there is opened.
    Open {
        /// Its number.
        file: u64,
        /// Its name.
        path: PathBuf,
    },
    /// Bytes written.
    Write {
        /// Where to.
        file: u64,
        /// Offset of the first byte.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
        /// Whether the call came back only after the disk had them.
        synced: bool,
    },
    /// A new length in bytes.
    Resize {
        /// Whose.
        file: u64,
        /// How long.
        length: u64,
    },
    /// A sync begins: what was written before this will be durable when it ends.
    Syncing {
        /// Names the sync.
        token: String,
        /// Of what.
        subject: Subject,
    },
    /// A sync has ended well.
    Synced {
        /// Names the sync.
        token: String,
    },
    /// A name becomes another one, in place of what had it.
    Rename {
        /// The name until now.
        from: PathBuf,
        /// The name from now on.
        to: PathBuf,
    },
    /// A file or an empty folder is removed.
    Remove {
        /// Its name.
        path: PathBuf,
    },
    /// A new folder.
    MakeDir {
        /// Its name.
        path: PathBuf,
    },
}

/// What a sync is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The bytes and the length of a file.
    File(u64),
    /// The names in a folder.
    Dir(PathBuf),
}

/// An event, and the length of the record once it was written: who notes the record's length at
/// some moment knows later which events came before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// What happened.
    pub event: Event,
    /// Bytes of the record up to and with this event.
    pub record_bytes: u64,
}

/// Reads a record; a last event that a kill cut short is left out.
///
/// # Panics
/// When the program did something that a record cannot tell, such as writing through a memory
/// map: nothing can be concluded from such a record.
#[must_use]
pub fn read(log: &Path) -> Vec<Recorded> {
    let record = std::fs::read(log).expect("the watched program wrote a record");
    let mut rest = record.as_slice();
    let mut events = Vec::new();
    while let Some((event, after)) = next(rest) {
        rest = after;
        let record_bytes = (record.len() - rest.len()) as u64;
        events.push(Recorded {
            event,
            record_bytes,
        });
    }
    events
}

/// The first event and what follows it; `None` at the end.
fn next(rest: &[u8]) -> Option<(Event, &[u8])> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let line = std::str::from_utf8(&rest[..end]).expect("a line of text");
    let rest = &rest[end + 1..];
    let fields: Vec<&str> = line.split('\t').collect();
    let event = match fields.as_slice() {
        ["create", file, path] => Event::Create {
            file: number(file),
            path: path.into(),
        },
        ["open", file, path] => Event::Open {
            file: number(file),
            path: path.into(),
        },
        [what @ ("write" | "write-synced"), file, offset, length] => {
            let length = usize::try_from(number(length)).expect("it was one buffer");
            let bytes = rest.get(..length)?.to_vec();
            let event = Event::Write {
                file: number(file),
                offset: number(offset),
                bytes,
                synced: *what == "write-synced",
            };
            return Some((event, &rest[length..]));
        }
        ["resize", file, length] => Event::Resize {
            file: number(file),
            length: number(length),
        },
        ["syncing", token, what, subject] => Event::Syncing {
            token: (*token).to_owned(),
            subject: match *what {
                "dir" => Subject::Dir(subject.into()),
                _ => Subject::File(number(subject)),
            },
        },
        ["synced", token] => Event::Synced {
            token: (*token).to_owned(),
        },
        ["rename", from, to] => Event::Rename {
            from: from.into(),
            to: to.into(),
        },
        ["remove", path] => Event::Remove { path: path.into() },
        ["mkdir", path] => Event::MakeDir { path: path.into() },
        _ => panic!("the record cannot tell this: {line}"),
    };
    Some((event, rest))
}

fn number(field: &str) -> u64 {
    field.parse().expect("a number that the library wrote")
}

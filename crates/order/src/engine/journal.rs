//! The engine's journal as files: whether there is one, and which of them it can do without.
use std::io;
use std::path::{Path, PathBuf};

/// Folder of the engine's storage with its journal: a file a view, named by the view in sixteen
/// hexadecimal digits.
pub(crate) const PARTITION: &str = "votes";
/// Folder beside it, for files that are not needed any more and may be damaged.
const ASIDE: &str = "settled";

/// File of the engine's storage that one engine at a time has a lock on.
const HOLD: &str = ".hold";

/// The first thing in the engine's storage that it would open as a file and that is none: a pipe
/// would be waited for without end.
pub(crate) fn foreign(dir: &Path) -> Option<PathBuf> {
    let votes = std::fs::read_dir(dir.join(PARTITION)).into_iter().flatten();
    let votes = votes.flatten().map(|file| file.path());
    let mut files = std::iter::once(dir.join(HOLD)).chain(votes);
    files.find(|path| std::fs::metadata(path).is_ok_and(|about| !about.is_file()))
}

/// Whether the journal has any file.
pub(crate) fn is_there(dir: &Path) -> bool {
    std::fs::read_dir(dir.join(PARTITION)).is_ok_and(|mut files| files.next().is_some())
}

/// Moves the files of all views up to this one out of the journal, and says where to and how many
/// there were.
///
/// # Errors
/// The system's; some may have been moved.
pub(crate) fn set_aside(dir: &Path, last_view: u64) -> io::Result<(PathBuf, usize)> {
    let aside = dir.join(ASIDE);
    let mut count = 0;
    for file in std::fs::read_dir(dir.join(PARTITION))? {
        let name = file?.file_name();
        if view_of(&name.to_string_lossy()).is_some_and(|view| view <= last_view) {
            std::fs::create_dir_all(&aside)?;
            std::fs::rename(dir.join(PARTITION).join(&name), aside.join(&name))?;
            count += 1;
        }
    }
    Ok((aside, count))
}

fn view_of(name: &str) -> Option<u64> {
    let is_plain = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_plain.then(|| u64::from_str_radix(name, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_in_a_files_place_is_found() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(foreign(dir.path()), None);
        std::fs::create_dir(dir.path().join(PARTITION)).expect("made");
        for place in [HOLD, "votes/0000000000000001"] {
            let place = dir.path().join(place);
            std::fs::write(&place, "").expect("written");
            assert_eq!(foreign(dir.path()), None);
            std::fs::remove_file(&place).expect("removed");
            std::fs::create_dir(&place).expect("made");
            assert_eq!(foreign(dir.path()), Some(place.clone()));
            std::fs::remove_dir(&place).expect("removed");
            // Made without a program: until a child runs one, it holds the parent's locks.
            drop(std::os::unix::net::UnixListener::bind(&place).expect("made"));
            assert_eq!(foreign(dir.path()), Some(place.clone()));
            std::fs::remove_file(&place).expect("removed");
        }
    }

    #[test]
    fn files_of_later_views_and_of_others_stay() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert!(!is_there(dir.path()));
        set_aside(dir.path(), 5).expect_err("there is no journal");
        let votes = dir.path().join(PARTITION);
        std::fs::create_dir(&votes).expect("made");
        let stay = ["0000000000000010", "f", "+000000000000001", "notes"];
        let gone = ["0000000000000001", "000000000000000f"];
        for name in stay.iter().chain(&gone) {
            std::fs::write(votes.join(name), name).expect("written");
        }
        let (aside, count) = set_aside(dir.path(), 15).expect("moved");
        assert_eq!(count, gone.len());
        let has = |dir: &Path, name: &str| {
            std::fs::read_to_string(dir.join(name)).is_ok_and(|text| text == name)
        };
        assert!(stay.iter().all(|name| has(&votes, name)));
        assert!(
            gone.iter()
                .all(|name| has(&aside, name) && !has(&votes, name))
        );
        assert_eq!(set_aside(dir.path(), 15).expect("nothing left").1, 0);
        assert!(is_there(dir.path()));
    }
}

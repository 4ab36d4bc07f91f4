//! A finished file takes its name, and nothing is ever overwritten.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Moves the file `from` to `to`, a name in the same file system that nothing may have yet.
///
/// Where the file system has links this is one step: a reader, and a machine that loses its
/// power, finds the whole file or none. Elsewhere the name is reserved with an empty file first.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] when something has the name, whatever it is; others of the system.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => {
            // The file has its name. The one before it is the caller's to clear away, who made it.
            let _ = fs::remove_file(from);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // Each file system without links has its own error for that.
        Err(_) => reserve_and_rename(from, to),
    }
}

fn reserve_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::File::create_new(to)?;
    fs::rename(from, to).inspect_err(|_| {
        // Only the empty file of the line above has the name.
        let _ = fs::remove_file(to);
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn a_name_is_taken_once_and_what_has_it_stays() {
        for take in [publish, reserve_and_rename] {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
            fs::write(&from, "first").expect("written");
            take(&from, &to).expect("free");
            assert!(!from.exists());
            fs::write(&from, "second").expect("written");
            let error = take(&from, &to).expect_err("taken");
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&to).expect("read"), b"first");
            assert_eq!(fs::read(&from).expect("read"), b"second");
            fs::remove_file(&from).expect("removed");
            let free = dir.path().join("free");
            take(&from, &free).expect_err("there is nothing to move");
            assert!(!free.exists());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_has_its_name_too() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        fs::write(&from, "new").expect("written");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &to).expect("linked");
        let error = publish(&from, &to).expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }

    /// The reader meets each file as early as it can.
    #[test]
    fn a_reader_who_finds_the_name_finds_the_whole_file() {
        const FILE_COUNT: usize = 2000;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let place = |number: usize| dir.path().join(number.to_string());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..FILE_COUNT {
                    let from = dir.path().join("from");
                    fs::write(&from, "whole").expect("written");
                    publish(&from, &place(number)).expect("free");
                }
            });
            let from = Instant::now();
            for number in 0..FILE_COUNT {
                let found = loop {
                    match fs::read(place(number)) {
                        Ok(found) => break found,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
                    }
                    assert!(from.elapsed() < TIMEOUT, "file {number} never came");
                };
                assert_eq!(found, b"whole", "file {number}");
            }
        });
    }
}

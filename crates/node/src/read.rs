//! Files that others name: a device among them has no end, or nothing in it, and is refused.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

/// Opens a file, a pipe or a terminal for reading.
///
/// # Errors
/// The system's, and one for any other device.
pub fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    match is_device(&file.metadata()?) && !file.is_terminal() {
        true => Err(device()),
        false => Ok(file),
    }
}

/// The same for a file that is opened elsewhere; one that is not there is no device.
///
/// # Errors
/// A device of any kind.
pub fn refuse_device(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path).is_ok_and(|about| is_device(&about)) {
        true => Err(device()),
        false => Ok(()),
    }
}

fn device() -> io::Error {
    let why = "it is a device; name a file";
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// All of a text file.
///
/// # Errors
/// As [`open`], and where it is no text.
pub fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn is_device(about: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = about.file_type();
    kind.is_char_device() || kind.is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_refused_and_files_are_read() {
        for device in ["/dev/zero", "/dev/full", "/dev/null", "/dev/urandom"] {
            refuse_device(Path::new(device)).expect_err(device);
            let error = text(Path::new(device)).expect_err(device);
            assert!(
                error.to_string().contains("name a file"),
                "{device}: {error}"
            );
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("file");
        std::fs::write(&file, "words").expect("written");
        refuse_device(&file).expect("a file");
        refuse_device(&dir.path().join("none")).expect("no device");
        assert_eq!(text(&file).expect("a file"), "words");
        assert!(text(dir.path()).is_err(), "a folder");
    }
}

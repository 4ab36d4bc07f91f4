//! The passphrase of a key file: from the environment, or asked for on the terminal.

use std::io::{BufRead, IsTerminal, Read as _, Write as _};
use std::path::Path;

use clearway_node::keystore::{self, KeyFileError, PASSPHRASE_VARIABLE, Protection, Unlock};

use crate::failure::{Failure, Kind};

/// Bytes of a file by which a key is known: one in plain text has about 200.
const START_BYTES: u64 = 4096;

/// How a new file is protected; plain text must show in its name.
pub(crate) fn protection(path: &Path, insecure_plaintext: bool) -> Result<Protection, Failure> {
    let named = path
        .extension()
        .is_some_and(|ending| ending == "insecure-plaintext");
    match (insecure_plaintext, named) {
        (true, true) => Ok(Protection::InsecurePlaintext),
        (true, false) => Err(Failure::usage(format!(
            "{} would hold a secret in plain text: end its name in .insecure-plaintext",
            path.display()
        ))),
        (false, true) => Err(Failure::usage(
            "the name says plain text: give --insecure-plaintext too, or end the name in .age",
        )),
        (false, false) => {
            let passphrase = match std::env::var(PASSPHRASE_VARIABLE) {
                Ok(passphrase) => passphrase,
                Err(_) => prompt_twice()?,
            };
            if passphrase.is_empty() {
                return Err(Failure::usage("the passphrase is empty: choose a long one"));
            }
            Ok(Protection::passphrase(passphrase.into()))
        }
    }
}

/// What may open a file: the environment's passphrase, or a typed one where the file needs it.
pub(crate) fn unlock(path: &Path, insecure_plaintext: bool) -> Result<Unlock, Failure> {
    check_is_secret(path)?;
    let mut unlock = Unlock::from_environment(insecure_plaintext);
    if unlock.passphrase.is_none() && keystore::check_file(path)? && can_ask() {
        let passphrase = prompt(&format!("Passphrase of {}: ", path.display()))?;
        unlock.passphrase = Some(passphrase.into());
    }
    Ok(unlock)
}

/// Refuses what is no key file by its name or its text: what is said of a key file, to close it to
/// others above all, is no advice for that.
fn check_is_secret(path: &Path) -> Result<(), Failure> {
    if keystore::public_path(path) == path && path.exists() {
        let beside = ["age", "insecure-plaintext"].map(|ending| path.with_extension(ending));
        let beside = beside.iter().find(|path| path.exists());
        let message = format!(
            "{} is the public half of a key, which anybody may read",
            path.display()
        );
        let remedy = match beside {
            Some(path) => format!("name the key file itself: {}", path.display()),
            None => "name the key file itself, which was made beside it".to_owned(),
        };
        return Err(Failure::usage(message).remedy(remedy));
    }
    let checked = keystore::check_file(path);
    if matches!(checked, Err(KeyFileError::Permissions { .. })) && !is_like_key(path) {
        let message = format!("{} is no key file", path.display());
        let remedy = "check the path, or make keys with `clearway keys new`";
        return Err(Failure::new(Kind::Failed, message).remedy(remedy));
    }
    Ok(())
}

/// Whether a file that is open to others may hold a key all the same, whatever its name: it is
/// armoured, or a seed stands in it. One that cannot be read may.
fn is_like_key(path: &Path) -> bool {
    let mut start = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(START_BYTES).read_to_end(&mut start));
    let text = String::from_utf8_lossy(&start);
    let is_seed = |line: &str| line.trim_start().starts_with("seed");
    read.is_err() || text.contains("AGE ENCRYPTED") || text.lines().any(is_seed)
}

fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn prompt_twice() -> Result<String, Failure> {
    if !can_ask() {
        return Err(Failure::usage(format!(
            "no terminal to ask for a passphrase: set {PASSPHRASE_VARIABLE}"
        )));
    }
    let first = prompt("New passphrase: ")?;
    if first == prompt("Again: ")? {
        Ok(first)
    } else {
        Err(Failure::usage("the two passphrases differ: try again"))
    }
}

/// Asks on stderr and reads a line from the terminal without showing it, where the system can.
fn prompt(question: &str) -> Result<String, Failure> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let hidden = Hidden::new();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    drop(hidden);
    writeln!(stderr)?;
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Terminal echo is off while this lives.
struct Hidden(Option<rustix::termios::Termios>);

impl Hidden {
    fn new() -> Self {
        let stdin = std::io::stdin();
        let before = rustix::termios::tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(rustix::termios::LocalModes::ECHO);
            // A terminal that refuses keeps its echo: the passphrase still works.
            let now = rustix::termios::OptionalActions::Now;
            let _ = rustix::termios::tcsetattr(&stdin, now, &quiet);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let now = rustix::termios::OptionalActions::Now;
            let _ = rustix::termios::tcsetattr(std::io::stdin(), now, before);
        }
    }
}

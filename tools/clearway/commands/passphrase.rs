//! The passphrase of a key file: from the environment, or asked for on the terminal.

use std::io::{BufRead, IsTerminal, Write as _};
use std::path::Path;

use clearway_node::keystore::{self, PASSPHRASE_VARIABLE, Protection, Unlock};

use crate::failure::Failure;

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
    let mut unlock = Unlock::from_environment(insecure_plaintext);
    if unlock.passphrase.is_none() && keystore::check_file(path)? && can_ask() {
        let passphrase = prompt(&format!("Passphrase of {}: ", path.display()))?;
        unlock.passphrase = Some(passphrase.into());
    }
    Ok(unlock)
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

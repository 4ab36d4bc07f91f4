//! Shows what a command will change and asks before it signs.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::failure::Failure;
use crate::ui;

/// The `--yes` switch of commands that ask.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Confirm {
    /// Do not ask: scripts, which have no terminal to answer on, must say so
    #[arg(long)]
    yes: bool,
}

/// A field that changes: its name, what it was, what it becomes.
pub(crate) struct Change {
    pub(crate) field: &'static str,
    pub(crate) before: String,
    pub(crate) after: String,
}

impl Confirm {
    /// Shows the changes of `what` on stderr and asks; an error unless the answer is yes.
    pub(crate) fn ask(self, what: &str, changes: &[Change]) -> Result<(), Failure> {
        ui::note(what);
        for change in changes {
            let Change {
                field,
                before,
                after,
            } = change;
            ui::note(&format!("  {field}: {before} -> {after}"));
        }
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            let remedy = "give --yes to send this";
            return Err(Failure::usage("no terminal to ask on").remedy(remedy));
        }
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "Sign and send this? [y/N] ")?;
        stderr.flush()?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        match line.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::usage("not confirmed")),
        }
    }
}

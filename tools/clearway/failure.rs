//! How a command fails: the exit code that scripts read and the message that people read.

use std::error::Error;
use std::fmt;
use std::io::IsTerminal as _;
use std::path::Path;

use clearway_node::config::ConfigError;
use clearway_node::keystore::{KeyFileError, PASSPHRASE_VARIABLE};
use clearway_types::units::TransferId;
use serde::Serialize;
use tokio::signal::unix::SignalKind;

use crate::ui;

/// Why the program ends with another code than 0; clap itself ends with 2 for wrong usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The command could not do its work.
    Failed = 1,
    /// The arguments do not fit together.
    Usage = 2,
    /// What was checked is not what it should be.
    Mismatch = 3,
    /// A measured figure missed what `--assert` asked for.
    Threshold = 4,
    /// What was asked for does not exist.
    NotFound = 5,
    /// The node does not answer, or what became of an instruction is not known.
    Unavailable = 6,
    /// Nothing was sent, and the same command may be typed again.
    NotSent = 7,
    /// The terminal has gone.
    HangUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// It was asked to end.
    Terminated = 143,
}

/// A row of the table of exit codes.
#[derive(Clone, Copy, Serialize, Debug)]
pub(crate) struct Exit {
    pub(crate) code: u8,
    /// The word of an error in JSON.
    #[serde(rename = "error")]
    pub(crate) word: &'static str,
    pub(crate) meaning: &'static str,
}

/// Every code that the program ends with.
pub(crate) const EXITS: [Exit; 12] = [
    exit(
        0,
        "ok",
        "done; an instruction is FINAL and did what it is for; a node that was asked to stop has \
         stopped",
    ),
    exit(
        1,
        "failed",
        "it could not be done; of an instruction: no money moved and none will; of several, see \
         their answers: at least one moved nothing",
    ),
    exit(
        2,
        "usage",
        "the arguments do not fit together; nothing was done",
    ),
    exit(
        3,
        "mismatch",
        "what was checked is not what it should be: a signature, a proof, a log, a report, a \
         cluster, an identifier that stands for another instruction",
    ),
    exit(
        4,
        "threshold",
        "a measured figure missed what --assert, --tolerance or --ramp asked for",
    ),
    exit(
        5,
        "not_found",
        "a file, an account, a participant or whatever else was named is not there",
    ),
    exit(
        6,
        "unavailable",
        "no answer; the end of an instruction that was sent is not known, or could not be told; of \
         several, some are done and the others were not sent: look it up or send it again, never \
         sign it anew",
    ),
    exit(
        7,
        "not_sent",
        "nothing was sent: type the same command again, with the same --id where it had one",
    ),
    exit(
        PANICKED,
        "panicked",
        "a mistake of the program: report its message; what became of an instruction is not known",
    ),
    exit(
        Kind::HangUp as u8,
        "hang_up",
        "its terminal has gone (SIGHUP)",
    ),
    exit(
        Kind::Interrupted as u8,
        "interrupted",
        "it was interrupted (SIGINT, Ctrl-C)",
    ),
    exit(
        Kind::Terminated as u8,
        "terminated",
        "it was asked to end (SIGTERM)",
    ),
];

/// What the runtime ends with after a panic.
pub(crate) const PANICKED: u8 = 101;

const fn exit(code: u8, word: &'static str, meaning: &'static str) -> Exit {
    Exit {
        code,
        word,
        meaning,
    }
}

impl Kind {
    /// Its row of the table.
    fn exit(self) -> Exit {
        let row = EXITS.iter().find(|row| row.code == self as u8);
        *row.expect("a test looks up every kind")
    }

    /// How the program ends after a signal.
    pub(crate) fn of_signal(signal: SignalKind) -> Self {
        match signal {
            signal if signal == SignalKind::hangup() => Self::HangUp,
            signal if signal == SignalKind::interrupt() => Self::Interrupted,
            _ => Self::Terminated,
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    source: Box<dyn Error + Send + Sync>,
    /// What to do, where it is not a part of the source's own words.
    remedy: Option<String>,
}

/// A failure as scripts read it.
#[derive(Serialize)]
struct Told {
    error: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    exit_code: u8,
}

impl Failure {
    /// The exit code that it ends with.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn new(kind: Kind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            source: source.into(),
            remedy: None,
        }
    }

    /// What the system said of a file or folder that was named, with what to do.
    pub(crate) fn of_file(error: &std::io::Error, message: String) -> Self {
        Self::new(kind_of(error), message)
    }

    /// Arguments that do not fit together.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message.into())
    }

    /// The same with what to do about it.
    pub(crate) fn remedy(self, what: impl Into<String>) -> Self {
        let remedy = Some(what.into());
        Self { remedy, ..self }
    }

    /// The same with another exit code.
    pub(crate) fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same where it leaves open what became of an instruction: "failed" would tell scripts
    /// that nothing moved, and "not found" that it was looked for.
    pub(crate) fn end_open(self) -> Self {
        match self.kind {
            Kind::Failed | Kind::NotFound => self.of(Kind::Unavailable),
            _ => self,
        }
    }

    /// The same with a further thing that the reader must know.
    pub(crate) fn adding(self, what: &str) -> Self {
        let message = format!("{}; {what}", self.source.to_string().trim_end_matches('.'));
        let source = message.into();
        Self { source, ..self }
    }

    /// The same where the path that it is about was named by an environment variable: nobody typed
    /// the switch of that name.
    pub(crate) fn of_variable(self, variable: &str, path: &Path) -> Self {
        match is_named_by(variable, path) {
            true => self.adding(&format!("variable {variable} names {}", path.display())),
            false => self,
        }
    }

    /// The same with what else failed.
    pub(crate) fn adding_failures(
        self,
        others: impl IntoIterator<Item = Result<(), Self>>,
    ) -> Self {
        let others = others.into_iter().filter_map(Result::err);
        others.fold(self, |all, other| all.adding(&other.to_string()))
    }

    /// The same of one of several, where its words do not name it.
    pub(crate) fn of_one(self, id: TransferId) -> Self {
        let id = id.to_string();
        match self.source.to_string().contains(&id) {
            true => self,
            false => self.at(&id),
        }
    }

    /// The same with the place of what is wrong in front.
    pub(crate) fn at(self, place: &str) -> Self {
        let source = format!("{place}: {}", self.source).into();
        Self { source, ..self }
    }

    /// How a command ends whose `total` instructions ended one by one, some of them in `failures`.
    /// What is not known outweighs what a proof or a check contradicts, and that what moved
    /// nothing. "Nothing was sent" holds where that is so of all; where the others are done, it
    /// would deny them.
    pub(crate) fn together(failures: Vec<Self>, total: usize) -> Result<(), Self> {
        if failures.is_empty() || total == 1 {
            return failures.into_iter().next().map_or(Ok(()), Err);
        }
        failures.iter().for_each(|one| ui::note(&one.to_string()));
        let count = |kind| failures.iter().filter(|one| one.kind == kind).count();
        let (unknown, unsent) = (count(Kind::Unavailable), count(Kind::NotSent));
        let doubtful = count(Kind::Mismatch);
        let failed = failures.len() - unknown - unsent - doubtful;
        let kinds = [Kind::Unavailable, Kind::Mismatch];
        let kind = match kinds.into_iter().find(|kind| count(*kind) > 0) {
            Some(kind) => kind,
            None if unsent == total => Kind::NotSent,
            None if failed == 0 => Kind::Unavailable,
            None => Kind::Failed,
        };
        let ends = [
            (total - failures.len(), "", "did what they are for"),
            (failed, "", "moved nothing"),
            (unknown, "the end of ", "is not known"),
            (doubtful, "", "not what they should be"),
            (unsent, "", "not sent"),
        ];
        let ends = ends.iter().filter(|(count, ..)| *count > 0);
        let ends: Vec<String> = ends
            .map(|(count, before, after)| format!("{before}{count} {after}"))
            .collect();
        let message = format!("of {total} instructions {}", ends.join(", "));
        // Of some that are done and some that were not sent there is none of the kind.
        let decisive = failures.iter().position(|one| one.kind == kind);
        let cause = failures.into_iter().nth(decisive.unwrap_or(0));
        let cause = cause.expect("at least one failed");
        let rest = match unsent {
            0 => "",
            _ => "; those that were not sent go with the same command again",
        };
        let first = Self::new(
            kind,
            format!("{message}{rest}; one of them: {}", cause.source),
        );
        Err(match cause.remedy {
            Some(remedy) => first.remedy(remedy),
            None => first,
        })
    }

    /// Tells people on stderr, and scripts by the exit code; with `--json` also by an object on
    /// stdout.
    pub(crate) fn report(self, json: bool) -> u8 {
        let code = match json {
            true => self.tell(),
            false => self.kind as u8,
        };
        // A file or a pipe gets each message on one line, so that it can be searched.
        let wrap = std::io::stderr().is_terminal();
        // Only this place sets a hook, and the program ends here.
        let _ = miette::set_hook(Box::new(move |_| {
            Box::new(miette::MietteHandlerOpts::new().wrap_lines(wrap).build())
        }));
        crate::streams::say_aside(&format!("{:?}", miette::Report::new(self)));
        code
    }

    /// Tells scripts: an object on stdout. Where it cannot be written, the exit code says the same.
    pub(crate) fn tell(&self) -> u8 {
        let exit = self.kind.exit();
        let told = Told {
            error: exit.word,
            message: self.source.to_string(),
            remedy: self.remedy.clone(),
            exit_code: exit.code,
        };
        let _ = ui::to_json("error", &told).and_then(|line| ui::say(&line));
        exit.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match &self.remedy {
            None => self.source.to_string(),
            Some(remedy) => format!("{}: {remedy}", self.source),
        };
        f.write_str(&ui::printable(&said))
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

impl miette::Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let Exit { code, word, .. } = self.kind.exit();
        Some(Box::new(format!("clearway::{word} (exit {code})")))
    }
}

/// Whether an environment variable names this path.
pub(crate) fn is_named_by(variable: &str, path: &Path) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == path)
}

/// What an error of a library means unless the command says otherwise: a file that was named and
/// is not there is "not found", the rest "failed".
fn kind_of(error: &(dyn Error + 'static)) -> Kind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let system = error.downcast_ref::<std::io::Error>();
        if system.is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Kind::NotFound;
        }
        cause = error.source();
    }
    Kind::Failed
}

macro_rules! failed_by {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(kind_of(&error), error)
            }
        })+
    };
}

failed_by!(
    std::io::Error,
    serde_json::Error,
    clearway_node::genesis_file::GenesisFileError,
    clearway_crypto::keys::KeyError,
    clearway_load::files::FileError,
);

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let kind = match error.is_of_flag() {
            true => Kind::Usage,
            false => kind_of(&error),
        };
        Self::new(kind, error)
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let kind = match &error {
            // The file is what it is; the call lacks the switch that accepts it. So every command
            // ends alike, also one that may have moved money before.
            KeyFileError::Plaintext { .. } => Kind::Usage,
            _ => kind_of(&error),
        };
        let locked = matches!(&error, KeyFileError::Locked { .. });
        let failure = Self::new(kind, error);
        match locked && std::env::var_os(PASSPHRASE_VARIABLE).is_some() {
            true => failure.adding(&format!(
                "variable {PASSPHRASE_VARIABLE} gives the passphrase"
            )),
            false => failure,
        }
    }
}

/// Adds an exit code to any error.
pub(crate) trait OrFail<T> {
    /// Fails with `kind`.
    fn or_fail(self, kind: Kind) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrFail<T> for Result<T, E> {
    fn or_fail(self, kind: Kind) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(kind, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_row_and_codes_and_words_are_there_once() {
        let kinds = [
            Kind::Failed,
            Kind::Usage,
            Kind::Mismatch,
            Kind::Threshold,
            Kind::NotFound,
            Kind::Unavailable,
            Kind::NotSent,
            Kind::HangUp,
            Kind::Interrupted,
            Kind::Terminated,
        ];
        for kind in kinds {
            assert_eq!(kind.exit().code, kind as u8);
        }
        assert!(EXITS.is_sorted_by(|one, other| one.code < other.code));
        let mut words: Vec<&str> = EXITS.iter().map(|row| row.word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), EXITS.len());
    }

    #[test]
    fn the_page_for_operators_has_every_exit_code() {
        let page = include_str!("../../deploy/README.md");
        let rows = EXITS.map(|row| format!("| {} | `{}` | {} |", row.code, row.word, row.meaning));
        assert!(page.contains(&rows.join("\n")), "{}", rows.join("\n"));
    }

    #[test]
    fn several_ends_are_counted_and_the_gravest_decides() {
        let (failed, mismatch) = (Kind::Failed, Kind::Mismatch);
        let (unknown, unsent) = (Kind::Unavailable, Kind::NotSent);
        // How those of three instructions ended that did not settle, how all of them do.
        let rows: [(&[Kind], Option<Kind>, &str); 7] = [
            (&[], None, ""),
            (
                &[failed],
                Some(failed),
                "2 did what they are for, 1 moved nothing",
            ),
            (
                &[failed, unknown],
                Some(unknown),
                "1 moved nothing, the end of 1 is not known",
            ),
            (
                &[unknown, unsent],
                Some(unknown),
                "did what they are for, the end of 1 is not known, 1 not sent",
            ),
            (
                &[mismatch, unsent],
                Some(mismatch),
                "1 did what they are for, 1 not what they should be, 1 not sent",
            ),
            (
                &[unsent; 2],
                Some(unknown),
                "of 3 instructions 1 did what they are for, 2 not sent;",
            ),
            (&[unsent; 3], Some(unsent), "of 3 instructions 3 not sent;"),
        ];
        for (kinds, expected, words) in rows {
            let failures = kinds
                .iter()
                .map(|kind| Failure::new(*kind, "x").remedy("y"));
            let ended = Failure::together(failures.collect(), 3);
            assert_eq!(
                ended.as_ref().err().map(Failure::kind),
                expected,
                "{kinds:?}"
            );
            let said = ended
                .err()
                .map_or_else(String::new, |error| error.to_string());
            assert!(said.contains(words), "{kinds:?}: {said}");
        }
        let only = Failure::together(vec![Failure::new(unknown, "x")], 1);
        assert_eq!(only.expect_err("it failed").to_string(), "x");
    }

    #[test]
    fn what_a_file_or_a_path_holds_does_not_steer_a_terminal() {
        let failure = Failure::new(Kind::Failed, "x\x1b[2Jy\rz\u{9b}1m\n\tnext");
        assert_eq!(failure.to_string(), "x\\u{1b}[2Jy\\rz\\u{9b}1m\n\tnext");
    }

    #[test]
    fn a_remedy_stands_behind_the_message_for_people_and_beside_it_for_scripts() {
        let failure = Failure::new(Kind::Failed, "broken").remedy("mend it");
        assert_eq!(failure.to_string(), "broken: mend it");
        assert_eq!(
            failure.adding("and late").to_string(),
            "broken; and late: mend it"
        );
    }
}

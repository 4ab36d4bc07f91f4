//! How a command fails: the exit code that scripts read and the message that people read.

use std::error::Error;
use std::fmt;
use std::io::IsTerminal as _;
use std::process::ExitCode;

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
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    source: Box<dyn Error + Send + Sync>,
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
        }
    }

    /// Arguments that do not fit together.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message.into())
    }

    /// The same with another exit code.
    pub(crate) fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same where it leaves open what became of an instruction: "failed" would tell scripts
    /// that nothing moved.
    pub(crate) fn end_open(self) -> Self {
        match self.kind {
            Kind::Failed => self.of(Kind::Unavailable),
            _ => self,
        }
    }

    /// The same with a further thing that the reader must know.
    pub(crate) fn adding(self, what: &str) -> Self {
        let message = format!("{}; {what}", self.to_string().trim_end_matches('.'));
        Self::new(self.kind, message)
    }

    /// Tells people on stderr, scripts by the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let code = ExitCode::from(self.kind as u8);
        // A file or a pipe gets each message on one line, so that it can be searched.
        let wrap = std::io::stderr().is_terminal();
        // Only this place sets a hook, and the program ends here.
        let _ = miette::set_hook(Box::new(move |_| {
            Box::new(miette::MietteHandlerOpts::new().wrap_lines(wrap).build())
        }));
        crate::streams::say_aside(&format!("{:?}", miette::Report::new(self)));
        code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

impl miette::Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let name = match self.kind {
            Kind::Failed => "clearway::failed (exit 1)",
            Kind::Usage => "clearway::usage (exit 2)",
            Kind::Mismatch => "clearway::mismatch (exit 3)",
            Kind::Threshold => "clearway::threshold (exit 4)",
            Kind::NotFound => "clearway::not_found (exit 5)",
            Kind::Unavailable => "clearway::unavailable (exit 6)",
        };
        Some(Box::new(name))
    }
}

/// Any error of a library means "failed" unless the command says otherwise.
macro_rules! failed_by {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(Kind::Failed, error)
            }
        })+
    };
}

failed_by!(
    std::io::Error,
    serde_json::Error,
    clearway_node::config::ConfigError,
    clearway_node::genesis_file::GenesisFileError,
    clearway_node::keystore::KeyFileError,
    clearway_crypto::keys::KeyError,
    clearway_load::files::FileError,
);

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

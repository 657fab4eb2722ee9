//! What stops a run: one error type, its kinds, and for each kind the exit code.
//!
//! Bad input is not an error but data (a reject or a failed page); it never comes here.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

use crate::shown;

/// Result of an operation that can stop the run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run stopped, or could not start.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of errors, one for each way in which the caller reacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The run failed and nothing was published.
    Failed,
    /// The command line, the list or the configuration is wrong; no request was sent.
    Usage,
    /// A condition that the user set (`--strict`, `--max-rejects`, ...) does not hold.
    Contract,
    /// Every page failed and no server answered.
    Unreachable,
    /// The output could not be written.
    Storage,
    /// The time, or the number of pages, of the run was up before all was done.
    Unfinished,
    /// Another run holds the lock of the output.
    Locked,
    /// SIGINT stopped the run.
    Interrupted,
    /// SIGTERM stopped the run.
    Terminated,
    /// The terminal went away (SIGHUP).
    HungUp,
}

impl ErrorKind {
    /// The exit code of the process.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Contract => 4,
            Self::Unreachable => 5,
            Self::Storage => 6,
            Self::Unfinished => 7,
            Self::Locked => 75,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::HungUp => 129,
        }
    }
}

impl Error {
    /// An error of `kind`; `message` names the operation, the place and the way out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The run failed for a reason that no other kind covers.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// An invariant of etl itself does not hold: nothing may be published.
    pub fn defect(what: impl fmt::Display) -> Self {
        Self::failed(format!("a defect in etl: {what}; nothing was published"))
    }

    /// The user asked for something that can't be done.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// The output could not be written: `operation` is a verb ("write", "sync", "rename").
    pub fn storage(operation: &str, path: &Path, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::new(ErrorKind::Storage, format!("could not {operation} {}", path.display())).because(source)
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message and the chain of causes, in one line.
    pub fn one_line(&self) -> String {
        let mut line = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        shown::line(&line.replace(['\n', '\r'], " ")).into_owned()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

//! Errors and exit codes.

use std::fmt;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error. kf maps it to an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// Invalid input: a malformed object, an invalid name, an unreadable file. Exit 2.
    Invalid,
    /// Missing or rejected credentials. Exit 3.
    Unauthenticated,
    /// Denied by kf or by the cluster's RBAC. Exit 4.
    Forbidden,
    /// The object does not exist, or the cluster does not serve its kind. Exit 5.
    NotFound,
    /// A timeout of the run or of the caller. Exit 6.
    TimedOut,
    /// The API server does not answer. Exit 7.
    Unreachable,
    /// The object already exists, or was modified concurrently. Exit 1.
    Conflict,
    /// A watch or continue token has expired; list again. Exit 1.
    Expired,
    /// The run's budget of calls, bytes, pages or streams is used up. Exit 9.
    Budget,
    /// Not supported by this version of kf or by the cluster. Exit 1.
    Unsupported,
    /// The workload or check failed. Exit 1.
    Failed,
    /// Any other error of the API server. Exit 1.
    Internal,
}

/// An error: what failed, which value, and a hint with the next command.
///
/// ```
/// use kf_plugin_sdk::Error;
///
/// let error = Error::not_found("no training job `mnist` in team-a").hint("kf status");
/// assert_eq!(error.to_string(), "no training job `mnist` in team-a");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: ErrorCode,
    /// One line that begins with a lower-case letter and has no period.
    pub message: String,
    /// The next command to type, complete and correct.
    pub hint: Option<String>,
}

impl Error {
    /// Creates an error.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Creates an [`ErrorCode::Invalid`] error.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    /// Creates an [`ErrorCode::Forbidden`] error.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    /// Creates an [`ErrorCode::NotFound`] error.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// Creates an [`ErrorCode::TimedOut`] error.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::TimedOut, message)
    }

    /// Creates an [`ErrorCode::Unsupported`] error.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unsupported, message)
    }

    /// Creates an [`ErrorCode::Failed`] error.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Failed, message)
    }

    /// Sets the hint: the next command to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prefixes the message with the operation that failed.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Returns whether it has this code.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code
    }

    /// Returns whether it may affect a single kind only, so that a command that reads several can skip that kind:
    /// a failing conversion webhook, an unavailable aggregated API server. See [`Skipped`](crate::Skipped).
    pub fn is_partial(&self) -> bool {
        use ErrorCode::{Budget, Forbidden, NotFound, Unauthenticated};
        !matches!(self.code, Budget | Forbidden | NotFound | Unauthenticated)
    }

    /// Returns whether a retry may succeed: the API server is unreachable, slow or failing.
    pub fn is_transient(&self) -> bool {
        matches!(self.code, ErrorCode::Unreachable | ErrorCode::TimedOut | ErrorCode::Internal)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::invalid(format!("cannot decode the object: {error}"))
    }
}

/// Turns "not found" into `None`.
pub trait Optional<T> {
    /// Returns `None` for an [`ErrorCode::NotFound`].
    fn optional(self) -> Result<Option<T>>;
}

impl<T> Optional<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is(ErrorCode::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The exit code of a run that did not fail with an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// Exit code 0.
    pub const OK: Self = Self(0);
    /// Exit code 1: the workload or check failed, and the command has printed why.
    pub const FAILED: Self = Self(1);

    /// A code that the command defines: 10–63 or 80–125. Others are reserved and become 1.
    pub const fn own(code: u8) -> Self {
        match code {
            0 | 10..=63 | 80..=125 => Self(code),
            _ => Self::FAILED,
        }
    }

    /// The exit code of a session joined to the user's terminal. kf accepts any code here, including its own.
    pub fn of_session(code: i32) -> Self {
        u8::try_from(code).map_or(Self::FAILED, Self)
    }

    /// Returns the numeric exit code.
    pub const fn code(self) -> u8 {
        self.0
    }
}

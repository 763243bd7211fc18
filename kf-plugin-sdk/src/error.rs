//! Errors as the person at the terminal meets them: what failed, which value, and the next
//! command to type.

use std::fmt;

/// The answer of nearly everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error. The host turns it into kf's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The input does not fit: a malformed object, a bad name, an unreadable file. Exit 2.
    Invalid,
    /// The credentials are missing or were not accepted. Exit 3.
    Unauthenticated,
    /// A layer of the grant, or the cluster's RBAC, does not allow it. Exit 4.
    Forbidden,
    /// There is no such object, or the cluster does not serve the kind. Exit 5.
    NotFound,
    /// It took longer than the run or the caller allows. Exit 6.
    TimedOut,
    /// The API server does not answer. Exit 7.
    Unreachable,
    /// The object exists already, or changed in the meantime. Exit 1.
    Conflict,
    /// A watch or page token is too old; start over from a new list. Exit 1.
    Expired,
    /// The run's budget of calls, bytes, pages or streams is used up. Exit 9.
    Budget,
    /// This version of kf, or this cluster, does not offer it. Exit 1.
    Unsupported,
    /// The workload or check failed. Exit 1.
    Failed,
    /// Anything else the API server answered. Exit 1.
    Internal,
}

/// What failed, which value, and the next command to type.
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
    /// One line, lower case, no full stop.
    pub message: String,
    /// The next command, complete and correct.
    pub hint: Option<String>,
}

impl Error {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The input does not fit.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    /// Someone does not allow it.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// It took too long.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::TimedOut, message)
    }

    /// This version or this cluster does not offer it.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unsupported, message)
    }

    /// The workload or check failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Failed, message)
    }

    /// Adds the next command to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says in front what was being done.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Whether it is of that kind.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code
    }

    /// Whether it may concern one kind alone, so that a command that reads several can go on without it: a
    /// conversion webhook that fails, the server of an aggregated API that is away. See [`LeftOut`](crate::LeftOut).
    pub fn is_partial(&self) -> bool {
        use ErrorCode::{Budget, Forbidden, NotFound, Unauthenticated};
        !matches!(self.code, Budget | Forbidden | NotFound | Unauthenticated)
    }

    /// Whether it may be better in a moment: the API server is away, slow or in trouble.
    pub fn may_pass(&self) -> bool {
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
        Self::invalid(format!("the object does not have the expected shape: {error}"))
    }
}

/// Reading "absent" out of a result.
pub trait Optional<T> {
    /// `None` instead of a [`ErrorCode::NotFound`].
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

/// How a run ends when nothing went wrong on kf's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// 0.
    pub const OK: Self = Self(0);
    /// 1: the workload or check failed, and the command has said why.
    pub const FAILED: Self = Self(1);

    /// A command's own code: 10–63 or 80–125. Others become 1, for they mean something else.
    pub const fn own(code: u8) -> Self {
        match code {
            0 | 10..=63 | 80..=125 => Self(code),
            _ => Self::FAILED,
        }
    }

    /// The code of a session joined to the user's terminal, whatever it is: the host lets a command
    /// end with it, though it may be one of kf's own.
    pub fn of_session(code: i32) -> Self {
        u8::try_from(code).map_or(Self::FAILED, Self)
    }

    /// The number.
    pub const fn code(self) -> u8 {
        self.0
    }
}

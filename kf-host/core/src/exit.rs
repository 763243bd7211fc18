//! The exit codes of kf.
//!
//! The codes of a command pass through unchanged. They are 0, 1, 10–63 and 80–125, so they do not
//! collide with these. Codes above 125 belong to the shell. A command that ran a program in a
//! container exits with the code of that program, as `ssh` and `kubectl exec` do.

/// Success.
pub const OK: u8 = 0;
/// The workload or check failed, or the cluster refused the object.
pub const FAILED: u8 = 1;
/// The command line or a file is invalid.
pub const USAGE: u8 = 2;
/// The cluster did not authenticate the user.
pub const UNAUTHENTICATED: u8 = 3;
/// A layer of the grant, or the user's RBAC, does not allow it.
pub const FORBIDDEN: u8 = 4;
/// No such object, or no such command.
pub const NOT_FOUND: u8 = 5;
/// It took too long.
pub const TIMED_OUT: u8 = 6;
/// The API server or the registry does not answer.
pub const UNREACHABLE: u8 = 7;
/// The registry's signatures, or the user's consent, do not cover it.
pub const UNTRUSTED: u8 = 8;
/// A command broke the rules of its sandbox.
pub const PLUGIN_FAULT: u8 = 9;
/// Ended by Ctrl-C, as shells number it.
pub const INTERRUPTED: u8 = 130;
/// Stdout was closed, as with `| head`; the code of a shell for SIGPIPE.
pub const OUTPUT_CLOSED: u8 = 141;

/// The code of a shell for a process that was killed by a signal.
pub fn killed_by(signal: u8) -> u8 {
    128 + (signal & 0x7f)
}

/// Whether a command can use the exit code; the others are reserved for kf.
pub fn is_for_commands(code: u8) -> bool {
    matches!(code, 0 | 1 | 10..=63 | 80..=125)
}

/// The kind of a failure. It decides the exit code and the `code` of an error's JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Failed,
    Usage,
    Unauthenticated,
    Forbidden,
    NotFound,
    TimedOut,
    Unreachable,
    Untrusted,
    PluginFault,
    Interrupted,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => FAILED,
            Self::Usage => USAGE,
            Self::Unauthenticated => UNAUTHENTICATED,
            Self::Forbidden => FORBIDDEN,
            Self::NotFound => NOT_FOUND,
            Self::TimedOut => TIMED_OUT,
            Self::Unreachable => UNREACHABLE,
            Self::Untrusted => UNTRUSTED,
            Self::PluginFault => PLUGIN_FAULT,
            Self::Interrupted => INTERRUPTED,
        }
    }

    /// As `-o json` writes it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::TimedOut => "timed-out",
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
            Self::PluginFault => "plugin-fault",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<crate::api::ErrorCode> for Kind {
    fn from(code: crate::api::ErrorCode) -> Self {
        use crate::api::ErrorCode;
        match code {
            ErrorCode::Invalid => Self::Usage,
            ErrorCode::Unauthenticated => Self::Unauthenticated,
            ErrorCode::Forbidden => Self::Forbidden,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::TimedOut => Self::TimedOut,
            ErrorCode::Unreachable => Self::Unreachable,
            ErrorCode::Budget => Self::PluginFault,
            ErrorCode::Conflict
            | ErrorCode::Expired
            | ErrorCode::Unsupported
            | ErrorCode::Failed
            | ErrorCode::Internal => Self::Failed,
        }
    }
}

//! Reasons why a run ends without an answer of the guest.

use std::fmt;

use kf_core::size::Binary;

/// Why a run was stopped or could not start: a bug of the guest, an attack, or an action of the user,
/// but never an error returned by the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A limit was reached.
    #[error("{limit}")]
    Limit { limit: Limit },
    /// The guest trapped: a panic, an access out of bounds, a forbidden call.
    #[error("it crashed: {message}")]
    Trap {
        /// One line.
        message: String,
        /// The guest's frames, only when asked for.
        backtrace: Option<String>,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The user left a terminal session with its keys, which also ends the run.
    #[error("the user left its session")]
    SessionLeft,
    /// Stdout was closed, as with `| head`.
    #[error("stdout was closed")]
    OutputClosed,
    /// An exit code that is reserved for kf.
    #[error("it exited with code {0}, which is reserved for kf (commands can use 0, 1, 10 to 63, 80 to 125)")]
    ReservedExitCode(u8),
    /// It imports an interface that is not granted.
    #[error(transparent)]
    Undeclared(#[from] crate::UndeclaredImports),
    /// The compiled code cannot be used: missing, not trusted, of another version, damaged. Compile
    /// again from the verified component.
    #[error("its compiled code cannot be used: {0}")]
    Load(String),
    /// It loads but cannot be started: a wrong export, a trap in its start function.
    #[error("it cannot be started: {0}")]
    Start(String),
    /// Its description is invalid.
    #[error(transparent)]
    Tree(#[from] kf_core::tree::TreeError),
    /// The host itself failed, for example to start a thread.
    #[error("kf cannot run it: {0}")]
    Host(String),
}

/// A limit that was reached, and its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    pub which: Which,
    /// In the unit of [`Limits`](crate::Limits): milliseconds for times, else bytes or a count.
    pub value: u64,
}

/// The limits a run can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    Time,
    Wall,
    Calls,
    Memory,
    Tables,
    Handles,
    Streams,
    Widgets,
    Stdout,
    Stderr,
    StderrLines,
    Rows,
    Files,
}

impl Which {
    /// The limit's name, such as `run.time`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "run.time",
            Self::Wall => "run.wall",
            Self::Calls => "run.calls",
            Self::Memory => "run.memory",
            Self::Tables => "run.tables",
            Self::Handles => "run.handles",
            Self::Streams => "run.streams",
            Self::Widgets => "run.widgets",
            Self::Stdout => "run.stdout",
            Self::Stderr => "run.stderr",
            Self::StderrLines => "run.notes",
            Self::Rows => "run.rows",
            Self::Files => "run.files",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { which, value } = self;
        match which {
            Which::Time => write!(f, "it ran for {} without an answer", Seconds(*value)),
            Which::Wall => write!(f, "it did not end within {}", Seconds(*value)),
            Which::Calls => write!(f, "it made {value} calls in a row without waiting for anything"),
            Which::Memory => write!(f, "it needs more than {} of memory", Binary(*value)),
            Which::Tables => write!(f, "it needs more than {value} table elements"),
            Which::Handles => write!(f, "it holds more than {value} handles"),
            Which::Streams => write!(f, "it has more than {value} watches, logs and sessions open"),
            Which::Widgets => write!(f, "it shows more than {value} live tables and progress bars"),
            Which::Stdout => write!(f, "it printed more than {}", Binary(*value)),
            Which::Stderr => write!(f, "it wrote more than {} of notes", Binary(*value)),
            Which::StderrLines => write!(f, "it wrote more than {value} notes"),
            Which::Rows => write!(f, "it printed more than {value} rows"),
            Which::Files => write!(f, "it read more than {} from files", Binary(*value)),
        }?;
        write!(f, " (limit {})", which.name())
    }
}

struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms % 3_600_000 == 0 && ms > 0 => write!(f, "{} h", ms / 3_600_000),
            ms if ms % 1000 == 0 => write!(f, "{} s", ms / 1000),
            ms => write!(f, "{ms} ms"),
        }
    }
}

/// A fault that a host function raises as a trap, as it passes through the engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stop(pub(crate) Fault);

/// An error with which a host function ends the run because of a limit.
pub(crate) fn limit(which: Which, value: u64) -> wasmtime::Error {
    stop(Fault::Limit { limit: Limit { which, value } })
}

/// An error with which a host function ends the run.
pub(crate) fn stop(fault: Fault) -> wasmtime::Error {
    wasmtime::Error::new(Stop(fault))
}

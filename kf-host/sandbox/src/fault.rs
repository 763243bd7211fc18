//! How a run ends that is not the guest's own answer.

use std::fmt;

use kf_core::size::Binary;

/// A run that was stopped, or could not start. It is the guest's bug, an attack, or the user's
/// wish, never an error value of the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A limit was reached.
    #[error("{limit}")]
    Limit { limit: Limit },
    /// The guest trapped: a panic, an access out of bounds, a call it must not make.
    #[error("it stopped by itself: {message}")]
    Trap {
        /// One line.
        message: String,
        /// The guest's frames, only when asked for.
        backtrace: Option<String>,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The person left a terminal session by its keys, and with it the run.
    #[error("its session was left")]
    SessionLeft,
    /// Nobody reads stdout any more, as with `| head`.
    #[error("stdout was closed")]
    OutputClosed,
    /// An exit code that belongs to kf.
    #[error("it ended with exit code {0}, which is not a command's to choose (0, 1, 10 to 63, 80 to 125)")]
    ReservedExitCode(u8),
    /// It imports what is not granted.
    #[error(transparent)]
    Undeclared(#[from] crate::UndeclaredImports),
    /// The compiled form cannot be used: missing, not ours, of another version, damaged. Compile
    /// again from the verified component.
    #[error("its compiled form cannot be used: {0}")]
    Load(String),
    /// It loads but cannot be started: an export of another shape, a start that traps.
    #[error("it does not start: {0}")]
    Start(String),
    /// Its description cannot be used.
    #[error(transparent)]
    Tree(#[from] kf_core::tree::TreeError),
    /// The host itself failed, such as no thread to be had.
    #[error("kf could not run it: {0}")]
    Host(String),
}

/// A limit that was reached, with the value that was too small.
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

/// How a guest's trap that the host raised on purpose travels through the engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stop(pub(crate) Fault);

/// Ends the run with a limit, out of a host function.
pub(crate) fn limit(which: Which, value: u64) -> wasmtime::Error {
    stop(Fault::Limit { limit: Limit { which, value } })
}

/// Ends the run with a fault, out of a host function.
pub(crate) fn stop(fault: Fault) -> wasmtime::Error {
    wasmtime::Error::new(Stop(fault))
}

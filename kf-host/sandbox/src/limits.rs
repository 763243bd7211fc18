//! What one run may use up.
//!
//! # Time
//!
//! A command may rightly run for days: it follows a log, or waits for a training job. What it may
//! not do is keep the machine busy without an answer. So three things are counted apart:
//!
//! * `run.time` is computing. It counts while guest code runs, and *waiting* pays it back: for the cluster, for a
//!   timer, for data of a stream. A second of waiting pays for [`PAID_BACK`] seconds of computing, so a command
//!   that follows something for days is never ended, and one that computes all the time is, however many short
//!   waits it puts in between. Calls that are answered at once, such as printing, pay nothing back.
//! * `run.calls` is the number of host calls, paid back at the same rate: by the wait that pays back all of
//!   `run.time`.
//! * `run.wall` is the clock on the wall, over everything. It also ends a host call that does not
//!   come back.
//!
//! Describing and completing answer a person who is typing, so there the wall clock is short.
//!
//! # Space
//!
//! Memory is what the guest's own code can take. Beside it the host may need [`HOST_MEMORY`] for a run and no
//! more: for the arguments of one call and its answer, and for what it holds between calls. So handles, streams,
//! widgets and the bytes of a call have limits, what is parsed is counted while it is read, and what need not be
//! parsed stays text. What the host keeps for a guest for good counts as the guest's own memory.
//!
//! Output is counted where the guest makes it. A log copied to stdout by the host is not: those bytes never were
//! in the guest.

use std::time::Duration;

/// What one run may use up; see the [module's essay](self).
///
/// The defaults are meant for every command. A limit that is reached ends the run with
/// [`Fault::Limit`](crate::Fault::Limit), which names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `run.time`: guest computing that waiting has not paid back. Checked every tenth of a second.
    pub time: Duration,
    /// `run.wall`: the whole run.
    pub wall: Duration,
    /// `run.calls`: host calls that waiting has not paid back.
    pub calls: u64,
    /// `run.memory`: bytes of linear memory, all memories together.
    pub memory: usize,
    /// `run.tables`: elements, all tables together.
    pub table_elements: usize,
    /// `run.instances`: core instances, and as many memories and tables.
    pub instances: usize,
    /// `run.handles`: resources the guest holds, of each side's tables.
    pub handles: usize,
    /// `run.streams`: watches, logs, sessions and port-forwards open at the same time.
    pub streams: usize,
    /// `run.widgets`: live tables and progress bars shown at the same time.
    pub widgets: usize,
    /// Bytes copied out of the guest in one host call; more is a trap.
    pub call_bytes: usize,
    /// `run.stdout`: bytes the guest prints, tables and records included.
    pub stdout_bytes: u64,
    /// `run.stderr`: bytes of notes and warnings.
    pub stderr_bytes: u64,
    /// `run.notes`: lines of notes and warnings.
    pub stderr_lines: u64,
    /// `run.rows`: table rows.
    pub rows: u64,
    /// `run.files`: bytes read from files, over all reads.
    pub file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            wall: Duration::from_secs(7 * 24 * 3600),
            calls: 1_000_000,
            memory: 256 << 20,
            table_elements: 100_000,
            instances: 64,
            handles: 1_000,
            streams: 256,
            widgets: 16,
            call_bytes: 17 << 20,
            stdout_bytes: 256 << 20,
            stderr_bytes: 1 << 20,
            stderr_lines: 10_000,
            rows: 1_000_000,
            file_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// For asking a guest about itself: short, and nothing to say to anybody.
    #[must_use]
    pub fn describe() -> Self {
        Self {
            time: Duration::from_secs(2),
            wall: Duration::from_secs(2),
            calls: 10_000,
            streams: 0,
            widgets: 0,
            stdout_bytes: 0,
            stderr_bytes: 0,
            stderr_lines: 0,
            rows: 0,
            file_bytes: 0,
            ..Self::default()
        }
    }

    /// For candidates while a person presses Tab: may ask the cluster, may not print.
    #[must_use]
    pub fn complete() -> Self {
        Self { streams: 8, ..Self::describe() }
    }
}

/// What the host may need for a run beside the guest's memory, in bytes. Nothing enforces it: it is what the other
/// limits come to, and what `tests/it/memory.rs` measures.
pub const HOST_MEMORY: usize = 64 << 20;

/// The seconds of computing that a second of waiting pays for.
pub(crate) const PAID_BACK: u32 = 4;

/// The largest file `files.read` hands to a guest, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// The most files `files.walk` finds below a directory.
pub const MAX_FILES_BELOW: usize = 10_000;

/// The most pages one run shows in a browser: each takes the person away from what they do.
pub(crate) const MAX_PAGES: u32 = 10;

/// The most columns of a table.
pub(crate) const MAX_COLUMNS: usize = 100;

/// The most rows of a live table.
pub(crate) const MAX_LIVE_ROWS: usize = 10_000;

/// The longest title of a column and label of a progress bar, in bytes; the rest is cut off.
pub(crate) const MAX_LABEL_BYTES: usize = 1 << 10;

/// The largest object or patch that is sent, in bytes: the API server's own limit.
pub(crate) const MAX_BODY_BYTES: usize = 3 << 20;

/// The most questions of one call that asks several at once.
pub(crate) const MAX_QUESTIONS: usize = 1_000;

/// What the answers of one such call may come to, in bytes. Half of the largest, which may be on its way meanwhile.
pub(crate) const MAX_ANSWERS_BYTES: usize = 8 << 20;

/// What a stream may hold for a guest that does not read, in bytes and in items.
pub(crate) const STREAM_BYTES: usize = 64 << 10;
pub(crate) const STREAM_EVENTS: usize = 256;

/// What all streams together may hold before those that hold something wait, in bytes.
pub(crate) const STREAMS_BYTES: usize = 4 << 20;

/// What they may hold once something large arrives that cannot be known beforehand, in bytes.
pub(crate) const MAX_STREAMS_BYTES: usize = 8 << 20;

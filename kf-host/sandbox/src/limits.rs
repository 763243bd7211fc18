//! The limits of a run.
//!
//! # Time
//!
//! A command can run for days: it follows a log, or waits for a training job. But it must not keep the
//! machine busy without an answer. So three things are counted separately:
//!
//! * `run.time` is computing. It counts while guest code runs, and *waiting* pays it back: for the cluster, a timer,
//!   or data of a stream. A second of waiting pays for [`COMPUTE_PER_WAIT`] seconds of computing. So a command that
//!   follows something for days is never stopped, but one that computes all the time is, even with many short waits
//!   in between. Calls that return at once, such as printing, pay nothing back.
//! * `run.calls` is the number of host calls, paid back at the same rate: the wait that pays back all of
//!   `run.time` also pays back all calls.
//! * `run.wall` is wall-clock time. It also ends a host call that does not return.
//!
//! A user who is typing waits for descriptions and completions, so their wall-clock limit is short.
//!
//! # Space
//!
//! `run.memory` limits the memory of the guest. In addition the host needs at most [`HOST_MEMORY`] for a run: for the
//! arguments and the answer of one call, and for what it keeps between calls. So handles, streams, widgets and the
//! bytes of a call have limits, JSON is counted while it is parsed, and JSON that need not be parsed stays text. What
//! the host keeps for the whole run counts as guest memory.
//!
//! Output of the guest is counted. A log that the host copies to stdout is not, because it never enters the guest.

use std::time::Duration;

/// The limits of a run; see the [module](self).
///
/// The defaults suit every command. Reaching a limit ends the run with
/// [`Fault::Limit`](crate::Fault::Limit), which names the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `run.time`: computing time that waiting has not paid back. Checked every tenth of a second.
    pub time: Duration,
    /// `run.wall`: wall-clock time of the whole run.
    pub wall: Duration,
    /// `run.calls`: host calls that waiting has not paid back.
    pub calls: u64,
    /// `run.memory`: bytes of linear memory, all memories together.
    pub memory: usize,
    /// `run.tables`: elements, all tables together.
    pub table_elements: usize,
    /// `run.instances`: core instances, and as many memories and tables.
    pub instances: usize,
    /// `run.handles`: resources that the guest holds, in each side's table.
    pub handles: usize,
    /// `run.streams`: watches, logs, sessions and port-forwards open at the same time.
    pub streams: usize,
    /// `run.widgets`: live tables and progress bars shown at the same time.
    pub widgets: usize,
    /// Bytes copied out of the guest in one host call; more is a trap.
    pub call_bytes: usize,
    /// `run.stdout`: bytes that the guest prints, including tables and records.
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
    /// For describing: a short time, and no output.
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

    /// For completion: as for describing, with a few streams to the cluster.
    #[must_use]
    pub fn complete() -> Self {
        Self { streams: 8, ..Self::describe() }
    }
}

/// The memory that the host needs for a run in addition to the guest's, in bytes. Nothing enforces it: it follows from
/// the other limits, and `tests/it/memory.rs` measures it.
pub const HOST_MEMORY: usize = 64 << 20;

/// The seconds of computing that a second of waiting pays for.
pub(crate) const COMPUTE_PER_WAIT: u32 = 4;

/// The largest file that `files.read` returns, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// The most files that `files.walk` returns.
pub const MAX_FILES_BELOW: usize = 10_000;

/// The most pages that one run can open in a browser.
pub(crate) const MAX_PAGES: u32 = 10;

/// The most columns of a table.
pub(crate) const MAX_COLUMNS: usize = 100;

/// The most rows of a live table.
pub(crate) const MAX_LIVE_ROWS: usize = 10_000;

/// The longest title of a column or label of a progress bar, in bytes; longer ones are truncated.
pub(crate) const MAX_LABEL_BYTES: usize = 1 << 10;

/// The largest object or patch that is sent, in bytes: the limit of the API server.
pub(crate) const MAX_BODY_BYTES: usize = 3 << 20;

/// The most requests of one call of `get-many` or `list-many`.
pub(crate) const MAX_QUESTIONS: usize = 1_000;

/// The size of all answers of one such call, in bytes. Half of the largest answer, which may still be arriving.
pub(crate) const MAX_ANSWERS_BYTES: usize = 8 << 20;

/// How much a stream buffers for a guest that does not read, in bytes and items.
pub(crate) const STREAM_BYTES: usize = 64 << 10;
pub(crate) const STREAM_EVENTS: usize = 256;

/// How much all streams together buffer before those with buffered data wait, in bytes.
pub(crate) const STREAMS_BYTES: usize = 4 << 20;

/// How much they can buffer when something arrives whose size was not known before, in bytes.
pub(crate) const MAX_STREAMS_BYTES: usize = 8 << 20;

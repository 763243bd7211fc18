//! What one run may use up.
//!
//! # Time
//!
//! A command may rightly run for days: it follows a log, or waits for a training job. What it may
//! not do is keep the machine busy without an answer. So three things are counted apart:
//!
//! * `run.time` is computing. It counts while guest code runs and starts again whenever the run
//!   *waited*: for the cluster, for a timer, for data of a stream. Calls that are answered at
//!   once, such as printing, do not start it again, so a loop of them ends too.
//! * `run.calls` is the number of host calls between two such waits.
//! * `run.wall` is the clock on the wall, over everything. It also ends a host call that does not
//!   come back.
//!
//! Describing and completing answer a person who is typing, so there the wall clock is short.
//!
//! # Space
//!
//! Memory is what the guest's own code can take; handles, streams and the bytes copied out of the guest
//! in one call are what it can make the host hold. Output is counted where the guest makes it. A
//! log copied to stdout by the host is not: those bytes never were in the guest.

use std::time::Duration;

/// What one run may use up; see the [module's essay](self).
///
/// The defaults are meant for every command. A limit that is reached ends the run with
/// [`Fault::Limit`](crate::Fault::Limit), which names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `run.time`: guest computing between two waits. Checked every tenth of a second.
    pub time: Duration,
    /// `run.wall`: the whole run.
    pub wall: Duration,
    /// `run.calls`: host calls between two waits.
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

/// The largest file `files.read` hands to a guest, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// The most files `files.walk` finds below a directory.
pub const MAX_FILES_BELOW: usize = 10_000;

/// The most pages one run shows in a browser: each takes the person away from what they do.
pub(crate) const MAX_PAGES: u32 = 10;

/// The largest object or patch that is sent, in bytes: the API server's own limit. Parsed it takes up
/// many times as much.
pub(crate) const MAX_BODY_BYTES: usize = 3 << 20;

/// What a stream may hold for a guest that does not read, in bytes and in items.
pub(crate) const STREAM_BYTES: usize = 64 << 10;
pub(crate) const STREAM_EVENTS: usize = 256;

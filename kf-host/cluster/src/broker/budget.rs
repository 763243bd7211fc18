//! What one run may use of the API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kf_core::api::{ApiError, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits of one run. They stop a runaway command, not a busy one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Requests, discovery and reconnects of watches included.
    pub calls: u64,
    /// Calls that the grant does not allow. Each is written to the audit log, which nobody may flood.
    pub refusals: u64,
    /// Bytes of answers and watches. Logs, sessions and forwarded ports do not count: they mostly
    /// pass through.
    pub bytes: u64,
    /// Watches, logs, sessions and port-forwards open at once.
    pub streams: usize,
    /// Objects in one page of a list.
    pub page: u32,
    /// Bytes of one answer, or of one event of a watch.
    pub response: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { calls: 10_000, refusals: 1_000, bytes: 256 << 20, streams: 64, page: 500, response: 16 << 20 }
    }
}

/// What is used up so far.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Budgets,
    calls: AtomicU64,
    refusals: AtomicU64,
    bytes: AtomicU64,
    streams: Arc<Semaphore>,
}

impl Meter {
    pub(super) fn new(limits: Budgets) -> Self {
        let streams = Arc::new(Semaphore::new(limits.streams));
        let none = || AtomicU64::new(0);
        Self { limits, calls: none(), refusals: none(), bytes: none(), streams }
    }

    pub(super) fn limits(&self) -> Budgets {
        self.limits
    }

    pub(super) fn call(&self) -> Result<(), ApiError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) < self.limits.calls {
            Ok(())
        } else {
            Err(used_up(&format!("{} calls to the API server", self.limits.calls)))
        }
    }

    /// Counts a refusal; whether it is the last one that is written down.
    pub(super) fn refusal(&self) -> Result<bool, ApiError> {
        let count = self.refusals.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if count <= self.limits.refusals {
            Ok(count == self.limits.refusals)
        } else {
            Err(used_up(&format!("{} calls that it may not make", self.limits.refusals)))
        }
    }

    pub(super) fn bytes(&self, count: usize) -> Result<(), ApiError> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if self.bytes.fetch_add(count, Ordering::Relaxed).saturating_add(count) <= self.limits.bytes {
            Ok(())
        } else {
            Err(used_up(&format!("{} bytes from the API server", self.limits.bytes)))
        }
    }

    /// Counts a stream until the permit is dropped.
    pub(super) fn stream(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| used_up(&format!("{} open watches, logs and sessions", self.limits.streams)))
    }

    pub(super) fn too_large(&self, what: &str) -> ApiError {
        used_up(&format!("{} bytes in {what}", self.limits.response))
            .hint("ask for smaller pages, or select fewer objects")
    }
}

fn used_up(what: &str) -> ApiError {
    ApiError::new(ErrorCode::Budget, format!("the run has used up its {what}"))
}

//! Limits the load that one run can put on the API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kf_core::api::{ApiError, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The maximum size of a response with one object, in bytes. API servers accept objects of up to 3 MiB.
pub(super) const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// The maximum size of a watch event, in bytes.
pub(super) const MAX_EVENT_BYTES: usize = 4 << 20;

/// The maximum size of an error response, in bytes.
pub(super) const MAX_ERROR_BYTES: usize = 256 << 10;

/// Responses larger than this are read one at a time.
pub(super) const LARGE_BYTES: usize = 256 << 10;

/// The maximum size of incomplete events in all watches, in bytes.
const MAX_PARTIAL_BYTES: usize = 8 << 20;

/// The limits of one run. They stop a runaway command, not a busy one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Requests, including discovery and reconnects of watches.
    pub calls: u64,
    /// Calls that the grant does not allow. Each is written to the audit log, which a command must not flood.
    pub refusals: u64,
    /// Bytes of responses and watches. Logs, sessions and forwarded ports do not count, as they mostly pass through.
    pub bytes: u64,
    /// Concurrent watches, logs, sessions and port-forwards.
    pub streams: usize,
    /// Objects in one page of a list.
    pub page: u32,
    /// Bytes of one response, or of one event of a watch.
    pub response: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { calls: 10_000, refusals: 1_000, bytes: 256 << 20, streams: 64, page: 500, response: 16 << 20 }
    }
}

/// The usage of a run so far.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Budgets,
    calls: AtomicU64,
    refusals: AtomicU64,
    bytes: AtomicU64,
    streams: Arc<Semaphore>,
    /// Allows one large response at a time.
    large: Semaphore,
    partial: AtomicUsize,
}

impl Meter {
    pub(super) fn new(limits: Budgets) -> Self {
        let streams = Arc::new(Semaphore::new(limits.streams));
        let none = || AtomicU64::new(0);
        Self {
            limits,
            calls: none(),
            refusals: none(),
            bytes: none(),
            streams,
            large: Semaphore::new(1),
            partial: AtomicUsize::new(0),
        }
    }

    pub(super) fn limits(&self) -> Budgets {
        self.limits
    }

    pub(super) fn call(&self) -> Result<(), ApiError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) < self.limits.calls {
            Ok(())
        } else {
            Err(limit_exceeded(&format!("{} calls to the API server", self.limits.calls)))
        }
    }

    /// Counts a refusal. Returns whether it is the last one that is logged.
    pub(super) fn refusal(&self) -> Result<bool, ApiError> {
        let count = self.refusals.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if count <= self.limits.refusals {
            Ok(count == self.limits.refusals)
        } else {
            Err(limit_exceeded(&format!("{} refused calls", self.limits.refusals)))
        }
    }

    pub(super) fn bytes(&self, count: usize) -> Result<(), ApiError> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if self.bytes.fetch_add(count, Ordering::Relaxed).saturating_add(count) <= self.limits.bytes {
            Ok(())
        } else {
            Err(limit_exceeded(&format!("{} bytes from the API server", self.limits.bytes)))
        }
    }

    /// Counts a stream until the permit is dropped.
    pub(super) fn stream(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| limit_exceeded(&format!("{} open watches, logs and sessions", self.limits.streams)))
    }

    /// Waits until no other large response is being read.
    pub(super) async fn large(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.large.acquire().await.map_err(|_| limit_exceeded("large responses"))
    }

    /// Counts the bytes that a watch holds of an incomplete event, instead of `before`.
    pub(super) fn partial(&self, before: usize, now: usize) -> Result<(), ApiError> {
        self.partial.fetch_sub(before, Ordering::Relaxed);
        let total = self.partial.fetch_add(now, Ordering::Relaxed).saturating_add(now);
        if now <= before || total <= MAX_PARTIAL_BYTES {
            Ok(())
        } else {
            Err(limit_exceeded(&format!("{} MiB of incomplete events", MAX_PARTIAL_BYTES >> 20)))
        }
    }

    pub(super) fn too_large(limit: usize, what: &str) -> ApiError {
        limit_exceeded(&format!("{limit} bytes in {what}"))
            .hint("request smaller pages, or select fewer objects")
    }
}

fn limit_exceeded(what: &str) -> ApiError {
    ApiError::new(ErrorCode::Budget, format!("limit of this run exceeded: {what}"))
}

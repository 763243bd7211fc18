//! Logs of containers.
//!
//! [`Log::forward`] has kf copy a log to stdout; the command never sees its bytes. [`Log::next`] and
//! [`Log::lines`] are for a command that has to read the log.

use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use crate::abi::Host;
use crate::abi::{ForwardSource, HostHandle, LogOptions, LogSource, Pollable};
use crate::clock::Timestamp;
use crate::error::Result;

/// A request for a log.
#[derive(Clone)]
pub struct LogRequest {
    host: HostHandle,
    namespace: Option<String>,
    pod: String,
    options: LogOptions,
}

impl LogRequest {
    pub(crate) fn new(host: HostHandle, pod: &str) -> Self {
        Self { host, namespace: None, pod: pod.into(), options: LogOptions::default() }
    }

    /// Sets the container; required if the pod has several.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.options.container = Some(name.into());
        self
    }

    /// Sets the namespace of the pod, instead of the run's.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Streams the log until the container ends.
    #[must_use]
    pub fn follow(mut self, follow: bool) -> Self {
        self.options.follow = follow;
        self
    }

    /// Selects the run of the container before its last restart.
    #[must_use]
    pub fn previous(mut self, previous: bool) -> Self {
        self.options.previous = previous;
        self
    }

    /// Prefixes each line with its timestamp.
    #[must_use]
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.options.timestamps = timestamps;
        self
    }

    /// Omits lines older than a duration.
    #[must_use]
    pub fn since(mut self, ago: Option<Duration>) -> Self {
        self.options.since = ago.map(|ago| Timestamp(self.host.now()).minus(ago).0);
        self
    }

    /// Limits the log to a number of lines from the end.
    #[must_use]
    pub fn tail(mut self, lines: Option<u32>) -> Self {
        self.options.tail_lines = lines;
        self
    }

    /// Opens the log.
    pub fn open(self) -> Result<Log> {
        let source = self.host.open_log(self.namespace.as_deref(), &self.pod, &self.options)?;
        Ok(Log { host: self.host, source })
    }
}

/// The open log of one container.
pub struct Log {
    host: HostHandle,
    source: Box<dyn LogSource>,
}

impl Log {
    /// Returns the bytes that are available, blocking until there are some; empty at the end.
    pub fn next(&self) -> Result<Vec<u8>> {
        self.source.next()
    }

    /// Ready when [`Log::next`] would not block.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }

    /// Reads the log to its end as lines, replacing invalid UTF-8.
    pub fn lines(&self) -> Result<Vec<String>> {
        let mut bytes = Vec::new();
        loop {
            let chunk = self.next()?;
            if chunk.is_empty() {
                return Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect());
            }
            bytes.extend(chunk);
        }
    }

    /// Has kf copy the log to stdout, each line with the prefix. Lines of several logs are never interleaved.
    pub fn forward(self, prefix: Option<&str>) -> Result<Forwarding> {
        let source = self.host.forward(self.source, prefix)?;
        Ok(Forwarding { source })
    }
}

/// A log that kf copies to stdout.
pub struct Forwarding {
    source: Box<dyn ForwardSource>,
}

impl Forwarding {
    /// Ready once the log has ended or failed.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }

    /// Blocks until the end and returns the number of bytes copied. Returns
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) if the container has ended and its node no longer has the log.
    pub fn finish(&self) -> Result<u64> {
        self.source.finish()
    }
}

//! Logs of containers.
//!
//! A log that only passes through is [forwarded](Log::forward): kf copies it to stdout and the
//! command never sees a byte of it. [`Log::next`] and [`Log::lines`] are for a command that has
//! to read.

use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use crate::border::Host;
use crate::border::{ForwardSource, HostHandle, LogOptions, LogSource, Pollable};
use crate::clock::Timestamp;
use crate::error::Result;

/// Which log to open, and which part of it.
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

    /// Of this container; needed when the pod has several.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.options.container = Some(name.into());
        self
    }

    /// Of a pod in this namespace instead of the run's.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Waits for more until the container ends.
    #[must_use]
    pub fn follow(mut self, follow: bool) -> Self {
        self.options.follow = follow;
        self
    }

    /// Of the container's run before its last restart.
    #[must_use]
    pub fn previous(mut self, previous: bool) -> Self {
        self.options.previous = previous;
        self
    }

    /// Every line starts with its time.
    #[must_use]
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.options.timestamps = timestamps;
        self
    }

    /// Nothing older than so long ago.
    #[must_use]
    pub fn since(mut self, ago: Option<Duration>) -> Self {
        self.options.since = ago.map(|ago| Timestamp(self.host.now()).before(ago).0);
        self
    }

    /// So many lines from the end.
    #[must_use]
    pub fn tail(mut self, lines: Option<u32>) -> Self {
        self.options.tail_lines = lines;
        self
    }

    /// Opens it.
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
    /// The bytes that are there now; blocks for the first. Empty is the end.
    pub fn next(&self) -> Result<Vec<u8>> {
        self.source.next()
    }

    /// Ready when [`Log::next`] would not block.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }

    /// Everything to the end, as lines. Bytes that are not UTF-8 are replaced.
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

    /// Has kf copy it to stdout, every line with the prefix. Lines of several logs never mix.
    pub fn forward(self, prefix: Option<&str>) -> Result<Forwarding> {
        let source = self.host.forward(self.source, prefix)?;
        Ok(Forwarding { source })
    }
}

/// A log on its way to stdout.
pub struct Forwarding {
    source: Box<dyn ForwardSource>,
}

impl Forwarding {
    /// Ready once the log has ended or failed.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }

    /// The bytes copied; blocks until the end. [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where the container
    /// has ended and its node has nothing of it any more.
    pub fn finish(&self) -> Result<u64> {
        self.source.finish()
    }
}

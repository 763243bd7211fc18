use std::any::Any;
use std::cell::Cell;

use super::host::FakeHost;
use super::verbs::Listing;
use crate::abi::*;
use crate::error::{Error, Result};
use crate::ui::{Column, Row};

/// Returns a pollable that is ready when a condition holds.
pub(super) fn when(ready: impl Fn() -> bool + 'static) -> Pollable {
    Pollable(Box::new(ready))
}

pub(super) struct FakeWatch {
    host: FakeHost,
    what: Listing,
    seen: Cell<u64>,
}

impl FakeWatch {
    pub(super) fn new(host: FakeHost, what: Listing, seen: u64) -> Self {
        Self { host, what, seen: Cell::new(seen) }
    }
}

impl WatchSource for FakeWatch {
    fn next(&self) -> Result<Vec<Event>> {
        let changes = || self.host.cluster(|cluster| cluster.changes(&self.what, self.seen.get()));
        let broken = || self.host.cluster(|cluster| cluster.break_of(&self.what, self.seen.get()));
        let what = format!("a change of {}", self.what.kind());
        self.host.block_until(&what, || broken().is_some() || !changes().0.is_empty())?;
        if let Some(error) = broken() {
            return Err(error);
        }
        let (events, version) = changes();
        self.seen.set(version);
        Ok(events)
    }

    fn subscribe(&self) -> Pollable {
        let (host, what, seen) = (self.host.clone(), self.what.clone(), self.seen.get());
        when(move || {
            host.cluster(|cluster| {
                cluster.break_of(&what, seen).is_some() || !cluster.changes(&what, seen).0.is_empty()
            })
        })
    }
}

/// A log of the fake cluster.
pub(super) struct FakeLogStream {
    host: FakeHost,
    key: (String, String),
    options: LogOptions,
    read: Cell<usize>,
}

impl FakeLogStream {
    pub(super) fn open(
        host: FakeHost,
        namespace: Option<&str>,
        pod: &str,
        options: &LogOptions,
    ) -> Result<Self> {
        let key = host.cluster(|cluster| -> Result<(String, String)> {
            cluster.pod(namespace, pod)?;
            let mut containers = cluster.logs.keys().filter(|(of, container)| {
                of == pod && options.container.as_ref().is_none_or(|wanted| wanted == container)
            });
            match (containers.next(), containers.next()) {
                (Some(key), None) => Ok(key.clone()),
                (None, _) => Err(Error::invalid(format!("the container of {pod} has not started"))),
                _ => Err(Error::invalid(format!("{pod} has several containers"))),
            }
        })?;
        let stream = Self { host, key, options: options.clone(), read: Cell::new(0) };
        if let Some(lines) = options.tail_lines {
            let text = stream.text();
            let skipped = text.lines().count().saturating_sub(lines as usize);
            stream.read.set(text.split_inclusive('\n').take(skipped).map(str::len).sum());
        }
        Ok(stream)
    }

    fn text(&self) -> String {
        self.host.cluster(|cluster| {
            let log = cluster.logs.get(&self.key).cloned().unwrap_or_default();
            if self.options.previous { log.previous } else { log.text }
        })
    }

    fn is_done(&self) -> bool {
        !self.options.follow
            || self.options.previous
            || self.host.cluster(|cluster| {
                cluster.logs.get(&self.key).is_none_or(|log| log.ended || log.gone.is_some())
            })
    }

    fn failure(&self) -> Option<Error> {
        self.host.cluster(|cluster| cluster.logs.get(&self.key)?.gone.clone())
    }

    fn unread(&self) -> bool {
        self.text().len() > self.read.get()
    }
}

impl LogSource for FakeLogStream {
    fn next(&self) -> Result<Vec<u8>> {
        self.host.block_until(&format!("the log of {}", self.key.0), || self.unread() || self.is_done())?;
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let text = self.text();
        let new = text.get(self.read.get()..).unwrap_or_default().as_bytes().to_vec();
        self.read.set(text.len());
        Ok(new)
    }

    fn subscribe(&self) -> Pollable {
        let twin = Self {
            host: self.host.clone(),
            key: self.key.clone(),
            options: self.options.clone(),
            read: self.read.clone(),
        };
        when(move || twin.unread() || twin.is_done())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Copies a log to the fake terminal when it ends.
pub(super) struct FakeForward {
    host: FakeHost,
    log: FakeLogStream,
    prefix: String,
    finished: Cell<Option<u64>>,
}

impl FakeForward {
    pub(super) fn new(host: FakeHost, log: FakeLogStream, prefix: Option<&str>) -> Self {
        Self { host, log, prefix: prefix.unwrap_or_default().into(), finished: Cell::new(None) }
    }
}

impl ForwardSource for FakeForward {
    fn subscribe(&self) -> Pollable {
        let twin = FakeLogStream {
            host: self.host.clone(),
            key: self.log.key.clone(),
            options: self.log.options.clone(),
            read: self.log.read.clone(),
        };
        when(move || twin.is_done())
    }

    fn finish(&self) -> Result<u64> {
        if let Some(bytes) = self.finished.get() {
            return Ok(bytes);
        }
        self.host.block_until(&format!("the end of the log of {}", self.log.key.0), || self.log.is_done())?;
        let bytes = self.log.next()?;
        let mut terminal = self.host.state.terminal.borrow_mut();
        for line in String::from_utf8_lossy(&bytes).lines() {
            terminal.stdout.push_str(&format!("{}{line}\n", self.prefix));
        }
        self.finished.set(Some(bytes.len() as u64));
        Ok(bytes.len() as u64)
    }
}

pub(super) struct FakeLive {
    pub(super) host: FakeHost,
    pub(super) columns: Vec<Column>,
}

impl LiveSink for FakeLive {
    fn update(&self, rows: &[Row]) -> Result<()> {
        let format = self.host.state.format.get();
        self.host.state.terminal.borrow_mut().table(format, &self.columns, rows)
    }
}

pub(super) struct FakeProgress {
    pub(super) host: FakeHost,
}

impl ProgressSink for FakeProgress {
    fn set(&self, label: &str, _done: u64) {
        self.host.state.terminal.borrow_mut().say(label);
    }
}

//! The interface `logs`.

use std::sync::Arc;

use futures_util::StreamExt;
use kf_core::api::{ByteStream, LogOptions};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::WitError;
use super::wit::logs::{self, Host, HostForwarding, HostLogStream};
use crate::fault::stop;
use crate::forward::{Forwarding, LogSource};
use crate::limits::{STREAM_BYTES, STREAM_EVENTS};
use crate::poll::{Pollable, Pump, Room, Weight};
use crate::state::State;

impl Weight for Vec<u8> {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// A log, which is not read before the guest asks for its bytes.
pub struct LogStream {
    source: Option<LogSource>,
    room: Arc<Room>,
    permit: Arc<()>,
}

impl LogStream {
    fn new(stream: ByteStream, room: Arc<Room>, permit: Arc<()>) -> Self {
        Self { source: Some(LogSource::Stream(stream)), room, permit }
    }

    /// Starts reading, if it has not started yet.
    fn pumped(&mut self) -> Option<&Pump<Vec<u8>>> {
        let source = match self.source.take()? {
            LogSource::Stream(stream) => {
                // An empty chunk would look like the end.
                let stream =
                    stream.filter(|chunk| std::future::ready(!matches!(chunk, Ok(c) if c.is_empty())));
                LogSource::Pumped(Pump::new(stream, Arc::clone(&self.room), STREAM_BYTES, STREAM_EVENTS))
            }
            pumped @ LogSource::Pumped(_) => pumped,
        };
        match self.source.insert(source) {
            LogSource::Pumped(pump) => Some(pump),
            LogSource::Stream(_) => None,
        }
    }
}

impl Host for State {
    async fn open_log(
        &mut self,
        namespace: Option<String>,
        pod: String,
        options: logs::LogOptions,
    ) -> Result<Result<Resource<LogStream>, WitError>> {
        self.call()?;
        let options = LogOptions {
            container: options.container,
            follow: options.follow,
            previous: options.previous,
            timestamps: options.timestamps,
            since: options.since,
            tail_lines: options.tail_lines,
        };
        let (permit, cluster) = match self.stream_permit().and_then(|permit| Ok((permit, self.cluster()?))) {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(self.return_error(error))),
        };
        match cluster.log(namespace, pod, options).await {
            Ok(stream) => {
                let log = LogStream::new(stream, Arc::clone(&self.room), permit);
                Ok(Ok(self.push(log)?))
            }
            Err(error) => Ok(Err(self.return_error(error))),
        }
    }

    async fn forward(
        &mut self,
        log: Resource<LogStream>,
        prefix: Option<String>,
    ) -> Result<Resource<Forwarding>> {
        self.call()?;
        let LogStream { source, permit, .. } = self.table.delete(log)?;
        let source = source.ok_or_else(|| wasmtime::Error::msg("the log is already being copied"))?;
        let forwarding = Forwarding::new(source, prefix, self.output.clone(), permit);
        self.push(forwarding)
    }
}

impl HostLogStream for State {
    async fn next(&mut self, this: Resource<LogStream>) -> Result<Result<Vec<u8>, WitError>> {
        self.call()?;
        let Some(pump) = self.table.get_mut(&this)?.pumped() else { return Ok(Ok(Vec::new())) };
        let read = pump.read(STREAM_BYTES).await;
        Ok(read.map_err(|error| self.return_error(error)))
    }

    async fn subscribe(&mut self, this: Resource<LogStream>) -> Result<Resource<Pollable>> {
        self.call()?;
        let log = self.table.get_mut(&this)?;
        let pump = log.pumped().ok_or_else(|| wasmtime::Error::msg("the log is being copied"))?;
        let readiness = pump.readiness();
        self.push(Pollable(readiness))
    }

    async fn drop(&mut self, this: Resource<LogStream>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostForwarding for State {
    async fn subscribe(&mut self, this: Resource<Forwarding>) -> Result<Resource<Pollable>> {
        self.call()?;
        let readiness = self.table.get(&this)?.readiness();
        self.push(Pollable(readiness))
    }

    async fn finish(&mut self, this: Resource<Forwarding>) -> Result<Result<u64, WitError>> {
        self.call()?;
        match self.table.get(&this)?.finish().await {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(error) => Ok(Err(self.return_error(error.into_fault().map_err(stop)?))),
        }
    }

    async fn drop(&mut self, this: Resource<Forwarding>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

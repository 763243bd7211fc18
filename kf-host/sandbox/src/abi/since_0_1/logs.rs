//! Logs of containers.

use std::collections::VecDeque;
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
use crate::poll::{Pollable, Pump, Weight};
use crate::state::State;

impl Weight for Vec<u8> {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// A log, read by nobody before the guest asks for its bytes.
pub struct LogStream {
    source: Option<LogSource>,
    slot: Arc<()>,
}

impl LogStream {
    fn new(stream: ByteStream, slot: Arc<()>) -> Self {
        Self { source: Some(LogSource::Stream(stream)), slot }
    }

    /// Begins to read, if that has not happened yet.
    fn pumped(&mut self) -> Option<(&Pump<Vec<u8>>, &mut VecDeque<u8>)> {
        let source = match self.source.take()? {
            LogSource::Stream(stream) => {
                // An empty chunk says nothing, and would look like the end.
                let stream =
                    stream.filter(|chunk| std::future::ready(!matches!(chunk, Ok(c) if c.is_empty())));
                let pump = Pump::new(stream, STREAM_BYTES, STREAM_EVENTS);
                LogSource::Pumped { pump, left: VecDeque::new() }
            }
            pumped @ LogSource::Pumped { .. } => pumped,
        };
        match self.source.insert(source) {
            LogSource::Pumped { pump, left } => Some((pump, left)),
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
        let (slot, cluster) = match self.stream_slot().and_then(|slot| Ok((slot, self.cluster()?))) {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(self.tell(error))),
        };
        match cluster.log(namespace, pod, options).await {
            Ok(stream) => Ok(Ok(self.push(LogStream::new(stream, slot))?)),
            Err(error) => Ok(Err(self.tell(error))),
        }
    }

    async fn forward(
        &mut self,
        log: Resource<LogStream>,
        prefix: Option<String>,
    ) -> Result<Resource<Forwarding>> {
        self.call()?;
        let LogStream { source, slot } = self.table.delete(log)?;
        let source = source.ok_or_else(|| wasmtime::Error::msg("the log is already being copied"))?;
        let forwarding = Forwarding::new(source, prefix, self.output.clone(), slot);
        self.push(forwarding)
    }
}

impl HostLogStream for State {
    async fn next(&mut self, this: Resource<LogStream>) -> Result<Result<Vec<u8>, WitError>> {
        self.call()?;
        let Some((pump, left)) = self.table.get_mut(&this)?.pumped() else { return Ok(Ok(Vec::new())) };
        if left.is_empty() {
            match pump.next().await {
                Ok(chunks) => left.extend(chunks.into_iter().flatten()),
                Err(error) => return Ok(Err(self.tell(error))),
            }
        }
        Ok(Ok(left.drain(..left.len().min(STREAM_BYTES)).collect()))
    }

    async fn subscribe(&mut self, this: Resource<LogStream>) -> Result<Resource<Pollable>> {
        self.call()?;
        let log = self.table.get_mut(&this)?;
        let Some((pump, left)) = log.pumped() else { return Err(wasmtime::Error::msg("the log is gone")) };
        let readiness = if left.is_empty() { pump.readiness() } else { Arc::new(crate::poll::Now) as Arc<_> };
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
            Err(error) => Ok(Err(self.tell(error.into_fault().map_err(stop)?))),
        }
    }

    async fn drop(&mut self, this: Resource<Forwarding>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

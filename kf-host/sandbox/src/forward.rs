//! Copies logs to stdout without the guest.
//!
//! A single log without a prefix is copied byte for byte and at once. With a prefix, or next to other logs,
//! it is copied in whole lines; a line longer than [`MAX_LINE_BYTES`] is split.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use kf_core::api::{ApiError, ByteStream};
use kf_core::text::truncated;

use crate::fault::Fault;
use crate::limits::STREAM_BYTES;
use crate::output::{OutputError, SharedOutput, Writer};
use crate::poll::{Flag, Pump, Readiness, next_if_ready};

/// How much of an unfinished line is buffered, in bytes.
const MAX_LINE_BYTES: usize = 64 << 10;

/// The longest prefix of a line, in bytes. It comes from the guest, but does not count as its output.
const MAX_PREFIX_BYTES: usize = 256;

/// The source of a log: not read yet, or already being read by the guest.
pub(crate) enum LogSource {
    Stream(ByteStream),
    Pumped(Pump<Vec<u8>>),
}

impl LogSource {
    async fn next(&mut self, output: &SharedOutput) -> Result<Option<Vec<u8>>, CopyError> {
        match self {
            Self::Stream(stream) => {
                let next = match next_if_ready(stream) {
                    Some(next) => next,
                    None => {
                        output.lock().flush()?;
                        stream.next().await
                    }
                };
                Ok(next.transpose()?)
            }
            Self::Pumped(pump) => {
                output.lock().flush()?;
                let bytes = pump.read(STREAM_BYTES).await?;
                Ok((!bytes.is_empty()).then_some(bytes))
            }
        }
    }
}

/// Why copying failed.
#[derive(Debug)]
pub(crate) enum CopyError {
    Log(ApiError),
    Output(OutputError),
}

impl From<ApiError> for CopyError {
    fn from(error: ApiError) -> Self {
        Self::Log(error)
    }
}

impl From<OutputError> for CopyError {
    fn from(error: OutputError) -> Self {
        Self::Output(error)
    }
}

/// A log that is being copied to stdout.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Forwarding {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
}

#[derive(Default)]
struct Shared {
    ended: Flag,
    result: Mutex<Option<Result<u64, CopyError>>>,
}

impl Forwarding {
    /// Must be called within a tokio runtime. `permit` is held until the end.
    pub(crate) fn new(
        source: LogSource,
        prefix: Option<String>,
        output: SharedOutput,
        permit: impl Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let task = {
            let shared = Arc::clone(&shared);
            let mut copy = Copy::new(output, prefix);
            async move {
                let result = copy.run(source).await;
                *shared.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                drop(permit);
                shared.ended.set();
            }
        };
        Self { shared, task: tokio::spawn(task).abort_handle() }
    }

    /// Waits for the end. Returns the number of bytes the first time, and 0 afterwards.
    pub(crate) async fn finish(&self) -> Result<u64, CopyError> {
        self.shared.ended.ready().await;
        self.shared.result.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(Ok(0))
    }

    pub(crate) fn readiness(&self) -> Arc<dyn Readiness> {
        Arc::clone(&self.shared) as Arc<dyn Readiness>
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.ended.set();
    }
}

#[async_trait::async_trait]
impl Readiness for Shared {
    fn is_ready(&self) -> bool {
        self.ended.is_ready()
    }

    async fn ready(&self) {
        self.ended.ready().await;
    }
}

/// The copying itself.
struct Copy {
    output: SharedOutput,
    writer: Writer,
    prefix: Option<Vec<u8>>,
    /// The beginning of an unfinished line.
    rest: Vec<u8>,
    ended: bool,
}

impl Copy {
    fn new(output: SharedOutput, prefix: Option<String>) -> Self {
        let writer = output.lock().writer();
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        let prefix = prefix.map(|prefix| truncated(prefix, MAX_PREFIX_BYTES).into_bytes());
        Self { output, writer, prefix, rest: Vec::new(), ended: false }
    }

    async fn run(&mut self, mut source: LogSource) -> Result<u64, CopyError> {
        let mut bytes = 0;
        let copied = loop {
            match source.next(&self.output).await {
                Ok(Some(chunk)) => {
                    bytes += chunk.len() as u64;
                    if let Err(error) = self.write(&chunk) {
                        break Err(error.into());
                    }
                }
                Ok(None) => break Ok(bytes),
                Err(error) => break Err(error),
            }
        };
        let ended = self.end();
        let bytes = copied?;
        ended?;
        Ok(bytes)
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), OutputError> {
        let mut output = self.output.lock();
        if self.prefix.is_none() && output.is_alone() {
            let rest = std::mem::take(&mut self.rest);
            output.write_log(self.writer, &rest)?;
            return output.write_log(self.writer, chunk);
        }
        // Continues the unfinished line of this log.
        let mut continues = output.is_open(self.writer);
        let end = chunk.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        let (lines, rest) = chunk.split_at(end);
        let mut out = Vec::new();
        if !lines.is_empty() {
            let held = std::mem::take(&mut self.rest);
            out.reserve(held.len() + lines.len() + lines.len() / 4);
            let mut lines = lines;
            if !held.is_empty() {
                let first = lines.iter().position(|b| *b == b'\n').map_or(lines.len(), |newline| newline + 1);
                let (tail, others) = lines.split_at(first);
                self.begin(&mut out, continues);
                out.extend_from_slice(&held);
                out.extend_from_slice(tail);
                (lines, continues) = (others, false);
            }
            match &self.prefix {
                None => out.extend_from_slice(lines),
                Some(_) => {
                    for line in lines.split_inclusive(|b| *b == b'\n') {
                        // A prefix can be many times as long as its line.
                        if out.len() > MAX_LINE_BYTES {
                            output.write_log(self.writer, &std::mem::take(&mut out))?;
                        }
                        self.begin(&mut out, std::mem::take(&mut continues));
                        out.extend_from_slice(line);
                    }
                }
            }
            continues = false;
        }
        self.rest.extend_from_slice(rest);
        if self.rest.len() > MAX_LINE_BYTES {
            self.begin(&mut out, continues);
            out.append(&mut self.rest);
        }
        output.write_log(self.writer, &out)
    }

    fn begin(&self, out: &mut Vec<u8>, continues: bool) {
        if let Some(prefix) = &self.prefix
            && !continues
        {
            out.extend_from_slice(prefix);
        }
    }

    /// Writes the rest. With several logs or a prefix, an unfinished line is ended.
    fn end(&mut self) -> Result<(), OutputError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let mut output = self.output.lock();
        let mut out = Vec::new();
        if !self.rest.is_empty() {
            self.begin(&mut out, output.is_open(self.writer));
            out.append(&mut self.rest);
        }
        let close = self.prefix.is_some() || !output.is_alone();
        let written = output.write_log(self.writer, &out);
        written.and(output.end_log(self.writer, close))
    }
}

/// Also ends the log if the guest drops the forwarding.
impl Drop for Copy {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl CopyError {
    /// The guest gets the error of the log; closed output ends the run.
    pub(crate) fn into_fault(self) -> Result<ApiError, Fault> {
        match self {
            Self::Log(error) => Ok(error),
            Self::Output(OutputError::Stop(fault)) => Err(fault),
            Self::Output(OutputError::Io(error)) => Ok(crate::state::output_error(&error)),
        }
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;

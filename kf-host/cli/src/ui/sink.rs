//! Output streams, filtered if they are terminals.

use std::io::{self, Write};

use super::escape::EscapeFilter;

const CHUNK_BYTES: usize = 64 << 10;

/// A writer with a filter.
pub(super) struct Sink<W> {
    pub(super) writer: W,
    /// Set if the writer is a terminal.
    filter: Option<EscapeFilter>,
    scratch: Vec<u8>,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(writer: W, terminal: bool) -> Self {
        Self { writer, filter: terminal.then(EscapeFilter::default), scratch: Vec::new() }
    }

    /// Writes text of untrusted origin.
    pub(super) fn write_foreign(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.filter {
            None => self.writer.write_all(bytes),
            Some(filter) => {
                // In chunks, because replacing invalid UTF-8 triples the length.
                for chunk in bytes.chunks(CHUNK_BYTES) {
                    self.scratch.clear();
                    filter.feed(chunk, &mut self.scratch);
                    self.writer.write_all(&self.scratch)?;
                }
                self.writer.flush()
            }
        }
    }
}

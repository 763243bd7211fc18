//! A stream, and what may be in it.

use std::io::{self, Write};

use super::escape::EscapeFilter;

/// Where a byte goes and what may be in it.
pub(super) struct Sink<W> {
    pub(super) writer: W,
    /// Set when a terminal reads along.
    filter: Option<EscapeFilter>,
    scratch: Vec<u8>,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(writer: W, terminal: bool) -> Self {
        Self { writer, filter: terminal.then(EscapeFilter::default), scratch: Vec::new() }
    }

    /// Text of unknown origin.
    pub(super) fn write_foreign(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.filter {
            None => self.writer.write_all(bytes),
            Some(filter) => {
                self.scratch.clear();
                filter.feed(bytes, &mut self.scratch);
                self.writer.write_all(&self.scratch)?;
                self.writer.flush()
            }
        }
    }
}

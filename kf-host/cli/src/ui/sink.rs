//! A stream, and what may be in it.

use std::io::{self, Write};

use super::escape::EscapeFilter;

/// How much is filtered at once, in bytes.
const PIECE_BYTES: usize = 64 << 10;

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
                // In pieces: what is shown of broken text is three times as long.
                for piece in bytes.chunks(PIECE_BYTES) {
                    self.scratch.clear();
                    filter.feed(piece, &mut self.scratch);
                    self.writer.write_all(&self.scratch)?;
                }
                self.writer.flush()
            }
        }
    }
}

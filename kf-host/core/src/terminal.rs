//! The user's terminal, as sessions use it.
//!
//! The bytes of a joined session never enter the guest: the host copies them between the container
//! and its own stdin, stdout and stderr. The sandbox does the copying, and the implementation of
//! [`Ui`](crate::ui::Ui) provides the [`Terminal`].

use std::io;
use std::pin::Pin;

use crate::api::TerminalSize;

/// A destination of a session's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Typed or piped bytes, in chunks.
pub type ChunkStream = Pin<Box<dyn futures_util::Stream<Item = io::Result<Vec<u8>>> + Send>>;

/// Typed or piped bytes. Dropping it stops reading.
pub struct Input {
    /// Ends at the end of input.
    pub chunks: ChunkStream,
    /// Keeps the reader alive.
    pub held: Box<dyn Send>,
}

/// The process's stdin, stdout and stderr.
pub trait Terminal: Send + Sync {
    /// Whether stdin is a terminal.
    fn is_interactive(&self) -> bool;

    /// None if there is no terminal.
    fn size(&self) -> Option<TerminalSize>;

    /// Passes every key on unchanged, including Ctrl-C, until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// The terminal was closed.
    fn raw(&self) -> io::Result<Box<dyn Send>>;

    /// # Errors
    ///
    /// stdin cannot be read.
    fn input(&self) -> io::Result<Input>;

    /// Writes and flushes; blocks. `raw` bytes are not filtered: in a terminal session the programs
    /// in the container draw on the screen, as the user asked for.
    ///
    /// # Errors
    ///
    /// The stream cannot be written.
    fn write(&self, stream: Stream, raw: bool, data: &[u8]) -> io::Result<()>;

    /// Opens a local page in the user's browser; blocks for a few seconds. False without a browser or
    /// a terminal.
    fn open_page(&self, url: &str) -> bool;
}

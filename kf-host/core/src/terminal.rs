//! The user's terminal, lent to a session.
//!
//! The bytes of a joined session never enter the guest: the host carries them between the
//! container and the process's own stdin, stdout and stderr. The sandbox joins the two; whoever
//! shows a run lends the terminal through [`Terminal`].

use std::io;
use std::pin::Pin;

use crate::api::TerminalSize;

/// Where a session's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Bytes as they are typed or piped in, in chunks.
pub type ChunkStream = Pin<Box<dyn futures_util::Stream<Item = io::Result<Vec<u8>>> + Send>>;

/// Bytes as they are typed or piped in. Dropping it stops reading.
pub struct Input {
    /// Ends at the end of input.
    pub chunks: ChunkStream,
    /// What keeps the reading going.
    pub held: Box<dyn Send>,
}

/// The process's stdin, stdout and stderr.
pub trait Terminal: Send + Sync {
    /// Whether a person types at stdin.
    fn is_interactive(&self) -> bool;

    /// None where there is no terminal.
    fn size(&self) -> Option<TerminalSize>;

    /// Hands every key on as it is, Ctrl-C too, until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    fn raw(&self) -> io::Result<Box<dyn Send>>;

    /// # Errors
    ///
    /// stdin cannot be read.
    fn input(&self) -> io::Result<Input>;

    /// Writes and shows at once; blocks. `raw` bytes are not filtered: in a terminal session the
    /// container's programs draw, and the person has asked for that.
    ///
    /// # Errors
    ///
    /// The stream cannot be written.
    fn write(&self, stream: Stream, raw: bool, data: &[u8]) -> io::Result<()>;

    /// Shows a page of this machine in the person's browser; blocks for some seconds. False if there
    /// is no browser or no person.
    fn open_page(&self, url: &str) -> bool;
}

//! The last line of the terminal, which progress and prompts share.

use std::io::Write;
use std::sync::atomic::Ordering;

use super::{Ui, lock};

/// The state of the last line of the terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Free,
    /// Progress, which is erased before anything else is written.
    Progress,
    /// Text that stays, such as a prompt. The next output starts below it.
    Text,
    /// A session has the terminal in raw mode.
    Session,
    /// kf is exiting. Nothing is drawn any more.
    Closed,
}

impl Ui {
    /// Draws a progress line, if this progress started last: several share one line.
    pub(super) fn draw(&self, id: u64, text: &str) {
        let mut line = lock(&self.shared.line);
        let is_last = lock(&self.shared.progresses).last() == Some(&id);
        if is_last && matches!(*line, Line::Free | Line::Progress) {
            let _gone = lock(&self.shared.stderr).writer.write_all(format!("\r\x1b[2K{text}").as_bytes());
            *line = Line::Progress;
        }
    }

    pub(super) fn erase(&self) {
        self.on_clear_line(|_| ());
    }

    /// Writes on a clear line, without drawing progress in between.
    pub(super) fn on_clear_line<T>(&self, write: impl FnOnce(Line) -> T) -> T {
        let mut line = lock(&self.shared.line);
        self.clear(&mut line, Line::Free);
        write(*line)
    }

    /// Clears the last line for the shell. Nothing is drawn afterwards.
    pub fn close(&self) {
        self.clear(&mut lock(&self.shared.line), Line::Closed);
    }

    /// Keeps the `^C` that the terminal has printed at the cursor. This happens once: kf then ends.
    pub(super) fn keep_echo(&self) {
        let mut line = lock(&self.shared.line);
        if self.shared.stderr_terminal
            && *line == Line::Free
            && !self.shared.echo_kept.swap(true, Ordering::Relaxed)
        {
            *line = Line::Text;
        }
    }

    fn clear(&self, line: &mut Line, next: Line) {
        let end: &[u8] = match *line {
            Line::Closed => return,
            Line::Session if next != Line::Closed => return,
            Line::Session => b"",
            Line::Free => b"",
            Line::Progress => b"\r\x1b[2K",
            Line::Text => b"\n",
        };
        if !end.is_empty() {
            let _gone = lock(&self.shared.stderr).writer.write_all(end);
        }
        *line = next;
    }
}

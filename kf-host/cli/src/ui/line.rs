//! The last line of the terminal, which waits and questions share.

use std::io::Write;
use std::sync::atomic::Ordering;

use super::{Ui, lock};

/// What the last line of the terminal is taken by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Free,
    /// A wait, which goes before anything else is written.
    Wait,
    /// Something that stays, such as a question; what is written next starts below it.
    Kept,
    /// A session has the whole terminal, in raw mode.
    Lent,
    /// kf is leaving; nothing is drawn any more.
    Closed,
}

impl Ui {
    /// Draws a wait, if it is the one that began last: several share one line.
    pub(super) fn draw(&self, wait: u64, text: &str) {
        let mut line = lock(&self.shared.line);
        let is_last = lock(&self.shared.waits).last() == Some(&wait);
        if is_last && matches!(*line, Line::Free | Line::Wait) {
            let _gone = lock(&self.shared.stderr).writer.write_all(format!("\r\x1b[2K{text}").as_bytes());
            *line = Line::Wait;
        }
    }

    pub(super) fn erase(&self) {
        self.on_clear_line(|_| ());
    }

    /// Writes where nothing is drawn meanwhile: a wait in the middle of it would stay there.
    pub(super) fn on_clear_line<T>(&self, write: impl FnOnce(Line) -> T) -> T {
        let mut line = lock(&self.shared.line);
        self.clear(&mut line, Line::Free);
        write(*line)
    }

    /// Leaves the terminal as a shell wants to find it. Nothing is drawn afterwards.
    pub fn close(&self) {
        self.clear(&mut lock(&self.shared.line), Line::Closed);
    }

    /// The terminal has written `^C` where the cursor was. It does so once: kf ends with it.
    pub(super) fn keep_echo(&self) {
        let mut line = lock(&self.shared.line);
        if self.shared.stderr_terminal
            && *line == Line::Free
            && !self.shared.echo_kept.swap(true, Ordering::Relaxed)
        {
            *line = Line::Kept;
        }
    }

    fn clear(&self, line: &mut Line, next: Line) {
        let end: &[u8] = match *line {
            Line::Closed => return,
            Line::Lent if next != Line::Closed => return,
            Line::Lent => b"",
            Line::Free => b"",
            Line::Wait => b"\r\x1b[2K",
            Line::Kept => b"\n",
        };
        if !end.is_empty() {
            let _gone = lock(&self.shared.stderr).writer.write_all(end);
        }
        *line = next;
    }
}

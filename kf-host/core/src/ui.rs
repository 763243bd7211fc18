//! What a command shows and asks, handed to whoever renders it.

use std::io;
use std::sync::Arc;

use crate::json::Document;
use crate::terminal::Terminal;

/// What `-o` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// How a cell wants to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl Cell {
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Upper case by convention.
    pub title: String,
    /// Shown with `-o wide` only.
    pub wide: bool,
}

impl Column {
    /// A column that every table shows.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), wide: false }
    }

    /// A column of `-o wide`.
    pub fn wide(title: &str) -> Self {
        Self { title: title.to_owned(), wide: true }
    }
}

/// A line of a table, or a thing with named fields. There are as many cells as columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub cells: Vec<Cell>,
    /// What `-o json` and `-o yaml` print.
    pub object: Document,
    /// What `-o name` prints, as `kind/name`.
    pub name: String,
}

/// Names a live table or a progress bar of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WidgetId(pub u32);

/// A command's output and questions. The host's side of the ABI's `ui`, and of the standard
/// streams of a guest that has them.
///
/// Everything is as the guest gave it: whoever implements this filters terminal escapes. The
/// bytes of [`print`](Ui::print) may be cut anywhere, also within a character or an escape.
///
/// Calls may block. They are made on the run's own thread, and a call that never comes back is left
/// behind when the run is stopped.
pub trait Ui: Send {
    fn output_format(&self) -> Format;

    /// Data to stdout. May be kept back until [`flush`](Ui::flush).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`] ends the run; any other error is the guest's to see. The same
    /// holds for every method that writes.
    fn print(&mut self, data: &[u8]) -> io::Result<()>;

    /// Called when the run waits and when it ends.
    ///
    /// # Errors
    ///
    /// As for [`print`](Ui::print).
    fn flush(&mut self) -> io::Result<()>;

    fn note(&mut self, text: &str);

    fn warn(&mut self, text: &str);

    /// What the host itself has to say. A person must be able to tell it from [`note`](Ui::note).
    fn host_note(&mut self, text: &str);

    /// As for [`host_note`](Ui::host_note), and a person should not miss it.
    fn host_warn(&mut self, text: &str);

    /// Ctrl-C ends the run: a terminal has written `^C` where the cursor was.
    fn interrupted(&mut self) {}

    /// # Errors
    ///
    /// As for [`print`](Ui::print).
    fn table(&mut self, columns: &[Column], rows: &[Row]) -> io::Result<()>;

    /// # Errors
    ///
    /// As for [`print`](Ui::print).
    fn record(&mut self, fields: &[Column], value: &Row) -> io::Result<()>;

    fn live_table(&mut self, id: WidgetId, columns: &[Column]);

    /// `rows` are all rows of the table now.
    ///
    /// # Errors
    ///
    /// As for [`print`](Ui::print).
    fn live_table_update(&mut self, id: WidgetId, rows: &[Row]) -> io::Result<()>;

    fn live_table_end(&mut self, id: WidgetId);

    fn progress(&mut self, id: WidgetId, label: &str, total: Option<u64>);

    fn progress_set(&mut self, id: WidgetId, label: &str, done: u64);

    fn progress_end(&mut self, id: WidgetId);

    /// Without a person to ask the answer is no, whatever the default.
    fn confirm(&mut self, question: &str, default: bool) -> bool;

    /// A line typed by the person. None without one to ask, or at the end of input.
    fn ask(&mut self, question: &str) -> Option<String>;

    /// stdin, stdout and stderr for a session; none if there are none to be had.
    fn terminal(&mut self) -> Option<Arc<dyn Terminal>> {
        None
    }
}

/// Shows nothing and agrees to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Ui for Silent {
    fn output_format(&self) -> Format {
        Format::default()
    }

    fn print(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &str) {}

    fn warn(&mut self, _: &str) {}

    fn host_note(&mut self, _: &str) {}

    fn host_warn(&mut self, _: &str) {}

    fn table(&mut self, _: &[Column], _: &[Row]) -> io::Result<()> {
        Ok(())
    }

    fn record(&mut self, _: &[Column], _: &Row) -> io::Result<()> {
        Ok(())
    }

    fn live_table(&mut self, _: WidgetId, _: &[Column]) {}

    fn live_table_update(&mut self, _: WidgetId, _: &[Row]) -> io::Result<()> {
        Ok(())
    }

    fn live_table_end(&mut self, _: WidgetId) {}

    fn progress(&mut self, _: WidgetId, _: &str, _: Option<u64>) {}

    fn progress_set(&mut self, _: WidgetId, _: &str, _: u64) {}

    fn progress_end(&mut self, _: WidgetId) {}

    fn confirm(&mut self, _: &str, _: bool) -> bool {
        false
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }
}

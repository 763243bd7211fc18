//! The output and questions of a command, independent of how they are rendered.

use std::io;
use std::sync::Arc;

use crate::json::Document;
use crate::terminal::Terminal;

/// The output format of `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// The meaning of a cell, which decides its colour.
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
    /// Shown only with `-o wide`.
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

/// A line of a table, or a record with named fields. There are as many cells as columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub cells: Vec<Cell>,
    /// Printed by `-o json` and `-o yaml`.
    pub object: Document,
    /// Printed by `-o name`, as `kind/name`.
    pub name: String,
}

/// Identifies a live table or a progress bar of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WidgetId(pub u32);

/// A command's output and questions. The host's side of the ABI's `ui`, and of the standard
/// streams of a guest that has them.
///
/// Text is as the guest gave it: implementations filter terminal escapes. The bytes of
/// [`print`](Ui::print) can be split anywhere, even within a character or an escape sequence.
///
/// Calls may block. They are made on the run's own thread, and a call that never returns is abandoned when
/// the run is stopped.
pub trait Ui: Send {
    fn output_format(&self) -> Format;

    /// Prints data to stdout. May be buffered until [`flush`](Ui::flush).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`] ends the run; the guest gets any other error. The same holds for
    /// every method that writes.
    fn print(&mut self, data: &[u8]) -> io::Result<()>;

    /// Called when the run waits and when it ends.
    ///
    /// # Errors
    ///
    /// As for [`print`](Ui::print).
    fn flush(&mut self) -> io::Result<()>;

    fn note(&mut self, text: &str);

    fn warn(&mut self, text: &str);

    /// A note of the host itself. A user must be able to distinguish it from [`note`](Ui::note).
    fn host_note(&mut self, text: &str);

    /// A warning of the host itself.
    fn host_warn(&mut self, text: &str);

    /// Called when Ctrl-C ends the run: a terminal has echoed `^C` at the cursor.
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

    /// Replaces all rows of the table.
    ///
    /// # Errors
    ///
    /// As for [`print`](Ui::print).
    fn live_table_update(&mut self, id: WidgetId, rows: &[Row]) -> io::Result<()>;

    fn live_table_end(&mut self, id: WidgetId);

    fn progress(&mut self, id: WidgetId, label: &str, total: Option<u64>);

    fn progress_set(&mut self, id: WidgetId, label: &str, done: u64);

    fn progress_end(&mut self, id: WidgetId);

    /// Without a terminal the answer is no, regardless of the default.
    fn confirm(&mut self, question: &str, default: bool) -> bool;

    /// A line typed by the user. None without a terminal, or at the end of input.
    fn ask(&mut self, question: &str) -> Option<String>;

    /// stdin, stdout and stderr for a session; none if unavailable.
    fn terminal(&mut self) -> Option<Arc<dyn Terminal>> {
        None
    }
}

/// Prints nothing and answers no to every question.
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

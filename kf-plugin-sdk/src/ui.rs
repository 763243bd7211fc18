//! Tables and progress, which the host renders.

use serde::Serialize;
use serde_json::Value;

use crate::abi::{LiveSink, ProgressSink};
use crate::error::Result;

pub use kf_plugin_sdk_macros::TableRow;

/// An output format, selected by `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

impl Format {
    /// Returns whether it is for users rather than programs.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// The tone of a cell. It only adds colour; the text must be clear without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
}

/// One cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub tone: Tone,
}

impl Cell {
    /// Creates a cell with a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

/// A value that can be shown in a cell.
pub trait ToCell {
    /// Converts it to a cell.
    fn to_cell(&self) -> Cell;
}

impl ToCell for Cell {
    fn to_cell(&self) -> Cell {
        self.clone()
    }
}

impl<T: ToCell> ToCell for Option<T> {
    fn to_cell(&self) -> Cell {
        self.as_ref().map(ToCell::to_cell).unwrap_or_default()
    }
}

macro_rules! plain_cells {
    ($($kind:ty),*) => {$(
        impl ToCell for $kind {
            fn to_cell(&self) -> Cell {
                Cell::toned(self.to_string(), Tone::Plain)
            }
        }
    )*};
}
plain_cells!(String, &str, bool, char, i32, i64, u8, u16, u32, u64, usize, f32, f64);

/// One column of a table, or one field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Upper case by convention.
    pub title: String,
    /// Shown with `-o wide` only.
    pub wide: bool,
}

impl Column {
    /// Creates a column that is always shown.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), wide: false }
    }

    /// Creates a column that is only shown with `-o wide`.
    pub fn wide(title: impl Into<String>) -> Self {
        Self { title: title.into(), wide: true }
    }
}

/// A row of a table, as passed to the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub cells: Vec<Cell>,
    /// The output of `-o json` and `-o yaml`.
    pub object: Value,
    /// The output of `-o name`, such as `pod/mnist-0`.
    pub name: String,
}

/// A struct that is a row of a table, derived with `#[derive(TableRow)]`.
///
/// Each field is a column, titled with its name in upper case. `-o json` prints its `Serialize` form.
///
/// ```
/// use kf_plugin_sdk::prelude::*;
///
/// #[derive(serde::Serialize, TableRow)]
/// #[row(name = "format!(\"pod/{}\", self.name)")]
/// struct Pod {
///     name: String,
///     #[column(title = "READY")]
///     ready_containers: u32,
///     #[column(wide)]
///     node: Option<String>,
///     #[column(skip)]
///     uid: String,
/// }
/// assert_eq!(Pod::columns().len(), 3);
/// ```
pub trait TableRow: Serialize {
    /// Returns the columns of the table.
    fn columns() -> Vec<Column>;
    /// Returns a cell for each column.
    fn cells(&self) -> Vec<Cell>;
    /// Returns the output of `-o name`.
    fn row_name(&self) -> String;

    /// Returns the row, as passed to the host.
    fn row(&self) -> Result<Row> {
        Ok(Row { cells: self.cells(), object: serde_json::to_value(self)?, name: self.row_name() })
    }
}

/// A table that updates in place; see [`crate::Kf::live_table`].
pub struct LiveTable<T> {
    pub(crate) sink: Box<dyn LiveSink>,
    pub(crate) rows: std::marker::PhantomData<fn(&T)>,
}

impl<T: TableRow> LiveTable<T> {
    /// Replaces the rows.
    pub fn update(&self, rows: &[T]) -> Result<()> {
        let rows = rows.iter().map(TableRow::row).collect::<Result<Vec<_>>>()?;
        self.sink.update(&rows)
    }
}

/// A table that updates in place, with columns known at run time; see [`crate::Kf::live_rows`].
pub struct LiveRows {
    pub(crate) sink: Box<dyn LiveSink>,
}

impl LiveRows {
    /// Replaces the rows.
    pub fn update(&self, rows: &[Row]) -> Result<()> {
        self.sink.update(rows)
    }
}

/// A progress indicator, shown after 300 ms on a terminal and removed when dropped.
pub struct Progress {
    pub(crate) sink: Box<dyn ProgressSink>,
}

impl Progress {
    /// Sets the label.
    pub fn say(&self, label: &str) {
        self.sink.set(label, 0);
    }

    /// Sets the label and the progress.
    pub fn set(&self, label: &str, done: u64) {
        self.sink.set(label, done);
    }
}

//! Data for stdout, talk for stderr, and tables the host renders.

use serde::Serialize;
use serde_json::Value;

use crate::border::{LiveSink, ProgressSink};
use crate::error::Result;

pub use kf_plugin_sdk_macros::TableRow;

/// What `-o` asks for.
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
    /// Whether a person reads it rather than a program.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// How a cell wants to be seen; the words say it all without.
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
    /// A text with a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

/// Anything that stands in a cell.
pub trait ToCell {
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
    /// A column that is always shown.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), wide: false }
    }

    /// A column of `-o wide`.
    pub fn wide(title: impl Into<String>) -> Self {
        Self { title: title.into(), wide: true }
    }
}

/// A line of a table as the host gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub cells: Vec<Cell>,
    /// What `-o json` and `-o yaml` print.
    pub object: Value,
    /// What `-o name` prints, as `kind/name`.
    pub name: String,
}

/// A struct that is a line of a table; by `#[derive(TableRow)]`.
///
/// Every field is a column titled with its name in upper case; its `Serialize` form is what
/// `-o json` prints.
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
    fn columns() -> Vec<Column>;
    fn cells(&self) -> Vec<Cell>;
    /// What `-o name` prints.
    fn row_name(&self) -> String;

    /// The row as the host gets it.
    fn row(&self) -> Result<Row> {
        Ok(Row { cells: self.cells(), object: serde_json::to_value(self)?, name: self.row_name() })
    }
}

/// A table that changes while a person watches; see [`crate::Kf::live_table`].
pub struct LiveTable<T> {
    pub(crate) sink: Box<dyn LiveSink>,
    pub(crate) rows: std::marker::PhantomData<fn(&T)>,
}

impl<T: TableRow> LiveTable<T> {
    /// Shows these rows instead of the last.
    pub fn update(&self, rows: &[T]) -> Result<()> {
        let rows = rows.iter().map(TableRow::row).collect::<Result<Vec<_>>>()?;
        self.sink.update(&rows)
    }
}

/// A table that changes, of columns known at run time; see [`crate::Kf::live_rows`].
pub struct LiveRows {
    pub(crate) sink: Box<dyn LiveSink>,
}

impl LiveRows {
    /// Shows these rows instead of the last.
    pub fn update(&self, rows: &[Row]) -> Result<()> {
        self.sink.update(rows)
    }
}

/// A wait, shown after 300 ms and to a person only; gone when dropped.
pub struct Progress {
    pub(crate) sink: Box<dyn ProgressSink>,
}

impl Progress {
    /// What is waited for now.
    pub fn say(&self, label: &str) {
        self.sink.set(label, 0);
    }

    /// What is waited for now, and how much of the total is done.
    pub fn set(&self, label: &str, done: u64) {
        self.sink.set(label, done);
    }
}

//! The interface `ui`.

use kf_core::json::Document;
use kf_core::text::truncated;
use kf_core::ui::{Cell, Column, Format, Row, Tone, WidgetId};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::wit::ui::{self, Host, HostLiveTable, HostProgress};
use super::{WitError, invalid};
use crate::fault::stop;
use crate::limits::{MAX_COLUMNS, MAX_LABEL_BYTES, MAX_LIVE_ROWS};
use crate::output::OutputError;
use crate::state::{State, written};

pub struct LiveTable {
    id: WidgetId,
    columns: usize,
    has_wide: bool,
}

pub struct Progress(WidgetId);

impl State {
    /// Returns a write error to the guest.
    fn report_written(
        &mut self,
        result: std::result::Result<(), OutputError>,
    ) -> Result<Result<(), WitError>> {
        Ok(written(result)?.map_err(|error| self.return_error(error)))
    }
}

/// Ignores a write error of a function that cannot return one.
fn ignore_error<T>(result: std::result::Result<T, OutputError>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(OutputError::Io(_)) => Ok(None),
        Err(OutputError::Stop(fault)) => Err(stop(fault)),
    }
}

impl Host for State {
    fn output_format(&mut self) -> Result<ui::Format> {
        self.call()?;
        Ok(match self.output.lock().format() {
            Format::Table => ui::Format::Table,
            Format::Wide => ui::Format::Wide,
            Format::Json => ui::Format::Json,
            Format::Yaml => ui::Format::Yaml,
            Format::Name => ui::Format::Name,
        })
    }

    fn print(&mut self, data: Vec<u8>) -> Result<Result<(), WitError>> {
        self.call()?;
        let result = self.output.lock().print(&data);
        self.report_written(result)
    }

    fn note(&mut self, text: String) -> Result<()> {
        self.call()?;
        ignore_error(self.output.lock().note(&text))?;
        Ok(())
    }

    fn warn(&mut self, text: String) -> Result<()> {
        self.call()?;
        ignore_error(self.output.lock().warn(&text))?;
        Ok(())
    }

    fn table(&mut self, columns: Vec<ui::Column>, rows: Vec<ui::Row>) -> Result<Result<(), WitError>> {
        self.call()?;
        let checked = columns_from(columns).and_then(|(columns, bytes)| {
            let (rows, more) = rows_from(rows, columns.len())?;
            Ok((columns, rows, bytes + more))
        });
        let checked = checked.and_then(|checked| {
            let adds = self.output.lock().adds_wide_columns(has_wide(&checked.0));
            if adds { Ok(checked) } else { Err(no_wide_columns()) }
        });
        match checked {
            Ok((columns, rows, bytes)) => {
                let result = self.output.lock().table(&columns, &rows, bytes);
                self.report_written(result)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn record(&mut self, fields: Vec<ui::Column>, value: ui::Row) -> Result<Result<(), WitError>> {
        self.call()?;
        let checked = columns_from(fields).and_then(|(fields, bytes)| {
            let (row, more) = row_from(value, fields.len())?;
            Ok((fields, row, bytes + more))
        });
        match checked {
            Ok((fields, row, bytes)) => {
                let result = self.output.lock().record(&fields, &row, bytes);
                self.report_written(result)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn confirm(&mut self, question: String, default: bool) -> Result<bool> {
        self.call()?;
        Ok(ignore_error(self.output.lock().confirm(&question, default))?.unwrap_or(false))
    }

    fn ask(&mut self, question: String) -> Result<Option<String>> {
        self.call()?;
        Ok(ignore_error(self.output.lock().ask(&question))?.flatten())
    }
}

impl HostLiveTable for State {
    fn new(&mut self, columns: Vec<ui::Column>) -> Result<Resource<LiveTable>> {
        self.call()?;
        let (columns, _) = columns_from(columns).map_err(|error| wasmtime::Error::msg(error.message))?;
        let id = self.widget()?;
        let table = self.push(LiveTable { id, columns: columns.len(), has_wide: has_wide(&columns) })?;
        ignore_error(self.output.lock().live_table(id, &columns))?;
        Ok(table)
    }

    fn update(&mut self, this: Resource<LiveTable>, rows: Vec<ui::Row>) -> Result<Result<(), WitError>> {
        self.call()?;
        let LiveTable { id, columns, has_wide } = *self.table.get(&this)?;
        if !self.output.lock().adds_wide_columns(has_wide) {
            return Ok(Err(no_wide_columns()));
        }
        if rows.len() > MAX_LIVE_ROWS {
            return Ok(Err(invalid(format!("a live table has at most {MAX_LIVE_ROWS} rows"))));
        }
        match rows_from(rows, columns) {
            Ok((rows, bytes)) => {
                let result = self.output.lock().live_table_update(id, &rows, bytes);
                self.report_written(result)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn drop(&mut self, this: Resource<LiveTable>) -> Result<()> {
        let table = self.table.delete(this)?;
        self.output.lock().end_widget(table.id);
        Ok(())
    }
}

impl HostProgress for State {
    fn new(&mut self, label: String, total: Option<u64>) -> Result<Resource<Progress>> {
        self.call()?;
        let id = self.widget()?;
        let progress = self.push(Progress(id))?;
        self.output.lock().progress(id, &shortened(label), total);
        Ok(progress)
    }

    fn set(&mut self, this: Resource<Progress>, label: String, done: u64) -> Result<()> {
        self.call()?;
        let Progress(id) = *self.table.get(&this)?;
        self.output.lock().progress_set(id, &shortened(label), done);
        Ok(())
    }

    fn drop(&mut self, this: Resource<Progress>) -> Result<()> {
        let Progress(id) = self.table.delete(this)?;
        self.output.lock().end_widget(id);
        Ok(())
    }
}

/// Shortens a title or a label, which may be kept for the whole run.
fn shortened(text: String) -> String {
    truncated(text, MAX_LABEL_BYTES)
}

fn columns_from(columns: Vec<ui::Column>) -> std::result::Result<(Vec<Column>, usize), WitError> {
    if columns.len() > MAX_COLUMNS {
        return Err(invalid(format!("a table has at most {MAX_COLUMNS} columns")));
    }
    let column = |column: ui::Column| Column { title: shortened(column.title), wide: column.wide };
    let columns: Vec<Column> = columns.into_iter().map(column).collect();
    let bytes = columns.iter().map(|column| column.title.len()).sum();
    Ok((columns, bytes))
}

fn has_wide(columns: &[Column]) -> bool {
    columns.iter().any(|column| column.wide)
}

fn no_wide_columns() -> WitError {
    let hint = Some("run without -o wide".to_owned());
    WitError { hint, ..invalid("-o wide shows no additional columns here".to_owned()) }
}

fn rows_from(rows: Vec<ui::Row>, columns: usize) -> std::result::Result<(Vec<Row>, usize), WitError> {
    let mut bytes = 0;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let (row, more) = row_from(row, columns)?;
        bytes += more;
        all.push(row);
    }
    Ok((all, bytes))
}

/// The row and its size in bytes.
fn row_from(row: ui::Row, columns: usize) -> std::result::Result<(Row, usize), WitError> {
    if row.cells.len() != columns {
        let message = format!("a row has {} cells, but the table has {columns} columns", row.cells.len());
        return Err(invalid(message));
    }
    let given = row.object.len();
    let object = Document::checked(row.object).map_err(|error| invalid(format!("a row's object {error}")))?;
    let bytes = given + row.name.len() + row.cells.iter().map(|cell| cell.text.len()).sum::<usize>();
    let cells =
        row.cells.into_iter().map(|cell| Cell { text: cell.text, tone: tone_from(cell.tone) }).collect();
    Ok((Row { cells, object, name: row.name }, bytes))
}

fn tone_from(tone: ui::Tone) -> Tone {
    match tone {
        ui::Tone::Plain => Tone::Plain,
        ui::Tone::Good => Tone::Good,
        ui::Tone::Warning => Tone::Warning,
        ui::Tone::Bad => Tone::Bad,
        ui::Tone::Faint => Tone::Faint,
    }
}

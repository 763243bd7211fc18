//! A command's output and questions, rendered like kf's own.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kf_core::terminal::Terminal;
use kf_core::ui as guest;
use kf_core::ui::WidgetId;

use crate::ui::terminal::SessionTerminal;
use crate::ui::{Cell, Column, Format, LiveTable, Progress, Row, Tone, Ui};

/// The terminal as one command gets to use it.
pub struct GuestUi {
    ui: Ui,
    progress: BTreeMap<WidgetId, Progress>,
    tables: BTreeMap<WidgetId, LiveTable>,
}

impl GuestUi {
    pub fn new(ui: Ui) -> Self {
        Self { ui, progress: BTreeMap::new(), tables: BTreeMap::new() }
    }
}

impl guest::Ui for GuestUi {
    fn output_format(&self) -> guest::Format {
        match self.ui.format() {
            Format::Table => guest::Format::Table,
            Format::Wide => guest::Format::Wide,
            Format::Json => guest::Format::Json,
            Format::Yaml => guest::Format::Yaml,
            Format::Name => guest::Format::Name,
        }
    }

    fn print(&mut self, data: &[u8]) -> io::Result<()> {
        self.ui.data(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.ui.flush()
    }

    fn note(&mut self, text: &str) {
        self.ui.note(text);
    }

    fn warn(&mut self, text: &str) {
        self.ui.warn(text);
    }

    fn table(&mut self, columns: &[guest::Column], rows: &[guest::Row]) -> io::Result<()> {
        self.ui.table(&columns_of(columns), &rows_of(rows))
    }

    fn record(&mut self, fields: &[guest::Column], value: &guest::Row) -> io::Result<()> {
        self.ui.record(&columns_of(fields), &row_of(value))
    }

    fn live_table(&mut self, id: WidgetId, columns: &[guest::Column]) {
        self.tables.insert(id, LiveTable::new(self.ui.clone(), columns_of(columns)));
    }

    fn live_table_update(&mut self, id: WidgetId, rows: &[guest::Row]) -> io::Result<()> {
        match self.tables.get_mut(&id) {
            Some(table) => table.update(rows_of(rows)),
            None => Ok(()),
        }
    }

    fn live_table_end(&mut self, id: WidgetId) {
        self.tables.remove(&id);
    }

    fn progress(&mut self, id: WidgetId, label: &str, total: Option<u64>) {
        self.progress.insert(id, self.ui.progress(label, total));
    }

    fn progress_set(&mut self, id: WidgetId, label: &str, done: u64) {
        if let Some(progress) = self.progress.get(&id) {
            progress.set(label, done);
        }
    }

    fn progress_end(&mut self, id: WidgetId) {
        self.progress.remove(&id);
    }

    fn confirm(&mut self, question: &str, default: bool) -> bool {
        self.ui.confirm(question, default)
    }

    fn ask(&mut self, question: &str) -> Option<String> {
        self.ui.ask(question)
    }

    fn terminal(&mut self) -> Option<Arc<dyn Terminal>> {
        Some(Arc::new(SessionTerminal(self.ui.clone())))
    }
}

fn columns_of(columns: &[guest::Column]) -> Vec<Column> {
    columns.iter().map(|column| Column { title: column.title.clone(), wide: column.wide }).collect()
}

fn rows_of(rows: &[guest::Row]) -> Vec<Row> {
    rows.iter().map(row_of).collect()
}

fn row_of(row: &guest::Row) -> Row {
    let cells = row.cells.iter().map(|cell| Cell { text: cell.text.clone(), tone: tone_of(cell.tone) });
    Row { cells: cells.collect(), object: row.object.clone(), name: row.name.clone() }
}

fn tone_of(tone: guest::Tone) -> Tone {
    match tone {
        guest::Tone::Plain => Tone::Plain,
        guest::Tone::Good => Tone::Good,
        guest::Tone::Warning => Tone::Warning,
        guest::Tone::Bad => Tone::Bad,
        guest::Tone::Faint => Tone::Faint,
    }
}

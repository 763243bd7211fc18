//! A command's output and questions, rendered like kf's own.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kf_core::terminal::Terminal;
use kf_core::ui::{self as guest, Column, Format, Row, WidgetId};

use super::terminal::SessionTerminal;
use super::{LiveTable, Progress, Ui};

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
    fn output_format(&self) -> Format {
        self.ui.format()
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

    fn table(&mut self, columns: &[Column], rows: &[Row]) -> io::Result<()> {
        self.ui.table(columns, rows)
    }

    fn record(&mut self, fields: &[Column], value: &Row) -> io::Result<()> {
        self.ui.record(fields, value)
    }

    fn live_table(&mut self, id: WidgetId, columns: &[Column]) {
        self.tables.insert(id, LiveTable::new(self.ui.clone(), columns.to_vec()));
    }

    fn live_table_update(&mut self, id: WidgetId, rows: &[Row]) -> io::Result<()> {
        match self.tables.get_mut(&id) {
            Some(table) => table.update(rows.to_vec()),
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

//! Renders a command's output and prompts like kf's own.
//!
//! A command's messages on stderr are prefixed with its name, so that they cannot pass for kf's. stdout is only
//! for the command.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kf_core::terminal::Terminal;
use kf_core::ui::{self as guest, Column, Format, Row, WidgetId};

use super::terminal::SessionTerminal;
use super::{LiveTable, Progress, Ui};

/// The terminal of one command.
pub struct GuestUi {
    ui: Ui,
    /// The command's name.
    name: String,
    progress: BTreeMap<WidgetId, Progress>,
    tables: BTreeMap<WidgetId, LiveTable>,
}

impl GuestUi {
    pub fn new(ui: Ui, name: &str) -> Self {
        Self { ui, name: name.to_owned(), progress: BTreeMap::new(), tables: BTreeMap::new() }
    }

    fn named(&self, text: &str) -> String {
        format!("{}: {text}", self.name)
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
        self.ui.note(&self.named(text));
    }

    fn warn(&mut self, text: &str) {
        self.ui.warn(&self.named(text));
    }

    fn host_note(&mut self, text: &str) {
        self.ui.note(text);
    }

    fn interrupted(&mut self) {
        self.ui.keep_echo();
    }

    fn host_warn(&mut self, text: &str) {
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
            Some(table) => table.update(rows),
            None => Ok(()),
        }
    }

    fn live_table_end(&mut self, id: WidgetId) {
        self.tables.remove(&id);
    }

    fn progress(&mut self, id: WidgetId, label: &str, total: Option<u64>) {
        self.progress.insert(id, self.ui.progress(&self.named(label), total));
    }

    fn progress_set(&mut self, id: WidgetId, label: &str, done: u64) {
        if let Some(progress) = self.progress.get(&id) {
            progress.set(&format!("{}: {label}", self.name), done);
        }
    }

    fn progress_end(&mut self, id: WidgetId) {
        self.progress.remove(&id);
    }

    fn confirm(&mut self, question: &str, default: bool) -> bool {
        self.ui.confirm(&self.named(question), default)
    }

    fn ask(&mut self, question: &str) -> Option<String> {
        self.ui.ask(&self.named(question))
    }

    fn terminal(&mut self) -> Option<Arc<dyn Terminal>> {
        Some(Arc::new(SessionTerminal(self.ui.clone())))
    }
}

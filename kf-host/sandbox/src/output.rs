//! The output of a guest, counted and passed on to the [`Ui`].
//!
//! Logs that the host copies share stdout with the guest and with each other. Their lines must not
//! mix, so the writer of an unfinished line is remembered, and the next writer ends that line first.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kf_core::terminal::Terminal;
use kf_core::ui::{Column, Format, Row, Ui, WidgetId};

use crate::fault::{Fault, Limit, Which};
use crate::limits::Limits;

/// A line of standard error is cut into notes of this many bytes.
const MAX_LINE_BYTES: usize = 8 << 10;

/// A failed write.
#[derive(Debug)]
pub(crate) enum OutputError {
    /// The run ends.
    Stop(Fault),
    /// The guest gets the error.
    Io(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Stop(Fault::OutputClosed),
            _ => Self::Io(error),
        }
    }
}

/// A log that is being copied to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer(u64);

/// The run's output, shared by the guest and the logs that are copied for it.
#[derive(Clone)]
pub(crate) struct SharedOutput(Arc<Mutex<Output>>);

impl SharedOutput {
    pub(crate) fn new(ui: Box<dyn Ui>, limits: &Limits) -> Self {
        let remaining = Remaining {
            stdout: limits.stdout_bytes,
            stderr: limits.stderr_bytes,
            lines: limits.stderr_lines,
            rows: limits.rows,
        };
        let output = Output {
            ui,
            limits: limits.clone(),
            remaining,
            line: Vec::new(),
            widgets: BTreeMap::new(),
            writers: 0,
            writers_created: 0,
            open: None,
            wide: false,
            dirty: false,
            closed: false,
        };
        Self(Arc::new(Mutex::new(output)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Output> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called when Ctrl-C ends the run. The guest's thread may be blocked in a write, which must not block this.
    pub(crate) fn interrupted(&self) {
        if let Ok(mut output) = self.0.try_lock() {
            output.ui.interrupted();
        }
    }
}

struct Remaining {
    stdout: u64,
    stderr: u64,
    lines: u64,
    rows: u64,
}

pub(crate) struct Output {
    ui: Box<dyn Ui>,
    limits: Limits,
    remaining: Remaining,
    /// How many logs are being copied.
    writers: usize,
    /// How many logs have been copied in total.
    writers_created: u64,
    /// The writer of the unfinished line on stdout.
    open: Option<Writer>,
    /// The unfinished line of the guest's standard error.
    line: Vec<u8>,
    widgets: BTreeMap<WidgetId, Widget>,
    /// A table with columns for `-o wide` was shown.
    wide: bool,
    /// Something may not have been flushed.
    dirty: bool,
    /// The run has ended.
    closed: bool,
}

/// A widget on the screen.
enum Widget {
    LiveTable,
    Progress,
}

impl Output {
    pub(crate) fn format(&self) -> Format {
        self.ui.output_format()
    }

    /// Whether a table is shown: with `-o wide`, only if it or an earlier table has columns for `-o wide`.
    pub(crate) fn adds_wide_columns(&mut self, has_wide: bool) -> bool {
        self.wide |= has_wide;
        self.wide || self.format() != Format::Wide
    }

    /// Prints bytes of the guest.
    pub(crate) fn print(&mut self, data: &[u8]) -> Result<(), OutputError> {
        self.spend_stdout(data.len())?;
        self.dirty = true;
        Ok(self.ui.print(data)?)
    }

    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        if std::mem::take(&mut self.dirty) {
            self.ui.flush()?;
        }
        Ok(())
    }

    pub(crate) fn note(&mut self, text: &str) -> Result<(), OutputError> {
        self.spend_stderr(text)?;
        self.flush()?;
        self.ui.note(text);
        Ok(())
    }

    pub(crate) fn warn(&mut self, text: &str) -> Result<(), OutputError> {
        self.spend_stderr(text)?;
        self.flush()?;
        self.ui.warn(text);
        Ok(())
    }

    pub(crate) fn table(
        &mut self,
        columns: &[Column],
        rows: &[Row],
        bytes: usize,
    ) -> Result<(), OutputError> {
        self.spend_rows(rows.len(), bytes)?;
        self.dirty = true;
        Ok(self.ui.table(columns, rows)?)
    }

    pub(crate) fn record(&mut self, fields: &[Column], value: &Row, bytes: usize) -> Result<(), OutputError> {
        self.spend_rows(1, bytes)?;
        self.dirty = true;
        Ok(self.ui.record(fields, value)?)
    }

    pub(crate) fn live_table(&mut self, id: WidgetId, columns: &[Column]) -> Result<(), OutputError> {
        self.flush()?;
        self.widgets.insert(id, Widget::LiveTable);
        self.ui.live_table(id, columns);
        Ok(())
    }

    pub(crate) fn live_table_update(
        &mut self,
        id: WidgetId,
        rows: &[Row],
        bytes: usize,
    ) -> Result<(), OutputError> {
        self.spend_rows(rows.len(), bytes)?;
        self.dirty = true;
        Ok(self.ui.live_table_update(id, rows)?)
    }

    pub(crate) fn progress(&mut self, id: WidgetId, label: &str, total: Option<u64>) {
        self.widgets.insert(id, Widget::Progress);
        self.ui.progress(id, label, total);
    }

    pub(crate) fn progress_set(&mut self, id: WidgetId, label: &str, done: u64) {
        self.ui.progress_set(id, label, done);
    }

    /// How many live tables and progress bars are shown.
    pub(crate) fn widgets(&self) -> usize {
        self.widgets.len()
    }

    /// Removes a live table or a progress bar from the screen.
    pub(crate) fn end_widget(&mut self, id: WidgetId) {
        match self.widgets.remove(&id) {
            Some(Widget::LiveTable) => self.ui.live_table_end(id),
            Some(Widget::Progress) => self.ui.progress_end(id),
            None => {}
        }
    }

    pub(crate) fn confirm(&mut self, question: &str, default: bool) -> Result<bool, OutputError> {
        self.spend_stderr(question)?;
        self.flush()?;
        Ok(self.ui.confirm(question, default))
    }

    pub(crate) fn ask(&mut self, question: &str) -> Result<Option<String>, OutputError> {
        self.spend_stderr(question)?;
        self.flush()?;
        Ok(self.ui.ask(question))
    }

    pub(crate) fn terminal(&mut self) -> Option<Arc<dyn Terminal>> {
        self.ui.terminal()
    }

    /// Shows a warning of the host, which is not counted.
    pub(crate) fn host_warn(&mut self, text: &str) {
        if !self.closed {
            self.ui.host_warn(text);
        }
    }

    /// Shows a note of the host, which is not counted.
    pub(crate) fn host_note(&mut self, text: &str) {
        if !self.closed {
            self.ui.host_note(text);
        }
    }

    /// Shows a note of the host about an action that the guest can repeat, so it is counted.
    pub(crate) fn counted_host_note(&mut self, text: &str) -> Result<(), OutputError> {
        self.spend_stderr(text)?;
        self.flush()?;
        self.host_note(text);
        Ok(())
    }

    /// Shows the guest's standard error, one note for each line.
    pub(crate) fn print_error(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let lines = bytes.split_inclusive(|b| *b == b'\n');
        for part in lines.flat_map(|line| line.chunks(MAX_LINE_BYTES)) {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() > MAX_LINE_BYTES {
                self.end_error_line()?;
            }
        }
        Ok(())
    }

    fn end_error_line(&mut self) -> Result<(), OutputError> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        self.note(text.trim_end_matches(['\r', '\n']))
    }

    /// Called when the run has ended or was stopped: flushes, removes widgets from the screen, and ignores later
    /// output from the background.
    pub(crate) fn close(&mut self) -> Result<(), OutputError> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        while let Some((id, _)) = self.widgets.first_key_value() {
            self.end_widget(*id);
        }
        if !self.line.is_empty() {
            self.end_error_line()?;
        }
        self.flush()
    }

    /// Registers a log that is going to be copied.
    pub(crate) fn writer(&mut self) -> Writer {
        self.writers += 1;
        self.writers_created += 1;
        Writer(self.writers_created)
    }

    /// Whether no other log is being copied, so that bytes need not wait for the end of their line.
    pub(crate) fn is_alone(&self) -> bool {
        self.writers == 1
    }

    /// Whether the unfinished line on stdout is the writer's.
    pub(crate) fn is_open(&self, writer: Writer) -> bool {
        self.open == Some(writer)
    }

    /// Prints bytes of a log, which are not counted: they are not the guest's.
    pub(crate) fn write_log(&mut self, writer: Writer, data: &[u8]) -> Result<(), OutputError> {
        let Some(last) = data.last().filter(|_| !self.closed) else { return Ok(()) };
        self.dirty = true;
        if self.open.is_some_and(|open| open != writer) {
            self.ui.print(b"\n")?;
        }
        self.open = (*last != b'\n').then_some(writer);
        Ok(self.ui.print(data)?)
    }

    /// Called at the end of a log. With `close`, an unfinished last line is ended.
    pub(crate) fn end_log(&mut self, writer: Writer, close: bool) -> Result<(), OutputError> {
        self.writers = self.writers.saturating_sub(1);
        if self.open == Some(writer) {
            self.open = None;
            if close && !self.closed {
                self.dirty = true;
                self.ui.print(b"\n")?;
            }
        }
        self.flush()
    }

    fn spend_stdout(&mut self, bytes: usize) -> Result<(), OutputError> {
        spend(&mut self.remaining.stdout, bytes, Which::Stdout, self.limits.stdout_bytes)
    }

    fn spend_rows(&mut self, rows: usize, bytes: usize) -> Result<(), OutputError> {
        spend(&mut self.remaining.rows, rows, Which::Rows, self.limits.rows)?;
        self.spend_stdout(bytes)
    }

    fn spend_stderr(&mut self, text: &str) -> Result<(), OutputError> {
        let lines = 1 + text.bytes().filter(|b| *b == b'\n').count();
        spend(&mut self.remaining.lines, lines, Which::StderrLines, self.limits.stderr_lines)?;
        spend(&mut self.remaining.stderr, text.len(), Which::Stderr, self.limits.stderr_bytes)
    }
}

fn spend(remaining: &mut u64, amount: usize, which: Which, value: u64) -> Result<(), OutputError> {
    match remaining.checked_sub(amount as u64) {
        Some(rest) => {
            *remaining = rest;
            Ok(())
        }
        None => Err(OutputError::Stop(Fault::Limit { limit: Limit { which, value } })),
    }
}

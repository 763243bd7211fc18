//! Writes data to stdout.

use std::io::{self, Write};
use std::sync::atomic::Ordering;

use anstyle::Style;
use kf_core::ui::{Column, Format, Row, Tone};
use serde::{Serialize, Serializer};
use unicode_width::UnicodeWidthStr as _;

use super::table::TableStyle;
use super::{Stdout, Ui, escape, lock, table};

impl Ui {
    /// Writes data to stdout: unchanged, or filtered on a terminal.
    pub fn data(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_data(|stdout| stdout.write_foreign(bytes))
    }

    /// On a terminal, data is flushed before the progress line is drawn again. Otherwise it could land on that line.
    fn write_data<T>(&self, write: impl FnOnce(&mut Stdout) -> io::Result<T>) -> io::Result<T> {
        if !self.shared.stdout_terminal {
            self.erase();
            return write(&mut lock(&self.shared.stdout));
        }
        self.on_clear_line(|_| {
            let mut stdout = lock(&self.shared.stdout);
            let written = write(&mut stdout)?;
            stdout.writer.flush()?;
            Ok(written)
        })
    }

    /// Writes a line of kf's own data, which may contain colours.
    pub fn data_line(&self, line: &str) -> io::Result<()> {
        self.write_data(|stdout| {
            stdout.writer.write_all(line.as_bytes())?;
            stdout.writer.write_all(b"\n")
        })
    }

    /// Writes a line of data with a tone.
    pub fn data_toned(&self, text: &str, tone: Tone) -> io::Result<()> {
        let style = table::style(tone);
        if self.stdout_color && style != Style::new() {
            self.data_line(&format!("{style}{}{style:#}", escape::filtered(text)))
        } else {
            self.data(format!("{text}\n").as_bytes())
        }
    }

    /// Draws a table over the last `drawn` lines, and returns its number of lines.
    pub(super) fn replace_table(&self, drawn: usize, columns: &[Column], rows: &[Row]) -> io::Result<usize> {
        self.write_data(|stdout| {
            if drawn > 0 {
                write!(stdout.writer, "\x1b[{drawn}A")?;
            }
            let mut lines = 0;
            let style = self.table_style(columns);
            table::render(columns, rows, style, |line| {
                // A word that is wider than the terminal takes several lines.
                lines += match style.width {
                    Some(width) => line_width(&line).div_ceil(width).max(1),
                    None => 1,
                };
                writeln!(stdout.writer, "\x1b[2K{line}")
            })?;
            write!(stdout.writer, "\x1b[J")?;
            stdout.writer.flush()?;
            Ok(lines)
        })
    }

    /// The style for these columns, with the current width of the terminal.
    fn table_style(&self, columns: &[Column]) -> TableStyle {
        let wide = self.format == Format::Wide;
        if wide && columns.iter().any(|column| column.wide) {
            self.shared.shown_wide.store(true, Ordering::Relaxed);
        }
        let width = self.shared.stdout_terminal.then(terminal_width).flatten();
        TableStyle { wide, color: self.stdout_color, width }
    }

    /// The same for rows that are appended one by one.
    pub(super) fn live_table_style(&self, columns: &[Column]) -> TableStyle {
        TableStyle { color: false, ..self.table_style(columns) }
    }

    /// Whether `-o wide` has shown additional columns.
    pub fn has_shown_wide(&self) -> bool {
        self.shared.shown_wide.load(Ordering::Relaxed)
    }

    pub fn flush(&self) -> io::Result<()> {
        lock(&self.shared.stdout).writer.flush()
    }

    /// Prints one JSON or YAML document.
    pub fn document(&self, value: &impl Serialize) -> io::Result<()> {
        match self.format {
            Format::Yaml => {
                // YAML documents need a separator.
                if self.shared.shown_document.swap(true, Ordering::Relaxed) {
                    self.data(b"---\n")?;
                }
                self.yaml(value)
            }
            _ => self.foreign(|out| {
                serde_json::to_writer_pretty(&mut *out, value)?;
                out.write_all(b"\n")
            }),
        }
    }

    pub(super) fn yaml(&self, value: &impl Serialize) -> io::Result<()> {
        self.foreign(|out| serde_saphyr::to_io_writer(out, value).map_err(io::Error::other))
    }

    /// Prints a JSON document on one line.
    pub(super) fn json_line(&self, value: &impl Serialize) -> io::Result<()> {
        self.foreign(|out| {
            serde_json::to_writer(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Streams text of untrusted origin: with indentation it may be a hundred times as long as its source.
    fn foreign(
        &self,
        write: impl FnOnce(&mut io::BufWriter<Foreign<'_>>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = io::BufWriter::with_capacity(16 << 10, Foreign { ui: self, failed: None });
        let written = write(&mut out).and_then(|()| out.flush());
        match (written, out.into_parts().0.failed) {
            // Not every serializer returns the I/O error.
            (Err(_), Some(kind)) => Err(kind.into()),
            (written, _) => written,
        }
    }

    /// Prints rows as a table, or as objects or names, depending on the format.
    pub fn table(&self, columns: &[Column], rows: &[Row]) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Yaml => self.document(&Objects(rows)),
            Format::Name => self.names(rows),
            Format::Table | Format::Wide => {
                table::render(columns, rows, self.table_style(columns), |line| self.data_line(&line))
            }
        }
    }

    /// Prints one record with a field per line, or as object or name, depending on the format.
    pub fn record(&self, fields: &[Column], value: &Row) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Yaml => self.document(&value.object),
            Format::Name => self.names(std::slice::from_ref(value)),
            Format::Table | Format::Wide => {
                table::render_record(fields, value, self.table_style(fields), |line| self.data_line(&line))
            }
        }
    }

    fn names(&self, rows: &[Row]) -> io::Result<()> {
        rows.iter().try_for_each(|row| self.data(format!("{}\n", row.name).as_bytes()))
    }

    /// Writes and flushes stdout of a session. `raw` bytes are from the container's programs and reach the
    /// terminal unchanged.
    pub(super) fn session_stdout(&self, bytes: &[u8], raw: bool) -> io::Result<()> {
        self.erase();
        let mut stdout = lock(&self.shared.stdout);
        if raw {
            stdout.writer.write_all(bytes)?;
        } else {
            stdout.write_foreign(bytes)?;
        }
        stdout.writer.flush()
    }

    /// Writes stderr of a session.
    pub(super) fn session_stderr(&self, bytes: &[u8], raw: bool) -> io::Result<()> {
        self.erase();
        let mut stderr = lock(&self.shared.stderr);
        if raw { stderr.writer.write_all(bytes) } else { stderr.write_foreign(bytes) }
    }
}

/// The width of the terminal; none if it reports none.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The width of a line without colours.
fn line_width(line: &str) -> usize {
    escape::filtered(line).width()
}

/// Serializes the objects of rows as one list.
struct Objects<'r>(&'r [Row]);

impl Serialize for Objects<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|row| &row.object))
    }
}

/// Stdout for text of untrusted origin.
struct Foreign<'u> {
    ui: &'u Ui,
    /// The first write error.
    failed: Option<io::ErrorKind>,
}

impl Write for Foreign<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ui.data(bytes).inspect_err(|error| {
            self.failed.get_or_insert(error.kind());
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

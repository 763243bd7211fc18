//! Data, on stdout.

use std::io::{self, Write};
use std::sync::atomic::Ordering;

use anstyle::Style;
use kf_core::ui::{Column, Format, Row, Tone};
use serde::{Serialize, Serializer};
use unicode_width::UnicodeWidthStr as _;

use super::table::Look;
use super::{Stdout, Ui, escape, lock, table};

impl Ui {
    /// Data to stdout, byte-exact unless a terminal reads it.
    pub fn data(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_data(|stdout| stdout.write_foreign(bytes))
    }

    /// On a terminal it is there before a wait is drawn again; what was held back would land in its line.
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

    /// A line of data made by kf, with colours where they are wanted.
    pub fn data_line(&self, line: &str) -> io::Result<()> {
        self.write_data(|stdout| {
            stdout.writer.write_all(line.as_bytes())?;
            stdout.writer.write_all(b"\n")
        })
    }

    /// A line of data with a tone for the eye.
    pub fn data_toned(&self, text: &str, tone: Tone) -> io::Result<()> {
        let style = table::style(tone);
        if self.stdout_color && style != Style::new() {
            self.data_line(&format!("{style}{}{style:#}", escape::filtered(text)))
        } else {
            self.data(format!("{text}\n").as_bytes())
        }
    }

    /// Draws a table over the last `drawn` lines; how many it has.
    pub(super) fn replace_table(&self, drawn: usize, columns: &[Column], rows: &[Row]) -> io::Result<usize> {
        self.write_data(|stdout| {
            if drawn > 0 {
                write!(stdout.writer, "\x1b[{drawn}A")?;
            }
            let mut lines = 0;
            let look = self.look(columns);
            table::render(columns, rows, look, |line| {
                // A word that is longer than the terminal is wide takes more than one of its lines.
                lines += match look.width {
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

    /// How these columns are shown, on a terminal as wide as it is now.
    fn look(&self, columns: &[Column]) -> Look {
        let wide = self.format == Format::Wide;
        if wide && columns.iter().any(|column| column.wide) {
            self.shared.shown_wide.store(true, Ordering::Relaxed);
        }
        let width = self.shared.stdout_terminal.then(terminal_width).flatten();
        Look { wide, color: self.stdout_color, width }
    }

    /// The same for lines of a table that are appended one by one.
    pub(super) fn live_look(&self, columns: &[Column]) -> Look {
        Look { color: false, ..self.look(columns) }
    }

    /// Whether `-o wide` has shown more than a table would have.
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
                // Two documents without a line between them are none.
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

    /// Writes text of unknown origin while it is made: with its indentation it may be a hundred times as long as
    /// what it is made of.
    fn foreign(
        &self,
        write: impl FnOnce(&mut io::BufWriter<Foreign<'_>>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = io::BufWriter::with_capacity(16 << 10, Foreign { ui: self, failed: None });
        let written = write(&mut out).and_then(|()| out.flush());
        match (written, out.into_parts().0.failed) {
            // Not every serializer passes on how writing failed.
            (Err(_), Some(kind)) => Err(kind.into()),
            (written, _) => written,
        }
    }

    /// Prints rows as a table, or their objects or names, by the format.
    pub fn table(&self, columns: &[Column], rows: &[Row]) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Yaml => self.document(&Objects(rows)),
            Format::Name => self.names(rows),
            Format::Table | Format::Wide => {
                table::render(columns, rows, self.look(columns), |line| self.data_line(&line))
            }
        }
    }

    /// Prints one thing: its fields below each other, or its object or name, by the format.
    pub fn record(&self, fields: &[Column], value: &Row) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Yaml => self.document(&value.object),
            Format::Name => self.names(std::slice::from_ref(value)),
            Format::Table | Format::Wide => {
                table::render_record(fields, value, self.look(fields), |line| self.data_line(&line))
            }
        }
    }

    fn names(&self, rows: &[Row]) -> io::Result<()> {
        rows.iter().try_for_each(|row| self.data(format!("{}\n", row.name).as_bytes()))
    }

    /// What a session says on stdout, shown at once. `raw` bytes are drawn by the container's
    /// programs and reach the terminal as they are.
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

    /// What a session says on stderr.
    pub(super) fn session_stderr(&self, bytes: &[u8], raw: bool) -> io::Result<()> {
        self.erase();
        let mut stderr = lock(&self.shared.stderr);
        if raw { stderr.writer.write_all(bytes) } else { stderr.write_foreign(bytes) }
    }
}

/// How wide the terminal is; none if it does not say.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Without colours.
fn line_width(line: &str) -> usize {
    escape::filtered(line).width()
}

/// The objects of rows, as one list.
struct Objects<'r>(&'r [Row]);

impl Serialize for Objects<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|row| &row.object))
    }
}

/// Stdout, for text of unknown origin.
struct Foreign<'u> {
    ui: &'u Ui,
    /// How writing failed first.
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

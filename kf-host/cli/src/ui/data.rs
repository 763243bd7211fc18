//! Data, on stdout.

use std::io::{self, Write};

use anstyle::Style;
use kf_core::ui::{Column, Format, Row, Tone};
use serde_json::Value;

use super::{Ui, escape, lock, table};

impl Ui {
    /// Data to stdout, byte-exact unless a terminal reads it.
    pub fn data(&self, bytes: &[u8]) -> io::Result<()> {
        self.erase();
        lock(&self.shared.stdout).write_foreign(bytes)
    }

    /// A line of data made by kf, with colours where they are wanted.
    pub fn data_line(&self, line: &str) -> io::Result<()> {
        self.erase();
        let mut stdout = lock(&self.shared.stdout);
        stdout.writer.write_all(line.as_bytes())?;
        stdout.writer.write_all(b"\n")
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

    /// Draws lines over the last `drawn` ones.
    pub(super) fn replace_lines(&self, drawn: usize, lines: &[String]) -> io::Result<()> {
        self.erase();
        let mut stdout = lock(&self.shared.stdout);
        if drawn > 0 {
            write!(stdout.writer, "\x1b[{drawn}A")?;
        }
        for line in lines {
            writeln!(stdout.writer, "\x1b[2K{line}")?;
        }
        write!(stdout.writer, "\x1b[J")?;
        stdout.writer.flush()
    }

    pub fn flush(&self) -> io::Result<()> {
        lock(&self.shared.stdout).writer.flush()
    }

    /// Prints one JSON or YAML document.
    pub fn document(&self, value: &Value) -> io::Result<()> {
        let text = match self.format {
            Format::Yaml => serde_saphyr::to_string(value).map_err(io::Error::other)?,
            _ => format!("{value:#}\n"),
        };
        self.data(text.as_bytes())
    }

    /// Prints rows as a table, or their objects or names, by the format.
    pub fn table(&self, columns: &[Column], rows: &[Row]) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Yaml => {
                let objects = rows.iter().map(|row| row.object.clone()).collect();
                self.document(&Value::Array(objects))
            }
            Format::Name => self.names(rows),
            Format::Table | Format::Wide => {
                for line in table::render(columns, rows, self.format == Format::Wide, self.stdout_color) {
                    self.data_line(&line)?;
                }
                Ok(())
            }
        }
    }

    /// Prints one thing: its fields below each other, or its object or name, by the format.
    pub fn record(&self, fields: &[Column], value: &Row) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Yaml => self.document(&value.object),
            Format::Name => self.names(std::slice::from_ref(value)),
            Format::Table | Format::Wide => {
                for line in
                    table::render_record(fields, value, self.format == Format::Wide, self.stdout_color)
                {
                    self.data_line(&line)?;
                }
                Ok(())
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

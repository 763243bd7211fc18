use crate::error::{Error, Result};
use crate::ui::{Column, Format, Row};

/// What the user would have seen.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    /// stdout: printed bytes, tables and records, forwarded logs.
    pub stdout: String,
    /// stderr, line by line; warnings start with `warning: `.
    pub notes: Vec<String>,
    /// The labels that progress showed, without consecutive repeats.
    pub progress: Vec<String>,
    /// The rows of the last table, record or live table.
    pub rows: Vec<Row>,
    /// Whether a table with wide columns was shown.
    pub(super) has_shown_wide: bool,
}

impl Terminal {
    /// Returns the texts of a column of the last table.
    pub fn column(&self, index: usize) -> Vec<&str> {
        self.rows.iter().map(|row| row.cells.get(index).map_or("", |cell| cell.text.as_str())).collect()
    }

    pub(super) fn say(&mut self, label: &str) {
        if self.progress.last().is_none_or(|last| last != label) {
            self.progress.push(label.to_owned());
        }
    }

    /// Renders a simple table for tests; kf's output differs.
    pub(super) fn table(&mut self, format: Format, columns: &[Column], rows: &[Row]) -> Result<()> {
        self.has_shown_wide |= columns.iter().any(|column| column.wide);
        if format == Format::Wide && !self.has_shown_wide {
            return Err(
                Error::invalid("-o wide shows no additional columns here").hint("run without -o wide")
            );
        }
        self.rows = rows.to_vec();
        match format {
            Format::Table | Format::Wide => {
                let shown = |column: &Column| format == Format::Wide || !column.wide;
                let mut lines = vec![
                    columns
                        .iter()
                        .filter(|column| shown(column))
                        .map(|column| column.title.as_str())
                        .collect::<Vec<_>>(),
                ];
                for row in rows {
                    lines.push(
                        columns
                            .iter()
                            .zip(&row.cells)
                            .filter(|(column, _)| shown(column))
                            .map(|(_, cell)| cell.text.as_str())
                            .collect(),
                    );
                }
                self.lines(lines.iter().map(|cells| cells.join("  ")));
            }
            Format::Json | Format::Yaml => {
                let objects: Vec<_> = rows.iter().map(|row| &row.object).collect();
                self.lines([serde_json::json!(objects).to_string()]);
            }
            Format::Name => self.lines(rows.iter().map(|row| row.name.clone())),
        }
        Ok(())
    }

    pub(super) fn record(&mut self, format: Format, fields: &[Column], value: &Row) {
        self.rows = vec![value.clone()];
        match format {
            Format::Json | Format::Yaml => self.lines([value.object.to_string()]),
            Format::Name => self.lines([value.name.clone()]),
            Format::Table | Format::Wide => {
                let fields = fields.iter().zip(&value.cells);
                self.lines(fields.map(|(field, cell)| format!("{}  {}", field.title, cell.text)));
            }
        }
    }

    fn lines(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            self.stdout.push_str(line.trim_end());
            self.stdout.push('\n');
        }
    }
}

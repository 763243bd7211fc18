//! A table that changes while a person watches.
//!
//! On a terminal the lines are drawn again in their place. In a pipe, and in formats for
//! programs, each row that is new or changed is printed once as a line of its own, as `kubectl
//! get --watch` does.

use std::collections::BTreeMap;
use std::io;

use kf_core::ui::{Column, Format, Row};
use serde_json::Value;

use super::{Ui, table};

pub struct LiveTable {
    ui: Ui,
    columns: Vec<Column>,
    /// What was printed last under each name.
    printed: BTreeMap<String, (Vec<String>, Value)>,
    titles_shown: bool,
    /// Lines on the terminal that the next drawing replaces.
    drawn: usize,
}

impl LiveTable {
    pub fn new(ui: Ui, columns: Vec<Column>) -> Self {
        Self { ui, columns, printed: BTreeMap::new(), titles_shown: false, drawn: 0 }
    }

    /// `rows` are all rows of the table now.
    pub fn update(&mut self, rows: Vec<Row>) -> io::Result<()> {
        match self.ui.format() {
            Format::Table | Format::Wide if self.ui.stdout_is_terminal() => self.redraw(&rows),
            _ => self.append(rows),
        }
    }

    fn redraw(&mut self, rows: &[Row]) -> io::Result<()> {
        let lines =
            table::render(&self.columns, rows, self.ui.format() == Format::Wide, self.ui.stdout_color);
        self.ui.replace_lines(self.drawn, &lines)?;
        self.drawn = lines.len();
        Ok(())
    }

    fn append(&mut self, rows: Vec<Row>) -> io::Result<()> {
        let changed: Vec<Row> = rows
            .into_iter()
            .filter(|row| {
                let now = (row.cells.iter().map(|cell| cell.text.clone()).collect(), row.object.clone());
                self.printed.insert(row.name.clone(), now.clone()) != Some(now)
            })
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        match self.ui.format() {
            Format::Json => {
                changed.iter().try_for_each(|row| self.ui.data(format!("{}\n", row.object).as_bytes()))?;
            }
            Format::Yaml => {
                for row in &changed {
                    self.ui.data(b"---\n")?;
                    self.ui.document(&row.object)?;
                }
            }
            Format::Name => {
                changed.iter().try_for_each(|row| self.ui.data(format!("{}\n", row.name).as_bytes()))?
            }
            format @ (Format::Table | Format::Wide) => {
                let lines = table::render(&self.columns, &changed, format == Format::Wide, false);
                let titles = usize::from(std::mem::replace(&mut self.titles_shown, true));
                lines.iter().skip(titles).try_for_each(|line| self.ui.data_line(line))?;
            }
        }
        self.ui.flush()
    }
}

//! A table that changes while a person watches.
//!
//! On a terminal the lines are drawn again in their place. In a pipe, and in formats for
//! programs, each row that is new or changed is printed once as a line of its own, as `kubectl
//! get --watch` does.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use kf_core::ui::{Column, Format, Row};

use super::{Ui, table};

pub struct LiveTable {
    ui: Ui,
    columns: Vec<Column>,
    /// A digest of each row of the last update, by one of its name and of how many rows before it have that name:
    /// those of several namespaces may. The rows themselves are not kept: their objects may be large.
    printed: HashMap<u64, u64>,
    titles_shown: bool,
    /// Lines on the terminal that the next drawing replaces.
    drawn: usize,
}

fn digest(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl LiveTable {
    pub fn new(ui: Ui, columns: Vec<Column>) -> Self {
        Self { ui, columns, printed: HashMap::new(), titles_shown: false, drawn: 0 }
    }

    /// `rows` are all rows of the table now.
    pub fn update(&mut self, rows: &[Row]) -> io::Result<()> {
        match self.ui.format() {
            Format::Table | Format::Wide if self.ui.stdout_is_terminal() => {
                self.drawn = self.ui.replace_table(self.drawn, &self.columns, rows)?;
                Ok(())
            }
            _ => self.append(rows),
        }
    }

    fn append(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut printed = HashMap::with_capacity(rows.len());
        let mut changed = Vec::new();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for row in rows {
            let before = seen.entry(&row.name).or_default();
            let name = digest((&row.name, *before));
            *before += 1;
            let now = digest((&row.object, row.cells.iter().map(|cell| &cell.text).collect::<Vec<_>>()));
            printed.insert(name, now);
            if self.printed.get(&name) != Some(&now) {
                changed.push(row);
            }
        }
        self.printed = printed;
        if changed.is_empty() {
            return Ok(());
        }
        match self.ui.format() {
            Format::Json => changed.iter().try_for_each(|row| self.ui.json_line(&row.object))?,
            Format::Yaml => {
                for row in &changed {
                    self.ui.data(b"---\n")?;
                    self.ui.yaml(&row.object)?;
                }
            }
            Format::Name => {
                changed.iter().try_for_each(|row| self.ui.data(format!("{}\n", row.name).as_bytes()))?
            }
            Format::Table | Format::Wide => {
                let look = self.ui.live_look(&self.columns);
                let mut hidden = usize::from(std::mem::replace(&mut self.titles_shown, true));
                table::render(&self.columns, changed, look, |line| {
                    if hidden > 0 {
                        hidden -= 1;
                        return Ok(());
                    }
                    self.ui.data_line(&line)
                })?;
            }
        }
        self.ui.flush()
    }
}

//! A table that is updated while the user watches.
//!
//! On a terminal the table is redrawn in place. In a pipe, and in formats for programs, each new or
//! changed row is printed once, as by `kubectl get --watch`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use kf_core::ui::{Column, Format, Row};

use super::{Ui, table};

pub struct LiveTable {
    ui: Ui,
    columns: Vec<Column>,
    /// A digest of each row of the last update, keyed by a digest of its name and of the number of earlier rows with
    /// the same name, as from several namespaces. The rows are not kept, because their objects may be large.
    printed: HashMap<u64, u64>,
    titles_shown: bool,
    /// The number of lines that the next update replaces.
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

    /// Shows `rows`, which are all rows of the table.
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
                let style = self.ui.live_table_style(&self.columns);
                let mut hidden = usize::from(std::mem::replace(&mut self.titles_shown, true));
                table::render(&self.columns, changed, style, |line| {
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

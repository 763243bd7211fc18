//! Printing results: a line for users, a record for programs.
//!
//! With `--dry-run`, kf itself prints what each write would do, such as `would delete pod/mnist-0 in team-a`.
//! [`Kf::report`] prints what a write did, and nothing in a dry run.

use std::fmt::Display;

use serde::Serialize;

use crate::error::Result;
use crate::kf::Kf;
use crate::ui::{Cell, Column, TableRow, ToCell as _};

/// A change to an object.
#[derive(Serialize)]
struct Done {
    object: String,
    change: String,
}

impl TableRow for Done {
    fn columns() -> Vec<Column> {
        ["OBJECT", "CHANGE"].map(Column::new).to_vec()
    }

    fn cells(&self) -> Vec<Cell> {
        vec![self.object.to_cell(), self.change.to_cell()]
    }

    fn row_name(&self) -> String {
        self.object.clone()
    }
}

impl Kf {
    /// Prints one result: the line, or the record if `-o` is `json`, `yaml` or `name`.
    pub fn say<T: TableRow>(&self, line: impl Into<String>, record: &T) -> Result<()> {
        match self.output_format().is_table() {
            true => self.print_line(line),
            false => self.record(record),
        }
    }

    /// Prints what a write did: `kf.report("deleted", "pod/mnist-0")` prints `pod/mnist-0 deleted`.
    ///
    /// Prints nothing in a dry run, where kf prints what would have been done.
    pub fn report(&self, change: &str, object: impl Display) -> Result<()> {
        let done = Done { object: object.to_string(), change: change.to_owned() };
        self.report_with(format!("{} {change}", done.object), &done)
    }

    /// Like [`Kf::report`], with a custom line and record.
    pub fn report_with<T: TableRow>(&self, line: impl Into<String>, record: &T) -> Result<()> {
        if self.context().dry_run { Ok(()) } else { self.say(line, record) }
    }

    /// Prints the command to run after a write: `kf.next_step("follow it", "kf logs mnist -f")` is the note
    /// ``follow it with `kf logs mnist -f` ``, with the flags for the cluster and namespace of this run. Prints nothing
    /// in a dry run, or if `-o` is not a table.
    pub fn next_step(&self, what: &str, command: &str) {
        if self.output_format().is_table() && !self.context().dry_run {
            self.note(format!("{what} with `{}`", self.same_target(command)));
        }
    }
}

//! What a command says of its result: a line for a person, a record for a program.
//!
//! With `--dry-run` nothing is done, and kf itself says of each write what it would do: `would delete pod/mnist-0 in
//! team-a`. So a command says what its writes did by [`Kf::did`], which is silent then.

use std::fmt::Display;

use serde::Serialize;

use crate::error::Result;
use crate::kf::Kf;
use crate::ui::{Cell, Column, TableRow, ToCell as _};

/// An object, and what was done to it.
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
    /// One result: the line for a person, the record for a program that asks for `-o json`, `yaml` or `name`.
    pub fn say<T: TableRow>(&self, line: impl Into<String>, record: &T) -> Result<()> {
        match self.output_format().is_table() {
            true => self.print_line(line),
            false => self.record(record),
        }
    }

    /// Says what a write did, once it has: `kf.did("deleted", "pod/mnist-0")` prints `pod/mnist-0 deleted`.
    ///
    /// In a dry run it prints nothing: kf says what would have been done, and prints the documents for `-o`.
    pub fn did(&self, change: &str, object: impl Display) -> Result<()> {
        let done = Done { object: object.to_string(), change: change.to_owned() };
        self.did_with(format!("{} {change}", done.object), &done)
    }

    /// The same with a line and a record of the command's own.
    pub fn did_with<T: TableRow>(&self, line: impl Into<String>, record: &T) -> Result<()> {
        if self.context().dry_run { Ok(()) } else { self.say(line, record) }
    }

    /// Says after a write which command comes next: `kf.next_step("follow it", "kf logs mnist -f")` is the note
    /// ``follow it with `kf logs mnist -f` ``, for the cluster and namespace of this run. A program gets none, and
    /// neither does a dry run.
    pub fn next_step(&self, what: &str, command: &str) {
        if self.output_format().is_table() && !self.context().dry_run {
            self.note(format!("{what} with `{}`", self.same_target(command)));
        }
    }
}

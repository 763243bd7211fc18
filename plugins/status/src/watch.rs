//! `--watch`: the same table, kept up to date by watches.

use std::collections::BTreeMap;
use std::time::Duration;

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::ui::LiveTable;

use crate::components::{components, named};
use crate::inquiry::Inquiry;
use crate::live::Live;
use crate::rows::{self, ComponentRow};
use crate::snapshot::Snapshot;

/// How often a person's table grows older. It costs no call.
const AGES: Duration = Duration::from_secs(5);

/// Stays until it is stopped from outside.
pub(crate) fn run(kf: &Kf, names: &[String], everywhere: bool) -> Result<Exit> {
    let mut live = Live::open(kf, everywhere)?;
    let inquiry = if everywhere { Inquiry::none(kf) } else { Inquiry::new(kf) };
    let screen = Screen::new(kf, everywhere);
    let mut shown: Vec<InNamespace<ComponentRow>> = Vec::new();
    let mut by_namespace: BTreeMap<String, Vec<ComponentRow>> = BTreeMap::new();
    let mut ages = kf.after(AGES);
    let mut has_aged = false;
    loop {
        if !everywhere {
            inquiry.renew();
        }
        for (namespace, snapshot) in live.changed(has_aged) {
            by_namespace.insert(namespace.clone(), rows(kf, snapshot, names, &inquiry));
        }
        let rows = by_namespace.iter().flat_map(|(namespace, rows)| {
            rows.iter().map(|row| InNamespace { namespace: namespace.clone(), row: row.clone() })
        });
        let rows: Vec<_> = rows.collect();
        let rows = if keeps_ages(kf) { with_old_ages(rows, &shown) } else { rows };
        if rows != shown {
            screen.update(&rows)?;
            shown = rows;
        }
        if !live.wait(&ages)? {
            return Ok(Exit::OK);
        }
        has_aged = ages.ready();
        if has_aged {
            ages = kf.after(AGES);
        }
    }
}

fn rows(kf: &Kf, snapshot: &Snapshot, names: &[String], inquiry: &Inquiry<'_>) -> Vec<ComponentRow> {
    let components = match names {
        [] => components(snapshot),
        names => names.iter().flat_map(|words| named(snapshot, words)).collect(),
    };
    rows::overview(&components, snapshot, kf.now(), inquiry)
}

/// A program, or a file, wants a line when something happens, not when time passes.
fn keeps_ages(kf: &Kf) -> bool {
    !kf.context().interactive || !kf.output_format().is_table()
}

fn with_old_ages(
    mut rows: Vec<InNamespace<ComponentRow>>,
    shown: &[InNamespace<ComponentRow>],
) -> Vec<InNamespace<ComponentRow>> {
    fn key(row: &InNamespace<ComponentRow>) -> (&str, &str, &str) {
        (&row.namespace, &row.row.kind, &row.row.name)
    }
    for row in &mut rows {
        if let Some(before) = shown.iter().find(|before| key(before) == key(row)) {
            row.row.age_like(&before.row);
        }
    }
    rows
}

/// The table, with a column for the namespace where there are several.
enum Screen {
    Here(LiveTable<ComponentRow>),
    Everywhere(LiveTable<InNamespace<ComponentRow>>),
}

impl Screen {
    fn new(kf: &Kf, everywhere: bool) -> Self {
        if everywhere { Self::Everywhere(kf.live_table()) } else { Self::Here(kf.live_table()) }
    }

    fn update(&self, rows: &[InNamespace<ComponentRow>]) -> Result<()> {
        match self {
            Self::Here(table) => table.update(&rows.iter().map(|row| row.row.clone()).collect::<Vec<_>>()),
            Self::Everywhere(table) => table.update(rows),
        }
    }
}

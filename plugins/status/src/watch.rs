//! `--watch`: the same table, kept up to date by watches.

use std::collections::BTreeMap;
use std::time::Duration;

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::ui::LiveTable;

use crate::causes::CauseLookup;
use crate::components::{components, named};
use crate::live::Live;
use crate::rows::{self, ComponentRow};
use crate::snapshot::Snapshot;

/// How often the ages are updated. Needs no call.
const AGE_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until it is interrupted.
pub(crate) fn run(kf: &Kf, names: &[String], everywhere: bool) -> Result<Exit> {
    let mut live = Live::open(kf, everywhere)?;
    let causes = if everywhere { CauseLookup::none(kf) } else { CauseLookup::new(kf) };
    let screen = Screen::new(kf, everywhere);
    let mut shown: Vec<InNamespace<ComponentRow>> = Vec::new();
    let mut by_namespace: BTreeMap<String, Vec<ComponentRow>> = BTreeMap::new();
    let mut ages = kf.after(AGE_INTERVAL);
    let mut has_aged = false;
    loop {
        if !everywhere {
            causes.reset();
        }
        for (namespace, snapshot) in live.changed(has_aged) {
            by_namespace.insert(namespace.clone(), rows(kf, snapshot, names, &causes));
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
            ages = kf.after(AGE_INTERVAL);
        }
    }
}

fn rows(kf: &Kf, snapshot: &Snapshot, names: &[String], causes: &CauseLookup<'_>) -> Vec<ComponentRow> {
    let components = match names {
        [] => components(snapshot),
        names => names.iter().flat_map(|words| named(snapshot, words)).collect(),
    };
    rows::overview(&components, snapshot, kf.now(), causes)
}

/// Whether ages are kept: in a pipe or file, rows are printed for changes, not because time passes.
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
            row.row.keep_ages(&before.row);
        }
    }
    rows
}

/// The table, with a namespace column for all namespaces.
enum Screen {
    Single(LiveTable<ComponentRow>),
    Everywhere(LiveTable<InNamespace<ComponentRow>>),
}

impl Screen {
    fn new(kf: &Kf, everywhere: bool) -> Self {
        if everywhere { Self::Everywhere(kf.live_table()) } else { Self::Single(kf.live_table()) }
    }

    fn update(&self, rows: &[InNamespace<ComponentRow>]) -> Result<()> {
        match self {
            Self::Single(table) => table.update(&rows.iter().map(|row| row.row.clone()).collect::<Vec<_>>()),
            Self::Everywhere(table) => table.update(rows),
        }
    }
}

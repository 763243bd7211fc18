//! `kf services list`: addresses and ready endpoints.

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{WatchedRow, WatchedTable};
use serde::Serialize;

use crate::Which;
use crate::targets::{Live, Snapshot, Target, sources};

#[derive(Debug, PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"{}/{}\", self.kind, self.name)")]
struct Row {
    kind: &'static str,
    name: String,
    #[serde(skip)]
    #[column(title = "READY")]
    ready_of: Cell,
    #[column(skip)]
    ready: usize,
    #[column(skip)]
    endpoints: usize,
    #[serde(skip)]
    #[column(title = "ADDRESS")]
    address: String,
    #[serde(skip)]
    #[column(title = "OTHER ADDRESSES", wide)]
    others: String,
    #[column(skip)]
    addresses: Vec<String>,
}

impl WatchedRow for Row {
    /// It has no ages.
    fn age_like(&mut self, _: &[Self]) {}
}

pub(crate) fn run(kf: &Kf, targets: &[Target]) -> Result<Exit> {
    kf.table(&rows(targets))?;
    Ok(Exit::OK)
}

pub(crate) fn all_namespaces(kf: &Kf, which: &Which) -> Result<Exit> {
    let mut found = Vec::new();
    for kf in &kf.all_namespaces(&sources(kf))? {
        let targets = Snapshot::read(kf)?.targets(kf, None, which.all)?;
        found.extend(rows(&targets).into_iter().map(|row| InNamespace::of(kf, row)));
    }
    if found.is_empty() {
        kf.note("no services in any namespace");
    }
    kf.table(&found)?;
    Ok(Exit::OK)
}

/// Runs until it is interrupted. A named service that is deleted has no row.
pub(crate) fn watch(kf: &Kf, which: &Which) -> Result<Exit> {
    let Live { mirrors, sources } = Live::open(kf)?;
    let targets =
        |mirrors: &[Mirror]| Snapshot::of(&sources, mirrors).targets(kf, which.name.as_deref(), which.all);
    targets(&mirrors)?;
    WatchedTable::of(kf, mirrors).show(|mirrors, _| rows(&targets(mirrors).unwrap_or_default()))
}

fn rows(targets: &[Target]) -> Vec<Row> {
    targets.iter().map(row).collect()
}

fn row(target: &Target) -> Row {
    let (ready, endpoints) = target.ready;
    let tone = match ready {
        0 => Tone::Bad,
        _ if ready < endpoints => Tone::Warning,
        _ => Tone::Good,
    };
    let (first, others) =
        target.addresses.split_first().map_or(("", &[][..]), |(first, others)| (first.as_str(), others));
    Row {
        kind: target.kind,
        name: target.name.clone(),
        ready_of: Cell::toned(format!("{ready}/{endpoints}"), tone),
        ready,
        endpoints,
        address: first.to_owned(),
        others: others.join(", "),
        addresses: target.addresses.clone(),
    }
}

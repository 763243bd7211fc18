//! Addresses and ready endpoints.

use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{StandingRow, StandingTable};
use serde::Serialize;

use crate::Which;
use crate::targets::{Live, Scene, Target};

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
    #[column(skip)]
    addresses: Vec<String>,
}

impl StandingRow for Row {
    /// Nothing in it grows old.
    fn age_like(&mut self, _: &[Self]) {}
}

pub(crate) fn run(kf: &Kf, targets: &[Target]) -> Result<Exit> {
    kf.table(&rows(kf, targets))?;
    Ok(Exit::OK)
}

/// Stays until it is stopped from outside. What was named and is gone is no row.
pub(crate) fn watch(kf: &Kf, which: &Which) -> Result<Exit> {
    let Live { mirrors, sources } = Live::open(kf)?;
    let targets =
        |mirrors: &[Mirror]| Scene::of(&sources, mirrors).targets(kf, which.name.as_deref(), which.all);
    targets(&mirrors)?;
    StandingTable::of(kf, mirrors).show(|mirrors, _| rows(kf, &targets(mirrors).unwrap_or_default()))
}

fn rows(kf: &Kf, targets: &[Target]) -> Vec<Row> {
    let wide = kf.output_format() == Format::Wide;
    targets.iter().map(|target| row(target, wide)).collect()
}

fn row(target: &Target, wide: bool) -> Row {
    let (ready, endpoints) = target.ready;
    let tone = match ready {
        0 => Tone::Bad,
        _ if ready < endpoints => Tone::Warning,
        _ => Tone::Good,
    };
    let shown = if wide { target.addresses.len() } else { 1 };
    Row {
        kind: target.kind,
        name: target.name.clone(),
        ready_of: Cell::toned(format!("{ready}/{endpoints}"), tone),
        ready,
        endpoints,
        address: target.addresses.iter().take(shown).cloned().collect::<Vec<_>>().join(", "),
        addresses: target.addresses.clone(),
    }
}

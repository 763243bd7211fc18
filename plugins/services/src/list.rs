//! Addresses and ready endpoints.

use kf_plugin_sdk::prelude::*;
use serde::Serialize;

use crate::targets::Target;

#[derive(Debug, Serialize, TableRow)]
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

pub(crate) fn run(kf: &Kf, targets: &[Target]) -> Result<Exit> {
    let wide = kf.output_format() == Format::Wide;
    let rows: Vec<_> = targets.iter().map(|target| row(target, wide)).collect();
    kf.table(&rows)?;
    Ok(Exit::OK)
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

use kf_notebook_server::{NOTEBOOK_LABEL, Server, Snapshot, WORKSPACE_LABEL};
use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{WatchedTable, WorkloadKind, mirrored};

use super::rows;

/// Runs until it is interrupted.
pub(super) fn run(kf: &Kf, kinds: &[WorkloadKind]) -> Result<Exit> {
    let mut servers = Vec::new();
    let mut refused = None;
    let mut left_out = Skipped::default();
    for kind in kinds {
        match Mirror::open(kf, kf.api(kind.kind())) {
            Err(error) if error.is(ErrorCode::Forbidden) => refused = Some(error),
            answer => servers.extend(left_out.take(kind.plural(), answer)?),
        }
    }
    if let Some(error) = left_out.first_error().or(refused.as_ref()).filter(|_| servers.is_empty()) {
        return Err(error.clone());
    }
    left_out.tell(kf);
    let of_servers = servers.len();
    let mut mirrors = servers;
    for label in [NOTEBOOK_LABEL, WORKSPACE_LABEL] {
        mirrors.push(Mirror::open(kf, kf.api("Pod").labels(label))?);
    }
    let sets = Skipped::optional(kf, "stateful sets", Mirror::open(kf, kf.api("apps/StatefulSet")))?;
    let has_sets = sets.is_some();
    mirrors.extend(sets);
    WatchedTable::of(kf, mirrors).with_events().show(|mirrors, events| {
        let (servers, rest) = mirrors.split_at_checked(of_servers).unwrap_or_default();
        let (pods, set) = rest.split_at_checked(2).unwrap_or_default();
        let servers: Vec<_> = mirrored(servers).cloned().filter_map(Server::of).collect();
        let snapshot = Snapshot {
            pods: mirrored(pods).cloned().collect(),
            sets: has_sets.then(|| mirrored(set).cloned().collect()),
            events: events.clone(),
        };
        rows(kf, &servers, &snapshot)
    })
}

use kf_notebook_server::{NOTEBOOK_LABEL, Scene, Server, WORKSPACE_LABEL};
use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{ComponentKind, StandingTable, mirrored};

use super::rows;

/// Stays until it is stopped from outside.
pub(super) fn run(kf: &Kf, kinds: &[ComponentKind]) -> Result<Exit> {
    let mut servers = Vec::new();
    let mut refused = None;
    for kind in kinds {
        match Mirror::open(kf, kf.api(kind.kind())) {
            Ok(mirror) => servers.push(mirror),
            Err(error) if error.is(ErrorCode::Forbidden) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = refused.filter(|_| servers.is_empty()) {
        return Err(error);
    }
    let of_servers = servers.len();
    let mut mirrors = servers;
    for label in [NOTEBOOK_LABEL, WORKSPACE_LABEL] {
        mirrors.push(Mirror::open(kf, kf.api("Pod").labels(label))?);
    }
    let sets = match Mirror::open(kf, kf.api("apps/StatefulSet")) {
        Ok(mirror) => {
            mirrors.push(mirror);
            true
        }
        Err(error) if error.is(ErrorCode::Forbidden) => false,
        Err(error) => return Err(error),
    };
    StandingTable::of(kf, mirrors).with_events().show(|mirrors, events| {
        let (servers, rest) = mirrors.split_at_checked(of_servers).unwrap_or_default();
        let (pods, set) = rest.split_at_checked(2).unwrap_or_default();
        let servers: Vec<_> = mirrored(servers).cloned().filter_map(Server::of).collect();
        let scene = Scene {
            pods: mirrored(pods).cloned().collect(),
            sets: sets.then(|| mirrored(set).cloned().collect()),
            events: events.clone(),
        };
        rows(kf, &servers, &scene)
    })
}

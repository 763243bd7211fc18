//! `kf notebook ls`: lists servers, their resources, and why they are not running.

mod row;
mod watch;

use kf_notebook_server::{KINDS, Server, Snapshot, View, served};
use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::WorkloadKind;

use row::ServerRow;

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Ls {
    /// Watch for changes
    #[arg(long, short)]
    watch: bool,
    /// Show all namespaces
    #[arg(long, short = 'A', conflicts_with = "watch")]
    all_namespaces: bool,
}

pub(crate) fn run(ls: &Ls, kf: &Kf) -> Result<Exit> {
    let kinds = served(kf)?;
    if ls.watch {
        return watch::run(kf, &kinds);
    }
    if ls.all_namespaces {
        return all_namespaces(kf, &kinds);
    }
    let servers = read(kf, &kinds)?;
    if servers.is_empty() && kf.output_format().is_table() {
        kf.note(format!("no notebook servers in {}", kf.namespace()));
        return Ok(Exit::OK);
    }
    kf.table(&rows(kf, &servers, &Snapshot::read_all(kf)?))?;
    Ok(Exit::OK)
}

fn all_namespaces(kf: &Kf, kinds: &[WorkloadKind]) -> Result<Exit> {
    let mut asked: Vec<_> = kinds.iter().map(|kind| kf.api(kind.kind())).collect();
    let namespaces = match kf.all_namespaces(&asked) {
        // A user of one kind may not be allowed to list the other, and one may be broken.
        Err(error) if (error.is(ErrorCode::Forbidden) || error.is_partial()) && asked.len() > 1 => {
            asked.reverse();
            kf.all_namespaces(&asked).map_err(|_| error)
        }
        namespaces => namespaces,
    }?;
    let mut found = Vec::new();
    for kf in &namespaces {
        let servers = read(kf, kinds)?;
        found.extend(
            rows(kf, &servers, &Snapshot::read_all(kf)?).into_iter().map(|row| InNamespace::of(kf, row)),
        );
    }
    if found.is_empty() && kf.output_format().is_table() {
        kf.note("no notebook servers in any namespace");
        return Ok(Exit::OK);
    }
    kf.table(&found)?;
    Ok(Exit::OK)
}

/// Every server that the user can list. Forbidden and broken kinds are noted; an error if no kind can be listed.
fn read(kf: &Kf, kinds: &[WorkloadKind]) -> Result<Vec<Server>> {
    let asked: Vec<_> = KINDS.into_iter().filter(|kind| kinds.contains(kind)).collect();
    let answers = kf.list_many(&asked.iter().map(|kind| kind.kind()).collect::<Vec<_>>());
    let mut servers = Vec::new();
    let mut refused = Vec::new();
    let mut left_out = Skipped::default();
    for (kind, answer) in asked.iter().zip(answers) {
        match answer {
            Err(error) if error.is(ErrorCode::Forbidden) => refused.push((*kind, error)),
            answer => {
                let listed = left_out.take(kind.plural(), answer)?;
                servers.extend(listed.into_iter().flat_map(|listed| listed.items).filter_map(Server::of));
            }
        }
    }
    let error = left_out.first_error().or(refused.last().map(|(_, error)| error));
    if let Some(error) = error.filter(|_| refused.len() + left_out.len() == asked.len()) {
        return Err(error.clone());
    }
    left_out.tell(kf);
    for (kind, _) in &refused {
        kf.note(format!("skipped (no permission to list): {}", kind.plural()));
    }
    Ok(servers)
}

fn rows(kf: &Kf, servers: &[Server], snapshot: &Snapshot) -> Vec<ServerRow> {
    let now = kf.now();
    let mut rows: Vec<_> =
        servers.iter().map(|server| ServerRow::of(kf, &View::new(server, snapshot, now), now)).collect();
    rows.sort_by(|left, right| left.order().cmp(&right.order()));
    rows
}

//! `kf notebook ls`: what there is, what it uses, and why it does not run.

mod row;
mod watch;

use kf_notebook_server::{KINDS, Scene, Server, View, served};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::ComponentKind;

use row::ServerRow;

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Ls {
    /// Keep the table up to date
    #[arg(long, short)]
    watch: bool,
}

pub(crate) fn run(ls: &Ls, kf: &Kf) -> Result<Exit> {
    let kinds = served(kf)?;
    if ls.watch {
        return watch::run(kf, &kinds);
    }
    let servers = read(kf, &kinds)?;
    if servers.is_empty() && kf.output_format().is_table() {
        kf.note(format!("no notebook servers in {}", kf.namespace()));
        return Ok(Exit::OK);
    }
    kf.table(&rows(kf, &servers, &Scene::of_all(kf)?))?;
    Ok(Exit::OK)
}

/// Every server the user may see. A kind that is closed to them is mentioned, unless all are.
fn read(kf: &Kf, kinds: &[ComponentKind]) -> Result<Vec<Server>> {
    let asked: Vec<_> = KINDS.into_iter().filter(|kind| kinds.contains(kind)).collect();
    let answers = kf.list_many(&asked.iter().map(|kind| kind.kind()).collect::<Vec<_>>());
    let mut servers = Vec::new();
    let mut refused = Vec::new();
    for (kind, answer) in asked.iter().zip(answers) {
        match answer {
            Ok(listed) => servers.extend(listed.items.into_iter().filter_map(Server::of)),
            Err(error) if error.is(ErrorCode::Forbidden) => refused.push((*kind, error)),
            Err(error) => return Err(error),
        }
    }
    if refused.len() == asked.len()
        && let Some((_, error)) = refused.pop()
    {
        return Err(error);
    }
    for (kind, _) in &refused {
        kf.note(format!("you may not list {}", kind.plural()));
    }
    Ok(servers)
}

fn rows(kf: &Kf, servers: &[Server], scene: &Scene) -> Vec<ServerRow> {
    let now = kf.now();
    let mut rows: Vec<_> =
        servers.iter().map(|server| ServerRow::of(kf, &View::new(server, scene, now), now)).collect();
    rows.sort_by(|left, right| left.order().cmp(&right.order()));
    rows
}

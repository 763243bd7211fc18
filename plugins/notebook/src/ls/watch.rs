use std::time::Duration;

use kf_notebook_server::{NOTEBOOK_LABEL, Scene, Server, WORKSPACE_LABEL};
use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{ComponentKind, Events};

use super::row::ServerRow;
use super::rows;

/// Events come without a watch of their own, and ages grow.
const REFRESH: Duration = Duration::from_secs(5);

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
    follow(kf, &mut mirrors, |mirrors, events| {
        let (servers, rest) = mirrors.split_at_checked(of_servers).unwrap_or_default();
        let (pods, set) = rest.split_at_checked(2).unwrap_or_default();
        let servers: Vec<_> = objects(servers).filter_map(Server::of).collect();
        let scene = Scene {
            pods: objects(pods).collect(),
            sets: sets.then(|| objects(set).collect()),
            events: events.clone(),
        };
        rows(kf, &servers, &scene)
    })
}

fn follow(
    kf: &Kf,
    mirrors: &mut [Mirror],
    rows: impl Fn(&[Mirror], &Events) -> Vec<ServerRow>,
) -> Result<Exit> {
    let screen = kf.live_table::<ServerRow>();
    let for_a_person = kf.context().interactive && kf.output_format().is_table();
    let mut shown: Option<Vec<ServerRow>> = None;
    let mut events = Events::read(kf)?;
    let mut refresh = kf.after(REFRESH);
    let mut lost = false;
    loop {
        let mut now_is = rows(mirrors, &events);
        if !for_a_person {
            now_is.iter_mut().for_each(|row| row.age_like(shown.as_deref().unwrap_or_default()));
        }
        if shown.as_ref() != Some(&now_is) {
            screen.update(&now_is)?;
            shown = Some(now_is);
        }
        let streams: Vec<_> = mirrors.iter().map(Mirror::subscribe).collect();
        let all: Vec<_> = [&refresh].into_iter().chain(&streams).collect();
        let ready = kf.wait(&all);
        if ready.is_empty() {
            return Ok(Exit::OK);
        }
        for index in &ready {
            if let Some(mirror) = index.checked_sub(1).and_then(|index| mirrors.get_mut(index)) {
                mirror.take()?;
            }
        }
        lost = tell_loss(kf, mirrors, lost);
        if ready.contains(&0) {
            // A server that is away is waited for by the watches.
            if let Ok(read) = Events::read(kf) {
                events = read;
            }
            refresh = kf.after(REFRESH);
        }
    }
}

/// Says once that what is shown may be old, and once that it is not.
fn tell_loss(kf: &Kf, mirrors: &[Mirror], was_lost: bool) -> bool {
    let lost = mirrors.iter().find_map(Mirror::lost);
    match (lost, was_lost) {
        (Some(error), false) => kf.note(format!("{error}; trying again")),
        (None, true) => kf.note("the API server answers again"),
        _ => {}
    }
    lost.is_some()
}

fn objects(mirrors: &[Mirror]) -> impl Iterator<Item = Object> {
    mirrors.iter().flat_map(|mirror| mirror.objects().cloned())
}

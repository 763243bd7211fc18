//! `--list`: every service and the actual state of its newest revision.

use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Events, State, WatchedRow, WatchedTable, mirrored};
use serde::Serialize;

use crate::predictor::{self, SERVICE_LABEL};
use crate::rollout::{Progress, View};

#[derive(PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"inferenceservice/{}\", self.name)")]
struct Row {
    name: String,
    #[serde(skip)]
    #[column(title = "STATE")]
    state_cell: Cell,
    #[column(skip)]
    state: State,
    ready: String,
    serves: Option<String>,
    age: String,
    #[column(wide)]
    revision: Option<String>,
    #[column(wide)]
    address: Option<String>,
    why: Option<String>,
}

impl WatchedRow for Row {
    fn age_like(&mut self, shown: &[Self]) {
        let before = shown.iter().find(|row| row.name == self.name);
        if let Some(before) = before.filter(|row| row.state == self.state) {
            self.age.clone_from(&before.age);
        }
    }
}

pub(crate) fn print(kf: &Kf) -> Result<Exit> {
    let services = kf.api(predictor::kind()).list()?;
    let children = |kind: Kind| kf.api(kind).labels(SERVICE_LABEL).list();
    let [deployments, replica_sets, pods] = CHILD_KINDS.map(|(group, kind)| children(Kind::new(group, kind)));
    let (deployments, replica_sets, pods) = (deployments?, replica_sets?, pods?);
    let events = Events::read(kf).unwrap_or_default();
    let children = [deployments.iter().collect(), replica_sets.iter().collect(), pods.iter().collect()];
    let rows = rows(services.iter(), &children, &events, kf.now());
    if rows.is_empty() {
        kf.note(format!("no inference services in {}", kf.namespace()));
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

/// Runs until it is interrupted.
pub(crate) fn watch(kf: &Kf) -> Result<Exit> {
    let mut mirrors = vec![Mirror::open(kf, kf.api(predictor::kind()))?];
    for (group, kind) in CHILD_KINDS {
        mirrors.push(Mirror::open(kf, kf.api(Kind::new(group, kind)).labels(SERVICE_LABEL))?);
    }
    WatchedTable::of(kf, mirrors).with_events().show(|mirrors, events| {
        let of = |index: usize| mirrored(mirrors.get(index..=index).unwrap_or_default());
        rows(of(0), &[of(1).collect(), of(2).collect(), of(3).collect()], events, kf.now())
    })
}

/// The kinds of objects below a service, in the order of the lists of [`rows`].
const CHILD_KINDS: [(&str, &str); 3] = [("apps", "Deployment"), ("apps", "ReplicaSet"), ("", "Pod")];

fn rows<'a>(
    services: impl Iterator<Item = &'a Object>,
    children: &[Vec<&'a Object>; 3],
    events: &Events,
    now: Timestamp,
) -> Vec<Row> {
    let row = |service: &Object| {
        let of_service = |objects: &[&'a Object]| {
            let is_own = |object: &&&Object| object.label(SERVICE_LABEL) == Some(service.name());
            objects.iter().filter(is_own).copied().collect()
        };
        let [deployments, replica_sets, pods] = children;
        let view = View {
            service,
            deployments: of_service(deployments),
            replica_sets: of_service(replica_sets),
            pods: of_service(pods),
            events,
            outdated: None,
            settled: true,
        };
        row(&view, now)
    };
    services.map(row).collect()
}

fn row(view: &View<'_>, now: Timestamp) -> Row {
    let service = view.service;
    let (state, ready, why) = match view.progress() {
        Progress::Stopped => (State::Stopped, "-".to_owned(), None),
        Progress::Ready(count) => (State::Running, format!("{count}/{count}"), None),
        Progress::Starting { ready, wanted, old, why } => {
            let state = if ready + old > 0 { State::Running } else { State::Pending };
            let why = match (old, why) {
                (0, why) => why,
                (_, None) => Some("a new revision is starting".to_owned()),
                (_, Some(why)) => Some(format!("a new revision is starting: {why}")),
            };
            (state, format!("{ready}/{wanted}"), why)
        }
        Progress::Failing { why, old: 0, .. } => (State::Failed, "0".to_owned(), Some(why)),
        Progress::Failing { why, old, .. } => {
            (State::Degraded, old.to_string(), Some(format!("the new revision cannot start: {why}")))
        }
    };
    Row {
        name: service.name().to_owned(),
        state_cell: state.cell(),
        state,
        ready,
        serves: predictor::serves(service),
        age: service.created().map(|created| short_duration(created.age(now))).unwrap_or_default(),
        revision: predictor::revision(service).map(str::to_owned),
        address: predictor::address(service).map(str::to_owned),
        why,
    }
}

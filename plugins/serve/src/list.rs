//! `--list`: every service, and how its newest revision really is.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Events, State};
use serde::Serialize;

use crate::predictor::{self, SERVICE_LABEL};
use crate::rollout::{Truth, View};

#[derive(Serialize, TableRow)]
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

pub(crate) fn print(kf: &Kf) -> Result<Exit> {
    let services = kf.api(predictor::kind()).list()?;
    let below = |kind: Kind| kf.api(kind).labels(SERVICE_LABEL).list();
    let deployments = below(Kind::new("apps", "Deployment"))?;
    let replica_sets = below(Kind::new("apps", "ReplicaSet"))?;
    let pods = below("Pod".into())?;
    let events = Events::read(kf).unwrap_or_default();
    let row = |service: &Object| {
        let mine = |object: &&Object| object.label(SERVICE_LABEL) == Some(service.name());
        let view = View {
            service,
            deployments: deployments.iter().filter(mine).collect(),
            replica_sets: replica_sets.iter().filter(mine).collect(),
            pods: pods.iter().filter(mine).collect(),
            events: &events,
            outdated: None,
            settled: true,
        };
        row(&view, kf.now())
    };
    let rows: Vec<_> = services.iter().map(row).collect();
    if rows.is_empty() {
        kf.note(format!("no inference services in {}", kf.namespace()));
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

fn row(view: &View<'_>, now: Timestamp) -> Row {
    let service = view.service;
    let (state, ready, why) = match view.judge() {
        Truth::Stopped => (State::Stopped, "-".to_owned(), None),
        Truth::Ready(count) => (State::Running, format!("{count}/{count}"), None),
        Truth::Starting { ready, wanted, old, why } => {
            let state = if ready + old > 0 { State::Running } else { State::Pending };
            let why = match (old, why) {
                (0, why) => why,
                (_, None) => Some("a new revision starts".to_owned()),
                (_, Some(why)) => Some(format!("a new revision starts: {why}")),
            };
            (state, format!("{ready}/{wanted}"), why)
        }
        Truth::Failing { why, old: 0, .. } => (State::Failed, "0".to_owned(), Some(why)),
        Truth::Failing { why, old, .. } => {
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

//! The rows of the tables.

use std::collections::BTreeSet;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{State, pod_state, pod_trouble, rank_of, restarts};
use serde::Serialize;

use crate::causes::CauseLookup;
use crate::components::Workload;
use crate::recent::Warning;
use crate::snapshot::Snapshot;

/// A workload.
#[derive(Clone, Debug, PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"{}/{}\", self.kind, self.name)")]
pub(crate) struct ComponentRow {
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(skip)]
    #[column(title = "STATE")]
    state_cell: Cell,
    #[column(skip)]
    state: State,
    #[serde(skip)]
    #[column(title = "READY")]
    ready_of: String,
    #[column(skip)]
    ready: i64,
    #[column(skip)]
    wanted: i64,
    #[serde(skip)]
    #[column(title = "AGE")]
    pub(crate) age: String,
    #[column(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip)]
    #[column(title = "NODES", wide)]
    nodes: String,
    #[column(skip)]
    pods: Vec<PodRow>,
}

impl ComponentRow {
    pub(crate) fn of(
        component: &Workload<'_>,
        snapshot: &Snapshot,
        now: Timestamp,
        causes: &CauseLookup<'_>,
    ) -> Self {
        let mut verdict = component.verdict(snapshot);
        causes.complete(&mut verdict, &snapshot.events);
        let oldest = component.pods.iter().filter_map(|pod| pod.created()).min();
        let created = component.object.and_then(Object::created).or(oldest);
        let nodes: BTreeSet<_> = component.pods.iter().filter_map(|pod| pod.str("/spec/nodeName")).collect();
        let has_ended = verdict.state == State::Complete && component.pods.is_empty();
        Self {
            kind: component.kind.to_lowercase(),
            name: component.name.clone(),
            state_cell: verdict.state.cell(),
            state: verdict.state,
            ready_of: if has_ended {
                "-".to_owned()
            } else {
                format!("{}/{}", verdict.ready, verdict.wanted)
            },
            ready: verdict.ready,
            wanted: verdict.wanted,
            age: age(created, now),
            created,
            nodes: nodes.into_iter().collect::<Vec<_>>().join(","),
            why: verdict.why,
            pods: pods(component, snapshot, now),
        }
    }
}

impl ComponentRow {
    /// Keeps the ages of an earlier row, so that the row does not change by time alone.
    pub(crate) fn keep_ages(&mut self, before: &Self) {
        self.age.clone_from(&before.age);
        for pod in &mut self.pods {
            if let Some(before) = before.pods.iter().find(|before| before.pod == pod.pod) {
                pod.age.clone_from(&before.age);
            }
        }
    }
}

/// A pod of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"pod/{}\", self.pod)")]
pub(crate) struct PodRow {
    pod: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[column(wide)]
    rank: String,
    state: String,
    restarts: i64,
    #[serde(skip)]
    #[column(title = "AGE")]
    age: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// A workload with its warnings, for structured output.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "self.component.row_name()")]
pub(crate) struct Detail {
    #[serde(flatten)]
    #[column(skip)]
    component: ComponentRow,
    #[column(skip)]
    warnings: Vec<Warning>,
}

impl Detail {
    pub(crate) fn new(component: ComponentRow, warnings: Vec<Warning>) -> Self {
        Self { component, warnings }
    }
}

pub(crate) fn overview(
    components: &[Workload<'_>],
    snapshot: &Snapshot,
    now: Timestamp,
    causes: &CauseLookup<'_>,
) -> Vec<ComponentRow> {
    components.iter().map(|component| ComponentRow::of(component, snapshot, now, causes)).collect()
}

pub(crate) fn pods(component: &Workload<'_>, snapshot: &Snapshot, now: Timestamp) -> Vec<PodRow> {
    let mut pods: Vec<_> = component.pods.iter().map(|pod| (rank_of(pod), *pod)).collect();
    pods.sort_by(|left, right| left.0.cmp(&right.0).then(left.1.name().cmp(right.1.name())));
    pods.into_iter()
        .map(|(rank, pod)| PodRow {
            pod: pod.name().to_owned(),
            rank: if rank.index.is_some() { rank.label() } else { String::new() },
            state: format!("{:?}", pod_state(pod)),
            restarts: restarts(pod),
            age: age(pod.created(), now),
            node: pod.str("/spec/nodeName").map(str::to_owned),
            why: pod_trouble(pod, &snapshot.events).map(|trouble| trouble.text),
        })
        .collect()
}

pub(crate) fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map(|since| short_duration(since.age(now))).unwrap_or_default()
}

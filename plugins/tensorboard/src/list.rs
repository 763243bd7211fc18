use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Component, Events, State};
use serde::Serialize;

use crate::board::kind;
use crate::own;

#[derive(Debug, Serialize, TableRow)]
#[row(name = "format!(\"{}/{}\", self.kind, self.name)")]
struct BoardRow {
    name: String,
    kind: &'static str,
    #[serde(skip)]
    #[column(title = "STATE")]
    state_cell: Cell,
    #[column(skip)]
    state: State,
    logs: String,
    #[serde(skip)]
    #[column(title = "AGE")]
    age: String,
    #[column(skip)]
    created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// The TensorBoards of the namespace: the cluster's and the user's own.
pub(crate) fn run(kf: &Kf) -> Result<Exit> {
    let mut objects = kf.api("batch/Job").labels(own::LABELS).list()?;
    if kf.serves(&kind())? {
        match kf.api(kind()).list() {
            Ok(boards) => objects.extend(boards),
            Err(error) if error.is(ErrorCode::Forbidden) => kf.note("you may not list tensorboards"),
            Err(error) => return Err(error),
        }
    }
    let (events, now) = (Events::read(kf)?, kf.now());
    let mut boards = Vec::new();
    for component in objects.into_iter().filter_map(Component::of) {
        let logs = own::shows(&component.object).or(component.object.str("/spec/logspath"));
        boards.extend(logs.map(str::to_owned).map(|logs| (component, logs)));
    }
    let selections: Vec<_> = boards.iter().map(|(component, _)| component.pod_selection(kf)).collect();
    let mut rows = Vec::new();
    for ((component, logs), pods) in boards.into_iter().zip(kf.list_selections(&selections)) {
        let mut pods = pods?.items;
        pods.retain(|pod| component.owns(pod));
        let verdict = component.judge(&pods, &events);
        let created = component.object.created();
        rows.push(BoardRow {
            name: component.name.clone(),
            kind: component.kind.word(),
            state_cell: verdict.state.cell(),
            state: verdict.state,
            logs,
            age: created.map(|created| short_duration(created.age(now))).unwrap_or_default(),
            created,
            why: verdict.why,
        });
    }
    if rows.is_empty() && kf.output_format().is_table() {
        kf.note(format!("no TensorBoards in {}", kf.namespace()));
        return Ok(Exit::OK);
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Events, State, WatchedRow, WatchedTable, Workload, mirrored};
use serde::Serialize;

use crate::board::{TENSORBOARDS, kind};
use crate::job;

#[derive(Debug, PartialEq, Serialize, TableRow)]
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
    #[column(wide)]
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl WatchedRow for BoardRow {
    fn age_like(&mut self, shown: &[Self]) {
        let same = |row: &&Self| row.kind == self.kind && row.name == self.name;
        if let Some(before) = shown.iter().find(same) {
            self.age.clone_from(&before.age);
        }
    }
}

/// Lists the TensorBoards of the namespace, of both forms.
pub(crate) fn run(kf: &Kf) -> Result<Exit> {
    let mut left_out = Skipped::default();
    let own = left_out.take("jobs", kf.api("batch/Job").labels(job::LABELS).list())?;
    let boards = match kf.serves(&kind())? {
        true => permitted(kf, &mut left_out, kf.api(kind()).list())?,
        false => None,
    };
    if let (None, None, Some(error)) = (&own, &boards, left_out.first_error()) {
        return Err(error.clone());
    }
    left_out.tell(kf);
    let objects = own.into_iter().chain(boards).flatten();
    let (events, now) = (Events::read(kf)?, kf.now());
    let boards: Vec<_> = objects.filter_map(board).collect();
    let selections: Vec<_> = boards.iter().map(|(component, _)| component.pod_selection(kf)).collect();
    let mut rows = Vec::new();
    for ((component, logs), pods) in boards.into_iter().zip(kf.list_selections(&selections)) {
        rows.push(row(&component, logs, &component.pods_among(&pods?.items), &events, now));
    }
    if rows.is_empty() && kf.output_format().is_table() {
        kf.note(format!("no TensorBoards in {}", kf.namespace()));
        return Ok(Exit::OK);
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

/// Runs until it is interrupted.
pub(crate) fn watch(kf: &Kf) -> Result<Exit> {
    let mut mirrors =
        vec![Mirror::open(kf, kf.api("Pod"))?, Mirror::open(kf, kf.api("batch/Job").labels(job::LABELS))?];
    if kf.serves(&kind())? {
        let mut left_out = Skipped::default();
        mirrors.extend(permitted(kf, &mut left_out, Mirror::open(kf, kf.api(kind())))?);
        left_out.tell(kf);
    }
    WatchedTable::of(kf, mirrors).with_events().show(|mirrors, events| {
        let (pods, boards) = mirrors.split_at_checked(1).unwrap_or_default();
        let boards = mirrored(boards).cloned().filter_map(board);
        let row = |(component, logs): (Workload, String)| {
            row(&component, logs, &component.pods_among(mirrored(pods)), events, kf.now())
        };
        boards.map(row).collect()
    })
}

/// The answer, or `None` with a note if the kind is forbidden or broken.
fn permitted<T>(kf: &Kf, left_out: &mut Skipped, found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if error.is(ErrorCode::Forbidden) => {
            kf.note("skipped (no permission to list): tensorboards");
            Ok(None)
        }
        found => left_out.take(TENSORBOARDS, found),
    }
}

/// A TensorBoard and the location of its logs.
fn board(object: Object) -> Option<(Workload, String)> {
    let component = Workload::of(object)?;
    let logs = job::log_location(&component.object).or(component.object.str("/spec/logspath"))?.to_owned();
    Some((component, logs))
}

fn row(component: &Workload, logs: String, pods: &[Object], events: &Events, now: Timestamp) -> BoardRow {
    let verdict = component.judge(pods, events);
    let created = component.object.created();
    BoardRow {
        name: component.name.clone(),
        kind: component.kind.word(),
        state_cell: verdict.state.cell(),
        state: verdict.state,
        logs,
        age: created.map(|created| short_duration(created.age(now))).unwrap_or_default(),
        created,
        node: pods.iter().find_map(|pod| pod.str("/spec/nodeName")).map(str::to_owned),
        why: verdict.why,
    }
}

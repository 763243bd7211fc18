//! `kf pipeline ls`.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{WatchedRow, WatchedScreen};
use serde::Serialize;

use crate::run::POLL_INTERVAL;
use crate::server::Server;
use crate::state::{State, age, error, took};
use crate::{Ls, What, find};

#[derive(PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"run/{}\", self.name)")]
struct RunRow {
    name: String,
    #[serde(skip)]
    #[column(title = "STATE")]
    state_cell: Cell,
    #[column(skip)]
    state: State,
    took: Option<String>,
    age: String,
    id: String,
    #[column(wide)]
    experiment: Option<String>,
    why: Option<String>,
}

#[derive(PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"pipeline/{}\", self.name)")]
struct PipelineRow {
    name: String,
    age: String,
    id: String,
    about: Option<String>,
    #[column(wide)]
    created: Option<String>,
}

#[derive(PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"experiment/{}\", self.name)")]
struct ExperimentRow {
    name: String,
    age: String,
    id: String,
    about: Option<String>,
    #[column(wide)]
    created: Option<String>,
}

impl WatchedRow for RunRow {
    fn age_like(&mut self, shown: &[Self]) {
        let same = shown.iter().find(|row| row.id == self.id && row.state == self.state);
        if let Some(before) = same {
            self.age.clone_from(&before.age);
            self.took.clone_from(&before.took);
        }
    }
}

impl WatchedRow for PipelineRow {
    fn age_like(&mut self, shown: &[Self]) {
        if let Some(before) = shown.iter().find(|row| row.id == self.id) {
            self.age.clone_from(&before.age);
        }
    }
}

impl WatchedRow for ExperimentRow {
    fn age_like(&mut self, shown: &[Self]) {
        if let Some(before) = shown.iter().find(|row| row.id == self.id) {
            self.age.clone_from(&before.age);
        }
    }
}

pub(crate) fn ls(server: &Server, ls: &Ls) -> Result<Exit> {
    let limit = usize::try_from(ls.limit).unwrap_or(usize::MAX);
    if ls.experiment.is_some() && ls.what != What::Runs {
        return Err(Error::invalid("--experiment applies only to runs")
            .hint(server.kf.command_line().replace(ls.what.as_str(), "runs")));
    }
    match ls.what {
        What::Runs => {
            let experiment = ls.experiment.as_deref().map(|name| experiment(server, name)).transpose()?;
            let query: Vec<_> = experiment.iter().map(|id| ("experiment_id", id.as_str())).collect();
            show(server, ls.watch, || server.list("runs", "/runs", "runs", &query, limit), run_row)
        }
        What::Pipelines => {
            let read = || server.list("pipelines", "/pipelines", "pipelines", &[], limit);
            show(server, ls.watch, read, |pipeline, now| PipelineRow {
                name: text(pipeline, "display_name"),
                age: age(pipeline, "/created_at", now),
                id: text(pipeline, "pipeline_id"),
                about: about(pipeline),
                created: pipeline.str("/created_at").map(str::to_owned),
            })
        }
        What::Experiments => {
            let read = || server.list("experiments", "/experiments", "experiments", &[], limit);
            show(server, ls.watch, read, |experiment, now| ExperimentRow {
                name: text(experiment, "display_name"),
                age: age(experiment, "/created_at", now),
                id: text(experiment, "experiment_id"),
                about: about(experiment),
                created: experiment.str("/created_at").map(str::to_owned),
            })
        }
    }
}

fn show<T: WatchedRow>(
    server: &Server,
    watch: bool,
    read: impl Fn() -> Result<Vec<Object>>,
    row: impl Fn(&Object, Timestamp) -> T,
) -> Result<Exit> {
    let kf = &server.kf;
    let rows = || -> Result<Vec<T>> {
        let now = kf.now();
        Ok(read()?.iter().map(|object| row(object, now)).collect())
    };
    if watch {
        return follow(kf, rows);
    }
    let rows = rows()?;
    kf.table(&rows)?;
    if rows.is_empty() {
        kf.note(format!("nothing found in {}", kf.namespace()));
    }
    Ok(Exit::OK)
}

/// Refreshes the table until it is interrupted. The server has no watch, so it is polled.
fn follow<T: WatchedRow>(kf: &Kf, rows: impl Fn() -> Result<Vec<T>>) -> Result<Exit> {
    let mut screen = WatchedScreen::of(kf);
    loop {
        screen.show(rows()?)?;
        if kf.wait(&[&kf.after(POLL_INTERVAL)]).is_empty() {
            return Ok(Exit::OK);
        }
    }
}

fn run_row(run: &Object, now: Timestamp) -> RunRow {
    let state = State::of(run);
    RunRow {
        name: text(run, "display_name"),
        state_cell: state.cell(),
        state,
        took: took(run, "/created_at", "/finished_at", now),
        age: age(run, "/created_at", now),
        id: text(run, "run_id"),
        experiment: run.str("/experiment_id").map(str::to_owned),
        why: error(run),
    }
}

fn text(object: &Object, field: &str) -> String {
    object.str(&format!("/{field}")).unwrap_or_default().to_owned()
}

fn about(object: &Object) -> Option<String> {
    object.str("/description").filter(|about| !about.is_empty()).map(str::to_owned)
}

fn experiment(server: &Server, name: &str) -> Result<String> {
    find::experiment(server, name)?
        .ok_or_else(|| Error::not_found(format!("no experiment `{name}`")).hint("kf pipeline ls experiments"))
}

//! `kf pipeline status`: a run and its tasks.

use kf_plugin_sdk::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::run::POLL_INTERVAL;
use crate::server::Server;
use crate::state::{State, error, took};
use crate::{Status, find};

/// A task of a run, as a row.
#[derive(Clone, PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"task/{}\", self.name)")]
pub(crate) struct Task {
    #[column(title = "TASK")]
    pub(crate) name: String,
    #[serde(skip)]
    #[column(title = "STATE")]
    state_cell: Cell,
    #[column(skip)]
    state: State,
    took: Option<String>,
    #[column(wide)]
    pod: Option<String>,
    pub(crate) why: Option<String>,
    /// All pods of the task that the server knows.
    #[serde(skip)]
    #[column(skip)]
    pub(crate) pods: Vec<String>,
}

impl Task {
    /// The tasks of a run in the order they started, without the server's own steps.
    pub(crate) fn of_run(run: &Object, now: Timestamp) -> Vec<Self> {
        let details = ["/run_details/task_details", "/tasks"].map(|pointer| run.list(pointer));
        let details = details.into_iter().find(|list| !list.is_empty()).unwrap_or(&[]);
        let mut tasks: Vec<_> = details.iter().cloned().map(Object::from).collect();
        tasks.retain(|task| !is_internal(task.str("/display_name").unwrap_or_default()));
        tasks.sort_by_key(|task| task.time("/start_time").or_else(|| task.time("/create_time")));
        tasks.iter().map(|task| Self::of(task, now)).collect()
    }

    fn of(task: &Object, now: Timestamp) -> Self {
        let state = State::of(task);
        let own = task.str("/pod_name").filter(|pod| !pod.is_empty()).map(str::to_owned);
        let below = task.list("/child_tasks").iter().filter_map(|child| child.get("pod_name")?.as_str());
        let more = task.list("/pods").iter().filter_map(|pod| pod.get("name")?.as_str());
        Self {
            name: task.str("/display_name").unwrap_or("?").to_owned(),
            state_cell: state.cell(),
            took: took(task, "/start_time", "/end_time", now),
            pods: own.iter().cloned().chain(below.chain(more).map(str::to_owned)).collect(),
            pod: own,
            why: error(task),
            state,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state.as_text() == "Running"
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.state.has_failed()
    }
}

/// Whether this is one of the server's own steps: the root of the graph, or the driver of a task.
fn is_internal(name: &str) -> bool {
    name == "root" || name == "executor" || name.ends_with("-driver")
}

#[derive(Serialize, TableRow)]
#[row(name = "format!(\"run/{}\", self.name)")]
struct RunDetail {
    name: String,
    #[serde(skip)]
    #[column(title = "STATE")]
    state_cell: Cell,
    #[column(skip)]
    state: State,
    id: String,
    took: Option<String>,
    #[serde(skip)]
    #[column(title = "PARAMETERS")]
    parameters_line: String,
    #[column(skip)]
    parameters: Option<Value>,
    why: Option<String>,
    #[column(skip)]
    tasks: Vec<Task>,
}

pub(crate) fn status(server: &Server, status: &Status) -> Result<Exit> {
    let kf = &server.kf;
    let run = find::run(server, &status.run)?;
    if status.watch {
        return watch(server, run);
    }
    let detail = RunDetail::of(&run, kf.now());
    kf.record(&detail)?;
    if kf.output_format().is_table() && !detail.tasks.is_empty() {
        kf.print_line("")?;
        kf.table(&detail.tasks)?;
    }
    Ok(Exit::OK)
}

/// Watches until the run ends. The server has no watch, so it is polled.
fn watch(server: &Server, mut run: Object) -> Result<Exit> {
    let kf = &server.kf;
    let id = run.str("/run_id").unwrap_or_default().to_owned();
    let screen = kf.live_table::<Task>();
    let mut shown = Vec::new();
    loop {
        let tasks = Task::of_run(&run, kf.now());
        if tasks != shown {
            screen.update(&tasks)?;
            shown = tasks;
        }
        let state = State::of(&run);
        if state.is_final() {
            kf.note(format!(
                "{} {}",
                run.str("/display_name").unwrap_or_default(),
                state.as_text().to_lowercase()
            ));
            return Ok(Exit::OK);
        }
        kf.sleep(POLL_INTERVAL);
        run = find::by_id(server, &id)?;
    }
}

impl RunDetail {
    fn of(run: &Object, now: Timestamp) -> Self {
        let state = State::of(run);
        let parameters = run.at("/runtime_config/parameters").cloned();
        let line = parameters.iter().filter_map(Value::as_object).flatten();
        let line: Vec<_> = line.map(|(name, value)| format!("{name}={}", to_text(value))).collect();
        Self {
            name: run.str("/display_name").unwrap_or_default().to_owned(),
            state_cell: state.cell(),
            id: run.str("/run_id").unwrap_or_default().to_owned(),
            took: took(run, "/created_at", "/finished_at", now),
            parameters_line: line.join(", "),
            parameters,
            why: error(run),
            tasks: Task::of_run(run, now),
            state,
        }
    }
}

fn to_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

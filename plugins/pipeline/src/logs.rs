//! `kf pipeline logs`: the logs of a run's pods.

use std::collections::BTreeSet;

use kf_plugin_sdk::Forwarding;
use kf_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::find::RUN_LABEL;
use crate::run::POLL_INTERVAL;
use crate::server::Server;
use crate::state::State;
use crate::status::Task;
use crate::{Logs, find};

/// The path of a step in the graph, such as `iris-x7.root.train.executor`.
const STEP_ANNOTATION: &str = "workflows.argoproj.io/node-name";
/// The container that does a step's work.
const MAIN_CONTAINER: &str = "main";

pub(crate) fn logs(server: &Server, logs: &Logs) -> Result<Exit> {
    let kf = &server.kf;
    let mut run = find::run(server, &logs.run)?;
    let id = run.str("/run_id").unwrap_or_default().to_owned();
    let mut seen = BTreeSet::new();
    let mut open: Vec<Forwarding> = Vec::new();
    loop {
        let tasks = Task::of_run(&run, kf.now());
        let wanted = match logs.task.as_deref().map(|name| task(&tasks, name)).transpose() {
            // The task may not have started yet.
            Err(_) if logs.follow && !State::of(&run).is_final() => {
                kf.sleep(POLL_INTERVAL);
                run = find::by_id(server, &id)?;
                continue;
            }
            wanted => wanted?,
        };
        for step in steps(kf, &id, wanted)? {
            if seen.insert(step.pod.clone()) {
                let log = kf.log(&step.pod).container(MAIN_CONTAINER).follow(logs.follow).open()?;
                let prefix = if wanted.is_some() { None } else { Some(format!("[{}] ", step.label)) };
                let forwarding = log.forward(prefix.as_deref());
                match logs.follow {
                    true => open.push(forwarding?),
                    // One after the other, in the order they started.
                    false => drop(forwarding?.finish()?),
                }
            }
        }
        if !logs.follow || State::of(&run).is_final() {
            break;
        }
        kf.sleep(POLL_INTERVAL);
        run = find::by_id(server, &id)?;
    }
    for forwarding in open {
        forwarding.finish()?;
    }
    if seen.is_empty() {
        let task = logs.task.as_ref().map(|task| format!(" of task {task}")).unwrap_or_default();
        let name = run.str("/display_name").unwrap_or_default();
        return Err(Error::not_found(format!(
            "no pods{task} of run {name} found: they have not started, or were deleted"
        ))
        .hint(format!("kf pipeline status {id}")));
    }
    Ok(Exit::OK)
}

fn task<'t>(tasks: &'t [Task], name: &str) -> Result<&'t Task> {
    tasks.iter().find(|task| task.name == name).ok_or_else(|| {
        let names: Vec<_> = tasks.iter().map(|task| task.name.as_str()).collect();
        let available = if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
        Error::not_found(format!("the run has no task `{name}`; available: {available}"))
    })
}

struct Step {
    pod: String,
    label: String,
}

/// The pods that have started, oldest first.
fn steps(kf: &Kf, run: &str, task: Option<&Task>) -> Result<Vec<Step>> {
    let mut pods = kf.api("Pod").labels(format!("{RUN_LABEL}={run}")).list()?;
    pods.retain(|pod| has_started(pod) && task.is_none_or(|task| belongs_to(pod, task)));
    pods.sort_by_key(|pod| (pod.created(), pod.name().to_owned()));
    let step = |pod: &Object| Step { pod: pod.name().to_owned(), label: label(pod) };
    Ok(pods.iter().filter(|pod| !label(pod).ends_with("driver")).map(step).collect())
}

fn has_started(pod: &Object) -> bool {
    pod.list("/status/containerStatuses").iter().any(|status| {
        let is_main = status.get("name").and_then(Value::as_str) == Some(MAIN_CONTAINER);
        let states = ["/state/running", "/state/terminated", "/lastState/terminated"];
        is_main && states.iter().any(|state| status.pointer(state).is_some())
    })
}

fn belongs_to(pod: &Object, task: &Task) -> bool {
    task.pods.iter().any(|name| name == pod.name()) || path(pod).any(|part| part == task.name)
}

fn path(pod: &Object) -> impl Iterator<Item = &str> {
    pod.annotation(STEP_ANNOTATION).unwrap_or_default().split('.').skip(1)
}

/// The task in the step's path, or the pod's name if it has no path.
fn label(pod: &Object) -> String {
    let parts: Vec<_> = path(pod).filter(|part| *part != "root" && *part != "executor").collect();
    parts.last().map_or_else(|| pod.name().to_owned(), |part| (*part).to_owned())
}

//! `kf pipeline logs`: what the pods of a run say.

use std::collections::BTreeSet;

use kf_plugin_sdk::Forwarding;
use kf_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::find::RUN_LABEL;
use crate::run::LOOK;
use crate::server::Server;
use crate::state::State;
use crate::status::Task;
use crate::{Logs, find};

/// The path of a step in the graph, such as `iris-x7.root.train.executor`.
const STEP: &str = "workflows.argoproj.io/node-name";
/// The container that does a step's work.
const MAIN: &str = "main";

pub(crate) fn logs(server: &Server, logs: &Logs) -> Result<Exit> {
    let kf = &server.kf;
    let mut run = find::run(server, &logs.run)?;
    let id = run.str("/run_id").unwrap_or_default().to_owned();
    let mut seen = BTreeSet::new();
    let mut open: Vec<Forwarding> = Vec::new();
    loop {
        let tasks = Task::of_run(&run, kf.now());
        let wanted = match logs.task.as_deref().map(|name| task(&tasks, name)).transpose() {
            // It may have yet to begin.
            Err(_) if logs.follow && !State::of(&run).is_final() => {
                kf.sleep(LOOK);
                run = find::by_id(server, &id)?;
                continue;
            }
            wanted => wanted?,
        };
        for step in steps(kf, &id, wanted)? {
            if seen.insert(step.pod.clone()) {
                let log = kf.log(&step.pod).container(MAIN).follow(logs.follow).open()?;
                let prefix = if wanted.is_some() { None } else { Some(format!("[{}] ", step.label)) };
                let forwarding = log.forward(prefix.as_deref());
                match logs.follow {
                    true => open.push(forwarding?),
                    // One after the other, in the order they began.
                    false => drop(forwarding?.finish()?),
                }
            }
        }
        if !logs.follow || State::of(&run).is_final() {
            break;
        }
        kf.sleep(LOOK);
        run = find::by_id(server, &id)?;
    }
    for forwarding in open {
        forwarding.finish()?;
    }
    if seen.is_empty() {
        let of = logs.task.as_ref().map(|task| format!(" of task {task}")).unwrap_or_default();
        let name = run.str("/display_name").unwrap_or_default();
        return Err(Error::not_found(format!(
            "run {name} has no pods{of} here: they have not begun, or were cleaned up"
        ))
        .hint(format!("kf pipeline status {id}")));
    }
    Ok(Exit::OK)
}

fn task<'t>(tasks: &'t [Task], name: &str) -> Result<&'t Task> {
    tasks.iter().find(|task| task.name == name).ok_or_else(|| {
        let names: Vec<_> = tasks.iter().map(|task| task.name.as_str()).collect();
        let there = if names.is_empty() {
            "there is none yet".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        Error::not_found(format!("the run has no task `{name}`; {there}"))
    })
}

struct Step {
    pod: String,
    label: String,
}

/// The pods whose work has begun, the oldest first.
fn steps(kf: &Kf, run: &str, task: Option<&Task>) -> Result<Vec<Step>> {
    let mut pods = kf.api("Pod").labels(format!("{RUN_LABEL}={run}")).list()?;
    pods.retain(|pod| has_begun(pod) && task.is_none_or(|task| works_on(pod, task)));
    pods.sort_by_key(|pod| (pod.created(), pod.name().to_owned()));
    let step = |pod: &Object| Step { pod: pod.name().to_owned(), label: label(pod) };
    Ok(pods.iter().filter(|pod| !label(pod).ends_with("driver")).map(step).collect())
}

fn has_begun(pod: &Object) -> bool {
    pod.list("/status/containerStatuses").iter().any(|status| {
        let is_main = status.get("name").and_then(Value::as_str) == Some(MAIN);
        let states = ["/state/running", "/state/terminated", "/lastState/terminated"];
        is_main && states.iter().any(|state| status.pointer(state).is_some())
    })
}

fn works_on(pod: &Object, task: &Task) -> bool {
    task.pods.iter().any(|name| name == pod.name()) || path(pod).any(|part| part == task.name)
}

fn path(pod: &Object) -> impl Iterator<Item = &str> {
    pod.annotation(STEP).unwrap_or_default().split('.').skip(1)
}

/// The task, as the step's path names it; the pod's name where it has no path.
fn label(pod: &Object) -> String {
    let parts: Vec<_> = path(pod).filter(|part| *part != "root" && *part != "executor").collect();
    parts.last().map_or_else(|| pod.name().to_owned(), |part| (*part).to_owned())
}

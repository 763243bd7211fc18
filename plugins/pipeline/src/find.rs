//! Finds runs and experiments by name.

use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;

use crate::server::{Server, encoded};

/// How many runs or experiments are searched for a name.
const MAX_SEARCHED: usize = 1000;

/// The label on every pod of a run.
pub(crate) const RUN_LABEL: &str = "pipeline/runid";
/// The label with the name of the run's workflow.
const WORKFLOW_LABEL: &str = "workflows.argoproj.io/workflow";

/// Completes the ids of runs that have pods in the namespace. The server has all runs, but asking it needs a
/// forwarded port, which counts as a change.
pub(crate) fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    let pods = kf.api("Pod").labels(RUN_LABEL).list()?;
    let runs: BTreeMap<_, _> = pods
        .iter()
        .filter_map(|pod| Some((pod.label(RUN_LABEL)?, pod.label(WORKFLOW_LABEL))))
        .filter(|(id, _)| id.starts_with(request.word()))
        .collect();
    let candidate = |(id, workflow): (&str, Option<&str>)| Candidate {
        value: id.to_owned(),
        help: workflow.map(str::to_owned),
    };
    Ok(runs.into_iter().map(candidate).collect())
}

/// The run with this id, or the newest one with this name or this prefix of its id.
pub(crate) fn run(server: &Server, name: &str) -> Result<Object> {
    if is_id(name) {
        return by_id(server, name);
    }
    let recent = server.list("runs", "/runs", "runs", &[], MAX_SEARCHED)?;
    let matches = |run: &&Object| {
        run.str("/display_name") == Some(name)
            || (name.len() >= 4 && run.str("/run_id").is_some_and(|id| id.starts_with(name)))
    };
    let Some(id) = recent.iter().find(matches).and_then(|run| run.str("/run_id")) else {
        return Err(
            Error::not_found(format!("no run `{name}` in {}", server.kf.namespace())).hint("kf pipeline ls")
        );
    };
    // A list does not include the tasks.
    by_id(server, id)
}

pub(crate) fn by_id(server: &Server, id: &str) -> Result<Object> {
    Ok(server.get("runs", &format!("/runs/{}", encoded(id)), &[])?.into())
}

/// The id of the experiment of this name, if it exists.
pub(crate) fn experiment(server: &Server, name: &str) -> Result<Option<String>> {
    let all = server.list("experiments", "/experiments", "experiments", &[], MAX_SEARCHED)?;
    let found = all.iter().find(|experiment| experiment.str("/display_name") == Some(name));
    Ok(found.and_then(|experiment| experiment.str("/experiment_id")).map(str::to_owned))
}

fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

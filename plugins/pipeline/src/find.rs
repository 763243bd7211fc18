//! A run by what a person calls it.

use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;

use crate::server::{Server, encoded};

/// How far back a run is looked for by its name.
const RECENT: usize = 1000;

/// The label that every pod of a run has.
pub(crate) const RUN_LABEL: &str = "pipeline/runid";
/// The name of the workflow that makes them.
const WORKFLOW_LABEL: &str = "workflows.argoproj.io/workflow";

/// Completes the id of a run that has pods here. The server knows more of them, but to ask it takes a
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

/// The run of this id, or the newest whose name it is or whose id begins so.
pub(crate) fn run(server: &Server, words: &str) -> Result<Object> {
    if is_id(words) {
        return by_id(server, words);
    }
    let recent = server.list("runs", "/runs", "runs", &[], RECENT)?;
    let is = |run: &&Object| {
        run.str("/display_name") == Some(words)
            || (words.len() >= 4 && run.str("/run_id").is_some_and(|id| id.starts_with(words)))
    };
    let Some(id) = recent.iter().find(is).and_then(|run| run.str("/run_id")) else {
        return Err(
            Error::not_found(format!("no run `{words}` in {}", server.kf.namespace())).hint("kf pipeline ls")
        );
    };
    // A list leaves the tasks out.
    by_id(server, id)
}

pub(crate) fn by_id(server: &Server, id: &str) -> Result<Object> {
    Ok(server.get("runs", &format!("/runs/{}", encoded(id)), &[])?.into())
}

/// The id of the experiment of this name, if there is one.
pub(crate) fn experiment(server: &Server, name: &str) -> Result<Option<String>> {
    let all = server.list("experiments", "/experiments", "experiments", &[], RECENT)?;
    let found = all.iter().find(|experiment| experiment.str("/display_name") == Some(name));
    Ok(found.and_then(|experiment| experiment.str("/experiment_id")).map(str::to_owned))
}

fn is_id(words: &str) -> bool {
    words.len() == 36 && words.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

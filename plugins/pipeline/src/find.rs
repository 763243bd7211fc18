//! A run by what a person calls it.

use kf_plugin_sdk::prelude::*;

use crate::server::{Server, encoded};

/// How far back a run is looked for by its name.
const RECENT: usize = 1000;

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

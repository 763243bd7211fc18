//! Waits until a new revision is ready or has failed.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;

use crate::rollout::{Progress, failed_container};
use crate::watched::WatchedService;
use crate::{Serve, predictor};

/// How often events are read again.
const REFRESH: Duration = Duration::from_secs(2);

/// How long KServe may take to see a change. Until then its errors may be about the previous spec.
const SETTLE_TIME: Duration = Duration::from_secs(10);

/// A service whose newest revision is ready.
pub(crate) struct Ready {
    pub(crate) service: Object,
    /// Ready pods of that revision.
    pub(crate) pods: Vec<Object>,
    pub(crate) count: usize,
}

/// Waits for the newest revision. `outdated` is the previous one of Knative.
pub(crate) fn until_ready(kf: &Kf, serve: &Serve, name: &str, outdated: Option<&str>) -> Result<Ready> {
    let started = kf.now();
    let end = kf.after(serve.timeout.0);
    let progress = kf.progress(&format!("waiting for {name}"));
    if kf.context().interactive {
        let again = kf.same_target(&format!("kf serve {name} --wait"));
        kf.note(format!("Ctrl-C stops waiting and leaves {name} as it is; resume with `{again}`"));
    }
    let mut watched = WatchedService::open(kf, name)?;
    let mut refresh = kf.after(REFRESH);
    loop {
        let settled = started.age(kf.now()) >= SETTLE_TIME;
        let Some(view) = watched.view(outdated, settled) else {
            return Err(Error::failed(format!("{name} was deleted before it was ready")));
        };
        let why = match view.progress() {
            Progress::Ready(count) => {
                let pods = view.ready_pods().into_iter().cloned().collect();
                return Ok(Ready { service: view.service.clone(), pods, count });
            }
            Progress::Stopped => return Err(stopped_error(name)),
            Progress::Failing { why, pod, old } => {
                let said = pod.and_then(|pod| last_line(kf, watched.pod(&pod)?));
                return Err(cannot_start(kf, name, &why, said.as_deref(), old));
            }
            Progress::Starting { ready, wanted, why, .. } => {
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                format!("{ready} of {wanted} pods ready{why}")
            }
        };
        let lost = watched.lost().map(|error| format!("{error}; retrying"));
        progress.say(&format!("waiting for {name}: {}", lost.as_ref().unwrap_or(&why)));
        let ready = watched.wait(kf, &[&end, &refresh])?;
        if ready.contains(&0) {
            let after = short_duration(serve.timeout.0);
            return Err(Error::timed_out(format!("{name} is not ready after {after}: {why}"))
                .hint(format!("kf status inferenceservice/{name}")));
        }
        if ready.contains(&1) {
            watched.read_events(kf);
            refresh = kf.after(REFRESH);
        }
    }
}

/// Whether the newest revision is ready now.
pub(crate) fn is_ready(kf: &Kf, service: &Object) -> bool {
    let watched = WatchedService::open(kf, service.name());
    let progress = watched.ok().and_then(|watched| Some(watched.view(None, true)?.progress()));
    matches!(progress, Some(Progress::Ready(_)))
}

fn stopped_error(name: &str) -> Error {
    Error::failed(format!("{name} is stopped: it has no pods")).hint(format!("kf serve {name} --start"))
}

fn cannot_start(kf: &Kf, name: &str, why: &str, said: Option<&str>, old: usize) -> Error {
    let said = said.map(|line| format!(": \"{line}\"")).unwrap_or_default();
    if old == 0 {
        return Error::failed(format!("{name} cannot start: {why}{said}")).hint(format!("kf logs {name}"));
    }
    let pods = if old == 1 { "1 pod keeps".to_owned() } else { format!("{old} pods keep") };
    kf.note(format!("{pods} serving the previous revision"));
    Error::failed(format!("the new revision of {name} cannot start: {why}{said}"))
        .hint(format!("kf serve {name} --rollback"))
}

/// The last log line of a crashed container.
fn last_line(kf: &Kf, pod: &Object) -> Option<String> {
    let (container, previous) = failed_container(pod)?;
    let log = kf.log(pod.name()).container(container).previous(previous).tail(Some(20)).open().ok()?;
    let lines = log.lines().ok()?;
    lines.into_iter().rev().find(|line| !line.trim().is_empty())
}

/// Notes that a stopped service has no pods to wait for.
pub(crate) fn note_if_stopped(kf: &Kf, service: &Object) {
    if predictor::is_stopped(service) {
        let name = service.name();
        let start = kf.same_target(&format!("kf serve {name} --start"));
        kf.note(format!("{name} is stopped and has no pods; start it with `{start}`"));
    }
}

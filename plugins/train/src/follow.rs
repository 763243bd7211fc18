//! Waits until the job ends.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Follow, LogChoice, Outcome, Stop, Workload};
use kf_training_job::{first_pod, metrics};

/// Follows the job and returns its result as the exit code. If kf is interrupted, the job keeps running.
pub(crate) fn follow(kf: &Kf, job: Workload, ranks: Option<i64>, logs: bool) -> Result<Exit> {
    let name = job.name.clone();
    if kf.context().interactive {
        let again = kf.same_target(&format!("kf logs {job} -f"));
        kf.note(format!("Ctrl-C leaves {name} running; follow it again with `{again}`"));
    }
    let mut follow = Follow::new(kf, job);
    if let Some(ranks) = ranks {
        follow = follow.with_ranks(ranks);
    }
    if logs {
        follow = follow.with_logs(LogChoice { follow: true, ..LogChoice::default() });
    }
    match follow.run()? {
        Stop::Ended(outcome) if outcome.succeeded => {
            let mut metrics = status_metrics(&follow);
            if metrics.is_none() && !logs {
                metrics = logged_metrics(kf, &follow);
            }
            let metrics = metrics.map(|metrics| format!(": {metrics}")).unwrap_or_default();
            kf.note(format!("{name} complete{}{metrics}", after_duration(&outcome)));
            Ok(Exit::OK)
        }
        Stop::Ended(outcome) => Err(failure(kf, &name, &outcome, &follow, logs)),
        Stop::Deleted => Err(Error::failed(format!("{name} was deleted before it ended"))),
        Stop::Printed | Stop::NotStarted | Stop::Stopped => Ok(Exit::OK),
    }
}

/// The final metrics from the job's status.
fn status_metrics(follow: &Follow<'_>) -> Option<String> {
    let metrics = follow.component().object.list("/status/trainerStatus/metrics").iter();
    let metrics: Vec<_> = metrics
        .filter_map(|metric| {
            Some(format!("{}={}", metric.get("name")?.as_str()?, metric.get("value")?.as_str()?))
        })
        .collect();
    (!metrics.is_empty()).then(|| metrics.join(" "))
}

/// The number of lines at the end of a log that are searched for metrics.
const TAIL_LINES: u32 = 20;

/// The metrics in the last line of the first rank's log that has any.
fn logged_metrics(kf: &Kf, follow: &Follow<'_>) -> Option<String> {
    // Logs that cannot be read do not fail the job.
    let pods = follow.component().pods(kf).ok()?;
    let first = first_pod(&pods)?;
    let container = follow.component().default_container(first)?;
    let log = kf.log(first.name()).container(container).tail(Some(TAIL_LINES)).open().ok()?;
    let lines = log.lines().ok()?;
    let found = lines.iter().rev().map(|line| metrics::in_line(line)).find(|found| !found.is_empty())?;
    Some(found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
}

/// The error of a failed job. First prints the last log lines of the pod that failed first.
fn failure(kf: &Kf, name: &str, outcome: &Outcome, follow: &Follow<'_>, logs: bool) -> Error {
    if let Some(last) = follow.failure_log() {
        // --logs has printed these lines already.
        for line in last.lines.iter().filter(|_| !logs) {
            kf.note(format!("[{}] {line}", last.label));
        }
        kf.note(format!("{} failed: {}", last.label, last.why));
    }
    let why = outcome.summary().map(|why| format!(": {why}")).unwrap_or_default();
    Error::failed(format!("{name} failed{}{why}", after_duration(outcome)))
        .hint(format!("kf status {}", follow.component()))
}

fn after_duration(outcome: &Outcome) -> String {
    outcome.took.map(|took| format!(" after {}", short_duration(took))).unwrap_or_default()
}

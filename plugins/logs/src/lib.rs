//! `kf logs`: the logs of all ranks of a workload, from before its pods exist until it ends.

use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{
    Follow, LogChoice, MAX_FOLLOWED, Outcome, Stop, Workload, WorkloadKind, complete_workload, follow_all,
    outcome,
};

/// Show the logs of a workload
///
/// Works for training jobs, jobs, experiments, notebooks, services, deployments and pods. Shows the main
/// container of every rank, or an init container that failed. With more than 16 ranks only rank 0 is shown
/// unless --all is given. With --follow, kf waits for pods that do not exist yet, prints what they are
/// waiting for, and follows until the job ends, also across restarts; the job's result becomes the exit code.
/// Services and notebooks are followed until Ctrl-C. Stopping kf does not stop the workload. The logs of
/// several workloads are printed one after the other, or interleaved with --follow, and each line begins with
/// the workload's name. Katib redirects the output of a trial to its metrics collector, so the collector's
/// log is shown.
#[derive(clap::Parser, Describe)]
#[kf(example("logs mnist -f", "follow all ranks until the job ends"))]
#[kf(example("logs mnist --rank 1 --tail 100", "the last 100 lines of one rank"))]
#[kf(example("logs job/prepare --previous", "the run before the last restart"))]
#[kf(example("logs mnist --all", "every rank, step and container"))]
pub struct Logs {
    /// The workloads, as NAME or KIND/NAME
    #[arg(required = true, value_name = "NAME")]
    #[kf(complete = dynamic)]
    names: Vec<String>,
    /// Follow the logs until the workload ends
    #[arg(long, short)]
    follow: bool,
    /// Only this rank, starting at 0
    #[arg(long, value_name = "N", help_heading = "Selection")]
    rank: Option<u32>,
    /// Every rank, step and container
    #[arg(long, conflicts_with_all = ["rank", "step"], help_heading = "Selection")]
    all: bool,
    /// Only this step of a training job: node, launcher, dataset-initializer, model-initializer, worker
    #[arg(long, help_heading = "Selection")]
    step: Option<String>,
    /// Only this container of each pod
    #[arg(long, short, help_heading = "Selection")]
    container: Option<String>,
    /// The previous run of the container, before its last restart
    #[arg(long, short, conflicts_with = "follow", help_heading = "Selection")]
    previous: bool,
    /// Only the last LINES lines
    #[arg(long, value_name = "LINES", help_heading = "Output")]
    tail: Option<u32>,
    /// Only lines newer than this, such as 10m
    #[arg(long, value_name = "DURATION", help_heading = "Output")]
    since: Option<Span>,
    /// Prefix each line with its timestamp
    #[arg(long, help_heading = "Output")]
    timestamps: bool,
}

#[kf_plugin_sdk::main(complete = complete_workload)]
pub fn main(logs: Logs, kf: &Kf) -> Result<Exit> {
    match logs.names.as_slice() {
        [only] => show(kf, &logs, only),
        several if logs.follow => follow_several(kf, &logs, several),
        several => show_all(kf, &logs, several),
    }
}

/// Prints one workload after the other. A failure does not stop the rest.
fn show_all(kf: &Kf, logs: &Logs, names: &[String]) -> Result<Exit> {
    let (mut exit, mut failure) = (Exit::OK, None);
    for name in names {
        match show(kf, logs, name) {
            Ok(shown) if shown == Exit::OK => {}
            Ok(shown) => exit = shown,
            Err(error) => {
                if let Some(before) = failure.replace(error) {
                    let before: Error = before;
                    kf.warn(before.message);
                }
            }
        }
    }
    failure.map_or(Ok(exit), Err)
}

/// Follows all at once until the last has ended. A missing name is reported before anything is followed. A failure is
/// reported when it happens, and is the result of the command.
fn follow_several(kf: &Kf, logs: &Logs, names: &[String]) -> Result<Exit> {
    let mut found: Vec<(Workload, &str)> = Vec::new();
    for words in names {
        let component = Workload::find(kf, words)?;
        let is_same = |other: &Workload| other.kind == component.kind && other.name == component.name;
        if !found.iter().any(|(other, _)| is_same(other)) {
            found.push((component, words));
        }
    }
    if found.len() > MAX_FOLLOWED {
        let message = format!("--follow supports at most {MAX_FOLLOWED} workloads, got {}", found.len());
        return Err(Error::invalid(message));
    }
    let words_of: BTreeMap<String, &str> =
        found.iter().map(|(component, words)| (component.to_string(), *words)).collect();
    let mut left = found.len();
    let follows = found.into_iter().map(|(component, _)| Follow::new(kf, component).with_logs(logs.choice()));
    let (mut exit, mut first) = (Exit::OK, None);
    follow_all(kf, follows.collect(), |follow, stop| {
        left -= 1;
        let words = words_of.get(&follow.component().to_string()).copied().unwrap_or_default();
        match stop.and_then(|stop| finish(kf, logs, words, follow, stop)) {
            Ok(shown) if shown == Exit::OK => {}
            Ok(shown) => exit = shown,
            Err(error) => {
                // The last error is printed as the result of the command.
                if left > 0 || first.is_some() {
                    kf.warn(&error.message);
                }
                first.get_or_insert(error);
            }
        }
    });
    first.map_or(Ok(exit), Err)
}

fn show(kf: &Kf, logs: &Logs, words: &str) -> Result<Exit> {
    let component = Workload::find(kf, words)?;
    let mut follow = Follow::new(kf, component).with_logs(logs.choice());
    let stop = follow.run()?;
    finish(kf, logs, words, &follow, stop)
}

/// The result at the end of the logs of a workload.
fn finish(kf: &Kf, logs: &Logs, words: &str, follow: &Follow<'_>, stop: Stop) -> Result<Exit> {
    let (name, full_name) = (follow.component().name.clone(), follow.component().to_string());
    // It has not ended: its pods are refused for good.
    let is_refused = outcome(&follow.component().object).is_none();
    match stop {
        Stop::Ended(outcome) if is_refused && logs.follow => report(kf, &name, &full_name, &outcome),
        Stop::Ended(_) if is_refused => Err(no_logs_yet_error(kf, words, &full_name, follow)),
        Stop::Printed | Stop::Ended(_) if !follow.has_printed() => {
            Err(no_logs_error(kf, logs, words, follow))
        }
        Stop::NotStarted => Err(no_logs_yet_error(kf, words, &full_name, follow)),
        Stop::Printed => {
            warn_lost_logs(kf, follow);
            Ok(Exit::OK)
        }
        Stop::Deleted => Err(Error::failed(format!("{name} was deleted"))),
        Stop::Stopped if !follow.has_printed() => Err(stopped_error(&full_name, follow)),
        Stop::Stopped => {
            kf.note(format!("{name} was stopped"));
            Ok(Exit::OK)
        }
        Stop::Ended(outcome) => {
            warn_lost_logs(kf, follow);
            if logs.follow { report(kf, &name, &full_name, &outcome) } else { Ok(Exit::OK) }
        }
    }
}

impl Logs {
    fn choice(&self) -> LogChoice {
        LogChoice {
            follow: self.follow,
            all: self.all,
            rank: self.rank,
            step: self.step.clone(),
            container: self.container.clone(),
            tail: self.tail,
            since: self.since.map(|span| span.0),
            previous: self.previous,
            timestamps: self.timestamps,
            with_name: self.names.len() > 1,
        }
    }
}

/// The error if the workload has ended without logs. Hints use the full name, which is unambiguous.
fn no_logs_error(kf: &Kf, logs: &Logs, words: &str, follow: &Follow<'_>) -> Error {
    let component = follow.component();
    let (name, full_name) = (&component.name, component.to_string());
    let line = kf.command_line().replace(words, &full_name);
    let by_katib = matches!(component.kind, WorkloadKind::Experiment | WorkloadKind::Trial);
    if follow.pods().next().is_none() && by_katib && !component.is_own_experiment() {
        let why = "Katib deletes the job of an ended trial with its logs";
        return Error::not_found(format!("{name} has ended: {why}")).hint(format!("kf status {full_name}"));
    }
    if follow.pods().next().is_none() {
        return Error::not_found(format!("{name} has ended and its pods were deleted with their logs"))
            .hint(format!("kf status {full_name}"));
    }
    if logs.previous {
        return Error::not_found(format!("{name} has not restarted: there is no previous run"))
            .hint(line.without("--previous"));
    }
    if let Some(lost) = follow.lost_logs().first() {
        return Error::not_found(lost.as_str()).hint(format!("kf status {full_name}"));
    }
    let which = match (logs.rank, &logs.step, &logs.container) {
        (Some(rank), Some(step), _) => format!("rank {rank} of step {step}"),
        (Some(rank), None, _) => format!("rank {rank}"),
        (None, Some(step), _) => format!("step {step}"),
        (None, None, container) => {
            let which =
                container.as_ref().map(|container| format!(" of container {container}")).unwrap_or_default();
            let why = follow.why().unwrap_or_else(|| "it never started".to_owned());
            return Error::not_found(format!("{name} has no log{which}: {why}"))
                .hint(format!("kf status {full_name}"));
        }
    };
    Error::not_found(format!("{name} has no {which}"))
        .hint(line.without("--rank").without("--step").without("--container"))
}

/// The error if there are no logs yet, without `--follow`.
fn no_logs_yet_error(kf: &Kf, words: &str, full_name: &str, follow: &Follow<'_>) -> Error {
    if let Some(lost) = follow.lost_logs().first() {
        return Error::not_found(lost.as_str()).hint(format!("kf status {full_name}"));
    }
    let name = full_name.rsplit('/').next().unwrap_or(full_name);
    let why = follow.why().map(|why| format!(": {why}")).unwrap_or_default();
    let line = kf.command_line().replace(words, full_name).with("--follow");
    Error::not_found(format!("{name} has no logs yet{why}")).hint(line)
}

/// Warns about logs that are lost while others were printed.
fn warn_lost_logs(kf: &Kf, follow: &Follow<'_>) {
    follow.lost_logs().iter().for_each(|lost| kf.warn(lost));
}

/// The error if the workload was stopped before it had logs.
fn stopped_error(name: &str, follow: &Follow<'_>) -> Error {
    let why = follow.verdict().why.map(|why| format!(": {why}")).unwrap_or_default();
    Error::not_found(format!("{name} is stopped and has no pods, so it has no logs{why}"))
        .hint(format!("kf status {name}"))
}

fn report(kf: &Kf, name: &str, full_name: &str, outcome: &Outcome) -> Result<Exit> {
    let after = outcome.took.map(|took| format!(" after {}", short_duration(took))).unwrap_or_default();
    if outcome.succeeded {
        kf.note(format!("{name} complete{after}"));
        return Ok(Exit::OK);
    }
    let why = outcome.summary().map(|said| format!(": {said}")).unwrap_or_default();
    Err(Error::failed(format!("{name} failed{after}{why}")).hint(format!("kf status {full_name}")))
}

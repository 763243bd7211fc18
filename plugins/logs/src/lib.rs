//! `kf logs`: the logs of all ranks of a workload, from before its pods exist until it ends.

use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{
    Component, ComponentKind, Follow, LogChoice, MAX_TOGETHER, Outcome, Stop, complete_component,
    follow_together, outcome,
};

/// Show the logs of whatever runs here
///
/// Of a training job, job, experiment, notebook, service, deployment or pod: all its ranks, the
/// container that does the work; where an init container failed, that one. With --follow it waits for
/// pods that are not there yet and says what they wait for, and stays until the job ends, also across
/// restarts. The job's result becomes the exit code; a service or a notebook it follows until Ctrl-C.
/// Stopping kf never stops what it follows. Of more than 16 ranks only rank 0 is shown unless --all is given.
/// The logs of several components come one after the other, with --follow all at once, and each line begins with
/// its component's name. Katib sends what a trial prints to its metrics collector, whose log is shown.
#[derive(clap::Parser, Describe)]
#[kf(example("logs mnist -f", "follow all ranks until the job ends"))]
#[kf(example("logs mnist --rank 1 --tail 100", "the last 100 lines of one rank"))]
#[kf(example("logs job/prepare --previous", "the run before the last restart"))]
#[kf(example("logs mnist --all", "every rank, step and container"))]
pub struct Logs {
    /// The components, as NAME or KIND/NAME
    #[arg(required = true, value_name = "NAME")]
    #[kf(complete = dynamic)]
    names: Vec<String>,
    /// Stay until it ends
    #[arg(long, short)]
    follow: bool,
    /// Only this rank, counted from 0
    #[arg(long, value_name = "N", help_heading = "Which logs")]
    rank: Option<u32>,
    /// Every rank, step and container
    #[arg(long, conflicts_with_all = ["rank", "step"], help_heading = "Which logs")]
    all: bool,
    /// Only this step of a training job: node, launcher, dataset-initializer, model-initializer, worker
    #[arg(long, help_heading = "Which logs")]
    step: Option<String>,
    /// Only this container of each pod
    #[arg(long, short, help_heading = "Which logs")]
    container: Option<String>,
    /// The container's run before its last restart
    #[arg(long, short, conflicts_with = "follow", help_heading = "Which logs")]
    previous: bool,
    /// So many lines from the end
    #[arg(long, value_name = "LINES", help_heading = "How much")]
    tail: Option<u32>,
    /// Nothing older than this, such as 10m
    #[arg(long, value_name = "DURATION", help_heading = "How much")]
    since: Option<Span>,
    /// Start every line with its time
    #[arg(long, help_heading = "How much")]
    timestamps: bool,
}

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(logs: Logs, kf: &Kf) -> Result<Exit> {
    match logs.names.as_slice() {
        [only] => show(kf, &logs, only),
        several if logs.follow => follow_all(kf, &logs, several),
        several => show_all(kf, &logs, several),
    }
}

/// One after the other. One without logs hides none of the others.
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

/// All at once, until the last of them has ended. A name that is not there is told before anything is followed; a
/// failure is told when it happens, and is the end of it all.
fn follow_all(kf: &Kf, logs: &Logs, names: &[String]) -> Result<Exit> {
    let mut found: Vec<(Component, &str)> = Vec::new();
    for words in names {
        let component = Component::find(kf, words)?;
        let is_same = |other: &Component| other.kind == component.kind && other.name == component.name;
        if !found.iter().any(|(other, _)| is_same(other)) {
            found.push((component, words));
        }
    }
    if found.len() > MAX_TOGETHER {
        let message =
            format!("--follow takes at most {MAX_TOGETHER} components, and these are {}", found.len());
        return Err(Error::invalid(message));
    }
    let words_of: BTreeMap<String, &str> =
        found.iter().map(|(component, words)| (component.to_string(), *words)).collect();
    let mut left = found.len();
    let follows = found.into_iter().map(|(component, _)| Follow::new(kf, component).with_logs(logs.choice()));
    let (mut exit, mut first) = (Exit::OK, None);
    follow_together(kf, follows.collect(), |follow, stop| {
        left -= 1;
        let words = words_of.get(&follow.component().to_string()).copied().unwrap_or_default();
        match stop.and_then(|stop| conclude(kf, logs, words, follow, stop)) {
            Ok(shown) if shown == Exit::OK => {}
            Ok(shown) => exit = shown,
            Err(error) => {
                // The last one is told by the command's own end.
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
    let component = Component::find(kf, words)?;
    let mut follow = Follow::new(kf, component).with_logs(logs.choice());
    let stop = follow.run()?;
    conclude(kf, logs, words, &follow, stop)
}

/// What is said at the end of a component's logs.
fn conclude(kf: &Kf, logs: &Logs, words: &str, follow: &Follow<'_>, stop: Stop) -> Result<Exit> {
    let (name, full_name) = (follow.component().name.clone(), follow.component().to_string());
    // It has not ended: its pods can never be made.
    let is_refused = outcome(&follow.component().object).is_none();
    match stop {
        Stop::Ended(outcome) if is_refused && logs.follow => report(kf, &name, &full_name, &outcome),
        Stop::Ended(_) if is_refused => Err(nothing_yet(kf, words, &full_name, follow)),
        Stop::Printed | Stop::Ended(_) if !follow.has_printed() => Err(nothing_left(kf, logs, words, follow)),
        Stop::NotStarted => Err(nothing_yet(kf, words, &full_name, follow)),
        Stop::Printed => {
            tell_lost(kf, follow);
            Ok(Exit::OK)
        }
        Stop::Deleted => Err(Error::failed(format!("{name} was deleted"))),
        Stop::Stopped if !follow.has_printed() => Err(stopped(&full_name, follow)),
        Stop::Stopped => {
            kf.note(format!("{name} was stopped"));
            Ok(Exit::OK)
        }
        Stop::Ended(outcome) => {
            tell_lost(kf, follow);
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

/// The workload has ended and there was nothing to print. The full name means no other in a hint.
fn nothing_left(kf: &Kf, logs: &Logs, words: &str, follow: &Follow<'_>) -> Error {
    let component = follow.component();
    let (name, full_name) = (&component.name, component.to_string());
    let line = kf.command_line().replace(words, &full_name);
    let by_katib = matches!(component.kind, ComponentKind::Experiment | ComponentKind::Trial);
    if follow.pods().next().is_none() && by_katib && !component.is_own_experiment() {
        let why = "Katib deletes the job of a trial that has ended, and its logs with it";
        return Error::not_found(format!("{name} has ended: {why}")).hint(format!("kf status {full_name}"));
    }
    if follow.pods().next().is_none() {
        return Error::not_found(format!("{name} has ended and its pods are gone, their logs with them"))
            .hint(format!("kf status {full_name}"));
    }
    if logs.previous {
        return Error::not_found(format!("{name} was never restarted, there is no earlier run"))
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

/// There is nothing to print so far, and nobody asked to wait for it.
fn nothing_yet(kf: &Kf, words: &str, full_name: &str, follow: &Follow<'_>) -> Error {
    if let Some(lost) = follow.lost_logs().first() {
        return Error::not_found(lost.as_str()).hint(format!("kf status {full_name}"));
    }
    let name = full_name.rsplit('/').next().unwrap_or(full_name);
    let why = follow.why().map(|why| format!(": {why}")).unwrap_or_default();
    let line = kf.command_line().replace(words, full_name).with("--follow");
    Error::not_found(format!("{name} has no logs yet{why}")).hint(line)
}

/// Logs that are gone beside others that were printed.
fn tell_lost(kf: &Kf, follow: &Follow<'_>) {
    follow.lost_logs().iter().for_each(|lost| kf.warn(lost));
}

/// It was stopped before there was anything to print.
fn stopped(name: &str, follow: &Follow<'_>) -> Error {
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
    let why = outcome.said().map(|said| format!(": {said}")).unwrap_or_default();
    Err(Error::failed(format!("{name} failed{after}{why}")).hint(format!("kf status {full_name}")))
}

//! `kf logs`: the logs of all ranks of a workload, from before its pods exist until it ends.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Follow, LogChoice, Outcome, Stop, Target};

/// Show the logs of a training job, job or pod
///
/// Waits for pods that are not there yet and says what they wait for. With --follow it stays
/// until the workload ends, also across restarts, and its result becomes the exit code. Stopping
/// kf never stops the workload.
#[derive(clap::Parser, Describe)]
#[kf(example("logs mnist -f", "follow all ranks until the job ends"))]
#[kf(example("logs mnist --rank 1 --tail 100", "the last 100 lines of one rank"))]
#[kf(example("logs job/prepare --previous", "the run before the last restart"))]
pub struct Logs {
    /// The workload, as NAME or KIND/NAME (trainjob, jobset, job, pod)
    #[kf(complete = objects("trainer.kubeflow.org/TrainJob"))]
    name: String,
    /// Stay until the workload ends
    #[arg(long, short)]
    follow: bool,
    /// Only this rank, counted from 0
    #[arg(long, value_name = "N", help_heading = "Which logs")]
    rank: Option<u32>,
    /// Only this step of a training job: node, launcher, dataset-initializer, model-initializer
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

#[kf_plugin_sdk::main]
pub fn main(logs: Logs, kf: &Kf) -> Result<Exit> {
    let target = Target::find(kf, &logs.name)?;
    let name = target.name.clone();
    let choice = logs.choice();
    let asked = (choice.rank, choice.step.clone());
    let mut follow = Follow::new(kf, target).with_logs(choice);
    match follow.run()? {
        Stop::Printed => Ok(Exit::OK),
        Stop::Deleted => {
            kf.note(format!("{name} was deleted"));
            Ok(Exit::FAILED)
        }
        Stop::Ended(_) if !follow.has_printed() => Err(nothing_left(&name, asked, &follow)),
        Stop::Ended(_) if !logs.follow => Ok(Exit::OK),
        Stop::Ended(outcome) => Ok(report(kf, &name, &outcome)),
    }
}

impl Logs {
    fn choice(&self) -> LogChoice {
        LogChoice {
            follow: self.follow,
            rank: self.rank,
            step: self.step.clone(),
            container: self.container.clone(),
            tail: self.tail,
            since: self.since.map(|span| span.0),
            previous: self.previous,
            timestamps: self.timestamps,
        }
    }
}

/// The workload has ended and there was nothing to print.
fn nothing_left(name: &str, asked: (Option<u32>, Option<String>), follow: &Follow<'_>) -> Error {
    if follow.pods().next().is_none() {
        return Error::not_found(format!("{name} has ended and its pods are gone, their logs with them"))
            .hint(format!("kf status {name}"));
    }
    let which = match asked {
        (Some(rank), Some(step)) => format!("rank {rank} of step {step}"),
        (Some(rank), None) => format!("rank {rank}"),
        (None, Some(step)) => format!("step {step}"),
        (None, None) => "container that ever started".to_owned(),
    };
    Error::not_found(format!("{name} has no {which}")).hint(format!("kf logs {name}"))
}

fn report(kf: &Kf, name: &str, outcome: &Outcome) -> Exit {
    let after = outcome.took.map(|took| format!(" after {}", short_duration(took))).unwrap_or_default();
    if outcome.succeeded {
        kf.note(format!("{name} complete{after}"));
        return Exit::OK;
    }
    let why = [&outcome.reason, &outcome.message].map(String::as_str);
    let why: Vec<_> = why.into_iter().filter(|part| !part.is_empty()).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(": ")) };
    kf.warn(format!("{name} failed{after}{why}"));
    Exit::FAILED
}

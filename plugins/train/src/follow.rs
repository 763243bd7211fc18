//! Staying until the job ends.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Follow, LogChoice, Outcome, Stop, Target, TargetKind};

/// Follows the job; its result is the exit code. Whoever stops kf leaves the job running.
pub(crate) fn follow(kf: &Kf, job: Object, nodes: i64, logs: bool) -> Result<Exit> {
    let name = job.name().to_owned();
    if kf.context().interactive {
        kf.note(format!("Ctrl-C leaves {name} running; `kf logs {name} -f` comes back to it"));
    }
    let target = Target { kind: TargetKind::TrainJob, name: name.clone(), object: job };
    let mut follow = Follow::new(kf, target).with_ranks(nodes);
    if logs {
        follow = follow.with_logs(LogChoice { follow: true, ..LogChoice::default() });
    }
    match follow.run()? {
        Stop::Ended(outcome) if outcome.succeeded => {
            kf.note(format!("{name} complete{}", after(&outcome)));
            Ok(Exit::OK)
        }
        Stop::Ended(outcome) => {
            tell_failure(kf, &name, &outcome, &follow, logs);
            Ok(Exit::FAILED)
        }
        Stop::Deleted => {
            kf.warn(format!("{name} was deleted before it ended"));
            Ok(Exit::FAILED)
        }
        Stop::Printed => Ok(Exit::OK),
    }
}

fn tell_failure(kf: &Kf, name: &str, outcome: &Outcome, follow: &Follow<'_>, logs: bool) {
    let said = [outcome.reason.as_str(), outcome.message.as_str()];
    let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
    let why = if said.is_empty() { String::new() } else { format!(": {}", said.join(": ")) };
    kf.warn(format!("{name} failed{}{why}", after(outcome)));
    let Some(last) = follow.last_words() else { return };
    kf.note(format!("{} ended with {}", last.label, last.why));
    // With --logs the lines have just been on the screen.
    for line in last.lines.iter().filter(|_| !logs) {
        kf.note(format!("[{}] {line}", last.label));
    }
}

fn after(outcome: &Outcome) -> String {
    outcome.took.map(|took| format!(" after {}", short_duration(took))).unwrap_or_default()
}

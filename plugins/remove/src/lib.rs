//! `kf remove`: removes training jobs, notebooks, services and other workloads.
//!
//! [`plan`] finds what is deleted and what is kept, [`target`] deletes a workload and waits until it is gone.

mod plan;
mod target;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, complete_workload};
use serde::Serialize;

use target::Target;

/// Remove training jobs, notebooks, services and other workloads
///
/// Shows what is deleted with them and what is kept, such as volumes. Asks before it removes a running
/// workload. Waits until its pods have ended. If one of several is not found, none is removed.
#[derive(clap::Parser, Describe)]
#[kf(example("remove mnist", "remove a workload; ask if it is running"))]
#[kf(example("remove trainjob/mnist lr --yes", "remove two without asking"))]
#[kf(example("remove mnist --dry-run", "show what would be deleted and kept"))]
pub struct Remove {
    /// The workloads, as NAME or KIND/NAME
    #[arg(required = true, value_name = "WORKLOAD")]
    #[kf(complete = dynamic)]
    components: Vec<String>,
    /// Remove running workloads without asking
    #[arg(long, short)]
    yes: bool,
    /// Keep dependents, such as pods
    #[arg(long)]
    keep_pods: bool,
    /// Do not wait until its pods have ended
    #[arg(long, help_heading = "Waiting")]
    no_wait: bool,
    /// How long to wait until its pods have ended
    #[arg(long, value_name = "DURATION", default_value = "5m", help_heading = "Waiting")]
    timeout: Span,
}

/// The result.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "self.component.clone()")]
struct Removed {
    component: String,
    state: &'static str,
    /// Mounted volumes that are kept.
    #[column(skip)]
    stays: Vec<String>,
}

#[kf_plugin_sdk::main(complete = complete_workload)]
pub fn main(remove: Remove, kf: &Kf) -> Result<Exit> {
    let mut targets: Vec<Target> = Vec::new();
    for words in &remove.components {
        let component = owner_or_self(kf, &remove, words, Workload::find(kf, words)?)?;
        if !targets.iter().any(|known| known.component.to_string() == component.to_string()) {
            targets.push(Target::new(kf, words, component, remove.keep_pods)?);
        }
    }
    let several = targets.len() > 1;
    for target in &targets {
        let prefix = if several { format!("{}: ", target.component) } else { String::new() };
        target.plan.print(kf, &prefix, remove.keep_pods);
    }
    let dry_run = kf.context().dry_run;
    if !dry_run && !remove.yes {
        confirm(kf, &targets)?;
    }
    // The others are removed even if one cannot be.
    let mut failure = None;
    let mut deleted = Vec::new();
    for target in targets {
        match target.delete(kf) {
            Ok(()) => deleted.push(target),
            Err(error) => note_failure(kf, &mut failure, error),
        }
    }
    if !dry_run {
        report(kf, &remove, several, deleted, &mut failure)?;
    }
    failure.map_or(Ok(Exit::OK), Err)
}

/// Waits until the targets are deleted and reports the results.
fn report(
    kf: &Kf,
    remove: &Remove,
    several: bool,
    deleted: Vec<Target>,
    failure: &mut Option<Error>,
) -> Result<()> {
    let state = if remove.no_wait { "is being removed" } else { "removed" };
    let mut removed = Vec::new();
    for target in deleted {
        if !remove.no_wait
            && let Err(error) = target.wait_until_gone(kf, remove.timeout.0)
        {
            note_failure(kf, failure, error);
            continue;
        }
        let component = target.component.to_string();
        let record = Removed { component, state, stays: target.plan.kept_volumes };
        if several && !kf.output_format().is_table() {
            removed.push(record);
        } else {
            kf.report_with(format!("{} {state}", record.component), &record)?;
        }
    }
    if several && !kf.output_format().is_table() { kf.table(&removed) } else { Ok(()) }
}

/// Keeps the last error as the result and prints the earlier one as a warning.
fn note_failure(kf: &Kf, failure: &mut Option<Error>, error: Error) {
    if let Some(earlier) = failure.replace(error) {
        kf.warn(earlier.message);
    }
}

/// Offers the owner in place of an owned object, which its owner would recreate.
fn owner_or_self(kf: &Kf, remove: &Remove, words: &str, named: Workload) -> Result<Workload> {
    let Some(owner) = plan::topmost_owner(kf, &named)? else { return Ok(named) };
    let Some(top) = owner.component else {
        let kind = owner.kind.to_lowercase();
        let message = format!("{named} belongs to {kind}/{}, which would recreate it", owner.name);
        return Err(Error::invalid(message).hint(format!("kf status {named}")));
    };
    let message = format!("{named} belongs to {top}, which would recreate it");
    if kf.context().interactive && kf.confirm(&format!("{message}. Remove {top} instead?"), false) {
        return Ok(top);
    }
    // --yes for the owned object does not apply to its owner.
    let line = kf.command_line().without("--yes");
    // The owner may be on the line already.
    let is_named = remove.components.iter().any(|other| *other == top.name || *other == top.to_string());
    let line = if is_named { line.without(words) } else { line.replace(words, &top.to_string()) };
    Err(Error::invalid(message).hint(line))
}

/// Returns only if the user has confirmed the removal.
fn confirm(kf: &Kf, targets: &[Target]) -> Result<()> {
    let running: Vec<_> = targets.iter().filter(|target| target.plan.running.is_some()).collect();
    if running.is_empty() {
        return Ok(());
    }
    for target in &running {
        target.check_permission(kf)?;
    }
    let described = |target: &&Target| {
        format!("{} {}", target.component, target.plan.running.as_deref().unwrap_or_default())
    };
    let text = running.iter().map(described).collect::<Vec<_>>().join(", ");
    let names = targets.iter().map(|target| target.component.to_string()).collect::<Vec<_>>().join(", ");
    let question = if targets.len() == 1 { "Remove it?".to_owned() } else { format!("Remove {names}?") };
    if kf.confirm(&format!("{text}. {question}"), false) {
        return Ok(());
    }
    if kf.context().interactive {
        return Err(Error::failed("cancelled: nothing was removed"));
    }
    let mut line = kf.command_line();
    for target in targets {
        line = line.replace(&target.argument, &target.component.to_string());
    }
    Err(Error::invalid(format!("not a terminal: refusing to remove without confirmation: {text}"))
        .hint(line.with("--yes")))
}

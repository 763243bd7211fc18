//! `kf remove`: training jobs, notebooks, services, or whatever else runs here.
//!
//! [`plan`] finds out what goes and what stays, [`target`] deletes it and waits until it is gone.

mod plan;
mod target;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Component, complete_component};
use serde::Serialize;

use target::Target;

/// Remove a training job, notebook, service or whatever else
///
/// Says what goes with it and what stays: volumes always do. What still runs is asked about
/// first. Waits until its pods have ended. Of several, none is removed unless all are found.
#[derive(clap::Parser, Describe)]
#[kf(example("remove mnist", "remove it, after a question if it runs"))]
#[kf(example("remove trainjob/mnist lr --yes", "two of them, without a question"))]
#[kf(example("remove mnist --dry-run", "see what would go and what would stay"))]
pub struct Remove {
    /// The components, as NAME or KIND/NAME
    #[arg(required = true, value_name = "COMPONENT")]
    #[kf(complete = dynamic)]
    components: Vec<String>,
    /// Remove it even if it runs
    #[arg(long, short)]
    yes: bool,
    /// Leave what it made behind, pods among it
    #[arg(long)]
    keep_pods: bool,
    /// Do not wait until its pods have ended
    #[arg(long, help_heading = "Waiting")]
    no_wait: bool,
    /// How long to wait until its pods have ended
    #[arg(long, value_name = "DURATION", default_value = "5m", help_heading = "Waiting")]
    timeout: Span,
}

/// What became of it.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "self.component.clone()")]
struct Removed {
    component: String,
    state: &'static str,
    /// Volumes that were mounted and are still there.
    #[column(skip)]
    stays: Vec<String>,
}

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(remove: Remove, kf: &Kf) -> Result<Exit> {
    let mut targets: Vec<Target> = Vec::new();
    for words in &remove.components {
        let component = owner_instead(kf, &remove, words, Component::find(kf, words)?)?;
        if !targets.iter().any(|known| known.component.to_string() == component.to_string()) {
            targets.push(Target::new(kf, words, component, remove.keep_pods)?);
        }
    }
    let several = targets.len() > 1;
    for target in &targets {
        let of = if several { format!("{}: ", target.component) } else { String::new() };
        target.plan.tell(kf, &of, remove.keep_pods);
    }
    let dry_run = kf.context().dry_run;
    if !dry_run && !remove.yes {
        agree(kf, &targets)?;
    }
    // One that cannot be removed keeps none of the others.
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

/// Waits for what was deleted, and says what became of it.
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
            && let Err(error) = target.until_gone(kf, remove.timeout.0)
        {
            note_failure(kf, failure, error);
            continue;
        }
        let component = target.component.to_string();
        let record = Removed { component, state, stays: target.plan.stays };
        if several && !kf.output_format().is_table() {
            removed.push(record);
        } else {
            kf.did_with(format!("{} {state}", record.component), &record)?;
        }
    }
    if several && !kf.output_format().is_table() { kf.table(&removed) } else { Ok(()) }
}

/// The first is the command's own error; those before it would go unseen otherwise.
fn note_failure(kf: &Kf, failure: &mut Option<Error>, error: Error) {
    if let Some(before) = failure.replace(error) {
        kf.warn(before.message);
    }
}

/// Removing a part is in vain: its owner makes it anew. So the owner is offered.
fn owner_instead(kf: &Kf, remove: &Remove, words: &str, named: Component) -> Result<Component> {
    let Some(owner) = plan::topmost_owner(kf, &named)? else { return Ok(named) };
    let Some(top) = owner.component else {
        let kind = owner.kind.to_lowercase();
        let message = format!("{named} belongs to {kind}/{}, which would make it anew", owner.name);
        return Err(Error::invalid(message).hint(format!("kf status {named}")));
    };
    let message = format!("{named} belongs to {top}, which would make it anew");
    if kf.context().interactive && kf.confirm(&format!("{message}. Remove {top} instead?"), false) {
        return Ok(top);
    }
    // A yes to the part is none to its owner.
    let line = kf.command_line().without("--yes");
    // The owner may be on the line already.
    let is_named = remove.components.iter().any(|other| *other == top.name || *other == top.to_string());
    let line = if is_named { line.without(words) } else { line.replace(words, &top.to_string()) };
    Err(Error::invalid(message).hint(line))
}

/// Returns only if the person means it.
fn agree(kf: &Kf, targets: &[Target]) -> Result<()> {
    let running: Vec<_> = targets.iter().filter(|target| target.plan.running.is_some()).collect();
    if running.is_empty() {
        return Ok(());
    }
    for target in &running {
        target.check_permitted(kf)?;
    }
    let said = |target: &&Target| {
        format!("{} {}", target.component, target.plan.running.as_deref().unwrap_or_default())
    };
    let text = running.iter().map(said).collect::<Vec<_>>().join(", ");
    let names = targets.iter().map(|target| target.component.to_string()).collect::<Vec<_>>().join(", ");
    let question = if targets.len() == 1 { "Remove it?".to_owned() } else { format!("Remove {names}?") };
    if kf.confirm(&format!("{text}. {question}"), false) {
        return Ok(());
    }
    if kf.context().interactive {
        return Err(Error::failed(format!("you said no to removing {names}; nothing was changed")));
    }
    let mut line = kf.command_line();
    for target in targets {
        line = line.replace(&target.words, &target.component.to_string());
    }
    let what = if running.len() == 1 { "it" } else { "them" };
    Err(Error::invalid(format!("{text}, and nobody can be asked whether to remove {what}"))
        .hint(line.with("--yes")))
}

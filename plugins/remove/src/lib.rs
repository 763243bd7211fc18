//! `kf remove`: a training job, a notebook, a service, or whatever else runs here.
//!
//! [`plan`] finds out what goes and what stays, [`gone`] waits until it is gone.

mod gone;
mod plan;

use kf_plugin_sdk::border::{DeleteOptions, Propagation};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Component, complete_component};
use serde::Serialize;

use plan::Plan;

/// Remove a training job, notebook, service or whatever else
///
/// Says what goes with it and what stays: volumes always do. What still runs is asked about
/// first. Waits until its pods have ended.
#[derive(clap::Parser, Describe)]
#[kf(example("remove mnist", "remove it, after a question if it runs"))]
#[kf(example("remove trainjob/mnist --yes", "without a question"))]
#[kf(example("remove mnist --dry-run", "see what would go and what would stay"))]
pub struct Remove {
    /// The component, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    component: String,
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
    let named = Component::find(kf, &remove.component)?;
    let component = owner_instead(kf, &remove, named)?;
    let plan = Plan::of(kf, &component)?;
    plan.tell(kf, remove.keep_pods);
    let propagation = if remove.keep_pods { Propagation::Orphan } else { Propagation::Foreground };
    let options = DeleteOptions {
        propagation,
        // What was looked at, and not another of the same name made in the meantime.
        uid: component.object.uid().map(str::to_owned),
        ..DeleteOptions::default()
    };
    let api = kf.api(component.kind.kind());
    let dry_run = kf.context().dry_run;
    if let Some(running) = plan.running.as_ref().filter(|_| !dry_run && !remove.yes) {
        // Nobody should be asked only to be refused. Not every webhook can be tried out.
        let trial = DeleteOptions { dry_run: true, ..options.clone() };
        if let Err(error) = api.delete_with(&component.name, &trial)
            && error.is(ErrorCode::Forbidden)
        {
            return Err(error);
        }
        agree(kf, &remove, &component, running)?;
    }
    api.delete_with(&component.name, &options)?;
    if dry_run {
        return Ok(Exit::OK);
    }
    let state = if remove.no_wait { "is being removed" } else { "removed" };
    if !remove.no_wait {
        gone::until_gone(kf, &component, remove.timeout.0)?;
    }
    let removed = Removed { component: component.to_string(), state, stays: plan.stays };
    kf.did_with(format!("{component} {state}"), &removed)?;
    Ok(Exit::OK)
}

/// Removing a part is in vain: its owner makes it anew. So the owner is offered.
fn owner_instead(kf: &Kf, remove: &Remove, named: Component) -> Result<Component> {
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
    let line = kf.command_line().without("--yes").replace(&remove.component, &top.to_string());
    Err(Error::invalid(message).hint(line))
}

/// Returns only if the person means it.
fn agree(kf: &Kf, remove: &Remove, component: &Component, running: &str) -> Result<()> {
    if kf.confirm(&format!("{component} {running}. Remove it?"), false) {
        return Ok(());
    }
    if kf.context().interactive {
        return Err(Error::failed(format!("you said no to removing {component}; nothing was changed")));
    }
    Err(Error::invalid(format!("{component} {running}, and nobody can be asked whether to remove it"))
        .hint(kf.command_line().replace(&remove.component, &component.to_string()).with("--yes")))
}

use std::time::Duration;

use kf_notebook_server::{Server, Snapshot, View, kernels, page, until_stopped};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;

use crate::Report;

/// Users active within this time may have unsaved work.
const RECENT: Duration = Duration::from_secs(600);

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Stop {
    /// The server, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: String,
    /// Stop even if kernels are busy
    #[arg(long, short)]
    yes: bool,
    /// Do not wait for the pod to terminate
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for the pod to terminate
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: Span,
}

pub(crate) fn run(stop: &Stop, kf: &Kf) -> Result<Exit> {
    let mut server = Server::find(kf, &stop.name)?;
    let was_running = server.should_run();
    if was_running {
        confirm_stopping_kernels(stop, kf, &server)?;
        server = kf_notebook_server::stop(kf, &server)?;
    }
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    if !stop.no_wait {
        until_stopped(kf, &mut server, stop.timeout.0)?;
    }
    let kept = kept(kf, &server)?;
    let kept = if kept.is_empty() { String::new() } else { format!("; kept: {}", kept.join(", ")) };
    let change = match (was_running, stop.no_wait) {
        (false, _) => "was stopped already",
        (true, true) => "stopping",
        (true, false) => "stopped",
    };
    Report::of(&server, change).print(kf, &kept)?;
    Ok(Exit::OK)
}

/// Its volume claims that exist. Without permission to read claims, all that it refers to.
fn kept<'s>(kf: &Kf, server: &'s Server) -> Result<Vec<&'s str>> {
    let claims = kf.api("PersistentVolumeClaim");
    let (mut kept, mut missing) = (Vec::new(), Vec::new());
    for claim in server.claims() {
        match claims.find(claim) {
            Ok(None) => missing.push(claim),
            Ok(Some(_)) => kept.push(claim),
            Err(error) if error.is(ErrorCode::Forbidden) => kept.push(claim),
            Err(error) => return Err(error),
        }
    }
    if !missing.is_empty() {
        kf.warn(format!("{server} refers to volume claims that do not exist: {}", missing.join(", ")));
    }
    Ok(kept)
}

/// Asks before stopping busy kernels, whose state is lost.
fn confirm_stopping_kernels(stop: &Stop, kf: &Kf, server: &Server) -> Result<()> {
    let now = kf.now();
    let snapshot = Snapshot::of(kf, server)?;
    let Some(pod) = View::new(server, &snapshot, now).ready_pod() else { return Ok(()) };
    let found = page(kf, server, pod, None).ok().and_then(|page| kernels(kf, pod, &page));
    match found {
        Some(kernels) if kernels.busy > 0 && !stop.yes => {
            let text = format!("{} of {} kernels of {server} are busy", kernels.busy, kernels.open);
            if kf.confirm(&format!("{text}; their state will be lost. Stop it?"), false) {
                return Ok(());
            }
            Err(Error::failed(text).hint(kf.command_line().with("--yes")))
        }
        Some(kernels) => {
            if kernels.open > 0 {
                kf.warn(format!("the state of the {} kernels of {server} is lost", kernels.open));
            }
            Ok(())
        }
        None => {
            let recent = server.last_activity().map(|last| last.age(now)).filter(|age| *age < RECENT);
            if let Some(age) = recent {
                let age = short_duration(age);
                kf.warn(format!("{server} was in use {age} ago; unsaved work is lost"));
            }
            Ok(())
        }
    }
}

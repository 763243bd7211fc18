use std::time::Duration;

use kf_notebook_server::{Scene, Server, View, busy, page, until_stopped};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;

use crate::Report;

/// Somebody who was there so lately may have something unsaved.
const LATELY: Duration = Duration::from_secs(600);

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Stop {
    /// The server, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: String,
    /// Stop it even while kernels are busy
    #[arg(long, short)]
    yes: bool,
    /// Do not wait until its pod is gone
    #[arg(long)]
    no_wait: bool,
    /// How long its pod may take to end
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: Span,
}

pub(crate) fn run(stop: &Stop, kf: &Kf) -> Result<Exit> {
    let mut server = Server::find(kf, &stop.name)?;
    let was_wished = server.is_wished();
    if was_wished {
        ask_about_kernels(stop, kf, &server)?;
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
    let change = match (was_wished, stop.no_wait) {
        (false, _) => "was stopped already",
        (true, true) => "stopping",
        (true, false) => "stopped",
    };
    Report::of(&server, change).print(kf, &kept)?;
    Ok(Exit::OK)
}

/// Its volume claims that are there. Where they may not be read, the server's word is taken for them.
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
        kf.warn(format!("{server} names volume claims that do not exist: {}", missing.join(", ")));
    }
    Ok(kept)
}

/// What is in a kernel's memory goes with it.
fn ask_about_kernels(stop: &Stop, kf: &Kf, server: &Server) -> Result<()> {
    let now = kf.now();
    let scene = Scene::of(kf, server)?;
    let Some(pod) = View::new(server, &scene, now).ready_pod() else { return Ok(()) };
    let kernels = page(kf, server, pod, None).ok().and_then(|page| busy(kf, pod, &page));
    match kernels {
        Some(kernels) if kernels.busy > 0 && !stop.yes => {
            let text = format!("{} of {} kernels of {server} are busy", kernels.busy, kernels.open);
            if kf.confirm(&format!("{text}, and what they hold is lost. Stop it?"), false) {
                return Ok(());
            }
            Err(Error::failed(text).hint(kf.command_line().with("--yes")))
        }
        Some(kernels) => {
            if kernels.open > 0 {
                kf.warn(format!("what the {} kernels of {server} hold in memory is lost", kernels.open));
            }
            Ok(())
        }
        None => {
            let lately = server.last_activity().map(|last| last.age(now)).filter(|age| *age < LATELY);
            if let Some(age) = lately {
                let age = short_duration(age);
                kf.warn(format!("{server} was in use {age} ago; what was not saved is lost"));
            }
            Ok(())
        }
    }
}

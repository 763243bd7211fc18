use kf_notebook_server::{
    Change, Scene, Server, ServerState, View, busy, page, restart_with, until_replaced,
};
use kf_plugin_sdk::prelude::*;

use crate::Report;
use crate::create::Resources;

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Start {
    /// The server, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: String,
    /// Another image for a notebook
    #[arg(long, help_heading = "What it runs")]
    image: Option<String>,
    #[command(flatten)]
    resources: Resources,
    /// Another image option for a workspace
    #[arg(long, value_name = "ID", help_heading = "What it runs")]
    image_option: Option<String>,
    /// Another pod option for a workspace
    #[arg(long, value_name = "ID", help_heading = "What it runs")]
    pod_option: Option<String>,
    /// The options that have replaced a workspace's own
    #[arg(long, conflicts_with_all = ["image_option", "pod_option"], help_heading = "What it runs")]
    update: bool,
    /// Stay until it can be used
    #[arg(long, short)]
    wait: bool,
    /// How long it may take
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: Span,
    /// Replace a running pod without asking
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(start: &Start, kf: &Kf) -> Result<Exit> {
    let mut server = Server::find(kf, &start.name)?;
    let change = wanted(start, &server)?.patch(kf, &server)?;
    let scene = Scene::of(kf, &server)?;
    let view = View::new(&server, &scene, kf.now());
    if view.state == ServerState::Terminating {
        return Err(Error::failed(format!("{server} is being deleted")).hint(format!("kf status {server}")));
    }
    let old = view.pod.and_then(|pod| pod.uid()).map(str::to_owned);
    let is_ready = view.state == ServerState::Running;
    let plan = match (server.is_wished(), change.is_some()) {
        (false, _) => Plan::Start,
        (true, true) if view.pod.is_none() => Plan::Start,
        (true, true) if is_ready => Plan::Replace,
        (true, true) => Plan::Restart,
        (true, false) if view.is_stuck => Plan::Restart,
        (true, false) => Plan::Nothing,
    };
    let why = view.why.clone();
    match plan {
        Plan::Start => server = kf_notebook_server::start(kf, &server, change)?,
        Plan::Replace => {
            if let Some(pod) = view.ready_pod() {
                ask_about_the_pod(start, kf, &server, pod)?;
            }
            server = kf_notebook_server::start(kf, &server, change)?;
        }
        // Its stateful set would wait for the pod to become ready first.
        Plan::Restart if kf.context().dry_run => server = kf_notebook_server::start(kf, &server, change)?,
        Plan::Restart => {
            kf.note(format!("the pod of {server} is not ready and would never change: stopping it first"));
            server = restart_with(kf, &server, change, start.timeout.0)?;
        }
        Plan::Nothing => {}
    }
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    if start.wait {
        let old = old.filter(|_| matches!(plan, Plan::Replace | Plan::Restart));
        until_replaced(kf, &mut server, old.as_deref(), start.timeout.0)?;
        Report::of(&server, "running").print(kf, "")?;
        return Ok(Exit::OK);
    }
    let (said, more) = match plan {
        Plan::Nothing if is_ready => ("was running already", None),
        Plan::Nothing => ("was started already", why),
        Plan::Start | Plan::Replace | Plan::Restart => ("started", None),
    };
    let more = more.map(|why| format!(": {why}")).unwrap_or_default();
    Report::of(&server, said).print(kf, &more)?;
    Ok(Exit::OK)
}

/// What a start has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    Start,
    /// The controller replaces a ready pod at once, and asks nobody.
    Replace,
    /// What is not ready has to be stopped first.
    Restart,
}

fn wanted(start: &Start, server: &Server) -> Result<Change> {
    let mut change = Change {
        image: start.image.clone(),
        resources: start.resources.amounts(),
        image_option: start.image_option.clone(),
        pod_option: start.pod_option.clone(),
    };
    if start.update {
        let Some((image, pod)) = server.offered() else {
            return Err(Error::invalid(format!("there is no update for {server}")).hint("kf notebook ls"));
        };
        (change.image_option, change.pod_option) = (Some(image.to_owned()), Some(pod.to_owned()));
    }
    Ok(change)
}

fn ask_about_the_pod(start: &Start, kf: &Kf, server: &Server, pod: &Object) -> Result<()> {
    if start.yes || kf.context().dry_run {
        return Ok(());
    }
    let kernels = page(kf, server, pod, None).ok().and_then(|page| busy(kf, pod, &page));
    let open = kernels.map(|kernels| format!(" and its {} kernels", kernels.open)).unwrap_or_default();
    let text = format!("{server} runs, and this replaces its pod{open} at once");
    if kf.confirm(&format!("{text}. Replace it?"), false) {
        return Ok(());
    }
    Err(Error::failed(text).hint(kf.command_line().with("--yes")))
}

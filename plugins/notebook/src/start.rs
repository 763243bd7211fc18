use kf_notebook_server::{
    Change, Server, ServerState, Snapshot, View, kernels, page, restart_with, until_replaced,
};
use kf_plugin_sdk::prelude::*;

use crate::Report;
use crate::create::Resources;

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Start {
    /// The server, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: String,
    /// New image of a notebook
    #[arg(long, help_heading = "Changes")]
    image: Option<String>,
    #[command(flatten)]
    resources: Resources,
    /// New image option of a workspace
    #[arg(long, value_name = "ID", help_heading = "Changes")]
    image_option: Option<String>,
    /// New pod option of a workspace
    #[arg(long, value_name = "ID", help_heading = "Changes")]
    pod_option: Option<String>,
    /// Update a workspace to the options that replace its current ones
    #[arg(long, conflicts_with_all = ["image_option", "pod_option"], help_heading = "Changes")]
    update: bool,
    /// Wait until the server is ready
    #[arg(long, short)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: Span,
    /// Replace a running pod without confirmation
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(start: &Start, kf: &Kf) -> Result<Exit> {
    let mut server = Server::find(kf, &start.name)?;
    let change = wanted(start, &server)?.patch(kf, &server)?;
    let snapshot = Snapshot::of(kf, &server)?;
    let view = View::new(&server, &snapshot, kf.now());
    if view.state == ServerState::Terminating {
        return Err(Error::failed(format!("{server} is being deleted")).hint(format!("kf status {server}")));
    }
    let old = view.pod.and_then(|pod| pod.uid()).map(str::to_owned);
    let is_ready = view.state == ServerState::Running;
    let plan = match (server.should_run(), change.is_some()) {
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
                confirm_replacing_pod(start, kf, &server, pod)?;
            }
            server = kf_notebook_server::start(kf, &server, change)?;
        }
        // The stateful set would wait for the pod to become ready first.
        Plan::Restart if kf.context().dry_run => server = kf_notebook_server::start(kf, &server, change)?,
        Plan::Restart => {
            kf.note(format!("the pod of {server} is not ready and would not be updated: stopping it first"));
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
    let (change, more) = match plan {
        Plan::Nothing if is_ready => ("was running already", None),
        Plan::Nothing => ("was started already", why),
        Plan::Start | Plan::Replace | Plan::Restart => ("started", None),
    };
    let more = more.map(|why| format!(": {why}")).unwrap_or_default();
    Report::of(&server, change).print(kf, &more)?;
    Ok(Exit::OK)
}

/// The steps of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    Start,
    /// The controller replaces a ready pod immediately.
    Replace,
    /// A pod that is not ready has to be stopped first.
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
        let Some((image, pod)) = server.replacement_options() else {
            return Err(Error::invalid(format!("no update available for {server}")).hint("kf notebook ls"));
        };
        (change.image_option, change.pod_option) = (Some(image.to_owned()), Some(pod.to_owned()));
    }
    Ok(change)
}

fn confirm_replacing_pod(start: &Start, kf: &Kf, server: &Server, pod: &Object) -> Result<()> {
    if start.yes || kf.context().dry_run {
        return Ok(());
    }
    let found = page(kf, server, pod, None).ok().and_then(|page| kernels(kf, pod, &page));
    let open = found.map(|kernels| format!(" and its {} kernels", kernels.open)).unwrap_or_default();
    let text = format!("{server} is running: this replaces its pod{open} immediately");
    if kf.confirm(&format!("{text}. Replace it?"), false) {
        return Ok(());
    }
    Err(Error::failed(text).hint(kf.command_line().with("--yes")))
}

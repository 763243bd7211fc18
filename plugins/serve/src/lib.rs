//! `kf serve`: an inference service out of a file, out of flags, or out of both; its updates, and
//! the way back.
//!
//! [`predictor`] knows the shape of a service, [`overrides`] puts the flags on top, [`preflight`]
//! asks the cluster what it can serve, [`unbroken`] adds what an update needs to lose no request,
//! [`submit`] applies the result. [`rollout`] says how far a revision really is and [`wait`] stays
//! until it is there; [`history`] keeps what `--rollback` goes back to.

mod history;
mod list;
mod live;
mod overrides;
mod predictor;
mod preflight;
mod report;
mod request;
mod rollout;
mod submit;
mod switch;
mod unbroken;
mod wait;

use std::str::FromStr;

use kf_plugin_sdk::manifest::{Amount, Assignment, Devices, Variable, read_manifest};
use kf_plugin_sdk::prelude::*;

/// Serve a model, update it, and go back
///
/// The file holds an InferenceService as YAML or JSON; flags change it. Without a file the flags
/// make the service, or change the one that is there. So that no request is lost when a pod is
/// replaced, kf adds a pause before a pod stops, a readiness check, and a rollout that takes no pod
/// away before another is ready, each only where it is missing, and says so.
#[derive(clap::Parser, Debug, Default, Describe)]
#[kf(example("serve iris --model s3://models/iris --format sklearn --wait", "serve a stored model"))]
#[kf(example("serve iris --image team/iris:2 --wait", "serve an image, or update to it"))]
#[kf(example("serve iris --rollback --wait", "go back to the last revision that was ready"))]
pub struct Serve {
    /// The service's name
    #[kf(complete = objects("serving.kserve.io/InferenceService"))]
    name: Option<String>,
    /// The service as YAML or JSON; - is stdin
    file: Option<FileArg>,
    /// A server in an image of its own
    #[arg(long, conflicts_with_all = ["model", "runtime"], help_heading = "What is served")]
    image: Option<String>,
    /// Where the model is stored, such as s3://bucket/path or pvc://claim/path
    #[arg(long, value_name = "URI", help_heading = "What is served")]
    model: Option<String>,
    /// The model's format, such as sklearn
    #[arg(long, help_heading = "What is served")]
    format: Option<String>,
    /// The serving runtime; one that knows the format if absent
    #[arg(long, help_heading = "What is served")]
    #[kf(complete = dynamic)]
    runtime: Option<String>,
    /// Where the server listens
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), help_heading = "What is served")]
    port: Option<u16>,
    /// How many pods, or at least N and at most M
    #[arg(long, value_name = "N[:M]", help_heading = "What is served")]
    replicas: Option<Replicas>,
    /// A variable of the server; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = "What is served")]
    env: Vec<Variable>,
    /// Processors of a pod, such as 500m
    #[arg(long, help_heading = "What is served")]
    cpu: Option<Amount>,
    /// Memory of a pod, such as 2Gi
    #[arg(long, help_heading = "What is served")]
    memory: Option<Amount>,
    /// GPUs of a pod; another resource than nvidia.com/gpu as NAME=N
    #[arg(long, value_name = "N", help_heading = "What is served")]
    gpu: Option<Devices>,
    /// Any field, such as spec.predictor.timeout=60; may be repeated
    #[arg(long, value_name = "PATH=VALUE", help_heading = "What is served")]
    set: Vec<Assignment>,
    /// Stay until the new revision serves, or cannot
    #[arg(long, short, help_heading = "How it runs")]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = "How it runs")]
    timeout: Span,
    /// Wait, then send this JSON to the new revision and print its answer
    #[arg(long, value_name = "JSON", help_heading = "How it runs")]
    request: Option<String>,
    /// Where to; alone it is a GET. By default /v1/models/NAME:predict
    #[arg(long, value_name = "PATH", help_heading = "How it runs")]
    request_path: Option<String>,
    /// How long a pod goes on serving before it is stopped; 0s for not at all
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "How it runs")]
    drain: Span,
    /// Add nothing to the service
    #[arg(long, help_heading = "How it runs")]
    as_is: bool,
    /// Take over fields that another tool has set
    #[arg(long, help_heading = "How it runs")]
    force_conflicts: bool,
    /// Go back to the last revision that was ready
    #[arg(long, conflicts_with_all = CHANGES, help_heading = "Instead")]
    rollback: bool,
    /// Take the service's pods away and keep the service
    #[arg(long, conflicts_with_all = CHANGES, conflicts_with_all = ["rollback", "wait"], help_heading = "Instead")]
    stop: bool,
    /// Let a stopped service run again
    #[arg(long, conflicts_with_all = CHANGES, conflicts_with_all = ["rollback", "stop"], help_heading = "Instead")]
    start: bool,
    /// Show all services
    #[arg(long, conflicts_with_all = CHANGES, conflicts_with_all = ["name", "rollback", "stop", "start"], help_heading = "Instead")]
    list: bool,
    /// Keep the list up to date
    #[arg(long, requires = "list", help_heading = "Instead")]
    watch: bool,
}

/// What says how a service is to be, and has no place beside a flag that does something else.
const CHANGES: [&str; 12] =
    ["file", "image", "model", "format", "runtime", "port", "replicas", "env", "cpu", "memory", "gpu", "set"];

/// `N` or `N:M` pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replicas {
    min: u32,
    max: u32,
}

impl FromStr for Replicas {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (min, max) = text.split_once(':').unwrap_or((text, text));
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number of pods"));
        let replicas = Self { min: number(min)?, max: number(max)? };
        match replicas {
            Self { max: 0, .. } => Err("a service without pods is one that is stopped: --stop".into()),
            Self { min, max } if min > max => Err(format!("at least {min} is more than at most {max}")),
            _ => Ok(replicas),
        }
    }
}

#[kf_plugin_sdk::main(complete = preflight::complete)]
pub fn main(serve: Serve, kf: &Kf) -> Result<Exit> {
    if serve.list {
        preflight::check_served(kf)?;
        return if serve.watch { list::watch(kf) } else { list::print(kf) };
    }
    let name = serve.name()?;
    request::check(&serve)?;
    preflight::check_served(kf)?;
    if serve.stop || serve.start {
        return switch::switch(kf, &serve, name);
    }
    let before = kf.api(predictor::kind()).find(name)?;
    let wanted = match (serve.rollback, &serve.file, &before) {
        (true, _, before) => history::go_back(kf, name, before.as_ref())?,
        (false, Some(file), _) => predictor::normalised(read_manifest(kf, file, name, &[predictor::kind()])?),
        (false, None, Some(before)) => predictor::as_it_is(before),
        (false, None, None) => serve.new_service(kf, name)?,
    };
    let submitted = submit::submit(kf, &serve, wanted, before)?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    wait::tell_stopped(kf, &submitted.service);
    if !serve.waits() {
        submitted.report(kf)?;
        return Ok(Exit::OK);
    }
    submitted.tell(kf);
    let ready = wait::until_ready(kf, &serve, name, submitted.outdated.as_deref())?;
    history::record(kf, &ready.service);
    if !serve.asks() {
        submitted.report_ready(kf, &ready)?;
        return Ok(Exit::OK);
    }
    kf.note(submitted.ready_line(&ready));
    request::send(kf, &serve, &ready)
}

impl Serve {
    fn name(&self) -> Result<&str> {
        let name = self
            .name
            .as_deref()
            .ok_or_else(|| Error::invalid("no service is named").hint("kf serve --list"))?;
        predictor::check_name(name)?;
        Ok(name)
    }

    fn new_service(&self, kf: &Kf, name: &str) -> Result<Object> {
        if self.image.is_none() && self.model.is_none() {
            let line = kf.command_line();
            let hint = if self.format.is_some() || self.runtime.is_some() {
                line.set("--model", "URI").to_string()
            } else {
                format!("{}, or --model URI --format FORMAT, or a file", line.set("--image", "IMAGE"))
            };
            return Err(Error::not_found(format!(
                "no inference service `{name}`, and nothing says what a new one should serve"
            ))
            .hint(hint));
        }
        Ok(predictor::empty(name))
    }

    fn asks(&self) -> bool {
        self.request.is_some() || self.request_path.is_some()
    }

    fn waits(&self) -> bool {
        self.wait || self.asks()
    }
}

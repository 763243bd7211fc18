//! `kf serve`: creates, updates and rolls back an inference service, from a file, from flags, or from both.
//!
//! [`predictor`] knows the fields of a service, [`overrides`] applies the flags, [`preflight`] checks what the cluster
//! can serve, [`zero_downtime`] adds what an update needs to lose no requests, and [`submit`] applies the result.
//! [`rollout`] determines the actual state of a revision, [`wait`] waits until it is ready, and [`history`] stores the
//! revisions for `--rollback`.

mod history;
mod list;
mod overrides;
mod predictor;
mod preflight;
mod report;
mod request;
mod rollout;
mod stop_start;
mod submit;
mod wait;
mod watched;
mod zero_downtime;

use std::str::FromStr;

use kf_plugin_sdk::manifest::{Amount, Assignment, Devices, Variable, read_manifest};
use kf_plugin_sdk::prelude::*;

/// Serve a model, update it, roll it back
///
/// FILE holds an InferenceService as YAML or JSON; flags override its fields. Without a file, the flags
/// create the service or change the existing one. So that no request is lost when pods are replaced, kf adds
/// a preStop delay, a readiness probe and a rolling update without unavailable pods where they are missing,
/// and prints what it added.
#[derive(clap::Parser, Debug, Default, Describe)]
#[kf(example("serve iris --model s3://models/iris --format sklearn --wait", "serve a stored model"))]
#[kf(example("serve iris --image team/iris:2 --wait", "serve an image, or update to it"))]
#[kf(example("serve iris --rollback --wait", "roll back to the last ready revision"))]
pub struct Serve {
    /// The service's name
    #[kf(complete = objects("serving.kserve.io/InferenceService"))]
    name: Option<String>,
    /// The service as YAML or JSON; - is stdin
    file: Option<FileArg>,
    /// Serve with this container image
    #[arg(long, conflicts_with_all = ["model", "runtime"], help_heading = "Service")]
    image: Option<String>,
    /// Location of the model, such as s3://bucket/path or pvc://claim/path
    #[arg(long, value_name = "URI", help_heading = "Service")]
    model: Option<String>,
    /// Format of the model, such as sklearn
    #[arg(long, help_heading = "Service")]
    format: Option<String>,
    /// Serving runtime [default: one that supports the format]
    #[arg(long, help_heading = "Service")]
    #[kf(complete = dynamic)]
    runtime: Option<String>,
    /// Port that the server listens on
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Service")]
    port: Option<u16>,
    /// Number of pods, or minimum and maximum
    #[arg(long, value_name = "N[:M]", help_heading = "Service")]
    replicas: Option<Replicas>,
    /// Environment variable; can be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = "Service")]
    env: Vec<Variable>,
    /// CPUs per pod, such as 500m
    #[arg(long, help_heading = "Service")]
    cpu: Option<Amount>,
    /// Memory per pod, such as 2Gi
    #[arg(long, help_heading = "Service")]
    memory: Option<Amount>,
    /// GPUs per pod; NAME=N for resources other than nvidia.com/gpu
    #[arg(long, value_name = "N", help_heading = "Service")]
    gpu: Option<Devices>,
    /// Set any field, such as spec.predictor.timeout=60; can be repeated
    #[arg(long, value_name = "PATH=VALUE", help_heading = "Service")]
    set: Vec<Assignment>,
    /// Wait until the new revision is ready or has failed
    #[arg(long, short, help_heading = "Rollout")]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = "Rollout")]
    timeout: Span,
    /// Wait, then send this JSON to the new revision and print the response
    #[arg(long, value_name = "JSON", help_heading = "Rollout")]
    request: Option<String>,
    /// Path of the request; a GET without --request [default: /v1/models/NAME:predict]
    #[arg(long, value_name = "PATH", help_heading = "Rollout")]
    request_path: Option<String>,
    /// How long a pod keeps serving before it stops; 0s disables it
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Rollout")]
    drain: Span,
    /// Submit the service without additions
    #[arg(long, help_heading = "Rollout")]
    as_is: bool,
    /// Take over fields that another tool owns
    #[arg(long, help_heading = "Rollout")]
    force_conflicts: bool,
    /// Roll back to the last ready revision
    #[arg(long, conflicts_with_all = CHANGES, help_heading = "Actions")]
    rollback: bool,
    /// Stop the pods and keep the service
    #[arg(long, conflicts_with_all = CHANGES, conflicts_with_all = ["rollback", "wait"], help_heading = "Actions")]
    stop: bool,
    /// Start a stopped service
    #[arg(long, conflicts_with_all = CHANGES, conflicts_with_all = ["rollback", "stop"], help_heading = "Actions")]
    start: bool,
    /// List all services
    #[arg(long, conflicts_with_all = CHANGES, conflicts_with_all = ["name", "rollback", "stop", "start"], help_heading = "Actions")]
    list: bool,
    /// Watch for changes
    #[arg(long, requires = "list", help_heading = "Actions")]
    watch: bool,
}

/// The arguments that change a service, which conflict with the flags of other actions.
const CHANGES: [&str; 12] =
    ["file", "image", "model", "format", "runtime", "port", "replicas", "env", "cpu", "memory", "gpu", "set"];

/// The value of `--replicas`: `N` or `N:M` pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replicas {
    min: u32,
    max: u32,
}

impl FromStr for Replicas {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (min, max) = text.split_once(':').unwrap_or((text, text));
        let number = |text: &str| text.parse().map_err(|_| format!("invalid number of pods `{text}`"));
        let replicas = Self { min: number(min)?, max: number(max)? };
        match replicas {
            Self { max: 0, .. } => Err("a service needs at least one pod; use --stop to stop it".into()),
            Self { min, max } if min > max => Err(format!("minimum {min} is greater than maximum {max}")),
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
        return stop_start::run(kf, &serve, name);
    }
    let before = kf.api(predictor::kind()).find(name)?;
    let wanted = match (serve.rollback, &serve.file, &before) {
        (true, _, before) => history::roll_back(kf, name, before.as_ref())?,
        (false, Some(file), _) => predictor::normalised(read_manifest(kf, file, name, &[predictor::kind()])?),
        (false, None, Some(before)) => predictor::manifest_of(before),
        (false, None, None) => serve.new_service(kf, name)?,
    };
    let submitted = submit::submit(kf, &serve, wanted, before)?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    wait::note_if_stopped(kf, &submitted.service);
    if !serve.waits() {
        submitted.report(kf)?;
        return Ok(Exit::OK);
    }
    submitted.note(kf);
    let ready = wait::until_ready(kf, &serve, name, submitted.outdated.as_deref())?;
    history::record(kf, &ready.service);
    if !serve.sends_request() {
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
            .ok_or_else(|| Error::invalid("a service name is required").hint("kf serve --list"))?;
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
                "no inference service `{name}`: creating one needs --image, --model or a file"
            ))
            .hint(hint));
        }
        Ok(predictor::empty(name))
    }

    fn sends_request(&self) -> bool {
        self.request.is_some() || self.request_path.is_some()
    }

    fn waits(&self) -> bool {
        self.wait || self.sends_request()
    }
}

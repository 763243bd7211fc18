//! `--request`: sends one request to the service.

use kf_plugin_sdk::Method;
use kf_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::wait::Ready;
use crate::{Serve, predictor};

/// Checks the request flags.
pub(crate) fn check(serve: &Serve) -> Result<()> {
    if let Some(path) = &serve.request_path
        && !path.starts_with('/')
    {
        return Err(Error::invalid(format!("invalid --request-path {path}: it must begin with /")));
    }
    let Some(text) = &serve.request else { return Ok(()) };
    serde_json::from_str::<Value>(text)
        .map(drop)
        .map_err(|error| Error::invalid(format!("--request is not valid JSON: {error}")))
}

/// Sends the request to a pod of the newest revision and prints the response.
pub(crate) fn send(kf: &Kf, serve: &Serve, ready: &Ready) -> Result<Exit> {
    let service = &ready.service;
    let Some(pod) = ready.pods.first() else {
        return Err(Error::failed(format!(
            "{} is ready but has no pod to send the request to",
            service.name()
        )));
    };
    let default = || format!("/v1/models/{}:predict", service.name());
    let path = serve.request_path.clone().unwrap_or_else(default);
    let (method, body) = match &serve.request {
        Some(body) => (Method::Post, body.clone().into_bytes()),
        None => (Method::Get, Vec::new()),
    };
    let http = kf.pod_http(pod.name(), port(pod)).header("content-type", "application/json");
    let answer = http.send(method, &path, body)?;
    kf.print(&answer.body)?;
    if !answer.body.ends_with(b"\n") {
        kf.print("\n")?;
    }
    if (200..300).contains(&answer.status) {
        return Ok(Exit::OK);
    }
    Err(Error::failed(format!("{} of {} returned status {}", path, pod.name(), answer.status)))
}

/// The port of the server in its pod.
fn port(pod: &Object) -> u16 {
    let containers = pod.list("/spec/containers");
    let server =
        containers.iter().find(|one| one.get("name").and_then(Value::as_str) == Some("kserve-container"));
    server.or(containers.first()).map_or(predictor::DEFAULT_PORT, |one| predictor::port(&one.clone().into()))
}

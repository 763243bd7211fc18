//! `kf services health`: whether the pods of a service respond.
//!
//! A pod is checked like its readiness probe does. Without a probe, `/` on the port of the service is requested, and
//! any answer except a server error counts as healthy.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{PodState, pod_state};
use serde::Serialize;
use serde_json::Value;

use crate::targets::Target;

/// The number of pods of a service that are checked.
const MAX_PODS: usize = 10;

#[derive(Debug, Serialize, TableRow)]
#[row(name = "self.target.clone()")]
struct Row {
    target: String,
    pod: Option<String>,
    #[serde(skip)]
    #[column(title = "HEALTH")]
    health_cell: Cell,
    #[column(skip)]
    healthy: bool,
    /// The HTTP status.
    status: Option<u16>,
    #[serde(skip)]
    #[column(title = "LATENCY")]
    latency: String,
    #[column(skip)]
    latency_ms: Option<u128>,
    /// Port and path of the request.
    #[column(wide)]
    asked: Option<String>,
    why: Option<String>,
}

pub(crate) fn run(kf: &Kf, targets: &[Target]) -> Result<Exit> {
    let progress = kf.progress("checking pods");
    let mut rows = Vec::new();
    for target in targets {
        progress.say(&format!("checking the pods of {}", target.full_name()));
        rows.extend(of_target(kf, target)?);
    }
    drop(progress);
    kf.table(&rows)?;
    Ok(if rows.iter().all(|row| row.healthy) { Exit::OK } else { Exit::FAILED })
}

fn of_target(kf: &Kf, target: &Target) -> Result<Vec<Row>> {
    let running = || target.pods.iter().filter(|pod| pod_state(pod) == PodState::Running);
    if running().next().is_none() {
        let why = match target.pods.len() {
            0 => "it has no pods".to_owned(),
            _ => format!("none of its {} pods is running; see kf status", target.pods.len()),
        };
        return Ok(vec![Row::failed(target, None, None, why)]);
    }
    running().take(MAX_PODS).map(|pod| check(kf, target, pod)).collect()
}

/// Checks a pod. A refusal by the cluster is an error; a failing pod is a row.
fn check(kf: &Kf, target: &Target, pod: &Object) -> Result<Row> {
    let request = match HealthCheck::of(target, pod) {
        Ok(request) => request,
        Err(why) => return Ok(Row::failed(target, Some(pod), None, why)),
    };
    let start = kf.now();
    let answer = kf.pod_http(pod.name(), request.port).get(&request.path);
    let latency = start.age(kf.now());
    let asked = Some(format!(":{}{}", request.port, request.path));
    match answer {
        Ok(answer) => {
            let healthy = request.accepts(answer.status);
            let why = (!healthy).then(|| format!("GET {} returned {}", request.path, answer.status));
            Ok(Row::answered(target, pod, asked, (answer.status, latency), why))
        }
        Err(error) if error.is(ErrorCode::Forbidden) || error.is(ErrorCode::Unauthenticated) => Err(error),
        Err(error) => Ok(Row::failed(target, Some(pod), asked, error.message)),
    }
}

struct HealthCheck {
    port: u16,
    path: String,
    /// Whether port and path are from the readiness probe.
    by_probe: bool,
}

impl HealthCheck {
    fn of(target: &Target, pod: &Object) -> Result<Self, String> {
        let probe = pod
            .list("/spec/containers")
            .iter()
            .find_map(|container| Some((container, container.pointer("/readinessProbe/httpGet")?)));
        let Some((container, probe)) = probe else {
            let places = [
                "/spec/containers/0/ports/0/containerPort",
                "/spec/containers/0/readinessProbe/tcpSocket/port",
            ];
            let of_pod = || places.into_iter().find_map(|place| pod.at(place).cloned());
            let port = target.port.clone().or_else(of_pod);
            let port = port.as_ref().and_then(|port| resolve_port(pod.list("/spec/containers"), port));
            let port = port.ok_or("no port to check")?;
            return Ok(Self { port, path: "/".to_owned(), by_probe: false });
        };
        if probe.get("scheme").and_then(Value::as_str) == Some("HTTPS") {
            return Err("its readiness probe uses HTTPS, which is not supported".to_owned());
        }
        let port = probe.get("port").and_then(|port| resolve_port(std::slice::from_ref(container), port));
        let path = probe.get("path").and_then(Value::as_str).unwrap_or("/");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { port: port.ok_or("its readiness probe has no port")?, path, by_probe: true })
    }

    fn accepts(&self, status: u16) -> bool {
        if self.by_probe { (200..400).contains(&status) } else { (100..500).contains(&status) }
    }
}

/// Resolves a port by number, or by its name in one of the containers.
fn resolve_port(containers: &[Value], port: &Value) -> Option<u16> {
    let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    if let Some(name) = port.as_str() {
        let ports = containers.iter().filter_map(|container| container.get("ports")?.as_array()).flatten();
        let named = ports.into_iter().find(|own| own.get("name").and_then(Value::as_str) == Some(name));
        return named.and_then(|own| own.get("containerPort")).and_then(number).or_else(|| name.parse().ok());
    }
    number(port)
}

impl Row {
    fn answered(
        target: &Target,
        pod: &Object,
        asked: Option<String>,
        (status, latency): (u16, Duration),
        why: Option<String>,
    ) -> Self {
        let healthy = why.is_none();
        let cell = if healthy { ("healthy", Tone::Good) } else { ("unhealthy", Tone::Bad) };
        Self {
            target: target.full_name(),
            pod: Some(pod.name().to_owned()),
            health_cell: Cell::toned(cell.0, cell.1),
            healthy,
            status: Some(status),
            latency: format!("{} ms", latency.as_millis()),
            latency_ms: Some(latency.as_millis()),
            asked,
            why,
        }
    }

    fn failed(target: &Target, pod: Option<&Object>, asked: Option<String>, why: String) -> Self {
        Self {
            target: target.full_name(),
            pod: pod.map(|pod| pod.name().to_owned()),
            health_cell: Cell::toned("unhealthy", Tone::Bad),
            healthy: false,
            status: None,
            latency: String::new(),
            latency_ms: None,
            asked,
            why: Some(why),
        }
    }
}

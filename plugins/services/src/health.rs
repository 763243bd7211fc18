//! Whether the pods behind an address answer.
//!
//! A pod's readiness probe says where to ask. A pod without one is asked for `/` on the port of
//! the service, and any answer that is no server error will do: it is there and it speaks HTTP.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{PodState, pod_state};
use serde::Serialize;
use serde_json::Value;

use crate::targets::Target;

/// So many pods behind one address are asked.
const MOST_PODS: usize = 10;

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
    /// Port and path that were asked.
    #[column(wide)]
    asked: Option<String>,
    why: Option<String>,
}

pub(crate) fn run(kf: &Kf, targets: &[Target]) -> Result<Exit> {
    let progress = kf.progress("asking pods");
    let mut rows = Vec::new();
    for target in targets {
        progress.say(&format!("asking the pods of {}", target.full_name()));
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
            0 => "no pod stands behind it".to_owned(),
            _ => format!("none of its {} pods runs; kf status says why", target.pods.len()),
        };
        return Ok(vec![Row::silent(target, None, None, why)]);
    }
    running().take(MOST_PODS).map(|pod| ask(kf, target, pod)).collect()
}

/// A refusal of the cluster ends the command; what a pod does wrong is a line.
fn ask(kf: &Kf, target: &Target, pod: &Object) -> Result<Row> {
    let question = match Question::of(target, pod) {
        Ok(question) => question,
        Err(why) => return Ok(Row::silent(target, Some(pod), None, why)),
    };
    let start = kf.now();
    let answer = kf.pod_http(pod.name(), question.port).get(&question.path);
    let latency = start.age(kf.now());
    let asked = Some(format!(":{}{}", question.port, question.path));
    match answer {
        Ok(answer) => {
            let healthy = question.is_content_with(answer.status);
            let why = (!healthy).then(|| format!("it answers {} at {}", answer.status, question.path));
            Ok(Row::spoken(target, pod, asked, (answer.status, latency), why))
        }
        Err(error) if error.is(ErrorCode::Forbidden) || error.is(ErrorCode::Unauthenticated) => Err(error),
        Err(error) => Ok(Row::silent(target, Some(pod), asked, error.message)),
    }
}

struct Question {
    port: u16,
    path: String,
    /// The pod itself says that this is how to tell.
    by_probe: bool,
}

impl Question {
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
            let port = port.as_ref().and_then(|port| number(pod.list("/spec/containers"), port));
            let port = port.ok_or("it names no port to ask")?;
            return Ok(Self { port, path: "/".to_owned(), by_probe: false });
        };
        if probe.get("scheme").and_then(Value::as_str) == Some("HTTPS") {
            return Err("its readiness is asked over HTTPS, which kf does not speak to pods".to_owned());
        }
        let port = probe.get("port").and_then(|port| number(std::slice::from_ref(container), port));
        let path = probe.get("path").and_then(Value::as_str).unwrap_or("/");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { port: port.ok_or("its readiness probe names no port")?, path, by_probe: true })
    }

    fn is_content_with(&self, status: u16) -> bool {
        if self.by_probe { (200..400).contains(&status) } else { (100..500).contains(&status) }
    }
}

/// A port by number, or by the name one of the containers gives it.
fn number(containers: &[Value], port: &Value) -> Option<u16> {
    let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    if let Some(name) = port.as_str() {
        let ports = containers.iter().filter_map(|container| container.get("ports")?.as_array()).flatten();
        let named = ports.into_iter().find(|own| own.get("name").and_then(Value::as_str) == Some(name));
        return named.and_then(|own| own.get("containerPort")).and_then(number).or_else(|| name.parse().ok());
    }
    number(port)
}

impl Row {
    fn spoken(
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

    fn silent(target: &Target, pod: Option<&Object>, asked: Option<String>, why: String) -> Self {
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

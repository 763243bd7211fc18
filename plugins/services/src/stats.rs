//! `kf services stats`: requests, CPU and memory.
//!
//! Kubernetes does not count requests. Pods with the annotations for Prometheus are scraped directly.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Amounts, Measured, PodState, pod_state};
use serde::Serialize;

use crate::prometheus;
use crate::targets::Target;

/// The number of pods of a service that are scraped.
const MAX_PODS: usize = 20;

#[derive(Debug, Serialize, TableRow)]
#[row(name = "self.target.clone()")]
struct Row {
    target: String,
    pods: usize,
    #[serde(skip)]
    #[column(title = "CPU")]
    cpu_cell: Cell,
    #[serde(skip)]
    #[column(title = "MEMORY")]
    memory_cell: Cell,
    /// In cores and bytes; null if unknown.
    #[column(skip)]
    used: Option<Amounts>,
    #[serde(skip)]
    #[column(title = "REQUESTS")]
    requests_cell: Cell,
    /// Since its pods were started; null if they do not count requests.
    #[column(skip)]
    requests: Option<u64>,
    #[column(wide)]
    metric: Option<String>,
}

pub(crate) fn run(kf: &Kf, targets: &[Target]) -> Result<Exit> {
    let measured = Measured::read(kf)?;
    if let Some(missing) = measured.missing().filter(|_| !targets.is_empty()) {
        kf.note(missing);
    }
    let mut uncounted = Vec::new();
    let mut rows = Vec::new();
    for target in targets {
        let requests = requests(kf, target)?;
        if requests.is_none() {
            uncounted.push(target.full_name());
        }
        rows.push(row(target, &measured, requests));
    }
    if !uncounted.is_empty() {
        kf.note(format!(
            "unknown request counts (no running pod exposes them with prometheus.io/scrape and prometheus.io/port): {}",
            uncounted.join(", ")
        ));
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

fn row(target: &Target, measured: &Measured, requests: Option<(u64, String)>) -> Row {
    let each = target.pods.iter().map(|pod| measured.of(pod.name()));
    let used = each.reduce(|one, another| one.zip(another).map(|(one, another)| one + another)).flatten();
    let known = |text: Option<String>| match text {
        Some(text) => Cell::toned(text, Tone::Plain),
        None => Cell::toned("unknown", Tone::Faint),
    };
    let (requests, metric) = requests.unzip();
    Row {
        target: target.full_name(),
        pods: target.pods.len(),
        cpu_cell: known(used.map(|used| used.cpu.cores())),
        memory_cell: known(used.map(|used| used.memory.bytes())),
        used,
        requests_cell: known(requests.map(|requests: u64| requests.to_string())),
        requests,
        metric,
    }
}

/// The requests counted by all its pods, and the name of the counter.
fn requests(kf: &Kf, target: &Target) -> Result<Option<(u64, String)>> {
    let mut sum: Option<(u64, String)> = None;
    let running = target.pods.iter().filter(|pod| pod_state(pod) == PodState::Running);
    for pod in running.take(MAX_PODS) {
        let Some((port, path)) = scraped_at(pod) else { continue };
        let metrics = match kf.pod_http(pod.name(), port).get(&path) {
            Ok(answer) if answer.status == 200 => answer.body,
            Ok(_) => continue,
            Err(error) if error.is(ErrorCode::Forbidden) || error.is(ErrorCode::Unauthenticated) => {
                return Err(error);
            }
            Err(error) => {
                kf.note(format!("cannot read the metrics of {}: {}", pod.name(), error.message));
                continue;
            }
        };
        if let Some((count, metric)) = prometheus::requests(&String::from_utf8_lossy(&metrics)) {
            let before = sum.map_or(0, |(before, _)| before);
            sum = Some((before.saturating_add(count), metric));
        }
    }
    Ok(sum)
}

fn scraped_at(pod: &Object) -> Option<(u16, String)> {
    pod.annotation("prometheus.io/scrape").filter(|scrape| *scrape == "true")?;
    let port = pod.annotation("prometheus.io/port")?.parse().ok()?;
    let path = pod.annotation("prometheus.io/path").unwrap_or("/metrics");
    path.starts_with('/').then(|| (port, path.to_owned()))
}

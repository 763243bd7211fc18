//! Requests and limits of pods.

use std::collections::BTreeSet;
use std::ops::Add;

use kf_plugin_sdk::Quantity;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Amounts, PodState, WorkloadKind, is_gpu, pod_state};
use serde_json::Value;

/// The requests and limits in a pod's spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requested {
    pub(crate) requests: Amounts,
    pub(crate) limits: Amounts,
    /// Devices of any vendor.
    pub(crate) gpu: Quantity,
}

/// Whether a pod holds resources: it has not ended.
pub(crate) fn is_active(pod: &Object) -> bool {
    !matches!(pod_state(pod), PodState::Complete | PodState::Failed)
}

/// The names of the training jobs. Their pods refer only to their job sets, which have the same names.
pub(crate) fn training_jobs(kf: &Kf) -> Result<BTreeSet<String>> {
    let kind = WorkloadKind::TrainJob;
    let jobs = Skipped::optional(kf, kind.plural(), kf.api(kind.kind()).list())?.unwrap_or_default();
    Ok(jobs.iter().map(|job| job.name().to_owned()).collect())
}

/// The sum of the containers that run in parallel, including sidecar init containers.
pub(crate) fn requested(pod: &Object) -> Requested {
    let is_sidecar =
        |container: &&Value| container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
    let sidecars = pod.list("/spec/initContainers").iter().filter(is_sidecar);
    pod.list("/spec/containers").iter().chain(sidecars).fold(Requested::default(), |sum, container| {
        let amounts = |of: &str| {
            let amount = |resource: &str| quantity(container.pointer(&format!("/resources/{of}/{resource}")));
            Amounts { cpu: amount("cpu"), memory: amount("memory") }
        };
        let limits = container.pointer("/resources/limits").and_then(Value::as_object);
        let gpus = limits.into_iter().flatten().filter(|(name, _)| is_gpu(name));
        Requested {
            requests: sum.requests + amounts("requests"),
            limits: sum.limits + amounts("limits"),
            gpu: gpus.map(|(_, amount)| quantity(Some(amount))).fold(sum.gpu, Add::add),
        }
    })
}

fn quantity(amount: Option<&Value>) -> Quantity {
    let text = match amount {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Quantity::ZERO,
    };
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parallel_containers_are_summed() {
        let asks = |cpu: &str, gpu: u32| {
            json!({ "requests": { "cpu": cpu, "memory": "1Gi" },
                "limits": { "memory": "2Gi", "nvidia.com/gpu": gpu.to_string(), "example.com/gpus": "9" } })
        };
        let pod = json!({ "spec": {
            "containers": [{ "resources": asks("500m", 1) }, { "resources": asks("1", 2) }, {}],
            "initContainers": [
                { "resources": asks("8", 8) },
                { "restartPolicy": "Always", "resources": { "requests": { "cpu": "100m" } } },
            ],
        } });
        let requested = requested(&pod.into());
        assert_eq!(requested.requests.cpu.cores(), "1600m");
        assert_eq!(
            (requested.requests.memory.bytes(), requested.limits.memory.bytes()),
            ("2Gi".into(), "4Gi".into())
        );
        assert!(requested.limits.cpu.is_zero());
        assert_eq!(requested.gpu.value(), 3);
    }
}

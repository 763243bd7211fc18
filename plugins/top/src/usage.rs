//! What pods ask for.

use std::collections::BTreeSet;
use std::ops::Add;

use kf_plugin_sdk::Quantity;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Amounts, ComponentKind, PodState, is_gpu, pod_state};
use serde_json::Value;

/// What a pod's spec says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) requests: Amounts,
    pub(crate) limits: Amounts,
    /// Whole devices, of whatever maker.
    pub(crate) gpu: Quantity,
}

/// A pod that has ended takes nothing any more.
pub(crate) fn takes_resources(pod: &Object) -> bool {
    !matches!(pod_state(pod), PodState::Complete | PodState::Failed)
}

/// The names of the training jobs. Their pods know only their job sets, which have the same names.
pub(crate) fn training_jobs(kf: &Kf) -> Result<BTreeSet<String>> {
    let kind = ComponentKind::TrainJob;
    let jobs = LeftOut::optional(kf, kind.plural(), kf.api(kind.kind()).list())?.unwrap_or_default();
    Ok(jobs.iter().map(|job| job.name().to_owned()).collect())
}

/// Sums up the containers that run side by side: init containers that stay on are among them.
pub(crate) fn asked(pod: &Object) -> Asked {
    let stays = |container: &&Value| container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
    let sidecars = pod.list("/spec/initContainers").iter().filter(stays);
    pod.list("/spec/containers").iter().chain(sidecars).fold(Asked::default(), |sum, container| {
        let amounts = |of: &str| {
            let amount = |resource: &str| quantity(container.pointer(&format!("/resources/{of}/{resource}")));
            Amounts { cpu: amount("cpu"), memory: amount("memory") }
        };
        let limits = container.pointer("/resources/limits").and_then(Value::as_object);
        let gpus = limits.into_iter().flatten().filter(|(name, _)| is_gpu(name));
        Asked {
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
    fn containers_that_run_side_by_side_are_summed() {
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
        let asked = asked(&pod.into());
        assert_eq!(asked.requests.cpu.cores(), "1600m");
        assert_eq!(
            (asked.requests.memory.bytes(), asked.limits.memory.bytes()),
            ("2Gi".into(), "4Gi".into())
        );
        assert!(asked.limits.cpu.is_zero());
        assert_eq!(asked.gpu.value(), 3);
    }
}

//! Settings that keep an update from losing requests.
//!
//! Three things can go wrong when a Deployment replaces a pod. Without a readiness probe, the new pod gets requests
//! before it listens. Without a preStop delay, the old pod stops while proxies that have not been updated yet still
//! send requests to it. And unless the strategy forbids it, a rollout can stop old pods before the new ones are ready.
//! Settings that the service has are kept; missing ones are added.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde_json::json;

use crate::predictor;

/// The time to finish open requests after the preStop delay.
const SHUTDOWN_TIME: Duration = Duration::from_secs(30);

const GRACE: &str = "/spec/predictor/terminationGracePeriodSeconds";
const STRATEGY: &str = "/spec/predictor/deploymentStrategy";

/// Adds the missing settings and returns their descriptions. `runtime` is the runtime of a stored model, if known.
pub(crate) fn add_missing(service: &mut Object, runtime: Option<&Object>, drain: Duration) -> Vec<String> {
    let mut added = Vec::new();
    let is_stored = predictor::has_model(service);
    let has_grace = service.at(GRACE).is_some();
    // Kubernetes supports only whole seconds here.
    let delay = Duration::from_secs(drain.as_secs());
    let mut has_delay = false;
    predictor::change_server(service, |container| {
        let has_pre_stop = container.at("/lifecycle/preStop").is_some()
            || runtime.is_some_and(|runtime| server_has(runtime, "lifecycle/preStop"));
        if !has_pre_stop && !delay.is_zero() {
            container.set("/lifecycle/preStop", json!({ "sleep": { "seconds": delay.as_secs() } }));
            added.push(format!("a preStop delay of {}", short_duration(delay)));
            has_delay = true;
        }
        // For a stored model, KServe sets a probe if the runtime has none, and would merge this one with an existing
        // one.
        if !is_stored && container.at("/readinessProbe").is_none() {
            let port = predictor::port(container);
            let probe = json!({ "tcpSocket": { "port": port }, "periodSeconds": 1, "failureThreshold": 3 });
            container.set("/readinessProbe", probe);
            added.push(format!("a readiness probe on port {port}"));
        }
    });
    if has_delay && !has_grace {
        let grace = delay + SHUTDOWN_TIME;
        service.set(GRACE, grace.as_secs());
        added.push(format!("a termination grace period of {}", short_duration(grace)));
    }
    if service.at(STRATEGY).is_none() {
        service.set(
            STRATEGY,
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": "25%" } }),
        );
        added.push("a rolling update without unavailable pods".to_owned());
    }
    added
}

/// Warnings about settings of the service that can lose requests.
pub(crate) fn warnings(service: &Object) -> Vec<String> {
    let mut warnings = Vec::new();
    if service.str(&format!("{STRATEGY}/type")) == Some("Recreate") {
        warnings.push(
            "its strategy is Recreate: requests fail between the old pod's end and the new pod's start"
                .to_owned(),
        );
    }
    let container = predictor::server(service);
    let delay =
        container.and_then(|pointer| service.int(&format!("{pointer}/lifecycle/preStop/sleep/seconds")));
    if let (Some(delay), Some(grace)) = (delay, service.int(GRACE))
        && grace <= delay
    {
        warnings.push(format!(
            "its pods are killed after {grace}s, before the preStop delay of {delay}s ends: requests in flight fail"
        ));
    }
    warnings
}

fn server_has(runtime: &Object, field: &str) -> bool {
    runtime.list("/spec/containers").iter().any(|container| container.pointer(&format!("/{field}")).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const DRAIN: Duration = Duration::from_secs(10);

    fn custom(container: Value) -> Object {
        json!({ "metadata": { "name": "iris" }, "spec": { "predictor": { "containers": [container] } } })
            .into()
    }

    #[test]
    fn container_without_settings_gets_all() {
        let mut service = custom(json!({ "image": "iris:1", "ports": [{ "containerPort": 9000 }] }));
        assert_eq!(
            add_missing(&mut service, None, DRAIN),
            [
                "a preStop delay of 10s",
                "a readiness probe on port 9000",
                "a termination grace period of 40s",
                "a rolling update without unavailable pods",
            ]
        );
        assert_eq!(service.list("/spec/predictor/containers").len(), 1);
        let container = "/spec/predictor/containers/0";
        assert_eq!(service.int(&format!("{container}/lifecycle/preStop/sleep/seconds")), Some(10));
        assert_eq!(service.int(&format!("{container}/readinessProbe/tcpSocket/port")), Some(9000));
        assert_eq!(service.int(GRACE), Some(40));
        assert_eq!(service.int("/spec/predictor/deploymentStrategy/rollingUpdate/maxUnavailable"), Some(0));
        assert_eq!(add_missing(&mut service, None, DRAIN), [""; 0], "nothing is missing the second time");
        assert_eq!(warnings(&service), [""; 0]);
    }

    #[test]
    fn existing_settings_are_kept() {
        let own = json!({
            "image": "iris:1",
            "lifecycle": { "preStop": { "exec": { "command": ["/drain"] } } },
            "readinessProbe": { "httpGet": { "path": "/ready", "port": 8080 } },
        });
        let mut service = custom(own.clone());
        service.set(STRATEGY, json!({ "type": "Recreate" }));
        assert_eq!(add_missing(&mut service, None, DRAIN), [""; 0]);
        assert_eq!(service.at("/spec/predictor/containers/0"), Some(&own));
        assert_eq!(warnings(&service).len(), 1);
    }

    #[test]
    fn stored_model_gets_no_readiness_probe() {
        let model = json!({ "spec": { "predictor": { "model": { "storageUri": "pvc://m/iris" } } } });
        let mut service = Object::from(model.clone());
        add_missing(&mut service, None, DRAIN);
        assert_eq!(service.at("/spec/predictor/model/readinessProbe"), None);
        assert!(service.at("/spec/predictor/model/lifecycle/preStop").is_some());

        let runtime = json!({ "spec": { "containers": [
            { "name": "kserve-container", "lifecycle": { "preStop": { "exec": { "command": ["/drain"] } } } },
        ] } });
        let mut service = Object::from(model);
        add_missing(&mut service, Some(&runtime.into()), DRAIN);
        assert_eq!(service.at("/spec/predictor/model/lifecycle"), None);
    }

    #[test]
    fn zero_drain_adds_no_delay_and_grace_period() {
        let mut service = custom(json!({ "image": "iris:1" }));
        add_missing(&mut service, None, Duration::ZERO);
        assert_eq!(service.at("/spec/predictor/containers/0/lifecycle"), None);
        assert_eq!(service.at(GRACE), None);
    }

    #[test]
    fn delay_longer_than_grace_period_warns() {
        let mut service = custom(json!({ "image": "iris:1" }));
        service.set(GRACE, 5);
        add_missing(&mut service, None, DRAIN);
        assert_eq!(warnings(&service).len(), 1);
    }
}

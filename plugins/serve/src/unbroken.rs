//! What a service needs so that no request is lost when a pod is replaced.
//!
//! Three things go wrong when a Deployment replaces a pod. The new pod gets requests before it
//! listens, unless it has a readiness check. The old pod is told to stop at the same time as the
//! node's proxies are told to forget it, and whoever has not heard yet sends requests to a server
//! that is gone, unless the pod waits before it stops. And a rollout may take pods away before the
//! new ones are ready, unless its strategy forbids that. What the service has of these stays as it
//! is; the rest is added.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde_json::json;

use crate::predictor;

/// How long a server may take for its last requests once it has been told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(30);

const GRACE: &str = "/spec/predictor/terminationGracePeriodSeconds";
const STRATEGY: &str = "/spec/predictor/deploymentStrategy";

/// Adds what is missing, and says what it was. `runtime` is what runs a stored model, as far as it
/// is known.
pub(crate) fn complete(service: &mut Object, runtime: Option<&Object>, drain: Duration) -> Vec<String> {
    let mut added = Vec::new();
    let is_stored = predictor::has_model(service);
    let has_grace = service.at(GRACE).is_some();
    // Whole seconds are all that Kubernetes knows here.
    let pause = Duration::from_secs(drain.as_secs());
    let mut paused = false;
    predictor::change_server(service, |container| {
        let stops_late = container.at("/lifecycle/preStop").is_some()
            || runtime.is_some_and(|runtime| of_server(runtime, "lifecycle/preStop"));
        if !stops_late && !pause.is_zero() {
            container.set("/lifecycle/preStop", json!({ "sleep": { "seconds": pause.as_secs() } }));
            added.push(format!("a pause of {} before a pod stops", short_duration(pause)));
            paused = true;
        }
        // A runtime's own check would be merged with this one, and KServe gives one to a runtime
        // without.
        if !is_stored && container.at("/readinessProbe").is_none() {
            let port = predictor::port(container);
            let probe = json!({ "tcpSocket": { "port": port }, "periodSeconds": 1, "failureThreshold": 3 });
            container.set("/readinessProbe", probe);
            added.push(format!("a readiness check: port {port} answers"));
        }
    });
    if paused && !has_grace {
        let grace = pause + LAST_REQUESTS;
        service.set(GRACE, grace.as_secs());
        added.push(format!("{} for a pod to end", short_duration(grace)));
    }
    if service.at(STRATEGY).is_none() {
        service.set(
            STRATEGY,
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": "25%" } }),
        );
        added.push("a rollout that takes no pod away before another is ready".to_owned());
    }
    added
}

/// What a service says itself and what loses requests all the same.
pub(crate) fn doubts(service: &Object) -> Vec<String> {
    let mut doubts = Vec::new();
    if service.str(&format!("{STRATEGY}/type")) == Some("Recreate") {
        doubts.push(
            "its strategy is Recreate: requests fail from the old pod's end to the new one's start"
                .to_owned(),
        );
    }
    let container = predictor::server(service);
    let pause =
        container.and_then(|pointer| service.int(&format!("{pointer}/lifecycle/preStop/sleep/seconds")));
    if let (Some(pause), Some(grace)) = (pause, service.int(GRACE))
        && grace <= pause
    {
        doubts.push(format!(
            "its pods are killed after {grace}s, within the pause of {pause}s: requests under way fail"
        ));
    }
    doubts
}

fn of_server(runtime: &Object, field: &str) -> bool {
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
    fn a_bare_container_gets_everything() {
        let mut service = custom(json!({ "image": "iris:1", "ports": [{ "containerPort": 9000 }] }));
        assert_eq!(
            complete(&mut service, None, DRAIN),
            [
                "a pause of 10s before a pod stops",
                "a readiness check: port 9000 answers",
                "40s for a pod to end",
                "a rollout that takes no pod away before another is ready",
            ]
        );
        assert_eq!(service.list("/spec/predictor/containers").len(), 1);
        let container = "/spec/predictor/containers/0";
        assert_eq!(service.int(&format!("{container}/lifecycle/preStop/sleep/seconds")), Some(10));
        assert_eq!(service.int(&format!("{container}/readinessProbe/tcpSocket/port")), Some(9000));
        assert_eq!(service.int(GRACE), Some(40));
        assert_eq!(service.int("/spec/predictor/deploymentStrategy/rollingUpdate/maxUnavailable"), Some(0));
        assert_eq!(complete(&mut service, None, DRAIN), [""; 0], "the second time nothing is missing");
        assert_eq!(doubts(&service), [""; 0]);
    }

    #[test]
    fn what_is_there_stays() {
        let own = json!({
            "image": "iris:1",
            "lifecycle": { "preStop": { "exec": { "command": ["/drain"] } } },
            "readinessProbe": { "httpGet": { "path": "/ready", "port": 8080 } },
        });
        let mut service = custom(own.clone());
        service.set(STRATEGY, json!({ "type": "Recreate" }));
        assert_eq!(complete(&mut service, None, DRAIN), [""; 0]);
        assert_eq!(service.at("/spec/predictor/containers/0"), Some(&own));
        assert_eq!(doubts(&service).len(), 1);
    }

    #[test]
    fn a_stored_model_leaves_the_check_to_its_runtime() {
        let model = json!({ "spec": { "predictor": { "model": { "storageUri": "pvc://m/iris" } } } });
        let mut service = Object::from(model.clone());
        complete(&mut service, None, DRAIN);
        assert_eq!(service.at("/spec/predictor/model/readinessProbe"), None);
        assert!(service.at("/spec/predictor/model/lifecycle/preStop").is_some());

        let runtime = json!({ "spec": { "containers": [
            { "name": "kserve-container", "lifecycle": { "preStop": { "exec": { "command": ["/drain"] } } } },
        ] } });
        let mut service = Object::from(model);
        complete(&mut service, Some(&runtime.into()), DRAIN);
        assert_eq!(service.at("/spec/predictor/model/lifecycle"), None);
    }

    #[test]
    fn no_pause_is_no_longer_end() {
        let mut service = custom(json!({ "image": "iris:1" }));
        complete(&mut service, None, Duration::ZERO);
        assert_eq!(service.at("/spec/predictor/containers/0/lifecycle"), None);
        assert_eq!(service.at(GRACE), None);
    }

    #[test]
    fn a_pause_that_outlasts_the_pod_is_doubted() {
        let mut service = custom(json!({ "image": "iris:1" }));
        service.set(GRACE, 5);
        complete(&mut service, None, DRAIN);
        assert_eq!(doubts(&service).len(), 1);
    }
}

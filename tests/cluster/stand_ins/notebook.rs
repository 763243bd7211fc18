//! The notebook controller of upstream's branch notebooks-v1.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value, json};

use super::controller::{Controller, Reconcile, changes};
use super::{ensure, log, owner, resource, write_status};

const STOPPED: &str = "kubeflow-resource-stopped";
const LABEL: &str = "notebook-name";
const LAST_ACTIVITY: &str = "notebooks.kubeflow.org/last-activity";
/// With underscores, as in upstream.
const LAST_CHECK: &str = "notebooks.kubeflow.org/last_activity_check_timestamp";
/// The number of idle seconds after which a Notebook is culled. Upstream has one setting for all; here it is an
/// annotation, and a Notebook without it is never culled.
const IDLE_SECONDS: &str = "kf.test/idle-seconds";
/// Upstream's interval is at least a minute.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The version in its owner references, independent of the applied version.
const API_VERSION: &str = "kubeflow.org/v1beta1";

fn kind() -> ApiResource {
    resource("kubeflow.org", "v1", "Notebook", "notebooks")
}

pub(super) async fn run(client: Client) {
    Controller::new(client, kind())
        .watches_named(resource("apps", "v1", "StatefulSet", "statefulsets"), None)
        .watches_named(resource("", "v1", "Service", "services"), None)
        .watches_named(resource("", "v1", "Pod", "pods"), Some(LABEL))
        .run(|client, notebook| Box::pin(reconcile(client, notebook)) as Reconcile<'_>)
        .await;
}

async fn reconcile(client: &Client, notebook: &DynamicObject) -> Result<Option<Duration>, kube::Error> {
    let (name, namespace) = (notebook.name_any(), notebook.namespace().unwrap_or_default());
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &namespace);
    // A failure is not reported, neither in the status nor by an event.
    let set = ensure(&sets, &name, &stateful_set(notebook)).await?;
    let spec = json!({"replicas": replicas(notebook), "template": {"spec": pod_spec(notebook)}});
    sets.patch(&name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    ensure(&services, &name, &service(notebook)).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let pod = pods.get_opt(&format!("{name}-0")).await?;
    // The replicas are from the set that was read above, so they can be inconsistent with the pod.
    let ready = set.status.and_then(|status| status.ready_replicas).unwrap_or(0);
    write_status(client, notebook, &kind(), status(&name, ready, pod.as_ref())).await?;
    let Some(annotations) = culling_annotations(notebook, pod.is_some(), Timestamp::now()) else {
        return Ok(None);
    };
    let notebooks: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind());
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    notebooks.patch(&name, &PatchParams::default(), &patch).await?;
    Ok(Some(CHECK_INTERVAL))
}

/// The annotations that the culler sets on a Notebook, if any. The last activity is never updated, as in upstream for a
/// server without kernels, with an error or with a login. A culled Notebook looks as if a user had stopped it.
fn culling_annotations(notebook: &DynamicObject, has_pod: bool, now: Timestamp) -> Option<Value> {
    let annotations = notebook.annotations();
    let time = |name: &str| annotations.get(name)?.parse::<Timestamp>().ok();
    if annotations.contains_key(STOPPED) {
        let has_times = annotations.contains_key(LAST_ACTIVITY) || annotations.contains_key(LAST_CHECK);
        return has_times.then(|| json!({LAST_ACTIVITY: null, LAST_CHECK: null}));
    }
    let idle: i64 = annotations.get(IDLE_SECONDS)?.parse().ok()?;
    if !has_pod {
        return None;
    }
    let (Some(active), Some(checked)) = (time(LAST_ACTIVITY), time(LAST_CHECK)) else {
        return Some(json!({LAST_ACTIVITY: seconds(now), LAST_CHECK: seconds(now)}));
    };
    if now.as_second() - checked.as_second() < 1 {
        return None;
    }
    let mut checked = json!({LAST_CHECK: seconds(now)});
    if now.as_second() - active.as_second() > idle
        && let Some(annotations) = checked.as_object_mut()
    {
        annotations.insert(STOPPED.to_owned(), json!(seconds(now)));
    }
    Some(checked)
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn replicas(notebook: &DynamicObject) -> i32 {
    i32::from(!notebook.annotations().contains_key(STOPPED))
}

/// The pod's conditions in their order, and the state of the container with the Notebook's name.
fn status(name: &str, ready: i32, pod: Option<&Pod>) -> Value {
    let status = pod.and_then(|pod| pod.status.as_ref());
    let now = seconds(Timestamp::now());
    let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let conditions: Vec<Value> = conditions
        .map(|condition| {
            let mut copy = json!({"type": condition.type_, "status": condition.status, "lastProbeTime": now});
            if let Some(fields) = copy.as_object_mut() {
                let more = [
                    ("reason", json!(condition.reason)),
                    ("message", json!(condition.message)),
                    ("lastTransitionTime", json!(condition.last_transition_time)),
                ];
                fields.extend(
                    more.into_iter()
                        .filter(|(_, value)| !value.is_null())
                        .map(|(key, value)| (key.to_owned(), value)),
                );
            }
            copy
        })
        .collect();
    let containers = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    let state =
        containers.filter(|container| container.name == name).find_map(|container| container.state.clone());
    json!({
        "conditions": conditions,
        "containerState": state.map_or_else(|| json!({}), |state| json!(state)),
        "readyReplicas": ready,
    })
}

fn stateful_set(notebook: &DynamicObject) -> Value {
    let name = notebook.name_any();
    let mut labels: Map<String, Value> =
        notebook.labels().iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    labels.insert("statefulset".to_owned(), json!(name));
    labels.insert(LABEL.to_owned(), json!(name));
    let kept = |key: &&String| !key.contains("kubectl") && !key.contains("notebook");
    let annotations: Map<String, Value> = notebook
        .annotations()
        .iter()
        .filter(|(key, _)| kept(key))
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": name, "ownerReferences": owner(notebook, API_VERSION, "Notebook")},
        "spec": {
            "replicas": replicas(notebook),
            "serviceName": "",
            "selector": {"matchLabels": {"statefulset": name}},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": pod_spec(notebook),
            },
        },
    })
}

/// The Notebook's pod spec with the controller's defaults.
fn pod_spec(notebook: &DynamicObject) -> Value {
    let mut spec = notebook.data.pointer("/spec/template/spec").cloned().unwrap_or_else(|| json!({}));
    let prefix = format!("/notebook/{}/{}", notebook.namespace().unwrap_or_default(), notebook.name_any());
    if let Some(container) = spec.pointer_mut("/containers/0").and_then(Value::as_object_mut) {
        container.entry("workingDir").or_insert_with(|| json!("/home/jovyan"));
        container
            .entry("ports")
            .or_insert_with(|| json!([{"name": "notebook-port", "containerPort": 8888, "protocol": "TCP"}]));
        let variables = container.entry("env").or_insert_with(|| json!([]));
        if let Some(variables) = variables.as_array_mut()
            && !variables.iter().any(|variable| super::text(variable, "/name") == "NB_PREFIX")
        {
            variables.push(json!({"name": "NB_PREFIX", "value": prefix}));
        }
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.entry("securityContext").or_insert_with(|| json!({"fsGroup": 100}));
    }
    spec
}

fn service(notebook: &DynamicObject) -> Value {
    let name = notebook.name_any();
    let port = notebook.data.pointer("/spec/template/spec/containers/0/ports/0/containerPort").cloned();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "ownerReferences": owner(notebook, API_VERSION, "Notebook")},
        "spec": {
            "selector": {"statefulset": name},
            "ports": [{
                "name": format!("http-{name}"), "port": 80, "protocol": "TCP",
                "targetPort": port.unwrap_or_else(|| json!(8888)),
            }],
        },
    })
}

/// Copies every event of a Notebook's pod and stateful set to the Notebook. A copy has the time of the copying, and at
/// the start all stored events are copied.
pub(super) async fn reissue(client: Client) {
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let watched = client.clone();
    tokio::spawn(async move {
        let kind = resource("", "v1", "Event", "events");
        loop {
            let each = |event: &DynamicObject| {
                let _ = events.send(event.clone());
            };
            if let Err(error) = changes(&watched, &kind, each).await {
                log(&format!("events: {error}"));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    while let Some(event) = seen.recv().await {
        let name = event.name_any();
        match event.try_parse::<Event>() {
            Ok(event) => {
                if let Err(error) = reissue_one(&client, &event).await {
                    log(&format!("event {name}: {error}"));
                }
            }
            Err(error) => log(&format!("event {name}: {error}")),
        }
    }
}

async fn reissue_one(client: &Client, event: &Event) -> Result<(), kube::Error> {
    let of = &event.involved_object;
    let (Some(kind), Some(name), Some(namespace)) = (&of.kind, &of.name, &of.namespace) else {
        return Ok(());
    };
    let owner = match kind.as_str() {
        "StatefulSet" => name.as_str(),
        "Pod" => name.strip_suffix("-0").unwrap_or_default(),
        _ => return Ok(()),
    };
    if owner.is_empty() {
        return Ok(());
    }
    let notebooks: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &self::kind());
    let Some(notebook) = notebooks.get_opt(owner).await? else { return Ok(()) };
    // The recorder counts repeated events.
    let copy_name = format!("{owner}.{}", event.name_any());
    let copy = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": copy_name, "namespace": namespace},
        "type": event.type_, "reason": event.reason,
        "message": format!("Reissued from {}/{name}: {}", kind.to_lowercase(), event.message.clone().unwrap_or_default()),
        "source": {"component": "notebook-controller"},
        "count": event.count.unwrap_or(1),
        "firstTimestamp": seconds(Timestamp::now()),
        "lastTimestamp": seconds(Timestamp::now()),
        "involvedObject": {
            "apiVersion": API_VERSION, "kind": "Notebook", "name": owner, "namespace": namespace,
            "uid": notebook.uid(),
        },
    });
    let copy: Event = serde_json::from_value(copy).map_err(kube::Error::SerdeError)?;
    let copies: Api<Event> = Api::namespaced(client.clone(), namespace);
    match copies.create(&PostParams::default(), &copy).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let update =
                json!({"count": copy.count, "lastTimestamp": copy.last_timestamp, "message": copy.message});
            copies.patch(&copy.name_any(), &PatchParams::default(), &Patch::Merge(update)).await.map(drop)
        }
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook(annotations: &[(&str, &str)]) -> DynamicObject {
        let mut notebook = DynamicObject::new("alice", &kind());
        let pairs = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        notebook.metadata.annotations = Some(pairs.collect());
        notebook
    }

    #[test]
    fn culler_stops_idle_notebook_with_pod() {
        let start: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let later = |seconds| Timestamp::from_second(start.as_second() + seconds).unwrap();
        let time = "2026-01-01T12:00:00Z";
        let begun = [(IDLE_SECONDS, "2"), (LAST_ACTIVITY, time), (LAST_CHECK, time)];
        let stopped = [(STOPPED, time), (LAST_ACTIVITY, time), (LAST_CHECK, time)];

        assert_eq!(culling_annotations(&notebook(&[]), true, start), None);
        assert_eq!(culling_annotations(&notebook(&begun[..1]), false, start), None);
        let first = Some(json!({LAST_ACTIVITY: time, LAST_CHECK: time}));
        assert_eq!(culling_annotations(&notebook(&begun[..1]), true, start), first);
        assert_eq!(culling_annotations(&notebook(&begun), true, start), None);
        let checked = Some(json!({LAST_CHECK: "2026-01-01T12:00:02Z"}));
        assert_eq!(culling_annotations(&notebook(&begun), true, later(2)), checked);
        let at = "2026-01-01T12:00:03Z";
        assert_eq!(
            culling_annotations(&notebook(&begun), true, later(3)),
            Some(json!({LAST_CHECK: at, STOPPED: at}))
        );
        let cleared = Some(json!({LAST_ACTIVITY: null, LAST_CHECK: null}));
        assert_eq!(culling_annotations(&notebook(&stopped), true, later(4)), cleared);
        assert_eq!(culling_annotations(&notebook(&stopped[..1]), true, later(5)), None);
    }
}

//! The workspaces controller of the tag v2.0.0-beta.0, without its webhooks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, Pod, Service, ServiceAccount};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value, json};

use super::controller::{Controller, Key, Reconcile, key};
use super::{ensure, owner, resource, text, write_status};

const LABEL: &str = "notebooks.kubeflow.org/workspace-name";
const API_VERSION: &str = "kubeflow.org/v1beta1";
/// How often the events of a pending pod are read.
const PENDING_INTERVAL: Duration = Duration::from_secs(15);

fn kind() -> ApiResource {
    resource("kubeflow.org", "v1beta1", "Workspace", "workspaces")
}

fn kinds() -> ApiResource {
    resource("kubeflow.org", "v1beta1", "WorkspaceKind", "workspacekinds")
}

pub(super) async fn run(client: Client) {
    let kinds_in_use: Arc<Mutex<BTreeMap<Key, String>>> = Arc::default();
    let seen = Arc::clone(&kinds_in_use);
    Controller::new(client, kind())
        .watches_named(resource("apps", "v1", "StatefulSet", "statefulsets"), Some(LABEL))
        .watches_named(resource("", "v1", "Pod", "pods"), Some(LABEL))
        .watches(kind(), move |workspace| {
            let kind = text(&workspace.data, "/spec/kind").to_owned();
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(key(workspace), kind);
            Vec::new()
        })
        // A change of a kind affects all its workspaces, and restarts the running ones.
        .watches(kinds(), move |changed| {
            let name = changed.name_any();
            let kinds_in_use = kinds_in_use.lock().unwrap_or_else(PoisonError::into_inner);
            kinds_in_use.iter().filter(|(_, kind)| **kind == name).map(|(key, _)| key.clone()).collect()
        })
        .run(|client, workspace| Box::pin(reconcile(client, workspace)) as Reconcile<'_>)
        .await;
}

async fn reconcile(client: &Client, workspace: &DynamicObject) -> Result<Option<Duration>, kube::Error> {
    let before = workspace.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let all_kinds: Api<DynamicObject> = Api::all_with(client.clone(), &kinds());
    let named = text(&workspace.data, "/spec/kind");
    let Some(workspace_kind) = all_kinds.get_opt(named).await? else {
        let status = with_error(&before, &format!("Workspace references unknown WorkspaceKind: {named}"));
        return finish(client, workspace, &before, status, None).await;
    };
    let options = |what: &'static str| Choice::choose(workspace, &workspace_kind, what);
    let (image, pod_option) = match (options("imageConfig"), options("podConfig")) {
        (Ok(image), Ok(pod)) => (image, pod),
        (Err(why), _) | (_, Err(why)) => {
            return finish(client, workspace, &before, with_error(&before, &why), None).await;
        }
    };
    let set = ensure_children(client, workspace, &workspace_kind, &image, &pod_option).await?;
    let namespace = workspace.namespace().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let pod = pods.get_opt(&format!("{}-0", set.name_any())).await?;
    let (state, message) = state_of(client, workspace, &set, pod.as_ref()).await?;
    let mut status = json!({
        "activity": activity(&before, state),
        "lastRunningTime": last_running(&before, state),
        "pauseTime": pause_time(&before, workspace, state),
        "pendingRestart": image.is_replaced() || pod_option.is_replaced(),
        "podTemplateOptions": {"imageConfig": image.status(), "podConfig": pod_option.status()},
        "podTemplatePod": template_pod(workspace, pod.as_ref()),
        "state": state,
        "stateMessage": message,
    });
    let mut requeue_after = (state == "Pending").then_some(PENDING_INTERVAL);
    if state == "Running"
        && let Some(pod) = &pod
        && let Some(interval) = probe_interval(&workspace_kind)
    {
        probe(client, workspace, &workspace_kind, &image, pod, &mut status).await;
        requeue_after = Some(interval);
    }
    finish(client, workspace, &before, status, requeue_after).await
}

async fn finish(
    client: &Client,
    workspace: &DynamicObject,
    before: &Value,
    status: Value,
    requeue_after: Option<Duration>,
) -> Result<Option<Duration>, kube::Error> {
    if *before != status {
        write_status(client, workspace, &kind(), status).await?;
    }
    Ok(requeue_after)
}

/// A status with the state `Error`; the other fields keep their values.
fn with_error(before: &Value, message: &str) -> Value {
    let mut status = before.as_object().cloned().unwrap_or_default();
    let defaults = [
        ("activity", json!({"lastActivity": 0, "lastUpdate": 0})),
        ("lastRunningTime", json!(0)),
        ("pauseTime", json!(0)),
        ("podTemplateOptions", json!({"imageConfig": {}, "podConfig": {}})),
        ("podTemplatePod", json!({"name": "", "nodeName": ""})),
    ];
    for (field, value) in defaults {
        status.entry(field).or_insert(value);
    }
    status.insert("pendingRestart".to_owned(), json!(false));
    status.insert("state".to_owned(), json!("Error"));
    status.insert("stateMessage".to_owned(), json!(message));
    Value::Object(status)
}

/// The option that a workspace has chosen, and its redirects in the WorkspaceKind.
struct Choice {
    chosen: Value,
    id: String,
    desired: String,
    chain: Vec<Value>,
}

impl Choice {
    fn choose(workspace: &DynamicObject, workspace_kind: &DynamicObject, what: &str) -> Result<Self, String> {
        let id = text(&workspace.data, &format!("/spec/podTemplate/options/{what}")).to_owned();
        let values = workspace_kind.data.pointer(&format!("/spec/podTemplate/options/{what}/values"));
        let values = values.and_then(Value::as_array).cloned().unwrap_or_default();
        let find = |id: &str| values.iter().find(|value| text(value, "/id") == id).cloned();
        let invalid = |why: String| format!("Workspace has invalid {what}: {what} with id {why}");
        let chosen = find(&id).ok_or_else(|| invalid(format!("\"{id}\" not found")))?;
        let mut chain = Vec::new();
        let (mut desired, mut seen) = (id.clone(), vec![id.clone()]);
        while let Some(to) =
            find(&desired).and_then(|value| Some(value.pointer("/redirect/to")?.as_str()?.to_owned()))
        {
            if seen.contains(&to) {
                return Err(invalid(format!("\"{id}\" has a circular redirect")));
            }
            if find(&to).is_none() {
                return Err(invalid(format!("\"{to}\" not found, was redirected from \"{desired}\"")));
            }
            chain.push(json!({"source": desired, "target": to}));
            seen.push(to.clone());
            desired = to;
        }
        Ok(Self { chosen, id, desired, chain })
    }

    fn is_replaced(&self) -> bool {
        self.id != self.desired
    }

    fn status(&self) -> Value {
        if self.chain.is_empty() {
            return json!({"desired": self.desired});
        }
        json!({"desired": self.desired, "redirectChain": self.chain})
    }
}

/// Creates and updates the service account, the stateful set and the service. Generated names are random, so they are
/// found by label.
async fn ensure_children(
    client: &Client,
    workspace: &DynamicObject,
    workspace_kind: &DynamicObject,
    image: &Choice,
    pod_option: &Choice,
) -> Result<StatefulSet, kube::Error> {
    let (name, namespace) = (workspace.name_any(), workspace.namespace().unwrap_or_default());
    let mine = ListParams::default().labels(&format!("{LABEL}={name}"));
    let metadata =
        json!({"labels": {LABEL: name}, "ownerReferences": owner(workspace, API_VERSION, "Workspace")});
    let account_name = format!("ws-{name}");
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    let mut account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
    set(&mut account, "metadata", "name", json!(account_name));
    ensure(&accounts, &account_name, &account).await?;

    let template = pod_template(workspace, workspace_kind, image, pod_option);
    let replicas = i32::from(workspace.data.pointer("/spec/paused").and_then(Value::as_bool) != Some(true));
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &namespace);
    let found =
        sets.list(&mine).await?.items.into_iter().find(|set| owned(set.owner_references(), workspace));
    let stateful_set = match found {
        Some(found) => {
            let spec = json!({"spec": {"replicas": replicas, "template": template}});
            sets.patch(&found.name_any(), &PatchParams::default(), &Patch::Merge(spec)).await?
        }
        None => {
            let mut wanted = json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata,
                "spec": {
                    "replicas": replicas, "serviceName": "",
                    "selector": {"matchLabels": {LABEL: name, "statefulset": name}},
                    "template": template,
                },
            });
            set(&mut wanted, "metadata", "generateName", json!(name_prefix(&format!("ws-{name}"), 46)));
            create(&sets, wanted).await?
        }
    };
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    let exists =
        services.list(&mine).await?.items.iter().any(|service| owned(service.owner_references(), workspace));
    if !exists {
        let ports: Vec<Value> = ports(image)
            .map(|(_, port)| json!({"name": format!("http-{port}"), "port": port, "targetPort": port, "protocol": "TCP"}))
            .collect();
        let mut wanted = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": {LABEL: name, "statefulset": name}, "ports": ports},
        });
        set(&mut wanted, "metadata", "generateName", json!(name_prefix(&format!("ws-{name}"), 57)));
        create(&services, wanted).await?;
    }
    Ok(stateful_set)
}

async fn create<K>(api: &Api<K>, wanted: Value) -> Result<K, kube::Error>
where
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let wanted: K = serde_json::from_value(wanted).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &wanted).await
}

fn owned(
    owners: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference],
    workspace: &DynamicObject,
) -> bool {
    owners.iter().any(|owner| Some(&owner.uid) == workspace.metadata.uid.as_ref())
}

/// A prefix of at most `max` characters for a generated name.
fn name_prefix(prefix: &str, max: usize) -> String {
    let prefix: String = prefix.chars().take(max).collect();
    format!("{}-", prefix.trim_end_matches('-'))
}

fn pod_template(
    workspace: &DynamicObject,
    workspace_kind: &DynamicObject,
    image: &Choice,
    pod_option: &Choice,
) -> Value {
    let name = workspace.name_any();
    let kind = |pointer: &str| workspace_kind.data.pointer(&format!("/spec/podTemplate{pointer}")).cloned();
    let mut labels: Map<String, Value> = Map::new();
    for more in
        [kind("/podMetadata/labels"), workspace.data.pointer("/spec/podTemplate/podMetadata/labels").cloned()]
    {
        labels.extend(more.and_then(|more| more.as_object().cloned()).unwrap_or_default());
    }
    labels.insert(LABEL.to_owned(), json!(name));
    labels.insert("statefulset".to_owned(), json!(name));
    let (mut volumes, mut mounts) = volumes(workspace, workspace_kind);
    volumes.extend(kind("/extraVolumes").and_then(|more| more.as_array().cloned()).unwrap_or_default());
    mounts.extend(kind("/extraVolumeMounts").and_then(|more| more.as_array().cloned()).unwrap_or_default());
    let ports: Vec<Value> = ports(image)
        .map(|(_, port)| json!({"name": format!("http-{port}"), "containerPort": port, "protocol": "TCP"}))
        .collect();
    let mut container = Map::new();
    container.insert("name".to_owned(), json!("main"));
    container.insert("image".to_owned(), json!(text(&image.chosen, "/spec/image")));
    container.insert("ports".to_owned(), json!(ports));
    container.insert("env".to_owned(), json!(variables(workspace, kind("/extraEnv"))));
    container.insert("volumeMounts".to_owned(), json!(mounts));
    let more = [
        ("imagePullPolicy", image.chosen.pointer("/spec/imagePullPolicy").cloned()),
        ("resources", pod_option.chosen.pointer("/spec/resources").cloned()),
        ("securityContext", kind("/containerSecurityContext")),
        ("readinessProbe", kind("/probes/readinessProbe")),
        ("livenessProbe", kind("/probes/livenessProbe")),
        ("startupProbe", kind("/probes/startupProbe")),
    ];
    container.extend(more.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))));
    let mut spec = json!({
        "serviceAccountName": format!("ws-{name}"), "containers": [container], "volumes": volumes,
    });
    if let Some(spec) = spec.as_object_mut() {
        let more = [("securityContext", kind("/securityContext"))].into_iter().chain(
            ["affinity", "nodeSelector", "tolerations"]
                .map(|field| (field, pod_option.chosen.pointer(&format!("/spec/{field}")).cloned())),
        );
        spec.extend(more.filter_map(|(field, value)| Some((field.to_owned(), value?))));
    }
    json!({"metadata": {"labels": labels}, "spec": spec})
}

fn volumes(workspace: &DynamicObject, workspace_kind: &DynamicObject) -> (Vec<Value>, Vec<Value>) {
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    let of = |pointer: &str| workspace.data.pointer(&format!("/spec/podTemplate/volumes/{pointer}"));
    if let Some(claim) = of("home") {
        volumes.push(json!({"name": "home-volume", "persistentVolumeClaim": {"claimName": claim}}));
        let path = text(&workspace_kind.data, "/spec/podTemplate/volumeMounts/home");
        mounts.push(json!({"name": "home-volume", "mountPath": path}));
    }
    for (index, data) in of("data").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let name = format!("data-volume-{index}");
        volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": data.get("pvcName")}}));
        mounts.push(
            json!({"name": name, "mountPath": data.get("mountPath"), "readOnly": data.get("readOnly")}),
        );
    }
    for (index, secret) in of("secrets").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let name = format!("secret-volume-{index}");
        volumes.push(json!({"name": name, "secret": {"secretName": secret.get("secretName")}}));
        mounts.push(json!({"name": name, "mountPath": secret.get("mountPath"), "readOnly": true}));
    }
    (volumes, mounts)
}

/// The kind's environment variables, with `{{ httpPathPrefix "ID" }}` replaced by the path of a port.
fn variables(workspace: &DynamicObject, workspace_kind: Option<Value>) -> Vec<Value> {
    let mut variables = workspace_kind.and_then(|list| list.as_array().cloned()).unwrap_or_default();
    for variable in &mut variables {
        let value = text(variable, "/value").to_owned();
        let template =
            value.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)));
        let Some((before, (call, after))) = template else { continue };
        let Some(id) = call.trim().strip_prefix("httpPathPrefix") else { continue };
        let value = format!("{before}{}{after}", path(workspace, id.trim().trim_matches('"')));
        if let Some(variable) = variable.as_object_mut() {
            variable.insert("value".to_owned(), json!(value));
        }
    }
    variables
}

fn path(workspace: &DynamicObject, id: &str) -> String {
    format!("/workspace/connect/{}/{}/{id}/", workspace.namespace().unwrap_or_default(), workspace.name_any())
}

fn ports(image: &Choice) -> impl Iterator<Item = (String, u64)> {
    let ports = image.chosen.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
    ports.into_iter().filter_map(|port| Some((text(&port, "/id").to_owned(), port.get("port")?.as_u64()?)))
}

/// The state and its message. Events are not watched, so a new event alone changes nothing.
async fn state_of(
    client: &Client,
    workspace: &DynamicObject,
    set: &StatefulSet,
    pod: Option<&Pod>,
) -> Result<(&'static str, String), kube::Error> {
    let unknown = ("Unknown", "Workspace is in an unknown state".to_owned());
    let Some(pod) = pod else {
        if workspace.data.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
            return Ok(("Paused", "Workspace is paused".to_owned()));
        }
        return Ok(match last_warning(client, set.namespace(), set.uid()).await? {
            Some(message) => ("Error", format!("Workspace StatefulSet has warning event: {message}")),
            None => unknown,
        });
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return Ok(("Terminating", "Workspace is terminating".to_owned()));
    }
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let unscheduled =
        conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(unscheduled) = unscheduled {
        let message = unscheduled.message.clone().unwrap_or_default();
        return Ok(("Error", format!("Workspace Pod is unschedulable: {message}")));
    }
    let phase = status.phase.unwrap_or_default();
    if phase == "Running"
        && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    {
        return Ok(("Running", "Workspace is running".to_owned()));
    }
    let containers = status.container_statuses.unwrap_or_default();
    let waiting = containers
        .iter()
        .find(|one| one.name == "main")
        .and_then(|one| one.state.as_ref()?.waiting.as_ref()?.reason.clone());
    if let Some(reason) =
        waiting.filter(|reason| reason == "CrashLoopBackOff" || reason == "ImagePullBackOff")
    {
        return Ok(("Error", format!("Workspace Container is not running ({reason})")));
    }
    if let Some(message) = last_warning(client, pod.namespace(), pod.uid()).await? {
        return Ok(("Error", format!("Workspace Pod has warning event: {message}")));
    }
    if phase == "Pending" {
        return Ok(("Pending", "Workspace is pending".to_owned()));
    }
    Ok(unknown)
}

/// The latest warning about an object, however old it is.
async fn last_warning(
    client: &Client,
    namespace: Option<String>,
    uid: Option<String>,
) -> Result<Option<String>, kube::Error> {
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace.unwrap_or_default());
    let about = format!("type=Warning,involvedObject.uid={}", uid.unwrap_or_default());
    let mut warnings = events.list(&ListParams::default().fields(&about)).await?.items;
    warnings.sort_by_key(|event| {
        event.last_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0))
    });
    Ok(warnings.pop().and_then(|event| event.message))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn was(before: &Value, state: &str) -> bool {
    text(before, "/state") == state
}

/// The activity, which is cleared when the workspace starts to run.
fn activity(before: &Value, state: &str) -> Value {
    let none = json!({"lastActivity": 0, "lastUpdate": 0});
    if state == "Running" && !was(before, "Running") {
        return none;
    }
    before.get("activity").cloned().unwrap_or(none)
}

fn last_running(before: &Value, state: &str) -> Value {
    if state == "Running" && !was(before, "Running") {
        return json!(now());
    }
    before.get("lastRunningTime").cloned().unwrap_or_else(|| json!(0))
}

fn pause_time(before: &Value, workspace: &DynamicObject, state: &str) -> Value {
    if workspace.data.pointer("/spec/paused").and_then(Value::as_bool) != Some(true) {
        return json!(0);
    }
    match before.get("pauseTime").filter(|time| time.as_i64().is_some_and(|time| time > 0)) {
        Some(time) => time.clone(),
        None if state == "Paused" => json!(now()),
        None => json!(0),
    }
}

fn template_pod(workspace: &DynamicObject, pod: Option<&Pod>) -> Value {
    let account = format!("ws-{}", workspace.name_any());
    let Some(pod) = pod else { return json!({"name": "", "nodeName": "", "serviceAccountName": account}) };
    let spec = pod.spec.clone().unwrap_or_default();
    let containers: Vec<Value> =
        spec.containers.iter().map(|container| json!({"name": container.name})).collect();
    json!({
        "name": pod.name_any(), "nodeName": spec.node_name.unwrap_or_default(),
        "serviceAccountName": account, "containers": containers,
    })
}

fn probe_interval(workspace_kind: &DynamicObject) -> Option<Duration> {
    let probe = workspace_kind.data.pointer("/spec/podTemplate/activityProbe")?;
    probe.get("jupyter")?;
    Some(Duration::from_secs(probe.get("probeIntervalSeconds").and_then(Value::as_u64).unwrap_or(3600)))
}

/// Reads the last activity from Jupyter, without a token.
async fn probe(
    client: &Client,
    workspace: &DynamicObject,
    workspace_kind: &DynamicObject,
    image: &Choice,
    pod: &Pod,
    status: &mut Value,
) {
    let id = text(&workspace_kind.data, "/spec/podTemplate/activityProbe/jupyter/portId");
    let Some((_, port)) = ports(image).find(|(of, _)| of == id) else { return };
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let url =
        format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy{}api/status", path(workspace, id));
    let started = now();
    let Ok(request) = http::Request::get(url).body(Vec::new()) else { return };
    let answer = client.request::<Value>(request).await;
    let last = answer
        .as_ref()
        .ok()
        .and_then(|answer| text(answer, "/last_activity").parse::<jiff::Timestamp>().ok());
    let (result, message) = match last {
        Some(_) => ("Success", "Jupyter probe succeeded"),
        None => ("Failure", "Jupyter probe failed"),
    };
    let Some(activity) = status.pointer_mut("/activity").and_then(Value::as_object_mut) else { return };
    if let Some(last) = last {
        activity.insert("lastActivity".to_owned(), json!(last.as_millisecond()));
    }
    activity.insert("lastUpdate".to_owned(), json!(now()));
    activity.insert(
        "lastProbe".to_owned(),
        json!({"startTime": started, "endTime": now(), "result": result, "message": message}),
    );
}

fn set(object: &mut Value, part: &str, field: &str, value: Value) {
    if let Some(part) = object.get_mut(part).and_then(Value::as_object_mut) {
        part.insert(field.to_owned(), value);
    }
}

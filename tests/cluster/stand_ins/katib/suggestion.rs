//! The suggestion controller: creates a Deployment and a Service for each experiment, then suggests values.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, DynamicObject};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::super::super::images::BUSYBOX;
use super::super::controller::{Controller, Reconcile};
use super::super::{ensure, owner, resource, text, write_status};
use super::{
    API_VERSION, EXPERIMENT, SUGGESTION, count, experiments, has_condition, set, set_condition, suggestions,
};

/// The annotation on an Experiment with another image for its suggestion service, such as a missing one.
const IMAGE_ANNOTATION: &str = "kf.test/suggestion-image";

pub(super) async fn run(client: Client) {
    Controller::new(client, suggestions())
        .with_deleted()
        .watches_named(resource("apps", "v1", "Deployment", "deployments"), Some(SUGGESTION))
        .watches_named(resource("", "v1", "Service", "services"), Some(SUGGESTION))
        .run(|client, suggestion| Box::pin(reconcile(client, suggestion)) as Reconcile<'_>)
        .await;
}

async fn reconcile(client: &Client, suggestion: &DynamicObject) -> Result<Option<Duration>, kube::Error> {
    let (name, namespace) = (suggestion.name_any(), suggestion.namespace().unwrap_or_default());
    let service_name = format!("{name}-{}", text(&suggestion.data, "/spec/algorithm/algorithmName"));
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    if has_condition(suggestion, "Succeeded") {
        let background = DeleteParams::background();
        ignore_missing(deployments.delete(&service_name, &background).await.map(drop))?;
        ignore_missing(services.delete(&service_name, &background).await.map(drop))?;
        return Ok(None);
    }
    let before = suggestion.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let mut status = before.clone();
    set_condition(&mut status, "Created", "SuggestionCreated", "Suggestion is created");
    // Even if it is being deleted.
    let experiments: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &experiments());
    let experiment = experiments.get_opt(&name).await?;
    let image =
        experiment.as_ref().and_then(|experiment| experiment.annotations().get(IMAGE_ANNOTATION)).cloned();
    ensure(&services, &service_name, &service(suggestion, &service_name)).await?;
    let wanted = deployment(suggestion, &service_name, &image.unwrap_or_else(|| BUSYBOX.to_owned()));
    let created = ensure(&deployments, &service_name, &wanted).await?;
    let conditions = created.status.unwrap_or_default().conditions.unwrap_or_default();
    let is_available = |condition: &k8s_openapi::api::apps::v1::DeploymentCondition| {
        condition.type_ == "Available" && condition.status == "True"
    };
    if conditions.iter().any(is_available)
        && let Some(experiment) = experiment
    {
        set_condition(&mut status, "DeploymentReady", "DeploymentReady", "Deployment is ready");
        set_condition(&mut status, "Running", "SuggestionRunning", "Suggestion is running");
        suggest(&mut status, suggestion, &experiment);
    }
    if status != before {
        write_status(client, suggestion, &suggestions(), status).await?;
    }
    Ok(None)
}

fn ignore_missing(deleted: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}

/// Suggests as many values as requested.
fn suggest(status: &mut Value, suggestion: &DynamicObject, experiment: &DynamicObject) {
    let mut known = status.get("suggestions").and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted =
        count(&suggestion.data, "/spec/requests").and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let parameters = experiment.data.pointer("/spec/parameters").and_then(Value::as_array).cloned();
    let parameters = parameters.unwrap_or_default();
    while known.len() < wanted {
        let assignments: Vec<Value> = parameters
            .iter()
            .map(
                |parameter| json!({"name": text(parameter, "/name"), "value": value(parameter, known.len())}),
            )
            .collect();
        // In upstream, eight random letters and digits.
        let letters: String = (0..8)
            .map(|place| char::from(b'a' + u8::try_from((known.len() * 7 + place * 5) % 26).unwrap_or(0)))
            .collect();
        let name = format!("{}-{letters}", suggestion.name_any());
        known.push(json!({"name": name, "parameterAssignments": assignments}));
    }
    set(status, "suggestionCount", json!(known.len()));
    set(status, "suggestions", json!(known));
}

/// The value of a parameter for an index, spread over its range.
fn value(parameter: &Value, index: usize) -> String {
    let space = |field: &str| text(parameter, &format!("/feasibleSpace/{field}"));
    let share = (index as f64 * 0.618 + 0.3).fract();
    let between = |min: f64, max: f64| min + (max - min) * share;
    let bounds = (space("min").parse::<f64>().unwrap_or(0.0), space("max").parse::<f64>().unwrap_or(1.0));
    match text(parameter, "/parameterType") {
        "int" => between(bounds.0, bounds.1).round().to_string(),
        "double" => between(bounds.0, bounds.1).to_string(),
        _ => {
            let list = parameter.pointer("/feasibleSpace/list").and_then(Value::as_array);
            let list = list.map(Vec::as_slice).unwrap_or_default();
            let chosen = list.get(index.checked_rem(list.len()).unwrap_or(0)).and_then(Value::as_str);
            chosen.unwrap_or_default().to_owned()
        }
    }
}

fn labels(suggestion: &DynamicObject, deployment: &str) -> Value {
    json!({
        EXPERIMENT: suggestion.name_any(), SUGGESTION: suggestion.name_any(),
        "katib.kubeflow.org/deployment": deployment, "sidecar.istio.io/inject": "false",
    })
}

fn deployment(suggestion: &DynamicObject, name: &str, image: &str) -> Value {
    let labels = labels(suggestion, name);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        // In upstream it has the labels of the Experiment; with this one the stand-in can watch it.
        "metadata": {
            "name": name, "labels": {SUGGESTION: suggestion.name_any()},
            "ownerReferences": owner(suggestion, API_VERSION, "Suggestion"),
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "suggestion", "image": image, "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", "echo the suggestion service; exec sleep 100000"],
                    "ports": [{"name": "suggestion-api", "containerPort": 6789}],
                }],
            }},
        },
    })
}

fn service(suggestion: &DynamicObject, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "labels": {SUGGESTION: suggestion.name_any()},
            "ownerReferences": owner(suggestion, API_VERSION, "Suggestion"),
        },
        "spec": {
            "selector": labels(suggestion, name), "ports": [{"name": "suggestion-api", "port": 6789}],
        },
    })
}

//! The tensorboard controller, without its Istio objects.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::super::part::TENSORBOARD;
use super::controller::{Controller, Reconcile};
use super::{ensure, owner, resource, text, write_status};

const API_VERSION: &str = "tensorboard.kubeflow.org/v1alpha1";

fn kind() -> ApiResource {
    resource("tensorboard.kubeflow.org", "v1alpha1", "Tensorboard", "tensorboards")
}

pub(super) async fn run(client: Client) {
    Controller::new(client, kind())
        .watches_named(resource("apps", "v1", "Deployment", "deployments"), None)
        .run(|client, board| Box::pin(reconcile(client, board)) as Reconcile<'_>)
        .await;
}

async fn reconcile(client: &Client, board: &DynamicObject) -> Result<Option<Duration>, kube::Error> {
    let (name, namespace) = (board.name_any(), board.namespace().unwrap_or_default());
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let deployment = ensure(&deployments, &name, &deployment(board)).await?;
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    ensure(&services, &name, &service(board)).await?;
    let status = deployment.status.unwrap_or_default();
    let conditions: Vec<Value> = status
        .conditions
        .unwrap_or_default()
        .iter()
        .map(|condition| json!({"deploymentState": condition.type_, "lastProbeTime": condition.last_update_time}))
        .collect();
    let status = json!({"conditions": conditions, "readyReplicas": status.ready_replicas.unwrap_or(0)});
    if board.data.get("status") != Some(&status) {
        write_status(client, board, &kind(), status).await?;
    }
    Ok(None)
}

fn deployment(board: &DynamicObject) -> Value {
    let name = board.name_any();
    let path = text(&board.data, "/spec/logspath");
    let mut container = json!({
        "name": "tensorboard", "image": TENSORBOARD, "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/local/bin/tensorboard"],
        "ports": [{"containerPort": 6006}],
    });
    let mut spec = json!({"restartPolicy": "Always"});
    let directory = match path.strip_prefix("pvc://") {
        Some(rest) => {
            let (claim, sub_path) = rest.split_once('/').unwrap_or((rest, ""));
            set(
                &mut spec,
                "volumes",
                json!([{
                    "name": "tbpd", "persistentVolumeClaim": {"claimName": claim, "readOnly": true},
                }]),
            );
            set(
                &mut container,
                "volumeMounts",
                json!([{
                    "name": "tbpd", "readOnly": true, "mountPath": "/tensorboard_logs/", "subPath": sub_path,
                }]),
            );
            "/tensorboard_logs/"
        }
        None => path,
    };
    set(&mut container, "args", json!([format!("--logdir={directory}"), "--bind_all"]));
    set(&mut spec, "containers", json!([container]));
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "ownerReferences": owner(board, API_VERSION, "Tensorboard")},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    })
}

fn service(board: &DynamicObject) -> Value {
    let name = board.name_any();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "ownerReferences": owner(board, API_VERSION, "Tensorboard")},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": format!("http-{name}"), "port": 80, "targetPort": 6006}],
        },
    })
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(field.to_owned(), value);
    }
}

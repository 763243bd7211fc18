use kf_notebook_server::GROUP;
use kf_plugin_sdk::prelude::*;
use serde_json::{Map, Value, json};

use super::Create;

/// Kubeflow's own image with JupyterLab and the usual packages.
const DEFAULT_IMAGE: &str = "ghcr.io/kubeflow/kubeflow/notebook-servers/jupyter-scipy:v1.10.0";
/// Where Kubeflow's images have the user's files.
const HOME: &str = "/home/jovyan";

/// The Notebook. The container has its name, by which the controller knows it.
pub(super) fn object(create: &Create, home: Option<&str>) -> Result<Object> {
    let mut container = Object::from(json!({
        "name": create.name,
        "image": create.image.as_deref().unwrap_or(DEFAULT_IMAGE),
    }));
    let amounts: Map<_, _> =
        create.resources.amounts()?.into_iter().map(|(name, amount)| (name, json!(amount))).collect();
    if !amounts.is_empty() {
        container.set("/resources", json!({ "requests": amounts, "limits": amounts }));
    }
    if !create.env.is_empty() {
        let variables = create.env.iter().map(|pair| variable(pair)).collect::<Result<Vec<_>>>()?;
        container.set("/env", variables);
    }
    let mut pod = Object::from(json!({}));
    if let Some(claim) = home {
        container.set("/volumeMounts", json!([{ "name": "home", "mountPath": HOME }]));
        pod.set("/volumes", json!([{ "name": "home", "persistentVolumeClaim": { "claimName": claim } }]));
    }
    pod.set("/containers", json!([container.into_value()]));
    Ok(Object::from(json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Notebook",
        "metadata": { "name": create.name },
        "spec": { "template": { "spec": pod.into_value() } },
    })))
}

fn variable(pair: &str) -> Result<Value> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(json!({ "name": name, "value": value })),
        _ => Err(Error::invalid(format!("--env {pair} is no variable; write --env NAME=VALUE"))),
    }
}

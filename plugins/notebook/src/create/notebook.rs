use kf_notebook_server::GROUP;
use kf_plugin_sdk::Object;
use kf_plugin_sdk::manifest::{set_resources, set_variable};
use serde_json::json;

use super::Create;

/// Kubeflow's image with JupyterLab and the usual packages.
const DEFAULT_IMAGE: &str = "ghcr.io/kubeflow/kubeflow/notebook-servers/jupyter-scipy:v1.11.0";
/// The home folder in Kubeflow's images.
const HOME: &str = "/home/jovyan";

/// The Notebook. The controller finds the container by the name of the Notebook.
pub(super) fn object(create: &Create, home: Option<&str>) -> Object {
    let mut container = Object::from(json!({
        "name": create.name,
        "image": create.image.as_deref().unwrap_or(DEFAULT_IMAGE),
    }));
    set_resources(&mut container, "/resources", &create.resources.amounts());
    for variable in &create.env {
        set_variable(&mut container, "/env", variable);
    }
    let mut pod = Object::from(json!({}));
    if let Some(claim) = home {
        container.set("/volumeMounts", json!([{ "name": "home", "mountPath": HOME }]));
        pod.set("/volumes", json!([{ "name": "home", "persistentVolumeClaim": { "claimName": claim } }]));
    }
    pod.set("/containers", json!([container.into_value()]));
    Object::from(json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Notebook",
        "metadata": { "name": create.name },
        "spec": { "template": { "spec": pod.into_value() } },
    }))
}

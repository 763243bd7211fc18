//! Changes that apply to all of upstream's manifests.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kf_toolchains::upstream::Upstream;
use serde_json::{Value, json};

use super::super::controllers::{self, containers_mut};
use super::super::error::{ClusterError, Result};
use super::super::manifests::read_yaml;
use super::super::objects::{DEPLOYMENT, is};
use super::BuildContext;

/// The unchanged objects of upstream's overlay.
pub(super) fn objects(upstream: &Upstream, context: &BuildContext) -> Result<Vec<Value>> {
    controllers::cached(upstream, context.progress, |_scratch| {
        controllers::kustomize(&context.binaries, &upstream.sources()?.join(upstream.overlay))
    })
}

/// Removes the custom resource definitions from `objects` and returns them.
pub(super) fn take_definitions(objects: &mut Vec<Value>) -> Result<Vec<CustomResourceDefinition>> {
    let (definitions, others): (Vec<Value>, Vec<Value>) =
        std::mem::take(objects).into_iter().partition(|object| is(object, "CustomResourceDefinition"));
    *objects = others;
    definitions
        .into_iter()
        .map(|definition| {
            serde_json::from_value(definition)
                .map_err(|error| ClusterError::malformed("upstream's definitions", error))
        })
        .collect()
}

/// Makes the manager run from `image`, which is not pulled, with requests for a small node.
pub(super) fn adapt_deployment(object: &mut Value, image: &str) {
    if !is(object, DEPLOYMENT) {
        return;
    }
    for container in containers_mut(object) {
        let Some(container) = container.as_object_mut() else { continue };
        container.insert("image".to_owned(), json!(image));
        container.insert("imagePullPolicy".to_owned(), json!("IfNotPresent"));
        container.insert("resources".to_owned(), json!({"requests": {"cpu": "50m", "memory": "100Mi"}}));
    }
}

/// Kubeflow's roles for users in `file`. Upstream aggregates them to `kubeflow-edit` and `kubeflow-view`, to which the
/// owner of a profile is bound. Here they are aggregated to `edit` and `view`, the roles of the test users.
pub(super) fn user_roles(file: &Path) -> Result<Vec<Value>> {
    let mut roles = Vec::new();
    for mut role in read_yaml(file)? {
        let name = role.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let Some(to) = ["edit", "view"].into_iter().find(|to| name.ends_with(&format!("-{to}"))) else {
            continue;
        };
        extend(&mut role, to);
        roles.push(role);
    }
    if roles.is_empty() {
        return Err(ClusterError::malformed(file, "it has no roles for users"));
    }
    Ok(roles)
}

/// Aggregates `role` to Kubernetes' role `to`.
pub(super) fn extend(role: &mut Value, to: &str) {
    if let Some(metadata) = role.get_mut("metadata").and_then(Value::as_object_mut) {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
        metadata.insert("labels".to_owned(), json!({label: "true"}));
    }
}

//! Applies Kubernetes objects of any kind from manifests, and waits for them.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Api, Client};
use serde_json::Value;

use super::client::{READY_TIMEOUT, wait_until};
use super::error::{ClusterError, Result};

pub(crate) const DEPLOYMENT: &str = "Deployment";
const NAMESPACE: &str = "Namespace";

pub(crate) fn is(object: &Value, kind: &str) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(kind)
}

/// Applies custom resource definitions and waits until the API server serves them.
pub(crate) async fn apply_definitions(
    client: &Client,
    definitions: &[CustomResourceDefinition],
    logs: &Path,
) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut waiting = Vec::new();
    for definition in definitions {
        let name = definition.metadata.name.clone().unwrap_or_default();
        api.patch(&name, &parameters(), &Patch::Apply(definition))
            .await
            .map_err(ClusterError::api(format!("apply the definition {name}")))?;
        waiting.push(name);
    }
    wait_until("the custom resources to be served", logs, || async {
        for name in &waiting {
            let definition = api.get(name).await.map_err(ClusterError::api(format!("read {name}")))?;
            let conditions = definition.status.and_then(|status| status.conditions).unwrap_or_default();
            if !conditions.iter().any(|c| c.type_ == "Established" && c.status == "True") {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

/// Applies objects, namespaces first. Their kinds must be served already.
pub(crate) async fn apply_all(client: &Client, objects: &[Value]) -> Result<()> {
    let (namespaces, others): (Vec<&Value>, Vec<&Value>) =
        objects.iter().partition(|object| is(object, NAMESPACE));
    let parameters = parameters();
    for group in [namespaces, others] {
        try_join_all(group.into_iter().map(|object| apply(client, object, &parameters))).await?;
    }
    Ok(())
}

/// Applies objects one after the other, and retries while a webhook does not answer the API server: a new Service
/// needs a moment until it has endpoints.
pub(crate) async fn apply_when_admitted(client: &Client, objects: &[Value]) -> Result<()> {
    apply_with_retries(client, objects, &parameters()).await
}

/// Waits until the API server admits objects, without creating them.
pub(crate) async fn wait_until_admitted(client: &Client, objects: &[Value]) -> Result<()> {
    apply_with_retries(client, objects, &parameters().dry_run()).await
}

async fn apply_with_retries(client: &Client, objects: &[Value], parameters: &PatchParams) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    for object in objects {
        loop {
            match apply(client, object, parameters).await {
                Err(ClusterError::Api { source, .. })
                    if is_unanswered(&source) && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                applied => break applied?,
            }
        }
    }
    Ok(())
}

fn parameters() -> PatchParams {
    PatchParams::apply("kf-tests").force()
}

fn is_unanswered(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 500 && status.message.contains("failed calling webhook"))
}

async fn apply(client: &Client, object: &Value, parameters: &PatchParams) -> Result<()> {
    let malformed = |reason: String| ClusterError::malformed("upstream's manifests", reason);
    let object: DynamicObject =
        serde_json::from_value(object.clone()).map_err(|error| malformed(error.to_string()))?;
    let types = object.types.clone().ok_or_else(|| malformed("an object has no kind".to_owned()))?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let doing = format!("apply the {} {name}", types.kind);
    let kind = GroupVersionKind::try_from(&types).map_err(|error| malformed(error.to_string()))?;
    let (resource, capabilities) =
        discovery::pinned_kind(client, &kind).await.map_err(ClusterError::api(doing.clone()))?;
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) if capabilities.scope == Scope::Namespaced => {
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
        _ => Api::all_with(client.clone(), &resource),
    };
    api.patch(&name, parameters, &Patch::Apply(&object)).await.map(drop).map_err(ClusterError::api(doing))
}

/// Waits until every Deployment among `objects` is available.
pub(crate) async fn wait_until_available(client: &Client, objects: &[Value], logs: &Path) -> Result<()> {
    for deployment in objects.iter().filter(|object| is(object, DEPLOYMENT)) {
        let text = |at: &str| deployment.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let what = format!("the Deployment {name} to be available");
        wait_until(&what, logs, || async {
            let deployment = api.get(name).await.map_err(ClusterError::api(what.clone()))?;
            let conditions = deployment.status.and_then(|status| status.conditions).unwrap_or_default();
            Ok(conditions.iter().any(|c| c.type_ == "Available" && c.status == "True"))
        })
        .await?;
    }
    Ok(())
}

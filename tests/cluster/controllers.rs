//! The controllers of JobSet and Kubeflow Trainer, installed on a node by upstream's own manifests.
//!
//! Two things are changed in them. The overlay of Trainer would download JobSet's release, which
//! comes from its module here; and readiness is asked for every second from the start, where upstream
//! waits up to ten seconds before the first time.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use futures_util::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::binaries::Binaries;
use super::cache::{self, Key};
use super::client::wait_until;
use super::command;
use super::error::{ClusterError, Result};
use super::go::Go;
use super::manifests::{JOBSET, TRAINER, Upstream, parse_yaml};
use super::progress::Progress;
use super::supervisor::read_json;

const NAMESPACE: &str = "Namespace";
const DEPLOYMENT: &str = "Deployment";

/// The manifests of all controllers.
pub(crate) struct Manifests {
    objects: Vec<Value>,
    pub(crate) controllers: Vec<Controller>,
}

/// One controller, as its Deployment describes it.
#[derive(Debug)]
pub(crate) struct Controller {
    /// The directory of the upstream it belongs to.
    pub(crate) upstream: &'static str,
    pub(crate) image: String,
    pub(crate) entrypoint: String,
    namespace: String,
    name: String,
}

/// Renders upstream's manifests, without the custom resource definitions.
pub(crate) fn render(binaries: &Binaries, progress: Progress) -> Result<Manifests> {
    let mut all = Manifests { objects: Vec::new(), controllers: Vec::new() };
    for upstream in [&JOBSET, &TRAINER] {
        let module = upstream.our_module();
        let key = Key::new()
            .with("rendered 1")
            .with_file(&module.join("go.mod"))?
            .with_file(&module.join("go.sum"))?;
        let kind = format!("{}-manifests", upstream.directory);
        let entry = cache::entry(&kind, key, progress, |directory| {
            let sources = Go::find()?.sources_of(&module, upstream.module)?;
            let objects = render_one(upstream, &sources, binaries, directory)?;
            let text =
                serde_json::to_vec(&objects).map_err(|error| ClusterError::malformed(directory, error))?;
            fs::write(directory.join("objects.json"), text)?;
            Ok(())
        })?;
        let objects: Vec<Value> = read_json(&entry.join("objects.json"))?;
        for deployment in objects.iter().filter(|object| is(object, DEPLOYMENT)) {
            all.controllers.push(
                Controller::of(upstream, deployment)
                    .ok_or_else(|| ClusterError::malformed(&entry, "a Deployment in it names no image"))?,
            );
        }
        all.objects.extend(objects);
    }
    Ok(all)
}

fn render_one(
    upstream: &Upstream,
    sources: &Path,
    binaries: &Binaries,
    scratch: &Path,
) -> Result<Vec<Value>> {
    let overlay = if upstream.directory == TRAINER.directory {
        let copy = scratch.join("manifests");
        copy_directory(&sources.join("manifests"), &copy)?;
        let overlay = copy.join("overlays/manager");
        let file = overlay.join("kustomization.yaml");
        let text = fs::read_to_string(&file)?;
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("third-party/jobset")).collect();
        fs::write(&file, kept.join("\n"))?;
        overlay
    } else {
        sources.join("config/default")
    };
    let text = command::output(Command::new(binaries.path("kubectl")).arg("kustomize").arg(&overlay))?;
    let documents = parse_yaml(&text).map_err(|reason| ClusterError::malformed(&overlay, reason))?;
    let mut objects: Vec<Value> =
        documents.into_iter().filter(|document| !is(document, "CustomResourceDefinition")).collect();
    for object in &mut objects {
        for container in containers_mut(object) {
            if let Some(probe) = container.get_mut("readinessProbe").and_then(Value::as_object_mut) {
                probe.insert("initialDelaySeconds".to_owned(), json!(1));
                probe.insert("periodSeconds".to_owned(), json!(1));
            }
        }
    }
    Ok(objects)
}

/// Copies a directory of the module cache, which is read-only.
fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::write(target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn is(object: &Value, kind: &str) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(kind)
}

fn containers_mut(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut).into_iter().flatten()
}

impl Controller {
    fn of(upstream: &Upstream, deployment: &Value) -> Option<Self> {
        let text = |at: &str| deployment.pointer(at).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            upstream: upstream.directory,
            image: text("/spec/template/spec/containers/0/image")?,
            // Where the manifests name none, the image decides.
            entrypoint: text("/spec/template/spec/containers/0/command/0")
                .unwrap_or_else(|| "/manager".to_owned()),
            namespace: text("/metadata/namespace")?,
            name: text("/metadata/name")?,
        })
    }
}

/// Applies the manifests; the definitions have to be served already.
pub(crate) async fn install(client: &Client, manifests: &Manifests) -> Result<()> {
    let (namespaces, others): (Vec<&Value>, Vec<&Value>) =
        manifests.objects.iter().partition(|object| is(object, NAMESPACE));
    for group in [namespaces, others] {
        try_join_all(group.into_iter().map(|object| apply(client, object))).await?;
    }
    Ok(())
}

async fn apply(client: &Client, object: &Value) -> Result<()> {
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
    api.patch(&name, &PatchParams::apply("kf-tests").force(), &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(ClusterError::api(doing))
}

/// Waits until every controller is ready to work.
pub(crate) async fn wait_until_available(client: &Client, manifests: &Manifests, logs: &Path) -> Result<()> {
    for controller in &manifests.controllers {
        let api: Api<Deployment> = Api::namespaced(client.clone(), &controller.namespace);
        let what = format!("the Deployment {} to be available", controller.name);
        wait_until(&what, Duration::from_secs(120), logs, || async {
            let deployment = api.get(&controller.name).await.map_err(ClusterError::api(what.clone()))?;
            let conditions = deployment.status.and_then(|status| status.conditions).unwrap_or_default();
            Ok(conditions.iter().any(|c| c.type_ == "Available" && c.status == "True"))
        })
        .await?;
    }
    Ok(())
}

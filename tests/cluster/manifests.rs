//! Upstream's own manifests, from the Go modules of JobSet and Kubeflow Trainer.
//!
//! The custom resource definitions are some 3 MB of YAML, so they are read once, kept in the cache
//! as JSON, and sent together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;

use super::cache::{self, Key};
use super::client::wait_until;
use super::error::{ClusterError, Result};
use super::go::Go;
use super::locations;
use super::progress::Progress;

/// A Go module of upstream, pinned by a `go.mod` of ours.
pub(crate) struct Upstream {
    /// The directory of that `go.mod`, in `tests/cluster`.
    pub(crate) directory: &'static str,
    /// The module's path.
    pub(crate) module: &'static str,
    /// The package of its controller manager.
    pub(crate) manager: &'static str,
    /// Where its custom resource definitions are.
    crds: &'static str,
}

pub(crate) const JOBSET: Upstream = Upstream {
    directory: "jobset",
    module: "sigs.k8s.io/jobset",
    manager: "sigs.k8s.io/jobset",
    crds: "config/components/crd/bases",
};

pub(crate) const TRAINER: Upstream = Upstream {
    directory: "trainer",
    module: "github.com/kubeflow/trainer/v2",
    manager: "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
    crds: "manifests/base/crds",
};

impl Upstream {
    pub(crate) fn our_module(&self) -> PathBuf {
        locations::sources().join(self.directory)
    }
}

/// The runtime that the tests and the demo train with, for `kubectl get clustertrainingruntimes`.
const RUNTIME: &str = include_str!("manifests/kf-test-runtime.yaml");

/// The file with upstream's custom resource definitions, a JSON list.
pub(crate) fn definitions(progress: Progress) -> Result<PathBuf> {
    let mut key = Key::new().with("list of definitions 1");
    for upstream in [&JOBSET, &TRAINER] {
        key = key
            .with_file(&upstream.our_module().join("go.mod"))?
            .with_file(&upstream.our_module().join("go.sum"))?;
    }
    let entry = cache::entry("definitions", key, progress, |directory| {
        progress("reading the custom resource definitions of JobSet and Trainer");
        let go = Go::find()?;
        let mut all = Vec::new();
        for upstream in [&JOBSET, &TRAINER] {
            let sources = go.sources_of(&upstream.our_module(), upstream.module)?;
            all.extend(read_definitions(&sources.join(upstream.crds))?);
        }
        let text = serde_json::to_vec(&all).map_err(|error| ClusterError::malformed(directory, error))?;
        fs::write(directory.join("definitions.json"), text)?;
        Ok(())
    })?;
    Ok(entry.join("definitions.json"))
}

fn read_definitions(directory: &Path) -> Result<Vec<Value>> {
    let mut definitions = Vec::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        definitions.extend(read_yaml(&path)?.into_iter().filter(|document| {
            document.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition")
        }));
    }
    if definitions.is_empty() {
        return Err(ClusterError::malformed(directory, "it holds no custom resource definitions"));
    }
    Ok(definitions)
}

/// The documents of a YAML file.
pub(crate) fn read_yaml(path: &Path) -> Result<Vec<Value>> {
    parse_yaml(&fs::read_to_string(path)?).map_err(|reason| ClusterError::malformed(path, reason))
}

pub(crate) fn parse_yaml(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! { budget: None };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Applies the definitions and waits until the API server serves them.
pub(crate) async fn apply_definitions(client: &Client, file: &Path, logs: &Path) -> Result<()> {
    let definitions: Vec<CustomResourceDefinition> = super::supervisor::read_json(file)?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut waiting = Vec::new();
    for definition in &definitions {
        let name = definition.metadata.name.clone().unwrap_or_default();
        api.patch(&name, &PatchParams::apply("kf-tests").force(), &Patch::Apply(definition))
            .await
            .map_err(ClusterError::api(format!("apply the definition {name}")))?;
        waiting.push(name);
    }
    wait_until("the custom resources to be served", Duration::from_secs(60), logs, || async {
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

/// Applies the `ClusterTrainingRuntime` of the tests.
pub(crate) async fn apply_runtime(client: &Client) -> Result<()> {
    let path = "tests/cluster/manifests/kf-test-runtime.yaml";
    for document in parse_yaml(RUNTIME).map_err(|reason| ClusterError::malformed(path, reason))? {
        let object: DynamicObject =
            serde_json::from_value(document).map_err(|error| ClusterError::malformed(path, error))?;
        let kind = GroupVersionKind::gvk("trainer.kubeflow.org", "v1alpha1", "ClusterTrainingRuntime");
        let api: Api<DynamicObject> = Api::all_with(
            client.clone(),
            &ApiResource::from_gvk_with_plural(&kind, "clustertrainingruntimes"),
        );
        let name = object.metadata.name.clone().unwrap_or_default();
        api.patch(&name, &PatchParams::apply("kf-tests").force(), &Patch::Apply(&object))
            .await
            .map_err(ClusterError::api(format!("apply the ClusterTrainingRuntime {name}")))?;
    }
    Ok(())
}

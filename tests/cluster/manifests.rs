//! Upstream's manifests, from the Go modules of JobSet and Kubeflow Trainer.
//!
//! The custom resource definitions are about 3 MB of YAML, so they are read once and cached as JSON.

use std::path::{Path, PathBuf};

use fs_err as fs;
use kf_toolchains::Progress;
use kf_toolchains::cache::{self, Key};
use kf_toolchains::upstream;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;

use super::error::{ClusterError, Result};

/// The ClusterTrainingRuntime of the tests and the demo.
const RUNTIME: &str = include_str!("manifests/kf-test-runtime.yaml");

/// The file with upstream's custom resource definitions, a JSON list.
pub(crate) fn definitions(progress: Progress) -> Result<PathBuf> {
    let mut key = Key::new().with("list of definitions 1");
    for upstream in upstream::ALL {
        key = key
            .with_file(&upstream.our_module().join("go.mod"))?
            .with_file(&upstream.our_module().join("go.sum"))?;
    }
    let entry = cache::entry("definitions", key, progress, |directory| {
        progress("reading the custom resource definitions of JobSet and Trainer");
        let mut all = Vec::new();
        for upstream in upstream::ALL {
            all.extend(read_definitions(&upstream.sources()?.join(upstream.crds))?);
        }
        let text = serde_json::to_vec(&all).map_err(|error| ClusterError::malformed(directory, error))?;
        Ok::<_, ClusterError>(fs::write(directory.join("definitions.json"), text)?)
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
        return Err(ClusterError::malformed(directory, "it has no custom resource definitions"));
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

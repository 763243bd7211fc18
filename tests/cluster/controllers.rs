//! The controllers of JobSet and Kubeflow Trainer, installed on a node from upstream's manifests.
//!
//! The manifests have two changes. Trainer's overlay would download JobSet's release, which comes from its
//! module here; and probes, leader election and CPU requests are set for a busy machine with one replica of each
//! controller, see [`tune_for_tests`].

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use kf_toolchains::Progress;
use kf_toolchains::cache::{self, Key};
use kf_toolchains::command;
use kf_toolchains::kubernetes::Binaries;
use kf_toolchains::upstream::{self, TRAINER, Upstream};
use serde_json::{Value, json};

use super::error::{ClusterError, Result};
use super::manifests::parse_yaml;
use super::objects::{DEPLOYMENT, is};
use super::supervisor::read_json;

/// The manifests of all controllers.
pub(crate) struct Manifests {
    pub(crate) objects: Vec<Value>,
    pub(crate) controllers: Vec<Controller>,
}

/// A controller, from its Deployment.
#[derive(Debug)]
pub(crate) struct Controller {
    /// The program of its upstream.
    pub(crate) upstream: &'static str,
    pub(crate) image: String,
    pub(crate) entrypoint: String,
}

/// Renders upstream's manifests, without the custom resource definitions.
pub(crate) fn render(binaries: &Binaries, progress: Progress) -> Result<Manifests> {
    let mut all = Manifests { objects: Vec::new(), controllers: Vec::new() };
    for upstream in upstream::ALL {
        let objects = cached(upstream, progress, |directory| render_one(upstream, binaries, directory))?;
        let malformed = |reason: &str| ClusterError::malformed(upstream.overlay, reason);
        for deployment in objects.iter().filter(|object| is(object, DEPLOYMENT)) {
            all.controllers.push(
                Controller::of(upstream, deployment).ok_or_else(|| malformed("a Deployment has no image"))?,
            );
        }
        all.objects.extend(objects);
    }
    Ok(all)
}

/// The result of `render` for `upstream`, from the cache if it is there.
pub(crate) fn cached(
    upstream: &Upstream,
    progress: Progress,
    render: impl FnOnce(&Path) -> Result<Vec<Value>>,
) -> Result<Vec<Value>> {
    let module = upstream.our_module();
    let key =
        Key::new().with("rendered 3").with_file(&module.join("go.mod"))?.with_file(&module.join("go.sum"))?;
    let kind = format!("{}-manifests", upstream.program);
    let entry = cache::entry(&kind, key, progress, |directory| {
        let objects = render(directory)?;
        let text = serde_json::to_vec(&objects).map_err(|error| ClusterError::malformed(directory, error))?;
        Ok::<_, ClusterError>(fs::write(directory.join("objects.json"), text)?)
    })?;
    read_json(&entry.join("objects.json"))
}

/// An object of each kind that the controllers' webhooks validate.
pub(crate) fn examples() -> [Value; 2] {
    let pod = json!({"spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "example"}],
    }});
    let job = json!({"name": "node", "replicas": 1, "template": {"spec": {"template": pod}}});
    let job_set = json!({
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"replicatedJobs": [job]},
    });
    let train_job = json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"runtimeRef": {"name": "kf-test"}},
    });
    [job_set, train_job]
}

fn render_one(upstream: &Upstream, binaries: &Binaries, scratch: &Path) -> Result<Vec<Value>> {
    let sources = upstream.sources()?;
    let overlay = if upstream.program == TRAINER.program {
        let copy = scratch.join("manifests");
        copy_directory(&sources.join("manifests"), &copy)?;
        let overlay = scratch.join(upstream.overlay);
        let file = overlay.join("kustomization.yaml");
        let text = fs::read_to_string(&file)?;
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("third-party/jobset")).collect();
        fs::write(&file, kept.join("\n"))?;
        overlay
    } else {
        sources.join(upstream.overlay)
    };
    let mut objects = kustomize(binaries, &overlay)?;
    objects.retain(|object| !is(object, "CustomResourceDefinition"));
    objects.iter_mut().for_each(tune_for_tests);
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

/// Keeps a controller available on a busy machine, and makes it available early.
///
/// Readiness is probed every second from the start. A slow answer neither removes a ready controller from its
/// Service, which would make its webhook refuse connections, nor restarts it. It is the only replica, so it needs
/// no leader election.
///
/// It has no CPU request: most pods of tests have none, and would get a hundredth of the CPU time of a busy
/// controller that has one.
pub(crate) fn tune_for_tests(object: &mut Value) {
    for container in containers_mut(object) {
        let Some(container) = container.as_object_mut() else { continue };
        container.remove("livenessProbe");
        for amounts in ["requests", "limits"] {
            let amounts = container.get_mut("resources").and_then(|resources| resources.get_mut(amounts));
            if let Some(amounts) = amounts.and_then(Value::as_object_mut) {
                amounts.remove("cpu");
            }
        }
        if let Some(arguments) = container.get_mut("args").and_then(Value::as_array_mut) {
            arguments.retain(|argument| argument != "--leader-elect");
        }
        if let Some(probe) = container.get_mut("readinessProbe").and_then(Value::as_object_mut) {
            probe.insert("initialDelaySeconds".to_owned(), json!(1));
            probe.insert("periodSeconds".to_owned(), json!(1));
            probe.insert("timeoutSeconds".to_owned(), json!(30));
            probe.insert("failureThreshold".to_owned(), json!(600));
        }
    }
    if is(object, "ConfigMap") {
        let texts = object.get_mut("data").and_then(Value::as_object_mut).into_iter().flatten();
        for text in
            texts.filter_map(|(_, text)| if let Value::String(text) = text { Some(text) } else { None })
        {
            *text = text.replace("leaderElect: true", "leaderElect: false");
        }
    }
}

/// The objects of an overlay.
pub(crate) fn kustomize(binaries: &Binaries, overlay: &Path) -> Result<Vec<Value>> {
    let text = command::output(Command::new(binaries.path("kubectl")).arg("kustomize").arg(overlay))?;
    parse_yaml(&text).map_err(|reason| ClusterError::malformed(overlay, reason))
}

pub(crate) fn containers_mut(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut).into_iter().flatten()
}

impl Controller {
    fn of(upstream: &Upstream, deployment: &Value) -> Option<Self> {
        let text = |at: &str| deployment.pointer(at).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            upstream: upstream.program,
            image: text("/spec/template/spec/containers/0/image")?,
            // Without a command, the image's entrypoint is used.
            entrypoint: text("/spec/template/spec/containers/0/command/0")
                .unwrap_or_else(|| "/manager".to_owned()),
        })
    }
}

//! Mounts a job's code into its pods.
//!
//! The field that changes the pods of the runtime is `podSpecOverrides` in Trainer 2.0,
//! `podTemplateOverrides` in 2.1 and `runtimePatches` since 2.2. Dry runs find out which one the cluster's
//! schema has, newest first.

use kf_plugin_sdk::{Error, ErrorCode, Kf, Object, Result};
use serde_json::{Map, Value, json};

use crate::train_job;

/// The mount path of the code in the container.
const WORKSPACE: &str = "/workspace";

const VOLUME: &str = "kf-workspace";

/// The container that trains.
const CONTAINER: &str = "node";

/// The manager of these patches, beside those of others.
const MANAGER: &str = "kf-cli.dev/code";

const STEP_LABEL: &str = "trainer.kubeflow.org/trainjob-ancestor-step";

/// The source of a job's code.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// The source of a pod's volume, such as `{ "configMap": … }`.
    pub source: Map<String, Value>,
    /// The directory on the volume; all of it if absent.
    pub sub_path: Option<String>,
}

/// Code, and the steps of the runtime that mount it.
pub struct Mount {
    volume: Volume,
    steps: Vec<String>,
}

impl Mount {
    /// A mount for every step of the runtime that trains, or for the default step if the runtime is not known.
    pub fn new(volume: Volume, runtime: Option<&Object>) -> Self {
        let mut steps: Vec<_> = training_steps(runtime).filter_map(|job| job.get("name")?.as_str()).collect();
        if steps.is_empty() {
            steps.push(CONTAINER);
        }
        Self { volume, steps: steps.into_iter().map(str::to_owned).collect() }
    }

    /// Makes the job's command run in the workspace, through the image's shell.
    pub fn run_in_workspace(&self, job: &mut Object) -> Result<()> {
        let command = job.list("/spec/trainer/command").to_vec();
        if command.is_empty() {
            return Err(Error::invalid("--from-dir needs a command to run")
                .hint("add it at the end: -- python train.py"));
        }
        let script = format!("cd {WORKSPACE} && exec \"$@\"");
        let mut words: Vec<Value> = ["sh", "-c", &script, "sh"].map(Value::from).to_vec();
        words.extend(command);
        job.set("/spec/trainer/command", words);
        Ok(())
    }

    fn volumes(&self) -> Value {
        let mut volume = self.volume.source.clone();
        volume.insert("name".to_owned(), VOLUME.into());
        json!([volume])
    }

    fn containers(&self) -> Value {
        let mut mount = json!({ "name": VOLUME, "mountPath": WORKSPACE, "readOnly": true });
        if let (Some(path), Some(mount)) = (&self.volume.sub_path, mount.as_object_mut()) {
            mount.insert("subPath".to_owned(), path.as_str().into());
        }
        json!([{ "name": CONTAINER, "volumeMounts": [mount] }])
    }
}

/// The steps of a runtime that train.
fn training_steps(runtime: Option<&Object>) -> impl Iterator<Item = &Value> {
    let jobs = runtime.map(|runtime| runtime.list("/spec/template/spec/replicatedJobs")).unwrap_or_default();
    jobs.iter().filter(|job| trains(job))
}

/// The pod spec of a runtime's training step, and its training container; `None` if the runtime does not set them.
pub fn training_pod(runtime: &Object) -> Option<(&Value, &Value)> {
    let mut pods =
        training_steps(Some(runtime)).filter_map(|job| job.pointer("/template/spec/template/spec"));
    pods.find_map(|pod| {
        let mut containers = pod.get("containers")?.as_array()?.iter();
        let named = |container: &&Value| container.get("name").and_then(Value::as_str) == Some(CONTAINER);
        Some((pod, containers.find(named)?))
    })
}

/// A step whose pods have the training container: nodes, and the launcher of an MPI job.
fn trains(job: &Value) -> bool {
    let containers = job.pointer("/template/spec/template/spec/containers").and_then(Value::as_array);
    let is_node = |container: &Value| container.get("name").and_then(Value::as_str) == Some(CONTAINER);
    let step = job.pointer("/template/metadata/labels").and_then(|labels| labels.get(STEP_LABEL));
    containers.is_some_and(|containers| containers.iter().any(is_node))
        || step.and_then(Value::as_str) == Some("trainer")
}

/// The field of a job that changes the pods of its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    RuntimePatches,
    PodTemplateOverrides,
    PodSpecOverrides,
}

impl Field {
    const NEWEST_FIRST: [Self; 3] =
        [Self::RuntimePatches, Self::PodTemplateOverrides, Self::PodSpecOverrides];

    fn name(self) -> &'static str {
        match self {
            Self::RuntimePatches => "runtimePatches",
            Self::PodTemplateOverrides => "podTemplateOverrides",
            Self::PodSpecOverrides => "podSpecOverrides",
        }
    }

    /// Adds the mount to the job's other changes.
    fn add(self, mount: &Mount, job: &mut Object) {
        let pointer = format!("/spec/{}", self.name());
        let mut patches = job.list(&pointer).to_vec();
        let targets = || mount.steps.iter().map(|step| json!({ "name": step })).collect::<Vec<_>>();
        let pods = json!({ "volumes": mount.volumes(), "containers": mount.containers() });
        let patch = match self {
            Self::RuntimePatches => {
                let step = |name: &String| json!({ "name": name, "template": { "spec": { "template": { "spec": pods } } } });
                let steps: Vec<_> = mount.steps.iter().map(step).collect();
                let template = json!({ "spec": { "replicatedJobs": steps } });
                json!({ "manager": MANAGER, "trainingRuntimeSpec": { "template": template } })
            }
            Self::PodTemplateOverrides => json!({ "targetJobs": targets(), "spec": pods }),
            Self::PodSpecOverrides => json!({
                "targetJobs": targets(), "volumes": mount.volumes(), "containers": mount.containers(),
            }),
        };
        patches.retain(|patch| patch.get("manager").and_then(Value::as_str) != Some(MANAGER));
        patches.push(patch);
        job.set(&pointer, patches);
    }
}

/// Mounts the code, if any, through the field that the cluster supports, and validates the job on the server.
/// Returns the job to apply and, if the server supports dry runs, the job as the server would store it.
pub fn validate(kf: &Kf, job: &Object, mount: Option<&Mount>) -> Result<(Object, Option<Object>)> {
    let jobs = kf.api(train_job());
    let Some(mount) = mount else {
        return Ok((job.clone(), jobs.check_apply(job, false)?));
    };
    for field in Field::NEWEST_FIRST {
        let mut mounted = job.clone();
        field.add(mount, &mut mounted);
        // The schema is checked before webhooks, so a webhook without dry runs means that the field is known.
        match jobs.check_apply(&mounted, false) {
            Ok(checked) => return Ok((mounted, checked)),
            Err(error) if is_unknown(&error, field) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorCode::Unsupported, "training jobs of this cluster cannot mount code")
        .hint("ask your admin for a newer Kubeflow Trainer, or build an image and pass it with --image"))
}

fn is_unknown(error: &Error, field: Field) -> bool {
    error.message.contains(&format!(".spec.{}: field not declared in schema", field.name()))
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;
    use crate::Code;

    fn code(host: &FakeHost) -> Code {
        host.file("src/train.py", "print(1)");
        Code::read(&host.kf(), &"src".parse().unwrap(), "mnist", "build an image").unwrap()
    }

    fn runtime(jobs: Value) -> Object {
        json!({ "spec": { "template": { "spec": { "replicatedJobs": jobs } } } }).into()
    }

    fn step(name: &str, container: &str) -> Value {
        let pods = json!({ "spec": { "containers": [{ "name": container }] } });
        json!({ "name": name, "template": { "spec": { "template": pods } } })
    }

    #[test]
    fn every_training_step_mounts_code() {
        let host = FakeHost::new("team-a");
        let code = code(&host);
        let steps = [
            step("dataset-initializer", "dataset-initializer"),
            step("launcher", "node"),
            step("node", "node"),
        ];
        let mount = Mount::new(code.volume(), Some(&runtime(json!(steps))));
        assert_eq!(mount.steps, ["launcher", "node"]);
        assert_eq!(Mount::new(code.volume(), None).steps, ["node"]);
    }

    #[test]
    fn command_runs_in_workspace() {
        let host = FakeHost::new("team-a");
        let code = code(&host);
        let mount = Mount::new(code.volume(), None);
        let mut job: Object = json!({ "spec": { "trainer": { "command": ["python", "train.py"] } } }).into();
        mount.run_in_workspace(&mut job).unwrap();
        let expected = json!(["sh", "-c", "cd /workspace && exec \"$@\"", "sh", "python", "train.py"]);
        assert_eq!(job.at("/spec/trainer/command"), Some(&expected));
        let error = mount.run_in_workspace(&mut Object::default()).unwrap_err();
        assert_eq!(error.message, "--from-dir needs a command to run");
    }

    fn validated(unknown: usize) -> Result<Object> {
        let host = FakeHost::new("team-a");
        host.serve(crate::GROUP, "v1alpha1", crate::KIND, "trainjobs");
        let code = code(&host);
        for field in &Field::NEWEST_FIRST[..unknown] {
            let name = field.name();
            let message =
                format!("failed to create typed patch object: .spec.{name}: field not declared in schema");
            let pointer = format!("/spec/{name}");
            host.cluster(|cluster| cluster.fail_field(crate::KIND, &pointer, Error::invalid(message)));
        }
        validate(&host.kf(), &crate::empty("mnist"), Some(&Mount::new(code.volume(), None)))
            .map(|(job, _)| job)
    }

    #[test]
    fn mount_uses_newest_known_field() {
        let job = validated(0).unwrap();
        let spec = "/spec/runtimePatches/0/trainingRuntimeSpec/template/spec/replicatedJobs/0";
        assert_eq!(job.str(&format!("{spec}/name")), Some("node"));
        let pods = format!("{spec}/template/spec/template/spec");
        assert_eq!(job.str(&format!("{pods}/containers/0/volumeMounts/0/mountPath")), Some("/workspace"));
        let job = validated(1).unwrap();
        assert_eq!(job.at("/spec/runtimePatches"), None);
        assert_eq!(job.str("/spec/podTemplateOverrides/0/spec/volumes/0/name"), Some("kf-workspace"));
        let job = validated(2).unwrap();
        assert_eq!(job.str("/spec/podSpecOverrides/0/targetJobs/0/name"), Some("node"));
        assert_eq!(job.str("/spec/podSpecOverrides/0/volumes/0/name"), Some("kf-workspace"));
        assert_eq!(validated(3).unwrap_err().message, "training jobs of this cluster cannot mount code");
    }

    #[test]
    fn patches_of_other_managers_are_kept() {
        let host = FakeHost::new("team-a");
        let code = code(&host);
        let mut job: Object = json!({ "spec": { "runtimePatches": [{ "manager": "me" }] } }).into();
        for _ in 0..2 {
            Field::RuntimePatches.add(&Mount::new(code.volume(), None), &mut job);
        }
        let managers: Vec<_> =
            job.list("/spec/runtimePatches").iter().map(|patch| patch["manager"].clone()).collect();
        assert_eq!(managers, ["me", MANAGER]);
    }
}

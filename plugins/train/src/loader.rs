//! A pod that writes code to a volume claim.
//!
//! No API writes to a volume; only a pod that mounts it can. The pod has the training's image,
//! scheduling and user: the image can be pulled, the pod is admitted wherever the training is, and the
//! training can read its files. It belongs to a Job, so Kubernetes ends and deletes it even if kf is
//! stopped before it can. The archive is sent through a session and unpacked only if it is complete;
//! the directory gets its name in one step.

use std::time::Duration;

use kf_plugin_sdk::abi::{DeleteOptions, Propagation};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{
    Events, PodState, Severity, Workload, combine, is_ready, pod_state, pod_trouble,
};
use kf_plugin_sdk::{ProcessOutput, short_duration};
use serde_json::{Map, Value, json};

use crate::claim::Archive;
use crate::names;

const CONTAINER: &str = "loader";

/// Where the volume is mounted.
const MOUNT_PATH: &str = "/kf-claim";

/// How long to wait for the pod; a large image may have to be pulled.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// A failure that lasts this long is taken as permanent.
const FAILURE_GRACE: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The pod ends on its own after this time.
const LIFETIME_SECONDS: u32 = 1_800;

/// The size of one write to the session.
const CHUNK_BYTES: usize = 64 << 10;

/// The limit of the output that is read of a process in the pod.
const MAX_OUTPUT_BYTES: usize = 64 << 10;

/// The hint for a pod that does not start.
const WARNINGS_HINT: &str = "kf events --warnings";

/// The fields of the training's pods that decide where and as which user they run.
const POD_FIELDS: [&str; 6] =
    ["affinity", "imagePullSecrets", "nodeSelector", "securityContext", "serviceAccountName", "tolerations"];
const CONTAINER_FIELDS: [&str; 2] = ["imagePullPolicy", "securityContext"];

/// Reads an archive of `$2` bytes and digest `$3` and unpacks it as the directory `$1`. `$4`, the pod's name,
/// keeps concurrent uploads apart.
const UNPACK: &str = r#"set -eu
umask 022
part="$1.$4"
rm -rf "$part"
trap 'rm -rf "$part"' EXIT
mkdir -p "$part/code"
head -c "$2" > "$part/archive"
echo "$3  $part/archive" | sha256sum -c - >/dev/null
tar -xf "$part/archive" -C "$part/code"
[ -d "$1" ] || mv "$part/code" "$1"
"#;

/// Whether the code had to be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upload {
    New,
    Existing,
}

pub(crate) struct Loader {
    image: String,
    pod: Map<String, Value>,
    container: Map<String, Value>,
}

impl Loader {
    /// A loader for a job. `training` is the pod and the container of its runtime, if known.
    pub(crate) fn of(job: &Object, training: Option<(&Value, &Value)>) -> Result<Self> {
        let (pod, container) = training.unzip();
        let own = job.str("/spec/trainer/image");
        let of_runtime = container.and_then(|container| container.get("image")?.as_str());
        let image = own.or(of_runtime).ok_or_else(|| {
            Error::invalid("--pvc needs an image, and the runtime names none").hint("set it with --image")
        })?;
        let copied = |of: Option<&Value>, fields: &[&str]| {
            let field = |name: &&str| Some(((*name).to_owned(), of?.get(*name)?.clone()));
            fields.iter().filter_map(field).collect()
        };
        Ok(Self {
            image: image.to_owned(),
            pod: copied(pod, &POD_FIELDS),
            container: copied(container, &CONTAINER_FIELDS),
        })
    }

    /// Validates the Job on the server, without storing it.
    pub(crate) fn check(&self, kf: &Kf, claim: &str) -> Result<()> {
        let job = self.job(&names::generate("kf-load", kf.now()), claim);
        kf.api("batch/Job").check_create(&job).map(drop)
    }

    /// Unpacks the archive on the claim. Deletes the Job in any case.
    pub(crate) fn load(&self, kf: &Kf, claim: &str, below: &str, archive: &Archive) -> Result<Upload> {
        let name = names::generate("kf-load", kf.now());
        let jobs = kf.api("batch/Job");
        let job = jobs.create(&self.job(&name, claim))?;
        let loaded = upload(kf, job, claim, below, archive);
        let background = DeleteOptions { propagation: Propagation::Background, ..DeleteOptions::default() };
        if let Err(error) = jobs.delete_with(&name, &background).optional() {
            kf.warn(format!("cannot delete job {name}, which ends on its own: {}", error.message));
        }
        loaded
    }

    fn job(&self, name: &str, claim: &str) -> Object {
        let mut container = self.container.clone();
        container.extend(fields(json!({
            "name": CONTAINER,
            "image": self.image,
            "command": ["sh", "-c", format!("sleep {LIFETIME_SECONDS}")],
            "resources": {
                "requests": { "cpu": "100m", "memory": "64Mi" },
                "limits": { "cpu": "1", "memory": "256Mi" },
            },
            "volumeMounts": [{ "name": "claim", "mountPath": MOUNT_PATH }],
        })));
        let mut pod = self.pod.clone();
        pod.extend(fields(json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{ "name": "claim", "persistentVolumeClaim": { "claimName": claim } }],
        })));
        let labels = json!({ "app.kubernetes.io/managed-by": "kf", "sidecar.istio.io/inject": "false" });
        Object::from(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": name, "labels": { "app.kubernetes.io/managed-by": "kf" } },
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": LIFETIME_SECONDS,
                "ttlSecondsAfterFinished": 60,
                "template": { "metadata": { "labels": labels }, "spec": pod },
            },
        }))
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn upload(kf: &Kf, job: Object, claim: &str, below: &str, archive: &Archive) -> Result<Upload> {
    let job = Workload::of(job).ok_or_else(|| Error::failed("the API server did not return a job"))?;
    let pod = running_pod(kf, &job, claim)?;
    let session = kf.session(&pod).container(CONTAINER);
    let target = format!("{MOUNT_PATH}/{below}/{}", archive.name);
    let check = session.start(&words(&["test", "-d", &target]))?.finish(MAX_OUTPUT_BYTES)?;
    if check.exit_code == 0 {
        return Ok(Upload::Existing);
    }
    let (size, parent) = (archive.bytes.len().to_string(), format!("{MOUNT_PATH}/{below}"));
    let script = format!("mkdir -p {parent}\ncd {parent}\n{UNPACK}");
    let unpack = words(&["sh", "-c", &script, "sh", &archive.name, &size, &archive.sha256, &pod]);
    let process = session.stdin(true).start(&unpack)?;
    let label = format!("copying the code to {claim}");
    let progress = kf.progress_of(&label, archive.bytes.len() as u64);
    let mut done = 0;
    for chunk in archive.bytes.chunks(CHUNK_BYTES) {
        // A process that has stopped reading reports why on stderr.
        if process.write(chunk).is_err() {
            break;
        }
        done += chunk.len() as u64;
        progress.set(&label, done);
    }
    drop(progress);
    let output = process.finish(MAX_OUTPUT_BYTES)?;
    if output.exit_code == 0 {
        return Ok(Upload::New);
    }
    Err(Error::failed(format!("cannot write the code to {claim}: {}", last_line(&output))))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The last line on stderr, or the exit code.
fn last_line(output: &ProcessOutput) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map_or_else(|| format!("exit {}", output.exit_code), str::to_owned)
}

/// Waits until the pod is ready and returns its name.
fn running_pod(kf: &Kf, job: &Workload, claim: &str) -> Result<String> {
    let progress = kf.progress(&format!("waiting for a pod that mounts {claim}"));
    let begun = kf.now();
    let mut failing = None;
    loop {
        let pods = job.pods(kf)?;
        if let Some(pod) = pods.iter().find(|pod| pod_state(pod) == PodState::Running && is_ready(pod)) {
            return Ok(pod.name().to_owned());
        }
        let Waiting { why, is_failing, has_ended } = Waiting::of(kf, job, &pods);
        let now = kf.now();
        if has_ended {
            return Err(
                Error::failed(format!("the pod that writes to {claim} ended: {why}")).hint(WARNINGS_HINT)
            );
        }
        let since = *failing.get_or_insert(now);
        if !is_failing {
            failing = None;
        } else if since.age(now) >= FAILURE_GRACE {
            return Err(Error::failed(format!("the pod that writes to {claim} does not start: {why}"))
                .hint(WARNINGS_HINT));
        }
        let waited = short_duration(begun.age(now));
        if begun.age(now) >= START_TIMEOUT {
            let message = format!("the pod that writes to {claim} is not running after {waited}: {why}");
            return Err(Error::timed_out(message).hint(WARNINGS_HINT));
        }
        progress.say(&format!("waiting for a pod that mounts {claim}: {why}, {waited}"));
        kf.sleep(POLL_INTERVAL);
    }
}

/// Why the pod is not running.
struct Waiting {
    why: String,
    is_failing: bool,
    has_ended: bool,
}

impl Waiting {
    fn of(kf: &Kf, job: &Workload, pods: &[Object]) -> Self {
        // Without permission to read events the reason is less precise.
        let events = Events::read(kf).unwrap_or_default();
        // A pod that cannot be created, because of a quota or a policy, shows only in events.
        let refusal = events.warning(&job.object).filter(|_| pods.is_empty());
        let trouble = combine(pods.iter().filter_map(|pod| pod_trouble(pod, &events)));
        let fails = trouble.as_ref().is_some_and(|trouble| trouble.severity == Severity::Failing);
        let ended = |pod: &Object| matches!(pod_state(pod), PodState::Failed | PodState::Complete);
        let why = trouble.map(|trouble| trouble.text).or_else(|| job.judge(pods, &events).why);
        Self {
            why: why.unwrap_or_else(|| "starting".to_owned()),
            is_failing: fails || refusal.is_some(),
            has_ended: pods.iter().any(ended),
        }
    }
}

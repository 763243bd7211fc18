//! A pod that writes code onto a volume claim.
//!
//! No API writes into a volume; only a pod that mounts it can. This one waits in the image of the
//! training, where the training may wait, as its user: so it can be pulled, is admitted where the
//! training is, and leaves files that the training can read. It is a Job because Kubernetes then
//! ends and removes it even if kf was stopped before it could. The archive goes in by a session,
//! and is unpacked only if it arrived whole; the directory appears under its name in one step.

use std::time::Duration;

use kf_plugin_sdk::border::{DeleteOptions, Propagation};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{
    Component, Events, PodState, Severity, combine, is_ready, pod_state, pod_trouble,
};
use kf_plugin_sdk::{Said, short_duration};
use serde_json::{Map, Value, json};

use crate::claim::Archive;
use crate::names;

const CONTAINER: &str = "loader";

/// Where it sees the volume.
const MOUNTED: &str = "/kf-claim";

/// An image may have to be pulled, and it may be a large one.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is wrong for so long does not heal by itself.
const FAILURE_LASTS: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_secs(1);

/// It ends by itself after so many seconds.
const LIVES: u32 = 1_800;

/// What goes into the session at a time.
const CHUNK: usize = 64 << 10;

/// The most that is read of what its programs say.
const SAID: usize = 64 << 10;

/// What tells more of a pod that does not start.
const WARNINGS: &str = "kf events --warnings";

/// What of the training's pods says where and as whom it may run.
const OF_THE_POD: [&str; 6] =
    ["affinity", "imagePullSecrets", "nodeSelector", "securityContext", "serviceAccountName", "tolerations"];
const OF_THE_CONTAINER: [&str; 2] = ["imagePullPolicy", "securityContext"];

/// Takes an archive of `$2` bytes and digest `$3` and makes the directory `$1` of it; `$4` is the pod,
/// for two could do the same.
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

/// Whether code had to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Now,
    Before,
}

pub(crate) struct Loader {
    image: String,
    pod: Map<String, Value>,
    container: Map<String, Value>,
}

impl Loader {
    /// Of what the job is trained in: the pod and the container of its runtime, as far as known.
    pub(crate) fn of(job: &Object, training: Option<(&Value, &Value)>) -> Result<Self> {
        let (pod, container) = training.unzip();
        let own = job.str("/spec/trainer/image");
        let of_runtime = container.and_then(|container| container.get("image")?.as_str());
        let image = own.or(of_runtime).ok_or_else(|| {
            Error::invalid("--pvc needs to know the image of the training, and the runtime does not tell it")
                .hint("name it with --image")
        })?;
        let some = |of: Option<&Value>, fields: &[&str]| {
            let field = |name: &&str| Some(((*name).to_owned(), of?.get(*name)?.clone()));
            fields.iter().filter_map(field).collect()
        };
        Ok(Self {
            image: image.to_owned(),
            pod: some(pod, &OF_THE_POD),
            container: some(container, &OF_THE_CONTAINER),
        })
    }

    /// Lets the server check it, storing nothing.
    pub(crate) fn check(&self, kf: &Kf, claim: &str) -> Result<()> {
        let job = self.job(&names::generate("kf-load", kf.now()), claim);
        kf.api("batch/Job").check_create(&job).map(drop)
    }

    /// Has the archive unpacked on the claim. Whatever comes of it, the Job goes.
    pub(crate) fn load(&self, kf: &Kf, claim: &str, below: &str, archive: &Archive) -> Result<Sent> {
        let name = names::generate("kf-load", kf.now());
        let jobs = kf.api("batch/Job");
        let job = jobs.create(&self.job(&name, claim))?;
        let loaded = fill(kf, job, claim, below, archive);
        let background = DeleteOptions { propagation: Propagation::Background, ..DeleteOptions::default() };
        if let Err(error) = jobs.delete_with(&name, &background).optional() {
            kf.warn(format!("job {name} could not be removed, and ends by itself: {}", error.message));
        }
        loaded
    }

    fn job(&self, name: &str, claim: &str) -> Object {
        let mut container = self.container.clone();
        container.extend(fields(json!({
            "name": CONTAINER,
            "image": self.image,
            "command": ["sh", "-c", format!("sleep {LIVES}")],
            "resources": {
                "requests": { "cpu": "100m", "memory": "64Mi" },
                "limits": { "cpu": "1", "memory": "256Mi" },
            },
            "volumeMounts": [{ "name": "claim", "mountPath": MOUNTED }],
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
                "activeDeadlineSeconds": LIVES,
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

fn fill(kf: &Kf, job: Object, claim: &str, below: &str, archive: &Archive) -> Result<Sent> {
    let job =
        Component::of(job).ok_or_else(|| Error::failed("the cluster made something else than a job"))?;
    let pod = running_pod(kf, &job, claim)?;
    let session = kf.session(&pod).container(CONTAINER);
    let target = format!("{MOUNTED}/{below}/{}", archive.name);
    let there = session.start(&words(&["test", "-d", &target]))?.finish(SAID)?;
    if there.exit_code == 0 {
        return Ok(Sent::Before);
    }
    let (size, parent) = (archive.bytes.len().to_string(), format!("{MOUNTED}/{below}"));
    let script = format!("mkdir -p {parent}\ncd {parent}\n{UNPACK}");
    let unpack = words(&["sh", "-c", &script, "sh", &archive.name, &size, &archive.sha256, &pod]);
    let process = session.stdin(true).start(&unpack)?;
    let label = format!("copying the code to {claim}");
    let progress = kf.progress_of(&label, archive.bytes.len() as u64);
    let mut done = 0;
    for chunk in archive.bytes.chunks(CHUNK) {
        // Who does not read any more has said why.
        if process.write(chunk).is_err() {
            break;
        }
        done += chunk.len() as u64;
        progress.set(&label, done);
    }
    drop(progress);
    let said = process.finish(SAID)?;
    if said.exit_code == 0 {
        return Ok(Sent::Now);
    }
    Err(Error::failed(format!("the code could not be written to {claim}: {}", last_line(&said))))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The last thing a program complained about.
fn last_line(said: &Said) -> String {
    let text = String::from_utf8_lossy(&said.stderr);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map_or_else(|| format!("exit {}", said.exit_code), str::to_owned)
}

/// Waits until its pod runs; the pod's name.
fn running_pod(kf: &Kf, job: &Component, claim: &str) -> Result<String> {
    let progress = kf.progress(&format!("waiting for a pod to reach {claim}"));
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
            return Err(Error::failed(format!("the pod that writes to {claim} ended: {why}")).hint(WARNINGS));
        }
        let since = *failing.get_or_insert(now);
        if !is_failing {
            failing = None;
        } else if since.age(now) >= FAILURE_LASTS {
            return Err(
                Error::failed(format!("the pod that writes to {claim} does not start: {why}")).hint(WARNINGS)
            );
        }
        let waited = short_duration(begun.age(now));
        if begun.age(now) >= PATIENCE {
            let message = format!("the pod that writes to {claim} does not run after {waited}: {why}");
            return Err(Error::timed_out(message).hint(WARNINGS));
        }
        progress.say(&format!("waiting for a pod to reach {claim}: {why}, {waited}"));
        kf.sleep(PAUSE);
    }
}

/// Why its pod does not run.
struct Waiting {
    why: String,
    is_failing: bool,
    has_ended: bool,
}

impl Waiting {
    fn of(kf: &Kf, job: &Component, pods: &[Object]) -> Self {
        // Without the right to read events there is less to say, and it is waited all the same.
        let events = Events::read(kf).unwrap_or_default();
        // Only events tell of a pod that may not be made: a quota, a policy.
        let refusal = events.warning(&job.object).filter(|_| pods.is_empty());
        let trouble = combine(pods.iter().filter_map(|pod| pod_trouble(pod, &events)));
        let fails = trouble.as_ref().is_some_and(|trouble| trouble.severity == Severity::Failing);
        let ended = |pod: &Object| matches!(pod_state(pod), PodState::Failed | PodState::Complete);
        let why = trouble.map(|trouble| trouble.text).or_else(|| job.judge(pods, &events).why);
        Self {
            why: why.unwrap_or_else(|| "it is starting".to_owned()),
            is_failing: fails || refusal.is_some(),
            has_ended: pods.iter().any(ended),
        }
    }
}

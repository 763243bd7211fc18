//! The location of the event files.

use std::fmt;

use kf_plugin_sdk::CommandLine;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, WorkloadKind};
use serde_json::Value;

/// The environment variables that set the log directory of a training program.
const VARIABLES: [&str; 4] = ["LOG_DIR", "TENSORBOARD_LOGDIR", "TENSORBOARD_LOG_DIR", "LOGDIR"];
const OPTIONS: [&str; 4] = ["--logdir", "--log-dir", "--log_dir", "--logging_dir"];
/// The kinds that write logs.
const JOBS: [WorkloadKind; 10] = [
    WorkloadKind::TrainJob,
    WorkloadKind::PyTorchJob,
    WorkloadKind::TFJob,
    WorkloadKind::MPIJob,
    WorkloadKind::XGBoostJob,
    WorkloadKind::PaddleJob,
    WorkloadKind::JAXJob,
    WorkloadKind::JobSet,
    WorkloadKind::Job,
    WorkloadKind::Pod,
];

/// A directory that persists when the pod is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logs {
    /// On a volume claim; the path has no `/` at either end.
    Claim { claim: String, path: String },
    /// In an object store, as its URI.
    Bucket(String),
}

/// As a URI, in the form of a Tensorboard's `logspath`.
impl fmt::Display for Logs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { claim, path } => write!(formatter, "pvc://{claim}/{path}"),
            Self::Bucket(uri) => formatter.write_str(uri),
        }
    }
}

/// The location of logs, with their owner and node.
#[derive(Clone, Debug)]
pub(crate) struct LogLocation {
    pub(crate) logs: Logs,
    /// The job that owns them, for the name.
    pub(crate) of: Option<String>,
    /// The node of their writer: a claim may be usable on only one node at a time.
    pub(crate) node: Option<String>,
}

impl Logs {
    pub(crate) fn parse(uri: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::invalid(format!("invalid log location `{uri}`: {why}"))
                .hint("kf tensorboard --logs pvc://CLAIM/PATH"))
        };
        let Some((scheme, rest)) = uri.split_once("://") else {
            return refuse("expected pvc://CLAIM/PATH, s3://BUCKET/PATH or gs://BUCKET/PATH");
        };
        match scheme {
            "pvc" => {
                let (claim, path) = rest.split_once('/').unwrap_or((rest, ""));
                let path = path.trim_matches('/');
                if claim.is_empty() {
                    return refuse("no claim name");
                }
                if path.split('/').any(|part| part == "..") {
                    return refuse("the path leaves the claim");
                }
                Ok(Self::Claim { claim: claim.to_owned(), path: path.to_owned() })
            }
            "s3" | "gs" if !rest.is_empty() => Ok(Self::Bucket(uri.to_owned())),
            "s3" | "gs" => refuse("no bucket name"),
            _ => refuse("unsupported scheme, expected pvc, s3 or gs"),
        }
    }
}

/// The location from `--logs`.
pub(crate) fn of_uri(kf: &Kf, uri: &str) -> Result<LogLocation> {
    let logs = Logs::parse(uri).map_err(|error| error.hint(with_uri(kf.command_line())))?;
    if let Logs::Claim { claim, .. } = &logs {
        // Without it the pod would wait for ever. Not checked without permission to read claims.
        match kf.api("PersistentVolumeClaim").find(claim) {
            Ok(None) => return Err(Error::not_found(format!("no claim `{claim}` in {}", kf.namespace()))),
            Err(error) if !error.is(ErrorCode::Forbidden) => return Err(error),
            _ => {}
        }
    }
    Ok(LogLocation { logs, of: None, node: None })
}

fn with_uri(line: CommandLine) -> CommandLine {
    line.set("--logs", "pvc://CLAIM/PATH")
}

/// The location from the pods of a job, or from its pod templates.
pub(crate) fn of_job(kf: &Kf, words: &str) -> Result<LogLocation> {
    let job = Workload::find_among(kf, words, &JOBS)?;
    let pods = job.pods(kf)?;
    let mut specs: Vec<Value> = pods.iter().filter_map(|pod| pod.at("/spec").cloned()).collect();
    // The pods of a training job may be deleted; its job set is kept as long as the job.
    if job.kind == WorkloadKind::TrainJob && specs.is_empty() {
        let set = kf.api("jobset.x-k8s.io/JobSet").get(&job.name);
        if let Some(set) = Skipped::optional(kf, "job sets", set)? {
            pod_specs(set.value(), &mut specs);
        }
    }
    pod_specs(job.object.value(), &mut specs);
    let mut elsewhere = None;
    for spec in &specs {
        for container in list(spec, "/containers") {
            let Some(directory) = directory(container) else { continue };
            match resolve(spec, container, directory) {
                Some(logs) => {
                    let node = pods.iter().find_map(|pod| pod.str("/spec/nodeName")).map(str::to_owned);
                    return Ok(LogLocation { logs: logs?, of: Some(job.name), node });
                }
                None => elsewhere = Some(directory),
            }
        }
    }
    Err(match elsewhere {
        Some(directory) => Error::failed(format!(
            "{job} writes its logs to {directory}, which is not on a volume claim and is lost with its pod"
        )),
        None => Error::failed(format!("cannot find the logs of {job}: it sets neither LOG_DIR nor --logdir")),
    }
    .hint(with_uri(kf.command_line().without(words))))
}

/// Every pod spec in a document, outermost first: objects with containers.
fn pod_specs(document: &Value, found: &mut Vec<Value>) {
    match document {
        Value::Object(fields) => {
            if fields.get("containers").is_some_and(Value::is_array) {
                found.push(document.clone());
            }
            fields.values().for_each(|value| pod_specs(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| pod_specs(value, found)),
        _ => {}
    }
}

/// The log directory in the arguments or environment of a container.
fn directory(container: &Value) -> Option<&str> {
    let words: Vec<&str> = ["/command", "/args"]
        .into_iter()
        .flat_map(|pointer| list(container, pointer))
        .filter_map(Value::as_str)
        .flat_map(str::split_whitespace)
        .collect();
    let joined = words.iter().find_map(|word| {
        let (option, value) = word.split_once('=')?;
        OPTIONS.contains(&option).then_some(value)
    });
    let apart = || {
        words.windows(2).find_map(|pair| match pair {
            [option, value] if OPTIONS.contains(option) => Some(*value),
            _ => None,
        })
    };
    let given = joined.or_else(apart).map(|value| value.trim_matches(['\'', '"']));
    let given = given.map(|value| match value.trim_start_matches('$').trim_matches(['(', ')', '{', '}']) {
        name if value.starts_with('$') => variable(container, name).unwrap_or(value),
        _ => value,
    });
    given
        .or_else(|| VARIABLES.iter().find_map(|name| variable(container, name)))
        .filter(|directory| !directory.is_empty())
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let text = |variable: &'a Value, field: &str| variable.get(field).and_then(Value::as_str);
    list(container, "/env")
        .iter()
        .find(|variable| text(variable, "name") == Some(name))
        .and_then(|v| text(v, "value"))
}

/// The location of a directory outside the pod; `None` if it is not on a claim.
fn resolve(spec: &Value, container: &Value, directory: &str) -> Option<Result<Logs>> {
    if directory.contains("://") {
        return Some(Logs::parse(directory));
    }
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let below = |mount: &Value| {
        let path = text(mount, "mountPath")?;
        let path = path.trim_end_matches('/');
        let rest = directory.strip_prefix(path).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some((path.len(), mount.clone(), rest.trim_matches('/').to_owned()))
    };
    // The longest mount is the innermost.
    let mounts = list(container, "/volumeMounts").iter().filter_map(below);
    let (_, mount, rest) = mounts.max_by_key(|(length, ..)| *length)?;
    let volume = text(&mount, "name")?;
    let volume = list(spec, "/volumes").iter().find(|one| text(one, "name").as_ref() == Some(&volume))?;
    let claim = volume.pointer("/persistentVolumeClaim/claimName")?.as_str()?;
    let inside = text(&mount, "subPath").unwrap_or_default();
    let parts: Vec<_> =
        [inside.trim_matches('/'), rest.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    Some(Logs::parse(&format!("pvc://{claim}/{}", parts.join("/"))))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(container: Value) -> Option<String> {
        let spec = json!({ "volumes": [
            { "name": "data", "persistentVolumeClaim": { "claimName": "datasets" } },
            { "name": "tmp", "emptyDir": {} },
        ] });
        let directory = directory(&container)?;
        let logs = resolve(&spec, &container, directory)?;
        Some(logs.map_or_else(|error| error.message, |logs| logs.to_string()))
    }

    fn mounts() -> Value {
        json!([
            { "name": "data", "mountPath": "/data", "subPath": "team" },
            { "name": "tmp", "mountPath": "/data/tmp" },
        ])
    }

    #[test]
    fn directory_in_pod_is_resolved_to_claim() {
        let env = |value: &str| json!([{ "name": "LOG_DIR", "value": value }]);
        let found = |env: Value| of(json!({ "env": env, "volumeMounts": mounts() }));
        assert_eq!(found(env("/data/runs/1/")).as_deref(), Some("pvc://datasets/team/runs/1"));
        assert_eq!(found(env("/data")).as_deref(), Some("pvc://datasets/team"));
        assert_eq!(found(env("/data/tmp/x")), None, "the innermost mount counts");
        assert_eq!(found(env("/database")), None);
        assert_eq!(found(env("s3://bucket/x")).as_deref(), Some("s3://bucket/x"));
        assert!(found(env("/data/../../x")).unwrap().ends_with("leaves the claim"));
    }

    #[test]
    fn options_override_variables() {
        let found = |args: Value| {
            let env =
                json!([{ "name": "LOG_DIR", "value": "/data/e" }, { "name": "OUT", "value": "/data/o" }]);
            of(json!({ "args": args, "env": env, "volumeMounts": mounts() })).unwrap()
        };
        assert_eq!(found(json!(["--logdir=/data/a"])), "pvc://datasets/team/a");
        assert_eq!(found(json!(["--logdir", "/data/b"])), "pvc://datasets/team/b");
        assert_eq!(found(json!(["-c", "python t.py --log_dir '/data/c' -v"])), "pvc://datasets/team/c");
        assert_eq!(found(json!(["--logdir=$(OUT)"])), "pvc://datasets/team/o");
        assert_eq!(found(json!(["--verbose"])), "pvc://datasets/team/e");
    }

    #[test]
    fn invalid_location_is_refused() {
        let why = |uri: &str| Logs::parse(uri).unwrap_err().message;
        assert!(why("/tmp/logs").contains("expected pvc://CLAIM/PATH"));
        assert!(why("pvc://").ends_with("no claim name"));
        assert!(why("pvc://a/../b").ends_with("leaves the claim"));
        assert!(why("http://x/y").contains("expected pvc, s3 or gs"));
        assert!(why("s3://").ends_with("no bucket name"));
        assert_eq!(Logs::parse("pvc://a").unwrap().to_string(), "pvc://a/");
        assert_eq!(Logs::parse("pvc://a//b/").unwrap().to_string(), "pvc://a/b");
    }
}

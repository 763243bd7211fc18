//! Validates a job and applies it.

use kf_plugin_sdk::abi::WriteOptions;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{WorkloadKind, outcome};
use kf_training_job::refusal::explain;
use kf_training_job::{Mount, check_access, validate};
use serde::Serialize;
use serde_json::Value;

use crate::Train;
use crate::code::Code;

/// Checks that the cluster serves the kind and that the user may create its objects.
pub(crate) fn preflight(kf: &Kf, kind: WorkloadKind, job: &Object) -> Result<()> {
    if !kf.serves(&kind.kind())? {
        let (resource, group) = (kind.resource(), kind.group());
        let operator =
            if kind.is_legacy_job() { "the Kubeflow Training Operator" } else { "Kubeflow Trainer" };
        return Err(Error::not_found(format!("this cluster has no {} ({resource}.{group})", kind.plural()))
            .hint(format!("ask your admin to install {operator}")));
    }
    check_access(kf, kind.group(), kind.resource(), &["create", "patch"], || {
        kf.api(kind.kind()).apply_with(job, WriteOptions::DRY_RUN).map(drop)
    })
}

/// A job that was applied.
pub(crate) struct Submitted {
    pub(crate) job: Object,
    kind: WorkloadKind,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Created,
    Changed,
    Unchanged,
}

/// Validates the job on the server, uploads its code, and applies the job. The code is deleted if the job is then
/// refused, as by a webhook without support for dry runs.
pub(crate) fn submit(
    kf: &Kf,
    train: &Train,
    kind: WorkloadKind,
    job: &Object,
    code: Option<&Code>,
    mount: Option<&Mount>,
) -> Result<Submitted> {
    let jobs = kf.api(kind.kind());
    let existing = jobs.find(job.name())?;
    if let Some(existing) = &existing {
        check_existing(kf, train, kind, job, existing)?;
    }
    let refused = |error| {
        let error = explain(kf, error, job.name(), job.name());
        // The hint is the command line with another name.
        if error.hint.is_some() && error.is(ErrorCode::Conflict) {
            return error.hint(train.with_new_name(kf, job.name()));
        }
        error
    };
    if let Some(code) = code {
        code.check(kf)?;
    }
    // With `--dry-run` nothing is stored, and kf shows what would change.
    let (job, checked) = match kind {
        WorkloadKind::TrainJob => validate(kf, job, mount).map_err(refused)?,
        _ => (job.clone(), jobs.check_apply(job, false).map_err(refused)?),
    };
    let is_unchanged = |existing: &Object| match &checked {
        Some(checked) => existing.at("/spec") == checked.at("/spec"),
        None => is_subset(job.at("/spec"), existing.at("/spec")),
    };
    let change = match &existing {
        None => Change::Created,
        Some(existing) if is_unchanged(existing) => Change::Unchanged,
        Some(existing) => {
            check_change(kf, train, kind, existing)?;
            Change::Changed
        }
    };
    if kf.context().dry_run {
        return Ok(Submitted { job: checked.unwrap_or(job), kind, change });
    }
    let stored = match code {
        Some(code) => code.store(kf, change == Change::Unchanged)?,
        None => None,
    };
    let job = jobs.apply(&job).map_err(|error| {
        if let Some(stored) = stored {
            stored.discard(kf, job.name(), &error);
        }
        refused(error)
    })?;
    if let Some(code) = code {
        code.set_owner(kf, &job)?;
    }
    Ok(Submitted { job, kind, change })
}

/// Whether `actual` has every field of `wanted`. It may have more, such as the server's defaults.
fn is_subset(wanted: Option<&Value>, actual: Option<&Value>) -> bool {
    match (wanted, actual) {
        (None, _) => true,
        (Some(Value::Object(wanted)), Some(Value::Object(actual))) => {
            wanted.iter().all(|(field, value)| is_subset(Some(value), actual.get(field)))
        }
        (Some(Value::Array(wanted)), Some(Value::Array(actual))) => {
            wanted.len() == actual.len()
                && wanted.iter().zip(actual).all(|(wanted, actual)| is_subset(Some(wanted), Some(actual)))
        }
        (wanted, actual) => wanted == actual,
    }
}

/// Refuses to change a job that has started: its pods exist, and the change would have no effect.
fn check_change(kf: &Kf, train: &Train, kind: WorkloadKind, existing: &Object) -> Result<()> {
    let suspended =
        ["/spec/suspend", "/spec/runPolicy/suspend"].iter().any(|field| existing.bool(field) == Some(true));
    if suspended || existing.condition_holds("Suspended") {
        return Ok(());
    }
    let name = existing.name();
    Err(Error::new(
        ErrorCode::Conflict,
        format!("{} {name} has started with another spec, and its pods cannot change", kind_name(kind)),
    )
    .hint(train.with_new_name(kf, name)))
}

/// Refuses to rerun a job that has ended, and to change the runtime of one that runs.
fn check_existing(kf: &Kf, train: &Train, kind: WorkloadKind, job: &Object, existing: &Object) -> Result<()> {
    let name = job.name();
    let with_new_name = train.with_new_name(kf, name);
    if let Some(outcome) = outcome(existing) {
        let how = if outcome.succeeded { "is complete" } else { "has failed" };
        return Err(Error::new(
            ErrorCode::Conflict,
            format!("{} {name} exists and {how}; it cannot run again", kind_name(kind)),
        )
        .hint(with_new_name));
    }
    let runtime = |object: &Object| object.str("/spec/runtimeRef/name").map(str::to_owned);
    match (runtime(existing), runtime(job)) {
        (Some(old), Some(new)) if old != new => Err(Error::new(
            ErrorCode::Conflict,
            format!("cannot change the runtime of training job {name} from {old} to {new}"),
        )
        .hint(with_new_name)),
        _ => Ok(()),
    }
}

/// The name of a kind in a message.
fn kind_name(kind: WorkloadKind) -> String {
    match kind {
        WorkloadKind::TrainJob => "training job".to_owned(),
        kind => kind.kind().kind,
    }
}

#[derive(Serialize, TableRow)]
#[row(name = "format!(\"{}/{}\", self.kind, self.name)")]
struct Report {
    #[serde(skip)]
    #[column(skip)]
    kind: &'static str,
    name: String,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<String>,
    nodes: Option<i64>,
}

impl Change {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Submitted {
    /// Prints the result to stdout.
    pub(crate) fn report(&self, kf: &Kf) -> Result<()> {
        let report = Report {
            kind: self.kind.word(),
            name: self.job.name().to_owned(),
            change: self.change.as_str(),
            runtime: self.job.str("/spec/runtimeRef/name").map(str::to_owned),
            nodes: self.job.int("/spec/trainer/numNodes"),
        };
        kf.report_with(self.line(), &report)?;
        kf.next_step("follow it", &format!("kf logs {} -f", self.job.name()));
        Ok(())
    }

    /// Prints the result to stderr: stdout is for the logs.
    pub(crate) fn announce(&self, kf: &Kf) {
        kf.note(self.line());
    }

    fn line(&self) -> String {
        let runtime = self.job.str("/spec/runtimeRef/name").map(|runtime| format!("runtime {runtime}"));
        let nodes = self.job.int("/spec/trainer/numNodes").map(|nodes| match nodes {
            1 => "1 node".to_owned(),
            nodes => format!("{nodes} nodes"),
        });
        let with: Vec<_> = runtime.into_iter().chain(nodes).collect();
        let with = if with.is_empty() { String::new() } else { format!(" ({})", with.join(", ")) };
        format!("{}/{} {}{with}", self.kind, self.job.name(), self.change.as_str())
    }
}

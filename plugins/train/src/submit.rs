//! From a checked job to one in the cluster.

use kf_plugin_sdk::border::WriteOptions;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{ComponentKind, outcome};
use kf_training_job::refusal::explain;
use kf_training_job::{Mount, check_access, fit};
use serde::Serialize;
use serde_json::Value;

use crate::Train;
use crate::code::Code;

/// Whether the cluster has such jobs and the user may make them.
pub(crate) fn preflight(kf: &Kf, kind: ComponentKind, job: &Object) -> Result<()> {
    if !kf.serves(&kind.kind())? {
        let (resource, group) = (kind.resource(), kind.group());
        let operator =
            if kind.is_legacy_job() { "the Kubeflow Training Operator" } else { "Kubeflow Trainer" };
        return Err(Error::not_found(format!("this cluster has no {} ({resource}.{group})", kind.plural()))
            .hint(format!("ask your admin to install {operator}")));
    }
    check_access(kf, kind.group(), kind.resource(), &["create", "patch"], || {
        kf.api(kind.kind()).apply_with(job, WriteOptions::CHECK_ONLY).map(drop)
    })
}

/// A job the cluster has taken.
pub(crate) struct Submitted {
    pub(crate) job: Object,
    kind: ComponentKind,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Created,
    Changed,
    Unchanged,
}

/// Lets the server check the job, then applies it; its code goes before it, and is deleted again where the job is
/// refused all the same: a webhook without a dry run has not checked it before.
pub(crate) fn submit(
    kf: &Kf,
    train: &Train,
    kind: ComponentKind,
    job: &Object,
    code: Option<&Code>,
    mount: Option<&Mount>,
) -> Result<Submitted> {
    let jobs = kf.api(kind.kind());
    let before = jobs.find(job.name())?;
    if let Some(before) = &before {
        check_existing(kf, train, kind, job, before)?;
    }
    let refused = |error| {
        let error = explain(kf, error, job.name(), job.name());
        // Its hint is the line with another name.
        if error.hint.is_some() && error.is(ErrorCode::Conflict) {
            return error.hint(train.another(kf, job.name()));
        }
        error
    };
    if let Some(code) = code {
        code.check(kf)?;
    }
    // With `--dry-run` this stores nothing either, and kf shows what would change.
    let (job, checked) = match kind {
        ComponentKind::TrainJob => fit(kf, job, mount).map_err(refused)?,
        _ => (job.clone(), jobs.check_apply(job, false).map_err(refused)?),
    };
    let is_the_same = |before: &Object| match &checked {
        Some(checked) => before.at("/spec") == checked.at("/spec"),
        None => is_within(job.at("/spec"), before.at("/spec")),
    };
    let change = match &before {
        None => Change::Created,
        Some(before) if is_the_same(before) => Change::Unchanged,
        Some(before) => {
            check_change(kf, train, kind, before)?;
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
        code.own(kf, &job)?;
    }
    Ok(Submitted { job, kind, change })
}

/// Whether what is wanted is there, beside what the server fills in.
fn is_within(wanted: Option<&Value>, there: Option<&Value>) -> bool {
    match (wanted, there) {
        (None, _) => true,
        (Some(Value::Object(wanted)), Some(Value::Object(there))) => {
            wanted.iter().all(|(field, value)| is_within(Some(value), there.get(field)))
        }
        (Some(Value::Array(wanted)), Some(Value::Array(there))) => {
            wanted.len() == there.len()
                && wanted.iter().zip(there).all(|(wanted, there)| is_within(Some(wanted), Some(there)))
        }
        (wanted, there) => wanted == there,
    }
}

/// A job's pods are made when it starts. Changing it later would look done and do nothing.
fn check_change(kf: &Kf, train: &Train, kind: ComponentKind, before: &Object) -> Result<()> {
    let held =
        ["/spec/suspend", "/spec/runPolicy/suspend"].iter().any(|field| before.bool(field) == Some(true));
    if held || before.condition_holds("Suspended") {
        return Ok(());
    }
    let name = before.name();
    Err(Error::new(
        ErrorCode::Conflict,
        format!("{} {name} has started otherwise, and a change would not reach its pods", spoken(kind)),
    )
    .hint(train.another(kf, name)))
}

/// A job that has ended never runs again, and one that runs keeps its runtime.
fn check_existing(kf: &Kf, train: &Train, kind: ComponentKind, job: &Object, before: &Object) -> Result<()> {
    let name = job.name();
    let another = train.another(kf, name);
    if let Some(outcome) = outcome(before) {
        let how = if outcome.succeeded { "is complete" } else { "has failed" };
        return Err(Error::new(
            ErrorCode::Conflict,
            format!("{} {name} exists and {how}; it will not run again", spoken(kind)),
        )
        .hint(another));
    }
    let runtime = |object: &Object| object.str("/spec/runtimeRef/name").map(str::to_owned);
    match (runtime(before), runtime(job)) {
        (Some(old), Some(new)) if old != new => Err(Error::new(
            ErrorCode::Conflict,
            format!("training job {name} runs with the runtime {old}, that cannot become {new}"),
        )
        .hint(another)),
        _ => Ok(()),
    }
}

/// A kind in a sentence.
fn spoken(kind: ComponentKind) -> String {
    match kind {
        ComponentKind::TrainJob => "training job".to_owned(),
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
    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Submitted {
    /// The result, as data.
    pub(crate) fn report(&self, kf: &Kf) -> Result<()> {
        let report = Report {
            kind: self.kind.word(),
            name: self.job.name().to_owned(),
            change: self.change.word(),
            runtime: self.job.str("/spec/runtimeRef/name").map(str::to_owned),
            nodes: self.job.int("/spec/trainer/numNodes"),
        };
        kf.did_with(self.line(), &report)?;
        kf.next_step("follow it", &format!("kf logs {} -f", self.job.name()));
        Ok(())
    }

    /// The result, as talk: stdout belongs to the logs.
    pub(crate) fn tell(&self, kf: &Kf) {
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
        format!("{}/{} {}{with}", self.kind, self.job.name(), self.change.word())
    }
}

//! From a checked job to one in the cluster.

use kf_plugin_sdk::Access;
use kf_plugin_sdk::border::WriteOptions;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::outcome;
use serde::Serialize;

use crate::Train;
use crate::manifest::{GROUP, train_job};
use crate::refusal::explain;

/// Whether the cluster has training jobs and the user may make them.
pub(crate) fn preflight(kf: &Kf, job: &Object) -> Result<()> {
    if !kf.serves(&train_job())? {
        return Err(Error::not_found("this cluster has no training jobs (trainjobs.trainer.kubeflow.org)")
            .hint("ask your admin to install Kubeflow Trainer"));
    }
    let verbs = ["create", "patch"];
    let verdicts = kf.can_i(&verbs.map(|verb| Access::new(verb, GROUP, "trainjobs")))?;
    let Some((verb, _)) = verbs.iter().zip(&verdicts).find(|(_, verdict)| !verdict.allowed) else {
        return Ok(());
    };
    // kf tells best which layer says no, and it does so for a call that was really refused.
    kf.api(train_job()).apply_with(job, CHECK_ONLY)?;
    let namespace = kf.namespace();
    Err(Error::forbidden(format!("you may not {verb} trainjobs.{GROUP} in {namespace}"))
        .hint(format!("ask an owner of {namespace} for the role kubeflow-edit")))
}

/// The server answers as if, and stores nothing.
const CHECK_ONLY: WriteOptions = WriteOptions { dry_run: true, force: false };

/// A job the cluster has taken.
pub(crate) struct Submitted {
    pub(crate) job: Object,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Created,
    Changed,
    Unchanged,
}

/// Lets the server check the job, then applies it.
pub(crate) fn submit(kf: &Kf, train: &Train, job: &Object) -> Result<Submitted> {
    let jobs = kf.api(train_job());
    let before = jobs.find(job.name())?;
    if let Some(before) = &before {
        check_existing(train, job, before)?;
    }
    let refused = |error| explain(error, train);
    // With `--dry-run` this stores nothing either, and kf shows what would change.
    let checked = jobs.apply_with(job, CHECK_ONLY).map_err(refused)?;
    let change = match &before {
        None => Change::Created,
        Some(before) if before.at("/spec") == checked.at("/spec") => Change::Unchanged,
        Some(before) => {
            check_change(train, before)?;
            Change::Changed
        }
    };
    if kf.context().dry_run {
        return Ok(Submitted { job: checked, change });
    }
    Ok(Submitted { job: jobs.apply(job).map_err(refused)?, change })
}

/// A job's pods are made when it starts. Changing it later would look done and do nothing.
fn check_change(train: &Train, before: &Object) -> Result<()> {
    if before.bool("/spec/suspend") == Some(true) || before.condition_holds("Suspended") {
        return Ok(());
    }
    let name = before.name();
    Err(Error::new(
        ErrorCode::Conflict,
        format!("training job {name} has started otherwise, and a change would not reach its pods"),
    )
    .hint(train.under_a_new_name()))
}

/// A job that has ended never runs again, and one that runs keeps its runtime.
fn check_existing(train: &Train, job: &Object, before: &Object) -> Result<()> {
    let name = job.name();
    let another = train.under_a_new_name();
    if let Some(outcome) = outcome(before) {
        let how = if outcome.succeeded { "is complete" } else { "has failed" };
        return Err(Error::new(
            ErrorCode::Conflict,
            format!("training job {name} exists and {how}; it will not run again"),
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

#[derive(Serialize, TableRow)]
#[row(name = "format!(\"trainjob/{}\", self.name)")]
struct Report {
    name: String,
    change: &'static str,
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
        if kf.output_format().is_table() {
            return kf.print_line(self.line());
        }
        kf.record(&Report {
            name: self.job.name().to_owned(),
            change: self.change.word(),
            runtime: self.job.str("/spec/runtimeRef/name").map(str::to_owned),
            nodes: self.job.int("/spec/trainer/numNodes"),
        })
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
        format!("trainjob/{} {}{with}", self.job.name(), self.change.word())
    }
}

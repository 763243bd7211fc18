//! Jobs of the Training Operator, the predecessor of TrainJob, from a file.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, WorkloadKind};
use kf_training_job::overrides;

use crate::{Train, follow, submit};

pub(crate) fn run(kf: &Kf, train: &Train, kind: WorkloadKind, mut job: Object) -> Result<Exit> {
    check_flags(train, kind, &job)?;
    overrides::set_queue(&train.job, &mut job);
    overrides::set_fields(&train.job, &mut job)?;
    kf_training_job::check_role_child_names(&job)?;
    submit::preflight(kf, kind, &job)?;
    let submitted = submit::submit(kf, train, kind, &job, None, None)?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    if !train.wait && !train.logs {
        submitted.report(kf)?;
        return Ok(Exit::OK);
    }
    submitted.announce(kf);
    let job = Workload { kind, name: submitted.job.name().to_owned(), object: submitted.job };
    let ranks = job.ranks();
    follow::follow(kf, job, ranks, train.logs)
}

/// Refuses flags that set a field of a TrainJob: these jobs have such fields once for each role.
fn check_flags(train: &Train, kind: WorkloadKind, job: &Object) -> Result<()> {
    let flags = &train.job;
    let given = [
        ("--runtime", flags.runtime.is_some()),
        ("--image", flags.image.is_some()),
        ("--from-dir", flags.from_dir.is_some()),
        ("--env", !flags.env.is_empty()),
        ("--nodes", flags.nodes.is_some()),
        ("--cpu", flags.cpu.is_some()),
        ("--memory", flags.memory.is_some()),
        ("--gpu", flags.gpu.is_some()),
        ("a command", !flags.command.is_empty()),
    ];
    let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) else { return Ok(()) };
    let specs = job
        .at("/spec")
        .and_then(|spec| spec.as_object())
        .and_then(|spec| spec.iter().find(|(field, _)| field.ends_with("ReplicaSpecs")));
    let (field, role) = specs
        .and_then(|(field, roles)| Some((field.as_str(), roles.as_object()?.keys().next()?.as_str())))
        .unwrap_or(("pytorchReplicaSpecs", "Worker"));
    let kind = kind.kind().kind;
    Err(Error::invalid(format!("{flag} does not apply to a {kind}, which has roles"))
        .hint(format!("set its fields with --set, such as --set spec.{field}.{role}.replicas=2")))
}

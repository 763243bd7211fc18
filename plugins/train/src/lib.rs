//! `kf train`: a training job from a file, from flags, or from both.
//!
//! `kf-training-job` builds the job and is shared with other commands. [`submit`] applies it,
//! [`legacy`] does the same for jobs of the Training Operator, [`follow`] waits until a job ends, and
//! [`runtimes`] lists the training runtimes. [`code`] uploads local code; if it is too large for a
//! ConfigMap, [`claim`] and [`loader`] write it to a volume.

mod claim;
mod code;
mod follow;
mod legacy;
mod loader;
mod names;
mod runtimes;
mod submit;

use kf_plugin_sdk::CommandLine;
use kf_plugin_sdk::manifest::{read_manifest, read_named_manifest};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, WorkloadKind};
use kf_training_job::{JobFlags, Mount, overrides, runtime};

use code::Code;

/// The kinds that a file may contain.
const KINDS: [WorkloadKind; 7] = [
    WorkloadKind::TrainJob,
    WorkloadKind::PyTorchJob,
    WorkloadKind::TFJob,
    WorkloadKind::MPIJob,
    WorkloadKind::XGBoostJob,
    WorkloadKind::PaddleJob,
    WorkloadKind::JAXJob,
];

/// Train a model from a file or a runtime
///
/// The file contains a TrainJob as YAML or JSON, or a Training Operator job such as a PyTorchJob. Flags
/// override its fields, and NAME overrides its name. Without a file, the flags and a runtime define the
/// job. The API server validates everything before anything is created.
#[derive(clap::Parser, Debug, Default, Describe)]
#[kf(example("train mnist.yaml --logs", "train from a file and follow the logs"))]
#[kf(example(
    "train mnist --runtime torch-distributed --from-dir src --gpu 1 -- python train.py",
    "train local code without building an image"
))]
#[kf(example("train --list-runtimes", "list the training runtimes"))]
pub struct Train {
    /// The job's name, or the file that contains it
    #[arg(required_unless_present_any = ["list_runtimes", "manifest"])]
    #[kf(complete = objects("trainer.kubeflow.org/TrainJob"))]
    name: Option<NameOrFile>,
    /// The job as YAML or JSON; - for stdin
    file: Option<FileArg>,
    /// Same as FILE
    #[arg(long = "file", short = 'f', value_name = "FILE", conflicts_with = "file")]
    manifest: Option<FileArg>,
    #[command(flatten)]
    job: JobFlags,
    /// Upload the code of --from-dir to this volume claim, up to 64 MiB
    ///
    /// A temporary pod with the training's image writes the code to kf-code/ on the volume. It is mounted
    /// read-only at /workspace, and is kept when the job is deleted. Without --pvc the code is uploaded as
    /// a ConfigMap.
    #[arg(long, value_name = "CLAIM", requires = "from_dir", help_heading = "Execution")]
    #[kf(complete = objects("/PersistentVolumeClaim"))]
    pvc: Option<String>,
    /// Wait until the job ends and exit with its result
    #[arg(long, short, help_heading = "Execution")]
    wait: bool,
    /// Follow the logs of all ranks until the job ends
    #[arg(long, short, help_heading = "Execution")]
    logs: bool,
    /// Create a new job each time, named NAME and five random characters
    #[arg(long, help_heading = "Execution")]
    generate_name: bool,
    /// List the training runtimes and exit
    #[arg(long, conflicts_with_all = ["name", "file", "manifest", "wait", "logs", "generate_name", "command"])]
    list_runtimes: bool,
}

#[kf_plugin_sdk::main(complete = runtime::complete)]
pub fn main(train: Train, kf: &Kf) -> Result<Exit> {
    if train.list_runtimes {
        return runtimes::list(kf);
    }
    let kinds = KINDS.map(WorkloadKind::kind);
    // An invalid name is refused before any file is read.
    if let Some(name) = train.name() {
        kf_training_job::check_name(name).map_err(|error| match name.contains(['.', '/']) {
            true => error.hint(kf.command_line().without(name).set("-f", name)),
            false => error,
        })?;
    }
    let mut job = match (train.file()?, train.name()) {
        (Some(file), Some(name)) => read_manifest(kf, file, name, &kinds)?,
        (Some(file), None) => read_named_manifest(kf, file, &kinds, |name| train.command_line(kf, name))?,
        (None, name) => kf_training_job::empty(name.unwrap_or_default()),
    };
    if train.generate_name {
        let name = names::generate(job.name(), kf.now());
        job.set("/metadata/name", name);
    }
    kf_training_job::check_name(job.name())?;
    match WorkloadKind::of(&job) {
        Some(kind) if kind.is_legacy_job() => legacy::run(kf, &train, kind, job),
        _ => train_job(kf, &train, job),
    }
}

impl Train {
    /// The name on the command line.
    fn name(&self) -> Option<&str> {
        self.name.as_ref().and_then(NameOrFile::name)
    }

    fn file(&self) -> Result<Option<&FileArg>> {
        match (self.name.as_ref().and_then(NameOrFile::file), self.file.as_ref().or(self.manifest.as_ref())) {
            (Some(first), Some(second)) => {
                Err(Error::invalid(format!("more than one file: {first} and {second}")))
            }
            (first, second) => Ok(first.or(second)),
        }
    }

    /// This command line, with this name for the job.
    pub(crate) fn command_line(&self, kf: &Kf, name: &str) -> CommandLine {
        match &self.name {
            Some(NameOrFile::Name(typed)) => kf.command_line().replace(typed, name),
            Some(NameOrFile::File(file)) => kf.command_line().replace(file.path(), name).with(file.path()),
            None => kf.command_line().with(name),
        }
    }

    /// This command line, with a name for the job that is probably unused.
    pub(crate) fn with_new_name(&self, kf: &Kf, name: &str) -> CommandLine {
        self.command_line(kf, &format!("{}-2", self.name().unwrap_or(name)))
    }
}

fn train_job(kf: &Kf, train: &Train, mut job: Object) -> Result<Exit> {
    overrides::apply(&train.job, &mut job)?;
    submit::preflight(kf, WorkloadKind::TrainJob, &job)?;
    let runtime = runtime::resolve(kf, train.job.runtime.as_deref(), &mut job)?;
    kf_training_job::check_child_names(&job, runtime.as_ref())?;
    let code = Code::read(kf, train, &job, runtime.as_ref())?;
    let mount = code.as_ref().map(|code| Mount::new(code.volume(), runtime.as_ref()));
    if let Some(mount) = &mount {
        mount.run_in_workspace(&mut job)?;
    }
    let submitted = submit::submit(kf, train, WorkloadKind::TrainJob, &job, code.as_ref(), mount.as_ref())?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    if !train.wait && !train.logs {
        submitted.report(kf)?;
        return Ok(Exit::OK);
    }
    submitted.announce(kf);
    let of_runtime = runtime.and_then(|runtime| runtime.int("/spec/mlPolicy/numNodes"));
    let nodes = submitted.job.int("/spec/trainer/numNodes").or(of_runtime).unwrap_or(1);
    let name = submitted.job.name().to_owned();
    let job = Workload { kind: WorkloadKind::TrainJob, name, object: submitted.job };
    follow::follow(kf, job, Some(nodes), train.logs)
}

//! `kf train`: a training job out of a file, out of flags, or out of both.
//!
//! What such a job is made of is `kf-training-job`'s, which other commands share. Here [`submit`]
//! brings it to the cluster, [`legacy`] does the same for the jobs of the Training Operator,
//! [`follow`] stays until a job ends, and [`runtimes`] lists what there is to train with. [`code`] is
//! the local code that goes along, onto a volume by [`claim`] and [`loader`] if a ConfigMap is too small.

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
use kf_plugin_sdk::workloads::{Component, ComponentKind};
use kf_training_job::{JobFlags, Mount, overrides, runtime};

use code::Code;

/// What a file may hold.
const KINDS: [ComponentKind; 7] = [
    ComponentKind::TrainJob,
    ComponentKind::PyTorchJob,
    ComponentKind::TFJob,
    ComponentKind::MPIJob,
    ComponentKind::XGBoostJob,
    ComponentKind::PaddleJob,
    ComponentKind::JAXJob,
];

/// Train a model from a file or a runtime
///
/// The file holds a TrainJob as YAML or JSON, or a job of the Training Operator such as a PyTorchJob;
/// flags change it, and the job has its name unless NAME is given. Without a file the flags and a runtime make the job. The API server checks
/// everything before anything is created.
#[derive(clap::Parser, Debug, Default, Describe)]
#[kf(example("train mnist.yaml --logs", "train what the file says and follow its logs"))]
#[kf(example(
    "train mnist --runtime torch-distributed --from-dir src --gpu 1 -- python train.py",
    "train local code without building an image"
))]
#[kf(example("train --list-runtimes", "what there is to train with"))]
pub struct Train {
    /// The job's name, or the file that has it
    #[arg(required_unless_present_any = ["list_runtimes", "manifest"])]
    #[kf(complete = objects("trainer.kubeflow.org/TrainJob"))]
    name: Option<NameOrFile>,
    /// The job as YAML or JSON; - is stdin
    file: Option<FileArg>,
    /// The same as FILE
    #[arg(long = "file", short = 'f', value_name = "FILE", conflicts_with = "file")]
    manifest: Option<FileArg>,
    #[command(flatten)]
    job: JobFlags,
    /// Put the code of --from-dir on this volume claim, which holds up to 64 MiB of it
    ///
    /// A pod in the training's image writes it below kf-code/ and is gone again; the code is mounted
    /// read-only at /workspace and stays on the volume when the job goes. Without it the code goes
    /// into a ConfigMap.
    #[arg(long, value_name = "CLAIM", requires = "from_dir", help_heading = "How it runs")]
    #[kf(complete = objects("/PersistentVolumeClaim"))]
    pvc: Option<String>,
    /// Stay until the job ends; its result becomes the exit code
    #[arg(long, short, help_heading = "How it runs")]
    wait: bool,
    /// Stay and show the logs of all ranks
    #[arg(long, short, help_heading = "How it runs")]
    logs: bool,
    /// Make a new job each time: its name is NAME and five letters
    #[arg(long, help_heading = "How it runs")]
    generate_name: bool,
    /// List the training runtimes, and train nothing
    #[arg(long, conflicts_with_all = ["name", "file", "manifest", "wait", "logs", "generate_name", "command"])]
    list_runtimes: bool,
}

#[kf_plugin_sdk::main(complete = runtime::complete)]
pub fn main(train: Train, kf: &Kf) -> Result<Exit> {
    if train.list_runtimes {
        return runtimes::list(kf);
    }
    let kinds = KINDS.map(ComponentKind::kind);
    // What cannot be a name is refused before any file is read.
    if let Some(name) = train.name() {
        kf_training_job::check_name(name).map_err(|error| match name.contains(['.', '/']) {
            true => error.hint(kf.command_line().without(name).set("-f", name)),
            false => error,
        })?;
    }
    let mut job = match (train.file()?, train.name()) {
        (Some(file), Some(name)) => read_manifest(kf, file, name, &kinds)?,
        (Some(file), None) => read_named_manifest(kf, file, &kinds, |name| train.line(kf, name))?,
        (None, name) => kf_training_job::empty(name.unwrap_or_default()),
    };
    if train.generate_name {
        let name = names::generate(job.name(), kf.now());
        job.set("/metadata/name", name);
    }
    kf_training_job::check_name(job.name())?;
    match ComponentKind::of(&job) {
        Some(kind) if kind.is_legacy_job() => legacy::run(kf, &train, kind, job),
        _ => train_job(kf, &train, job),
    }
}

impl Train {
    /// The name that was typed.
    fn name(&self) -> Option<&str> {
        self.name.as_ref().and_then(NameOrFile::name)
    }

    fn file(&self) -> Result<Option<&FileArg>> {
        match (self.name.as_ref().and_then(NameOrFile::file), self.file.as_ref().or(self.manifest.as_ref())) {
            (Some(first), Some(second)) => {
                Err(Error::invalid(format!("{first} and {second} are both files, and a job has one")))
            }
            (first, second) => Ok(first.or(second)),
        }
    }

    /// The typed line, with this name for the job.
    pub(crate) fn line(&self, kf: &Kf, name: &str) -> CommandLine {
        match &self.name {
            Some(NameOrFile::Name(typed)) => kf.command_line().replace(typed, name),
            Some(NameOrFile::File(file)) => kf.command_line().replace(file.path(), name).with(file.path()),
            None => kf.command_line().with(name),
        }
    }

    /// The typed line, with a name that is probably free.
    pub(crate) fn another(&self, kf: &Kf, name: &str) -> CommandLine {
        self.line(kf, &format!("{}-2", self.name().unwrap_or(name)))
    }
}

fn train_job(kf: &Kf, train: &Train, mut job: Object) -> Result<Exit> {
    overrides::apply(&train.job, &mut job)?;
    submit::preflight(kf, ComponentKind::TrainJob, &job)?;
    let runtime = runtime::settle(kf, train.job.runtime.as_deref(), &mut job)?;
    kf_training_job::check_children(&job, runtime.as_ref())?;
    let code = Code::read(kf, train, &job, runtime.as_ref())?;
    let mount = code.as_ref().map(|code| Mount::new(code.volume(), runtime.as_ref()));
    if let Some(mount) = &mount {
        mount.run_there(&mut job)?;
    }
    let submitted = submit::submit(kf, train, ComponentKind::TrainJob, &job, code.as_ref(), mount.as_ref())?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    if !train.wait && !train.logs {
        submitted.report(kf)?;
        return Ok(Exit::OK);
    }
    submitted.tell(kf);
    let of_runtime = runtime.and_then(|runtime| runtime.int("/spec/mlPolicy/numNodes"));
    let nodes = submitted.job.int("/spec/trainer/numNodes").or(of_runtime).unwrap_or(1);
    let name = submitted.job.name().to_owned();
    let job = Component { kind: ComponentKind::TrainJob, name, object: submitted.job };
    follow::follow(kf, job, Some(nodes), train.logs)
}

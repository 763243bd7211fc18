//! `kf train`: a training job out of a file, out of flags, or out of both.
//!
//! [`manifest`] reads the file, [`overrides`] puts the flags on top, [`runtime`] and [`submit`]
//! talk to the cluster, [`follow`] stays until the job ends.

mod follow;
mod manifest;
mod overrides;
mod refusal;
mod runtime;
mod spelling;
mod submit;

use kf_plugin_sdk::prelude::*;

/// Train a model from a file or a runtime
///
/// The file holds a TrainJob as YAML or JSON; flags change it. Without a file the flags and a
/// runtime make the job. The API server checks everything before anything is created.
#[derive(clap::Parser, Debug, Default, Describe)]
#[kf(example("train mnist mnist.yaml --logs", "train what the file says and follow its logs"))]
#[kf(example(
    "train mnist --runtime torch-distributed --nodes 2 -- python train.py",
    "train without a file"
))]
#[kf(example(
    "train mnist mnist.yaml --set spec.trainer.resourcesPerNode.limits.memory=8Gi",
    "change one field"
))]
pub struct Train {
    /// The job's name
    #[kf(complete = objects("trainer.kubeflow.org/TrainJob"))]
    name: String,
    /// The job as YAML or JSON; - is stdin
    file: Option<FileArg>,
    /// The training runtime
    #[arg(long, help_heading = "What is trained")]
    #[kf(complete = objects("trainer.kubeflow.org/ClusterTrainingRuntime"))]
    runtime: Option<String>,
    /// How many nodes train together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What is trained")]
    nodes: Option<u32>,
    /// The image to train in
    #[arg(long, help_heading = "What is trained")]
    image: Option<String>,
    /// A variable of the training process; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = "What is trained")]
    env: Vec<String>,
    /// Any field, such as spec.trainer.numProcPerNode=4; may be repeated
    #[arg(long, value_name = "PATH=VALUE", help_heading = "What is trained")]
    set: Vec<String>,
    /// Stay until the job ends; its result becomes the exit code
    #[arg(long, short, help_heading = "How it runs")]
    wait: bool,
    /// Stay and show the logs of all ranks
    #[arg(long, short, help_heading = "How it runs")]
    logs: bool,
    /// What to run in place of the image's command
    #[arg(last = true)]
    command: Vec<String>,
}

#[kf_plugin_sdk::main]
pub fn main(train: Train, kf: &Kf) -> Result<Exit> {
    manifest::check_name(&train.name)?;
    let mut job = match &train.file {
        Some(file) => manifest::read(kf, file, &train.name)?,
        None => manifest::empty(&train.name),
    };
    overrides::apply(&train, &mut job)?;
    submit::preflight(kf, &job)?;
    let runtime = runtime::settle(kf, &train, &mut job)?;
    let submitted = submit::submit(kf, &train, &job)?;
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
    follow::follow(kf, submitted.job, nodes, train.logs)
}

use kf_plugin_sdk::manifest::{Amount, Assignment, Devices, Variable};
use kf_plugin_sdk::{Describe, DirectoryArg, clap};

const TRAINING: &str = "Training";
const RESOURCES: &str = "Resources";

/// The flags of a training job, for every command that creates one.
#[derive(clap::Args, Clone, Debug, Default, Describe)]
pub struct JobFlags {
    /// The training runtime
    #[arg(long, help_heading = TRAINING)]
    #[kf(complete = dynamic)]
    pub runtime: Option<String>,
    /// The container image to train with
    #[arg(long, help_heading = TRAINING)]
    pub image: Option<String>,
    /// A directory of code to upload; the command runs in it
    ///
    /// Its files, at most 1000 and 1 MiB in total, become a ConfigMap that is mounted read-only at /workspace
    /// and deleted with the job. Hidden files, __pycache__, node_modules and virtual environments are skipped,
    /// and their names are printed.
    #[arg(long, value_name = "DIR", help_heading = TRAINING)]
    pub from_dir: Option<DirectoryArg>,
    /// An environment variable of the training; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = TRAINING)]
    pub env: Vec<Variable>,
    /// Set any field, such as spec.trainer.numProcPerNode=4; may be repeated
    #[arg(long, value_name = "PATH=VALUE", help_heading = TRAINING)]
    pub set: Vec<Assignment>,
    /// Number of nodes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = RESOURCES)]
    pub nodes: Option<u32>,
    /// CPUs per node, such as 4 or 500m
    #[arg(long, value_name = "QUANTITY", help_heading = RESOURCES)]
    pub cpu: Option<Amount>,
    /// Memory per node, such as 16Gi
    #[arg(long, value_name = "QUANTITY", help_heading = RESOURCES)]
    pub memory: Option<Amount>,
    /// GPUs per node; NAME=N for a resource other than nvidia.com/gpu
    #[arg(long, value_name = "N", help_heading = RESOURCES)]
    pub gpu: Option<Devices>,
    /// The Kueue queue to submit to
    #[arg(long, help_heading = RESOURCES)]
    pub queue: Option<String>,
    /// The command to run instead of the image's
    #[arg(last = true)]
    pub command: Vec<String>,
}

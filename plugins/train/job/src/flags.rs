use kf_plugin_sdk::manifest::{Amount, Assignment, Devices, Variable};
use kf_plugin_sdk::{Describe, DirectoryArg, clap};

const WHAT: &str = "What is trained";
const ON_WHAT: &str = "On what";

/// What is trained and on what: the flags of every command that makes training jobs.
#[derive(clap::Args, Clone, Debug, Default, Describe)]
pub struct JobFlags {
    /// The training runtime
    #[arg(long, help_heading = WHAT)]
    #[kf(complete = dynamic)]
    pub runtime: Option<String>,
    /// The image to train in
    #[arg(long, help_heading = WHAT)]
    pub image: Option<String>,
    /// A directory of code to take along; the command runs in it
    ///
    /// Its files, at most 1 MiB and 1000 together, become a ConfigMap that is mounted read-only at
    /// /workspace and goes when the job goes. Hidden files stay here, and so do __pycache__,
    /// node_modules and virtual environments; what was left out is shown.
    #[arg(long, value_name = "DIR", help_heading = WHAT)]
    pub from_dir: Option<DirectoryArg>,
    /// A variable of the training process; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = WHAT)]
    pub env: Vec<Variable>,
    /// Any field, such as spec.trainer.numProcPerNode=4; may be repeated
    #[arg(long, value_name = "PATH=VALUE", help_heading = WHAT)]
    pub set: Vec<Assignment>,
    /// How many nodes train together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = ON_WHAT)]
    pub nodes: Option<u32>,
    /// Processors of each node, such as 4 or 500m
    #[arg(long, value_name = "QUANTITY", help_heading = ON_WHAT)]
    pub cpu: Option<Amount>,
    /// Memory of each node, such as 16Gi
    #[arg(long, value_name = "QUANTITY", help_heading = ON_WHAT)]
    pub memory: Option<Amount>,
    /// GPUs of each node; another resource than nvidia.com/gpu as NAME=N
    #[arg(long, value_name = "N", help_heading = ON_WHAT)]
    pub gpu: Option<Devices>,
    /// The Kueue queue to wait in
    #[arg(long, help_heading = ON_WHAT)]
    pub queue: Option<String>,
    /// What to run in place of the image's command
    #[arg(last = true)]
    pub command: Vec<String>,
}

//! `kf pipeline`: runs of Kubeflow Pipelines.
//!
//! Pipelines are not Kubernetes objects; their server has a REST API (`/apis/v2beta1`). [`server`] calls it
//! through a forwarded port, [`spec`] reads a compiled pipeline and its parameters, and each subcommand has
//! its own module.

mod find;
mod logs;
mod ls;
mod run;
mod server;
mod spec;
mod state;
mod status;

use kf_plugin_sdk::prelude::*;

use server::{Place, Server};

/// Run and inspect pipelines
#[derive(clap::Parser, Describe)]
#[kf(example("pipeline run iris.yaml --param epochs=3 --wait", "run a compiled pipeline"))]
#[kf(example("pipeline ls", "list the latest runs"))]
#[kf(example("pipeline logs iris-2 --task train -f", "follow the logs of a task"))]
pub struct Pipeline {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Describe)]
enum Command {
    /// List runs, pipelines or experiments
    #[kf(example("pipeline ls pipelines", "list the pipelines on the server"))]
    Ls(Ls),
    /// Run a compiled or an uploaded pipeline
    #[kf(example(
        "pipeline run --pipeline iris@v2 --param epochs=3",
        "run a version of an uploaded pipeline"
    ))]
    Run(Run),
    /// Show a run and its tasks
    #[kf(example("pipeline status iris-2", "show the state of each task"))]
    Status(Status),
    /// Print the logs of a run's tasks
    #[kf(example("pipeline logs iris-2 --task train", "print the logs of one task"))]
    Logs(Logs),
}

#[derive(clap::Args, Describe)]
pub(crate) struct Ls {
    /// What to list
    #[arg(value_enum, default_value = "runs")]
    what: What,
    /// Only runs of this experiment
    #[arg(long)]
    experiment: Option<String>,
    /// How many to list, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Watch for changes
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    Runs,
    Pipelines,
    Experiments,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Pipelines => "pipelines",
            Self::Experiments => "experiments",
        }
    }
}

#[derive(clap::Args, Describe)]
pub(crate) struct Run {
    /// The compiled pipeline (IR YAML); - for stdin
    #[arg(conflicts_with = "pipeline")]
    file: Option<FileArg>,
    /// An uploaded pipeline and its version; the newest version by default
    #[arg(long, value_name = "NAME[@VERSION]", help_heading = "Run")]
    pipeline: Option<String>,
    /// A parameter of the pipeline; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = "Run")]
    param: Vec<String>,
    /// The run's name [default: the pipeline's name and the time]
    #[arg(long, help_heading = "Run")]
    name: Option<String>,
    /// The run's experiment; created if it does not exist
    #[arg(long, default_value = "Default", help_heading = "Run")]
    experiment: String,
    /// Wait until the run ends and exit with its result
    #[arg(long, short, help_heading = "Execution")]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "24h", help_heading = "Execution")]
    timeout: Span,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args, Describe)]
pub(crate) struct Status {
    /// The run's name, or a prefix of its id
    #[kf(complete = dynamic)]
    run: String,
    /// Watch until the run ends
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args, Describe)]
pub(crate) struct Logs {
    /// The run's name, or a prefix of its id
    #[kf(complete = dynamic)]
    run: String,
    /// Only the logs of this task
    #[arg(long)]
    task: Option<String>,
    /// Follow the logs until the run ends
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    place: Place,
}

#[kf_plugin_sdk::main(complete = find::complete)]
pub fn main(pipeline: Pipeline, kf: &Kf) -> Result<Exit> {
    match pipeline.command {
        Command::Ls(ls) => ls::ls(&Server::open(kf, &ls.place)?, &ls),
        Command::Run(run) => run::run(kf, &run),
        Command::Status(status) => status::status(&Server::open(kf, &status.place)?, &status),
        Command::Logs(logs) => logs::logs(&Server::open(kf, &logs.place)?, &logs),
    }
}

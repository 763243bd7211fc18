//! `kf pipeline`: runs of Kubeflow Pipelines.
//!
//! Pipelines have no objects in Kubernetes that a person could look at: everything is asked of their
//! server, over REST (`/apis/v2beta1`). [`server`] reaches it through a forwarded port, [`spec`] reads
//! a compiled pipeline and its parameters, and each subcommand has a file of its own.

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

/// Run pipelines and see what they do
#[derive(clap::Parser, Describe)]
#[kf(example("pipeline run iris.yaml --param epochs=3 --wait", "run a compiled pipeline"))]
#[kf(example("pipeline ls", "the latest runs"))]
#[kf(example("pipeline logs iris-2 --task train -f", "what a task of a run says"))]
pub struct Pipeline {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Describe)]
enum Command {
    /// Show runs, pipelines or experiments
    #[kf(example("pipeline ls pipelines", "what can be run"))]
    Ls(Ls),
    /// Run a compiled pipeline, or one the server has
    #[kf(example(
        "pipeline run --pipeline iris@v2 --param epochs=3",
        "run a version of an uploaded pipeline"
    ))]
    Run(Run),
    /// Show a run and its tasks
    #[kf(example("pipeline status iris-2", "how far each task is"))]
    Status(Status),
    /// Show what the tasks of a run say
    #[kf(example("pipeline logs iris-2 --task train", "the log of one task"))]
    Logs(Logs),
}

#[derive(clap::Args, Describe)]
pub(crate) struct Ls {
    /// What to show
    #[arg(value_enum, default_value = "runs")]
    what: What,
    /// Runs of this experiment only
    #[arg(long)]
    experiment: Option<String>,
    /// How many, the newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Keep the table up to date
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
    fn word(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Pipelines => "pipelines",
            Self::Experiments => "experiments",
        }
    }
}

#[derive(clap::Args, Describe)]
pub(crate) struct Run {
    /// The compiled pipeline (IR YAML); - is stdin
    #[arg(conflicts_with = "pipeline")]
    file: Option<FileArg>,
    /// A pipeline the server has, and its version; the newest if none is named
    #[arg(long, value_name = "NAME[@VERSION]", help_heading = "What is run")]
    pipeline: Option<String>,
    /// A parameter of the pipeline; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = "What is run")]
    param: Vec<String>,
    /// The run's name; by default the pipeline's with the time
    #[arg(long, help_heading = "What is run")]
    name: Option<String>,
    /// The experiment it belongs to; made if there is none
    #[arg(long, default_value = "Default", help_heading = "What is run")]
    experiment: String,
    /// Stay until it ends; its result becomes the exit code
    #[arg(long, short, help_heading = "How it runs")]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "24h", help_heading = "How it runs")]
    timeout: Span,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args, Describe)]
pub(crate) struct Status {
    /// The run's name, or the beginning of its id
    #[kf(complete = dynamic)]
    run: String,
    /// Stay until it ends
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args, Describe)]
pub(crate) struct Logs {
    /// The run's name, or the beginning of its id
    #[kf(complete = dynamic)]
    run: String,
    /// Of this task only
    #[arg(long)]
    task: Option<String>,
    /// Stay and show what is new until the run ends
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

//! `kf tensorboard`: TensorBoard over the logs of a training job.
//!
//! [`logs`] says where a job's logs are, [`board`] makes a TensorBoard over them, [`own`] is the Job
//! for clusters without TensorBoards of their own, [`show`] leads a local port to it.

mod board;
mod list;
mod logs;
mod own;
mod show;

use std::time::Duration;

use kf_plugin_sdk::prelude::*;

/// Show the TensorBoard of a training job
///
/// The logs lie on a volume claim, where a job's LOG_DIR or --logdir points to, or in a bucket. Where the
/// cluster has TensorBoards (tensorboards.tensorboard.kubeflow.org) one is made, else a Job of your own that
/// ends by itself.
#[derive(clap::Parser, Debug, Describe)]
#[kf(example("tensorboard mnist", "the logs that the training job mnist writes"))]
#[kf(example(
    "tensorboard --logs pvc://datasets/runs --rm",
    "a directory of a claim, for as long as you look"
))]
#[kf(example("tensorboard --list", "what is there"))]
pub struct Tensorboard {
    /// The training job, as NAME or KIND/NAME
    #[kf(complete = objects("trainer.kubeflow.org/TrainJob"))]
    job: Option<String>,
    /// Where the logs are: pvc://CLAIM/PATH, s3://… or gs://…
    #[arg(long, value_name = "URI", conflicts_with = "job")]
    logs: Option<String>,
    /// List the TensorBoards in the namespace
    #[arg(long, conflicts_with_all = ["job", "logs", "rm"])]
    list: bool,
    /// Keep the list up to date
    #[arg(long, requires = "list")]
    watch: bool,
    /// Remove it when you stop looking
    #[arg(long, help_heading = "How it runs")]
    rm: bool,
    /// The image of a TensorBoard of your own
    #[arg(long, help_heading = "How it runs")]
    image: Option<String>,
    /// The service account of one of your own, for a bucket
    #[arg(long, value_name = "NAME", help_heading = "How it runs")]
    service_account: Option<String>,
    /// How long one of your own stays
    #[arg(long = "for", value_name = "DURATION", default_value = "8h", help_heading = "How it runs")]
    lasts: Span,
    /// The port on this machine; any free one if absent
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Print the address and open no browser
    #[arg(long)]
    no_browser: bool,
    /// How long it may take until it answers
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: Span,
}

/// A Job counts its time in whole seconds, and one that ends at once helps nobody.
const SHORTEST: Duration = Duration::from_secs(60);

#[kf_plugin_sdk::main]
pub fn main(tensorboard: Tensorboard, kf: &Kf) -> Result<Exit> {
    if tensorboard.list {
        return if tensorboard.watch { list::watch(kf) } else { list::run(kf) };
    }
    if tensorboard.lasts.0 < SHORTEST {
        return Err(Error::invalid("--for is too short; write at least --for 1m"));
    }
    let place = match (&tensorboard.job, &tensorboard.logs) {
        (Some(job), _) => logs::of_job(kf, job)?,
        (None, Some(uri)) => logs::of_uri(kf, uri)?,
        (None, None) => {
            let line = kf.command_line().with("JOB");
            return Err(Error::invalid("nothing says whose logs to show")
                .hint(format!("{line}, or --logs pvc://CLAIM/PATH")));
        }
    };
    let board = board::find_or_make(kf, &tensorboard, &place)?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    show::show(kf, &tensorboard, board)
}

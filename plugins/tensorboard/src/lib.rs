//! `kf tensorboard`: TensorBoard for the logs of a training job.
//!
//! [`logs`] finds the logs of a job, [`board`] creates a TensorBoard for them, [`job`] runs it as a Job in clusters
//! without that kind, [`show`] forwards a local port to it.

mod board;
mod job;
mod list;
mod logs;
mod show;

use std::time::Duration;

use kf_plugin_sdk::prelude::*;

/// Open TensorBoard for a training job
///
/// The logs are read from the volume claim or bucket that a job's LOG_DIR or --logdir points to. kf creates a
/// Tensorboard (tensorboards.tensorboard.kubeflow.org) if the cluster serves that kind, else a Job that ends
/// by itself.
#[derive(clap::Parser, Debug, Describe)]
#[kf(example("tensorboard mnist", "show the logs of training job mnist"))]
#[kf(example(
    "tensorboard --logs pvc://datasets/runs --rm",
    "show a directory of a claim, and clean up on exit"
))]
#[kf(example("tensorboard --list", "list the TensorBoards in the namespace"))]
pub struct Tensorboard {
    /// The training job, as NAME or KIND/NAME
    #[kf(complete = objects("trainer.kubeflow.org/TrainJob"))]
    job: Option<String>,
    /// Location of the logs: pvc://CLAIM/PATH, s3://… or gs://…
    #[arg(long, value_name = "URI", conflicts_with = "job")]
    logs: Option<String>,
    /// List the TensorBoards in the namespace
    #[arg(long, conflicts_with_all = ["job", "logs", "rm"])]
    list: bool,
    /// Watch for changes
    #[arg(long, requires = "list")]
    watch: bool,
    /// Remove the job on exit
    #[arg(long, help_heading = "TensorBoard job")]
    rm: bool,
    /// Image of the job
    #[arg(long, help_heading = "TensorBoard job")]
    image: Option<String>,
    /// Service account of the job, for access to a bucket
    #[arg(long, value_name = "NAME", help_heading = "TensorBoard job")]
    service_account: Option<String>,
    /// Lifetime of the job
    #[arg(long = "for", value_name = "DURATION", default_value = "8h", help_heading = "TensorBoard job")]
    lifetime: Span,
    /// Local port; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Print the address instead of opening a browser
    #[arg(long)]
    no_browser: bool,
    /// How long to wait for the server to answer
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: Span,
}

/// The shortest `--for`.
const MIN_LIFETIME: Duration = Duration::from_secs(60);

#[kf_plugin_sdk::main]
pub fn main(tensorboard: Tensorboard, kf: &Kf) -> Result<Exit> {
    if tensorboard.list {
        return if tensorboard.watch { list::watch(kf) } else { list::run(kf) };
    }
    if tensorboard.lifetime.0 < MIN_LIFETIME {
        return Err(Error::invalid("--for must be at least 1m"));
    }
    let location = match (&tensorboard.job, &tensorboard.logs) {
        (Some(job), _) => logs::of_job(kf, job)?,
        (None, Some(uri)) => logs::of_uri(kf, uri)?,
        (None, None) => {
            let line = kf.command_line().with("JOB");
            return Err(Error::invalid("a job or --logs is required")
                .hint(format!("{line}, or --logs pvc://CLAIM/PATH")));
        }
    };
    let board = board::find_or_create(kf, &tensorboard, &location)?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    show::show(kf, &tensorboard, board)
}

//! Clusters for one run, and the one that is kept.
//!
//! The harness is a separate program, `kf-test-cluster`, because it needs the Kubernetes client, which
//! xtask must not depend on.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::{Subcommand, ValueEnum};

use crate::setup::{self, Wanted};
use crate::step::{Context, Failure, Result, programs, run_reporting};

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Start the cluster, or show the running one
    Up {
        /// `api` needs no root; `node` runs containers [default: node as root, otherwise api]
        #[arg(long, value_enum)]
        profile: Option<Profile>,
    },
    /// Add parts of Kubeflow, such as `kserve` or `kueue`
    Require {
        /// Names of parts; an unknown name prints the list
        #[arg(required = true, value_name = "PART")]
        parts: Vec<String>,
    },
    /// Stop the cluster, and clean up after killed runs
    Down,
    /// Show whether the cluster is running, and the kubeconfigs of its users
    Status,
}

/// The kind of cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    Api,
    Node,
}

impl Profile {
    /// `Node` if this machine can run one, otherwise `Api`.
    pub fn best() -> Self {
        if rustix::process::geteuid().is_root() { Self::Node } else { Self::Api }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Node => "node",
        }
    }
}

pub fn command(task: &ClusterCommand) -> Result<()> {
    match task {
        ClusterCommand::Up { profile } => {
            let profile = profile.unwrap_or_else(Profile::best);
            setup::prepare(Wanted::Cluster, profile)?;
            up(profile)
        }
        ClusterCommand::Require { parts } => {
            run_reporting(harness()?.arg("require").arg(kept_folder()?).args(parts))
        }
        ClusterCommand::Down => run_reporting(harness()?.arg("down")),
        ClusterCommand::Status => run_reporting(harness()?.arg("status")),
    }
}

/// Starts the kept cluster if it is not running, and shows its kubeconfigs.
fn up(profile: Profile) -> Result<()> {
    run_reporting(harness()?.args(["up", profile.name()]))
}

fn harness() -> Result<Command> {
    let program = programs()?.join("kf-test-cluster");
    if program.is_file() {
        return Ok(Command::new(program));
    }
    Err(Failure("no cluster\nhint: cargo xtask cluster up".to_owned()))
}

/// The folder of the kept cluster.
fn kept_folder() -> Result<PathBuf> {
    let output = harness()?.arg("directory").output().context("cannot find the kept cluster")?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    Err(Failure("no cluster is running\nhint: cargo xtask cluster up".to_owned()))
}

/// A running cluster's folder.
pub struct Cluster {
    folder: PathBuf,
    /// Stops the cluster when its stdin is closed; none for a cluster that outlives this process.
    holder: Option<Child>,
}

impl Cluster {
    /// Starts a cluster that stops with this process.
    pub fn start(profile: Profile) -> Result<Self> {
        let mut holder = harness()?
            .args(["hold", profile.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a cluster")?;
        let mut folder = String::new();
        if let Some(stdout) = holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut folder).context("cannot start a cluster")?;
        }
        let folder = PathBuf::from(folder.trim_end());
        if folder.as_os_str().is_empty() {
            let _ended = holder.wait();
            return Err(Failure("the cluster did not start".to_owned()));
        }
        Ok(Self { folder, holder: Some(holder) })
    }

    /// The kept cluster, started if it is not running.
    pub fn kept(profile: Profile) -> Result<Self> {
        up(profile)?;
        Ok(Self { folder: kept_folder()?, holder: None })
    }

    /// A cluster that another process starts and stops.
    pub fn running(folder: PathBuf) -> Self {
        Self { folder, holder: None }
    }

    /// Starts optional parts of the platform, unless they are running.
    pub fn require(&self, parts: &[&str]) -> Result<()> {
        run_reporting(harness()?.arg("require").arg(&self.folder).args(parts))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kubeconfig of one of the harness's users.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join("pki").join(format!("{user}.kubeconfig"))
    }

    /// Stops a cluster of this process; others keep running.
    pub fn stop(mut self) -> Result<()> {
        let Some(mut holder) = self.holder.take() else { return Ok(()) };
        drop(holder.stdin.take());
        let status = holder.wait().context("cannot stop the cluster")?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure(format!("the cluster did not stop cleanly: {status}")))
        }
    }
}

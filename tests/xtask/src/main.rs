//! `cargo xtask`: sets up and runs kf's demo, tests and releases.

#![expect(unreachable_pub, reason = "a binary has no outside to reach from")]

mod bench;
mod built_in;
mod cluster;
mod conformance;
mod demo;
mod fuzz;
mod lint;
mod plugins;
mod published;
mod release;
mod report;
mod reproducible;
mod setup;
mod step;
mod summary;
mod test;
mod voice;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::step::Failure;

/// Builds, demonstrates and tests kf
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the demo: add a signed command, accept its rights, train a model on a real cluster
    Demo(demo::DemoArgs),
    /// Run all tests, or those whose names contain a filter
    Test(test::TestArgs),
    /// Start, stop or inspect a cluster to experiment with
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Build the first-party commands into target/plugins
    Plugins,
    /// Build the first-party commands in two folders and compare the bytes
    Reproducible,
    /// Regenerate the SDK's bindings after a change of the WIT
    Bindings,
    /// Build the client under test of the TUF conformance suite
    Conformance,
    /// Run the fuzz targets with other changes than the tests
    Fuzz(fuzz::FuzzArgs),
    /// Check format and lints
    Lint,
    /// Compare the speed of kf with kubectl and other programs
    Bench(bench::BenchArgs),
    /// Build a release in target/release-kf: kf as a single file, an archive and a Python wheel
    Release(release::ReleaseArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo(args) => demo::play(&args),
        Task::Test(args) => test::run_all(&args),
        Task::Cluster(command) => cluster::command(&command),
        Task::Plugins => plugins::build(),
        Task::Reproducible => reproducible::run(),
        Task::Bindings => step::cargo(&[
            "run",
            "--package",
            "kf-toolchains",
            "--features",
            "bindings",
            "--bin",
            "kf-bindings",
        ]),
        Task::Conformance => conformance::build(),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Lint => lint::run(),
        Task::Bench(args) => bench::run_all(&args),
        Task::Release(args) => release::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            if !message.is_empty() {
                report::line(&format!("error: {message}"));
            }
            ExitCode::FAILURE
        }
    }
}

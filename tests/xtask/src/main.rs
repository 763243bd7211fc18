//! `cargo xtask`: sets up what kf's demo and tests need, and runs them.

#![expect(unreachable_pub, reason = "a binary has no outside to reach from")]

mod bench;
mod built_in;
mod cluster;
mod demo;
mod lint;
mod plugins;
mod published;
mod release;
mod reproducible;
mod say;
mod setup;
mod step;
mod summary;
mod test;

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
    /// Run the main job: add a signed command, accept its rights, train something on a real cluster
    Demo(demo::DemoArgs),
    /// Run all tests, or those whose name contains a word
    Test(test::TestArgs),
    /// Start, stop or look at a cluster to play with
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Build the first-party commands into target/plugins
    Plugins,
    /// Build the first-party commands in two folders and compare the bytes
    Reproducible,
    /// Write the SDK's bindings again after a change of the WIT
    Bindings,
    /// Check format and lints
    Lint,
    /// Measure kf beside kubectl and other programs
    Bench(bench::BenchArgs),
    /// Make what people download, in target/release-kf: kf as one file, an archive and a Python wheel
    Release(release::ReleaseArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo(args) => demo::tell(&args),
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
        Task::Lint => lint::run(),
        Task::Bench(args) => bench::run_all(&args),
        Task::Release(args) => release::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            if !message.is_empty() {
                say::line(&format!("error: {message}"));
            }
            ExitCode::FAILURE
        }
    }
}

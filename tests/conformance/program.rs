//! `kf-tuf-client`: the client under test of the TUF conformance suite.
//!
//! The suite changes the time by preloading a library, which a static program ignores. So this one is built apart, with
//! the feature `conformance` and a dynamically linked C library: `cargo xtask conformance` does both.

#![expect(unreachable_pub, reason = "a binary has no outside to reach from")]

mod client;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use kf_registry::Result;

use crate::client::Conformance;

/// Speaks the client protocol of the TUF conformance suite
#[derive(Debug, Parser)]
struct Cli {
    /// The folder of the trusted metadata
    #[arg(long, value_name = "DIR")]
    metadata_dir: PathBuf,

    /// The URL of the repository's metadata
    #[arg(long, value_name = "URL")]
    metadata_url: Option<String>,

    /// A target to download, may be repeated
    #[arg(long, value_name = "PATH")]
    target_name: Vec<String>,

    /// The URL of the repository's targets
    #[arg(long, value_name = "URL")]
    target_base_url: Option<String>,

    /// The folder for downloaded targets
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trust a root
    Init { root: PathBuf },
    /// Refresh the metadata
    Refresh,
    /// Refresh the metadata and download the targets
    Download,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the suite shows it beside a failed test")]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if let Command::Init { root } = &cli.command {
        return client::init(&cli.metadata_dir, root);
    }
    let metadata_url = cli.metadata_url.as_deref().unwrap_or_default();
    let mut client = Conformance::open(&cli.metadata_dir, metadata_url, cli.target_base_url.as_deref())?;
    client.refresh(Timestamp::now())?;
    if let (Command::Download, Some(folder)) = (&cli.command, &cli.target_dir) {
        for target in &cli.target_name {
            client.download(target, folder, Timestamp::now())?;
        }
    }
    Ok(())
}

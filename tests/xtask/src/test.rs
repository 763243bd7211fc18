//! All tests, against one cluster.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::num::NonZero;
use std::process::Stdio;
use std::thread;

use clap::Args;

use crate::cluster::{Cluster, Profile};
use crate::setup::{self, Wanted};
use crate::step::{Doing, Failure, Result, cargo_command};
use crate::summary::Summary;
use crate::{plugins, say};

/// How many tests run side by side, as Rust's test harness reads it. Most wait for a cluster most of
/// their time, so there are more of them than cores.
const THREADS: &str = "RUST_TEST_THREADS";

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only tests whose name contains this
    filter: Option<String>,
}

pub fn run_all(args: &TestArgs) -> Result<()> {
    let profile = Profile::best();
    if profile == Profile::Api {
        say::step("without root there is no node; the tests that need one are skipped by name");
    }
    setup::prepare(Wanted::Tests, profile)?;
    let cluster = Cluster::start(profile)?;
    let tested = test(args, &cluster);
    let stopped = cluster.stop();
    let (summary, succeeded) = tested?;
    stopped?;
    summary.say();
    if succeeded { Ok(()) } else { Err(Failure::said()) }
}

/// Runs cargo's tests, shows what they say as they say it, and adds it up.
fn test(args: &TestArgs, cluster: &Cluster) -> Result<(Summary, bool)> {
    let mut cargo = cargo_command(&["test", "--workspace", "--no-fail-fast"]);
    cargo.env("KF_TEST_CLUSTER_DIR", cluster.folder()).env("KF_TEST_PLUGINS", plugins::artifacts());
    cargo.args(&args.filter);
    if std::env::var_os(THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        cargo.env(THREADS, (2 * cores).to_string());
    }
    if std::io::stdout().is_terminal() {
        cargo.env("CARGO_TERM_COLOR", "always").args(["--", "--color=always"]);
    }
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing("cannot run cargo test")?;
    let (results, talk) = (child.stdout.take(), child.stderr.take());
    let mut summary = Summary::default();
    thread::scope(|scope| {
        let talk = scope.spawn(|| {
            let mut heard = Summary::default();
            read(talk, |line| {
                say::line(line);
                heard.hear(line);
            });
            heard
        });
        let mut stdout = std::io::stdout().lock();
        read(results, |line| {
            let _gone = writeln!(stdout, "{line}");
            summary.hear(line);
        });
        summary.add(talk.join().unwrap_or_default());
    });
    let status = child.wait().doing("cannot wait for cargo test")?;
    Ok((summary, status.success()))
}

fn read(from: Option<impl Read>, mut take: impl FnMut(&str)) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n').map_while(std::io::Result::ok) {
        take(String::from_utf8_lossy(&line).trim_end_matches('\r'));
    }
}

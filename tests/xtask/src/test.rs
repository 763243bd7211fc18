//! Runs all tests in two groups in parallel: those that share one cluster, and all others, which take much less time.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Args;
use kf_toolchains::skip;
use serde::Deserialize;

use crate::cluster::{Cluster, Profile};
use crate::setup::{self, Wanted, joined};
use crate::step::{Context, Failure, Result, cargo_command};
use crate::summary::Summary;
use crate::{built_in, plugins, release, report};

/// The name of the test programs that use a cluster.
const END_TO_END: &str = "it";

/// The variable with the number of tests that run in parallel. Tests with a cluster mostly wait for it, so there are more
/// of them than cores.
const THREADS_VARIABLE: &str = "RUST_TEST_THREADS";
const THREADS_PER_CORE: usize = 3;

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Run only tests whose names contain this
    filter: Option<String>,

    /// Run README.md's first screen with the files of the last `cargo xtask release`
    #[arg(long)]
    release: bool,
}

impl TestArgs {
    /// Runs README.md's first screen with the files of a release.
    pub fn first_screen_of_release() -> Self {
        Self { filter: Some("readme_first_screen".to_owned()), release: true }
    }
}

/// The variable with the kubeconfig of an existing cluster to test against.
const KUBECONFIG: &str = "KF_TEST_KUBECONFIG";

pub fn run_all(args: &TestArgs) -> Result<()> {
    let existing = existing_cluster()?;
    let profile = if existing.is_some() { Profile::Api } else { Profile::best() };
    if existing.is_none() && profile == Profile::Api {
        if !skip::is_allowed() {
            let hint = format!(
                "run as root, or set {}=1 to skip the tests that need a node",
                skip::ALLOW_SKIPS_VARIABLE
            );
            return Err(Failure(format!("the tests need a node, which needs root\nhint: {hint}")));
        }
        report::step("without root there is no node; tests that need one are skipped");
    }
    setup::prepare(Wanted::Tests, profile)?;
    let folder = tempfile::Builder::new().prefix("kf-test-").tempdir();
    let folder = folder.context("cannot create a folder for the tests")?;
    let others = others()?;
    let filter = args.filter.as_deref();
    let release = args.release.then(release::folder);
    let groups = Groups {
        filter,
        existing: existing.as_deref(),
        release: release.as_deref(),
        folder: folder.path(),
        screen: Mutex::new(()),
    };
    let (with_cluster, without) = thread::scope(|scope| {
        let without = scope.spawn(|| groups.without_cluster(&others));
        (groups.with_cluster(profile), joined(without.join()))
    });
    let (mut summary, mut succeeded) = with_cluster?;
    let (others, others_succeeded) = without?;
    summary.add(others);
    succeeded &= others_succeeded;
    summary.print();
    if succeeded { Ok(()) } else { Err(Failure::reported()) }
}

/// The absolute path of its kubeconfig.
fn existing_cluster() -> Result<Option<PathBuf>> {
    let named = std::env::var_os(KUBECONFIG).filter(|path| !path.is_empty());
    let found = named.map(|path| fs_err::canonicalize(&path)).transpose();
    found.context("cannot use the existing cluster")
}

/// The names of the test programs that use no cluster.
fn others() -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        targets: Vec<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }

    let action = "cannot list the tests";
    let answer =
        cargo_command(&["metadata", "--no-deps", "--format-version", "1"]).output().context(action)?;
    let metadata: Metadata = serde_json::from_slice(&answer.stdout).context(action)?;
    let targets = metadata.packages.into_iter().flat_map(|package| package.targets);
    let tests = targets.filter(|target| target.kind.iter().any(|kind| kind == "test"));
    Ok(tests.map(|target| target.name).filter(|name| name != END_TO_END).collect())
}

struct Groups<'a> {
    filter: Option<&'a str>,
    /// The kubeconfig of an existing cluster to test against.
    existing: Option<&'a Path>,
    /// The folder of a release to test.
    release: Option<&'a Path>,
    /// The folder for files that test programs share.
    folder: &'a Path,
    /// Held while writing.
    screen: Mutex<()>,
}

impl Groups<'_> {
    /// Shows the output of the tests as it is printed.
    fn with_cluster(&self, profile: Profile) -> Result<(Summary, bool)> {
        let cluster = match self.existing {
            Some(_) => None,
            None => Some(Cluster::start(profile)?),
        };
        let mut cargo = self.cargo(&["--test", END_TO_END]);
        if let Some(cluster) = &cluster {
            cargo.env("KF_TEST_CLUSTER_DIR", cluster.folder());
        }
        if std::env::var_os(THREADS_VARIABLE).is_none() {
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            cargo.env(THREADS_VARIABLE, (THREADS_PER_CORE * cores).to_string());
        }
        let tested = run_tests(cargo, &|line| self.show(&[line]));
        if let Some(cluster) = cluster {
            cluster.stop()?;
        }
        tested
    }

    /// Shows the output of the tests when they are done.
    fn without_cluster(&self, programs: &[String]) -> Result<(Summary, bool)> {
        let lines = Mutex::new(Vec::new());
        let keep = |line| lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        let mut words = vec!["--lib", "--bins"];
        words.extend(programs.iter().flat_map(|program| ["--test", program]));
        let tested = run_tests(self.cargo(&words), &keep);
        let documented = run_tests(self.cargo(&["--doc"]), &keep);
        self.show(&lines.into_inner().unwrap_or_else(PoisonError::into_inner));
        let ((mut summary, succeeded), (examples, examples_succeeded)) = (tested?, documented?);
        summary.add(examples);
        Ok((summary, succeeded && examples_succeeded))
    }

    fn cargo(&self, words: &[&str]) -> Command {
        let mut cargo = cargo_command(&["test", "--workspace", "--no-fail-fast"]);
        cargo.env("TMPDIR", self.folder).env("KF_TEST_PLUGINS", plugins::artifacts());
        cargo.env("KF_TEST_BUILT_IN", built_in::for_tests());
        cargo.envs(self.existing.map(|path| (KUBECONFIG, path)));
        cargo.envs(self.release.map(|folder| ("KF_TEST_RELEASE", folder)));
        cargo.args(words).args(self.filter);
        if std::io::stdout().is_terminal() {
            cargo.env("CARGO_TERM_COLOR", "always").args(["--", "--color=always"]);
        }
        cargo
    }

    fn show(&self, lines: &[Line]) {
        let _mine = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines {
            match line {
                Line::Result(text) => {
                    let _gone = writeln!(std::io::stdout(), "{text}");
                }
                Line::Message(text) => report::line(text),
            }
        }
    }
}

/// A line of a test program: of stdout, or of stderr.
enum Line {
    Result(String),
    Message(String),
}

/// Runs cargo's tests, and summarises their results.
fn run_tests(mut cargo: Command, take: &(dyn Fn(Line) + Sync)) -> Result<(Summary, bool)> {
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run cargo test")?;
    let (results, messages) = (child.stdout.take(), child.stderr.take());
    let summary = thread::scope(|scope| {
        let messages = scope.spawn(|| summarize(messages, |line| take(Line::Message(line))));
        let mut summary = summarize(results, |line| take(Line::Result(line)));
        summary.add(messages.join().unwrap_or_default());
        summary
    });
    let status = child.wait().context("cannot wait for cargo test")?;
    Ok((summary, status.success()))
}

fn summarize(from: Option<impl Read>, take: impl Fn(String)) -> Summary {
    let mut summary = Summary::default();
    let Some(from) = from else { return summary };
    for line in BufReader::new(from).split(b'\n').map_while(std::io::Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        summary.read_line(&line);
        take(line);
    }
    summary
}

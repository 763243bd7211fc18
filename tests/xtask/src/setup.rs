//! Builds what the demo and the tests need, in parallel.
//!
//! The first run takes minutes for compiling kf with its engine and its Kubernetes client, and for
//! compiling Kubernetes itself. These are independent, as are the downloads: the packages of the node,
//! and a Rust toolchain for WebAssembly if the machine has none. Everything is kept, so later runs start
//! within seconds.

use std::process::Command;
use std::thread;
use std::time::Instant;

use kf_toolchains::effort::{self, Effort};
use kf_toolchains::guests::toolchain::{Machine, Toolchain, Way, resolve};
use kf_toolchains::kubernetes::Binaries;
use kf_toolchains::optional::{self, Extent};
use kf_toolchains::pods::PodPrograms;
use kf_toolchains::{chromium, command, debian, guests, locations, skip};

use crate::cluster::Profile;
use crate::step::{self, Context, Failure, Result, cargo_command, quietly};
use crate::{built_in, demo, plugins, report};

/// The CPU seconds that cargo takes for kf with its dependencies, for the supervisor of clusters with the
/// Kubernetes client, and for the tests.
const KF: u64 = 380;
const SUPERVISOR: u64 = 130;
const TESTS: u64 = 280;

/// The same for the guests of the main job, and for all guests. It includes the time that cores are idle while linking.
const MAIN_GUESTS: u64 = 90;
const GUESTS: u64 = 270;

/// The pip requirements: python-tuf, and what it signs with.
const PYTHON_TUF: &str = "tuf==7.0.1 securesystemslib[crypto]==1.4.0";

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A cluster.
    Cluster,
    /// Also kf and the commands of the main job.
    Demo,
    /// Also kf and all its commands.
    Commands,
    /// Also the parts of Kubeflow that the day uses.
    Day,
    /// Also the tests and their guests.
    Tests,
}

/// Builds everything that is missing or has changed.
pub fn prepare(wanted: Wanted, profile: Profile) -> Result<()> {
    let started = Instant::now();
    let remaining = Remaining::find(wanted, profile)?;
    let effort = Effort::begin(remaining.all());
    if remaining.all() > 0 {
        report::step(&format!(
            "the first run compiles everything: {}; later runs start within seconds",
            effort::in_words(effort.estimate())
        ));
    }
    thread::scope(|scope| {
        let steps = [
            scope.spawn(|| kubernetes(wanted, profile, &remaining, &effort)),
            scope.spawn(|| packages(profile)),
            scope.spawn(|| debian_rust(wanted)),
            scope.spawn(|| python_tuf(wanted)),
            scope.spawn(|| chromium(wanted)),
            scope.spawn(|| python_for_parts(wanted, profile, &effort)),
        ];
        let toolchain = scope.spawn(move || toolchain(wanted));
        let programs =
            report_remaining_after(&effort, remaining.programs, remaining.guests, programs(wanted));
        let toolchain = joined(toolchain.join());
        let guests = programs.and(toolchain).and_then(|toolchain| guests_of(wanted, toolchain));
        let guests = report_remaining_after(&effort, remaining.guests, 0, guests);
        steps.into_iter().fold(guests, |so_far, step| so_far.and(joined(step.join())))
    })?;
    effort.keep();
    report::step(&format!("built everything in {} s", started.elapsed().as_secs()));
    Ok(())
}

/// Prints the remaining time after a step; `next` is the work that begins only then.
fn report_remaining_after(effort: &Effort, reference: u64, next: u64, step: Result<()>) -> Result<()> {
    step?;
    effort.built(reference);
    if reference > 0 {
        report_remaining(effort, next);
    }
    Ok(())
}

fn report_remaining(effort: &Effort, next: u64) {
    if let Some(left) = effort.left(next) {
        report::step(&format!("{} remaining", effort::in_words(left)));
    }
}

/// The result of a step that ran on a thread.
pub fn joined<T>(result: thread::Result<Result<T>>) -> Result<T> {
    result.unwrap_or_else(|_| Err(Failure("a build step panicked".to_owned())))
}

/// The remaining work, in CPU seconds.
struct Remaining {
    programs: u64,
    guests: u64,
    kubernetes: u64,
    pods: u64,
    parts: u64,
}

impl Remaining {
    fn find(wanted: Wanted, profile: Profile) -> Result<Self> {
        let is_built = |program: &str| step::programs().map(|folder| folder.join(program).is_file());
        let (programs, guests) = match wanted {
            _ if is_built("kf-test-cluster")? => (0, 0),
            Wanted::Cluster => (SUPERVISOR, 0),
            Wanted::Demo => (KF + SUPERVISOR, MAIN_GUESTS),
            Wanted::Commands | Wanted::Day => (KF + SUPERVISOR, GUESTS),
            Wanted::Tests => (KF + SUPERVISOR + TESTS, GUESTS),
        };
        let pods = match profile {
            Profile::Api => 0,
            Profile::Node => PodPrograms::core_seconds_left().context("cannot build the pods' programs")?,
        };
        let parts = match parts(wanted, profile) {
            Some(extent) => {
                optional::core_seconds_left(extent).context("cannot build the parts of Kubeflow")?
            }
            None => 0,
        };
        let kubernetes = Binaries::core_seconds_left().context("cannot build Kubernetes")?;
        Ok(Self { programs, guests, kubernetes, pods, parts })
    }

    fn all(&self) -> u64 {
        self.programs + self.guests + self.kubernetes + self.pods + self.parts
    }
}

/// The optional parts that will be added to the cluster.
fn parts(wanted: Wanted, profile: Profile) -> Option<Extent> {
    match (wanted, profile) {
        (Wanted::Tests, Profile::Node) => Some(Extent::All),
        (Wanted::Day, Profile::Node) => Some(Extent::Day),
        _ => None,
    }
}

/// Builds the programs for this machine.
fn programs(wanted: Wanted) -> Result<()> {
    let (label, words): (_, &[&str]) = match wanted {
        Wanted::Cluster => ("compiling the cluster's supervisor", &["--bin", "kf-test-cluster"]),
        Wanted::Demo | Wanted::Commands | Wanted::Day => ("compiling kf", &["--bins"]),
        Wanted::Tests => ("compiling kf and its tests", &["--bins", "--tests"]),
    };
    quietly(label, cargo_command(&["build", "--workspace"]).args(words))
}

/// Builds Kubernetes, and the programs for pods. Go uses all cores by itself.
fn kubernetes(wanted: Wanted, profile: Profile, remaining: &Remaining, effort: &Effort) -> Result<()> {
    let log = locations::log("kf-kubernetes");
    let build = if profile == Profile::Api { Binaries::for_api } else { Binaries::built };
    let built = report::during("building Kubernetes", Some(&log), || build(report::step));
    let built = built.map(drop).context("cannot build Kubernetes");
    report_remaining_after(effort, remaining.kubernetes, remaining.pods + remaining.parts, built)?;
    if profile == Profile::Node {
        let built = report::during("building JobSet and Trainer", None, || PodPrograms::built(report::step));
        let built = built.map(drop).context("cannot build the pods' programs");
        report_remaining_after(effort, remaining.pods, remaining.parts, built)?;
    }
    if let Some(extent) = parts(wanted, profile) {
        let build = || optional::build_programs(extent, report::step, |reference| effort.built(reference));
        report::during("building the parts of Kubeflow", None, build)
            .context("cannot build the parts of Kubeflow")?;
        if remaining.parts > 0 {
            report_remaining(effort, 0);
        }
    }
    Ok(())
}

/// Downloads TensorBoard, JupyterLab and their Python.
fn python_for_parts(wanted: Wanted, profile: Profile, effort: &Effort) -> Result<()> {
    if parts(wanted, profile).is_none() {
        return Ok(());
    }
    let fetch = || optional::fetch_python(report::step, |reference| effort.built(reference));
    report::during("fetching TensorBoard and JupyterLab", None, fetch)
        .context("cannot fetch the Python of the parts of Kubeflow")
}

/// Downloads the packages of a node, such as containerd and runc.
fn packages(profile: Profile) -> Result<()> {
    if profile == Profile::Api {
        return Ok(());
    }
    report::during("fetching the node's packages", None, || debian::node(report::step))
        .map(drop)
        .context("cannot fetch the node's packages")
}

/// Downloads Debian's Rust, for a test that builds guests without the target of rustup.
fn debian_rust(wanted: Wanted) -> Result<()> {
    if wanted != Wanted::Tests || command::find("apt-get").is_none() {
        return Ok(());
    }
    report::during("fetching Debian's Rust", None, || {
        resolve(&Machine::default(), Some(Way::Debian), report::step)
    })
    .map(drop)
    .context("cannot fetch Debian's Rust")
}

/// Installs python-tuf, to test kf's TUF implementation against. Without it those tests fail, or are skipped if that is
/// allowed.
fn python_tuf(wanted: Wanted) -> Result<()> {
    let folder = locations::target().join("python-tuf");
    let installed = folder.join("installed");
    let wanted_version = fs_err::read_to_string(&installed).is_ok_and(|version| version == PYTHON_TUF);
    if wanted != Wanted::Tests || wanted_version {
        return Ok(());
    }
    let log = locations::log("python-tuf");
    let made = report::during("installing python-tuf", Some(&log), || {
        command::logged(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), &log)?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_TUF.split(' '));
        command::logged(&mut pip, &log)
    });
    match made {
        Ok(_) => fs_err::write(installed, PYTHON_TUF).context("cannot record that python-tuf is installed"),
        Err(error) => {
            let _absent = fs_err::remove_dir_all(&folder);
            if !skip::is_allowed() {
                let hint = format!("hint: {}=1 skips the tests that need it", skip::ALLOW_SKIPS_VARIABLE);
                return Err(Failure(format!("python-tuf could not be installed: {error}\n{hint}")));
            }
            report::step(&format!("python-tuf could not be installed, so its tests are skipped: {error}"));
            Ok(())
        }
    }
}

/// Downloads Chromium, for the tests of pages. Without it they fail, or are skipped if that is allowed.
fn chromium(wanted: Wanted) -> Result<()> {
    if wanted != Wanted::Tests {
        return Ok(());
    }
    match report::during("fetching Chromium", None, || chromium::fetched(report::step)) {
        Err(error) if skip::is_allowed() => {
            report::step(&format!("Chromium could not be fetched, so its tests are skipped: {error}"));
            Ok(())
        }
        fetched => fetched.map(drop).context("cannot fetch Chromium"),
    }
}

fn toolchain(wanted: Wanted) -> Result<Option<Toolchain>> {
    (wanted != Wanted::Cluster).then(plugins::toolchain).transpose()
}

/// Builds the first-party commands, the lying command for the demo, and the attacks for the tests.
fn guests_of(wanted: Wanted, toolchain: Option<Toolchain>) -> Result<()> {
    let Some(toolchain) = toolchain else { return Ok(()) };
    plugins::build_with(&toolchain, &demo::commands(wanted)?)?;
    match wanted {
        Wanted::Demo | Wanted::Commands | Wanted::Day => demo::build_liar(&toolchain),
        Wanted::Tests => {
            let log = locations::log("guests");
            let build = || guests::build_examples(&toolchain, "kf-attacks", "dev");
            let attacks = report::during("building the attacks", Some(&log), build);
            let attacks = attacks.context("cannot build the attacks")?;
            // A test runs the demo, which uses one of the attacks.
            let liar = attacks.iter().find(|attack| attack.name == demo::LIAR);
            let missing = || Failure(format!("the attack {} was not built", demo::LIAR));
            demo::place_liar(liar.ok_or_else(missing)?)?;
            built_in::build_for_tests()
        }
        Wanted::Cluster => Ok(()),
    }
}

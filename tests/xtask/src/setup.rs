//! What both the demo and the tests need, made side by side.
//!
//! Two things take minutes the first time: compiling kf with its engine and its Kubernetes client,
//! and compiling Kubernetes itself. They do not depend on each other, nor do the downloads: the
//! packages of the node, and a Rust for WebAssembly where the machine has none. Everything is kept,
//! so a second run starts within seconds.

use std::process::Command;
use std::thread;
use std::time::Instant;

use kf_toolchains::effort::{self, Effort};
use kf_toolchains::guests::toolchain::{Machine, Toolchain, Way, resolve};
use kf_toolchains::kubernetes::Binaries;
use kf_toolchains::optional::{self, Extent};
use kf_toolchains::pods::PodPrograms;
use kf_toolchains::{command, debian, guests, locations, skip};

use crate::cluster::Profile;
use crate::step::{self, Doing, Failure, Result, cargo_command, quietly};
use crate::{built_in, demo, plugins, say};

/// How many CPU seconds cargo takes for kf with all it depends on, for the supervisor of clusters with the
/// Kubernetes client, and for the tests.
const KF: u64 = 380;
const SUPERVISOR: u64 = 130;
const TESTS: u64 = 280;

/// The same for the guests: those of the main job, and all of them. Linking them leaves a core idle now and then, and
/// that is counted.
const MAIN_GUESTS: u64 = 90;
const GUESTS: u64 = 270;

/// As pip names it.
const PYTHON_TUF: &str = "tuf==7.0.1";

/// How much is to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A cluster.
    Cluster,
    /// kf and the commands of the main job as well.
    Demo,
    /// kf and all its commands as well.
    Commands,
    /// The parts of Kubeflow that the day shows as well.
    Day,
    /// The tests and their guests as well.
    Tests,
}

/// Builds all of it, or what has changed.
pub fn prepare(wanted: Wanted, profile: Profile) -> Result<()> {
    let started = Instant::now();
    let left = Left::find(wanted, profile)?;
    let effort = Effort::begin(left.all());
    if left.all() > 0 {
        say::step(&format!(
            "the first run compiles all it needs: {}; later ones start within seconds",
            effort::in_words(effort.estimate())
        ));
    }
    thread::scope(|scope| {
        let steps = [
            scope.spawn(|| kubernetes(wanted, profile, &left, &effort)),
            scope.spawn(|| packages(profile)),
            scope.spawn(|| rust_of_debian(wanted)),
            scope.spawn(|| python_tuf(wanted)),
            scope.spawn(|| python_of_parts(wanted, profile, &effort)),
        ];
        let toolchain = scope.spawn(move || toolchain(wanted));
        let programs = tell_when_done(&effort, left.programs, left.guests, programs(wanted));
        let toolchain = joined(toolchain.join());
        let guests = programs.and(toolchain).and_then(|toolchain| guests_of(wanted, toolchain));
        let guests = tell_when_done(&effort, left.guests, 0, guests);
        steps.into_iter().fold(guests, |so_far, step| so_far.and(joined(step.join())))
    })?;
    effort.keep();
    say::step(&format!("everything is built, after {} s", started.elapsed().as_secs()));
    Ok(())
}

/// Says how long the other steps will take once this one is done; `next` is what begins only then.
fn tell_when_done(effort: &Effort, reference: u64, next: u64, step: Result<()>) -> Result<()> {
    step?;
    effort.built(reference);
    if reference > 0 {
        tell_what_is_left(effort, next);
    }
    Ok(())
}

fn tell_what_is_left(effort: &Effort, next: u64) {
    if let Some(left) = effort.left(next) {
        say::step(&format!("{} to go", effort::in_words(left)));
    }
}

/// What a step on a thread of its own came to.
pub fn joined<T>(result: thread::Result<Result<T>>) -> Result<T> {
    result.unwrap_or_else(|_| Err(Failure("a build step broke off".to_owned())))
}

/// What is not built yet, in CPU seconds.
struct Left {
    programs: u64,
    guests: u64,
    kubernetes: u64,
    pods: u64,
    parts: u64,
}

impl Left {
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
            Profile::Node => PodPrograms::core_seconds_left().doing("cannot build the pods' programs")?,
        };
        let parts = match parts(wanted, profile) {
            Some(extent) => {
                optional::core_seconds_left(extent).doing("cannot build the parts of Kubeflow")?
            }
            None => 0,
        };
        let kubernetes = Binaries::core_seconds_left().doing("cannot build Kubernetes")?;
        Ok(Self { programs, guests, kubernetes, pods, parts })
    }

    fn all(&self) -> u64 {
        self.programs + self.guests + self.kubernetes + self.pods + self.parts
    }
}

/// Which optional parts will be added to the cluster.
fn parts(wanted: Wanted, profile: Profile) -> Option<Extent> {
    match (wanted, profile) {
        (Wanted::Tests, Profile::Node) => Some(Extent::All),
        (Wanted::Day, Profile::Node) => Some(Extent::Day),
        _ => None,
    }
}

/// What cargo makes for this machine.
fn programs(wanted: Wanted) -> Result<()> {
    let (label, words): (_, &[&str]) = match wanted {
        Wanted::Cluster => ("compiling the cluster's supervisor", &["--bin", "kf-test-cluster"]),
        Wanted::Demo | Wanted::Commands | Wanted::Day => ("compiling kf", &["--bins"]),
        Wanted::Tests => ("compiling kf and its tests", &["--bins", "--tests"]),
    };
    quietly(label, cargo_command(&["build", "--workspace"]).args(words))
}

/// Kubernetes itself, and what runs in pods. All of it is Go, which uses every core by itself.
fn kubernetes(wanted: Wanted, profile: Profile, left: &Left, effort: &Effort) -> Result<()> {
    let log = locations::log("kf-kubernetes");
    let build = if profile == Profile::Api { Binaries::for_api } else { Binaries::built };
    let built = say::during("building Kubernetes", Some(&log), || build(say::step));
    let built = built.map(drop).doing("cannot build Kubernetes");
    tell_when_done(effort, left.kubernetes, left.pods + left.parts, built)?;
    if profile == Profile::Node {
        let built = say::during("building JobSet and Trainer", None, || PodPrograms::built(say::step));
        let built = built.map(drop).doing("cannot build the pods' programs");
        tell_when_done(effort, left.pods, left.parts, built)?;
    }
    if let Some(extent) = parts(wanted, profile) {
        let build = || optional::build_programs(extent, say::step, |reference| effort.built(reference));
        say::during("building the parts of Kubeflow", None, build)
            .doing("cannot build the parts of Kubeflow")?;
        if left.parts > 0 {
            tell_what_is_left(effort, 0);
        }
    }
    Ok(())
}

/// TensorBoard, JupyterLab and the Python that runs them.
fn python_of_parts(wanted: Wanted, profile: Profile, effort: &Effort) -> Result<()> {
    if parts(wanted, profile).is_none() {
        return Ok(());
    }
    let fetch = || optional::fetch_python(say::step, |reference| effort.built(reference));
    say::during("fetching TensorBoard and JupyterLab", None, fetch)
        .doing("cannot fetch the Python of the parts of Kubeflow")
}

/// containerd, runc and their like.
fn packages(profile: Profile) -> Result<()> {
    if profile == Profile::Api {
        return Ok(());
    }
    say::during("fetching the node's packages", None, || debian::node(say::step))
        .map(drop)
        .doing("cannot fetch the node's packages")
}

/// A test builds guests as on a machine without the target.
fn rust_of_debian(wanted: Wanted) -> Result<()> {
    if wanted != Wanted::Tests || command::find("apt-get").is_none() {
        return Ok(());
    }
    say::during("fetching Debian's Rust", None, || resolve(&Machine::default(), Some(Way::Debian), say::step))
        .map(drop)
        .doing("cannot fetch Debian's Rust")
}

/// The other implementation of TUF, against which ours is tried. Without it those tests fail, or are skipped
/// where that is wanted.
fn python_tuf(wanted: Wanted) -> Result<()> {
    let folder = locations::target().join("python-tuf");
    let installed = folder.join("installed");
    let wanted_version = fs_err::read_to_string(&installed).is_ok_and(|version| version == PYTHON_TUF);
    if wanted != Wanted::Tests || wanted_version {
        return Ok(());
    }
    let log = locations::log("python-tuf");
    let made = say::during("installing python-tuf", Some(&log), || {
        command::logged(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), &log)?;
        let mut pip = Command::new(folder.join("bin/pip"));
        command::logged(pip.args(["install", "--quiet", "--disable-pip-version-check", PYTHON_TUF]), &log)
    });
    match made {
        Ok(_) => fs_err::write(installed, PYTHON_TUF).doing("cannot note that python-tuf is there"),
        Err(error) => {
            let _absent = fs_err::remove_dir_all(&folder);
            if !skip::is_allowed() {
                let hint = format!("hint: {}=1 skips the tests that need it", skip::ALLOW_SKIPS_VARIABLE);
                return Err(Failure(format!("python-tuf could not be installed: {error}\n{hint}")));
            }
            say::step(&format!("python-tuf could not be installed, so its tests are skipped: {error}"));
            Ok(())
        }
    }
}

fn toolchain(wanted: Wanted) -> Result<Option<Toolchain>> {
    (wanted != Wanted::Cluster).then(plugins::toolchain).transpose()
}

/// The first-party commands, the one that lies for the demo, and the attacks for the tests.
fn guests_of(wanted: Wanted, toolchain: Option<Toolchain>) -> Result<()> {
    let Some(toolchain) = toolchain else { return Ok(()) };
    plugins::build_with(&toolchain, &demo::commands(wanted)?)?;
    match wanted {
        Wanted::Demo | Wanted::Commands | Wanted::Day => demo::build_liar(&toolchain),
        Wanted::Tests => {
            let log = locations::log("guests");
            let build = || guests::build_examples(&toolchain, "kf-attacks", "dev");
            let attacks = say::during("building the attacks", Some(&log), build);
            let attacks = attacks.doing("cannot build the attacks")?;
            // A test plays the demo, which has one of them.
            let liar = attacks.iter().find(|attack| attack.name == demo::LIAR);
            let missing = || Failure(format!("the attack {} was not built", demo::LIAR));
            demo::place_liar(liar.ok_or_else(missing)?)?;
            built_in::build_for_tests()
        }
        Wanted::Cluster => Ok(()),
    }
}

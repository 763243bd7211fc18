//! The demos, as command lines that a reader can repeat: every step is a `kf` call.

mod day;
mod main_job;
mod page;
mod picture;
mod stage;
mod tour;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use clap::Args;
use kf_toolchains::guests::GuestArtifact;
use kf_toolchains::guests::toolchain::Toolchain;
use kf_toolchains::{guests, locations};

use self::stage::Stage;
use crate::cluster::{Cluster, Profile};
use crate::setup::{self, Wanted};
use crate::step::{Context, Failure, Result, programs, quietly, run};
use crate::{plugins, report};

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the cluster running, and print the command lines to continue with
    #[arg(long)]
    keep: bool,

    /// Start no node, as without root: the API server accepts the job, but nothing runs it
    #[arg(long)]
    no_node: bool,

    /// Show a data scientist's day instead: notebook, training, tuning and serving; needs root
    #[arg(long, conflicts_with = "no_node")]
    day: bool,

    /// Draw the terminal output of the day into this SVG file
    #[arg(long, requires = "day", value_name = "FILE")]
    picture: Option<PathBuf>,

    /// Run in the running cluster of this directory, as the tests do; all programs must be built
    #[arg(long, hide = true, requires = "keep", conflicts_with = "no_node", value_name = "DIRECTORY")]
    cluster: Option<PathBuf>,
}

pub fn play(args: &DemoArgs) -> Result<()> {
    let profile = match &args.cluster {
        Some(_) => Profile::Node,
        None if args.no_node => Profile::Api,
        None => Profile::best(),
    };
    if args.day && profile == Profile::Api {
        return Err(Failure(
            "`--day` needs a node, which needs root\nhint: as root, cargo xtask demo --day".to_owned(),
        ));
    }
    let wanted = match args {
        _ if args.day => Wanted::Day,
        // The cluster stays up for the user to try any command.
        _ if args.keep => Wanted::Commands,
        _ => Wanted::Demo,
    };
    if args.cluster.is_none() {
        setup::prepare(wanted, profile)?;
    }
    let commands = commands(wanted)?;
    if profile == Profile::Api {
        let why = if args.no_node { "with --no-node" } else { "without root" };
        report::step(&format!("{why}, the API server accepts the job, but nothing runs it"));
    }
    let parent = args.cluster.clone().unwrap_or_else(locations::target);
    let folder = parent.join("demo");
    if folder.exists() {
        fs_err::remove_dir_all(&folder).context("cannot clear the last demo")?;
    }
    fs_err::create_dir_all(&folder).context("cannot create the demo's folder")?;
    let (published, cluster) = thread::scope(|scope| {
        let published = scope.spawn(|| publish(&folder, &commands));
        let cluster = match &args.cluster {
            Some(folder) => Ok(Cluster::running(folder.clone())),
            None if args.keep => Cluster::kept(profile),
            None => Cluster::start(profile),
        };
        (setup::joined(published.join()), cluster)
    });
    let cluster = cluster?;
    published?;
    let mut stage = Stage::new(folder, &cluster)?;
    if args.keep {
        report::during("cleaning up after an earlier tour", None, || tour::clean_up(&mut stage))?;
    }
    let played = if args.day {
        day::play(&mut stage, &cluster, args.picture.as_deref())
    } else {
        main_job::play(&mut stage, profile == Profile::Node)
    };
    if args.keep {
        report::during("setting up the README's tour", None, || tour::set_up(&mut stage, &commands))?;
        tour::print_next_steps(&stage);
    }
    played.and(cluster.stop())
}

/// The attack that the lying command is built from.
pub const LIAR: &str = "lying_manifest";

/// The folder of the lying command, which exceeds its manifest.
fn liar() -> PathBuf {
    locations::workspace().join("tests/adversarial/lying")
}

fn built_liar() -> PathBuf {
    locations::target().join("lying")
}

/// Builds the lying command.
pub fn build_liar(toolchain: &Toolchain) -> Result<()> {
    let log = locations::log("guests");
    let component = report::during("building the lying command", Some(&log), || {
        guests::build_example(toolchain, "kf-attacks", LIAR, "guest")
    });
    place_liar(&component.context("cannot build the lying command")?)
}

/// Copies the built component of the lying command to where the demo publishes it from.
pub fn place_liar(component: &GuestArtifact) -> Result<()> {
    plugins::place(&built_liar(), &liar().join("plugin.toml"), &component.wasm_path)
}

/// The commands that are built and published.
pub fn commands(wanted: Wanted) -> Result<Vec<String>> {
    match wanted {
        Wanted::Demo => Ok(main_job::COMMANDS.map(str::to_owned).to_vec()),
        _ => plugins::all(),
    }
}

/// Signs a registry for the demo, with these commands of the index and the lying command.
fn publish(folder: &Path, commands: &[String]) -> Result<()> {
    let index = folder.join("registry-index");
    let artifacts = folder.join("artifacts");
    run(Command::new("cp").arg("-a").arg(locations::workspace().join("registry-index")).arg(&index))?;
    fs_err::create_dir(&artifacts).context("cannot create the demo's folder")?;
    for name in plugins::all()? {
        if commands.contains(&name) {
            run(Command::new("cp").arg("-a").arg(plugins::artifacts().join(&name)).arg(&artifacts))?;
        } else {
            let listed = index.join("plugins").join(&name).with_extension("toml");
            fs_err::remove_file(listed).context("cannot remove a command from the index")?;
        }
    }
    name_only(commands, &index.join("authors/kubeflow.toml"))?;
    run(Command::new("cp").arg("-a").arg(built_liar()).arg(artifacts.join("snoop")))?;
    for (from, to) in [("index.toml", "plugins/snoop.toml"), ("author.toml", "authors/mallory.toml")] {
        fs_err::copy(liar().join(from), index.join(to)).context("cannot list the lying command")?;
    }
    let mut build = Command::new(programs()?.join("kf"));
    build.args(["registry", "build"]).arg(&index);
    build.arg("--artifacts").arg(&artifacts).arg("--out").arg(folder.join("published"));
    build.arg("--keys").arg(folder.join("keys")).arg("--create-keys").env("KF_HOME", folder.join("admin"));
    quietly("signing the registry", &mut build)
}

/// Lists only these commands in an author's file.
fn name_only(commands: &[String], author: &Path) -> Result<()> {
    let text = fs_err::read_to_string(author).context("cannot remove a command from the index")?;
    let named = serde_json::to_string(commands).context("cannot remove a command from the index")?;
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("plugins", _)) => format!("plugins = {named}\n"),
        _ => format!("{line}\n"),
    });
    fs_err::write(author, lines.collect::<String>()).context("cannot remove a command from the index")
}

//! The demos, as lines a reader can repeat: every step is a plain `kf` call.

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
use crate::step::{Doing, Failure, Result, programs, quietly, run};
use crate::{plugins, say};

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave the cluster running, and print the lines to go on with
    #[arg(long)]
    keep: bool,

    /// Start no node, as without root: the API server accepts the job, and nothing runs it
    #[arg(long)]
    no_node: bool,

    /// A data scientist's day instead: notebook, training, tuning and serving; needs root
    #[arg(long, conflicts_with = "no_node")]
    day: bool,

    /// Draw what the day looks like on a terminal into this SVG file
    #[arg(long, requires = "day", value_name = "FILE")]
    picture: Option<PathBuf>,

    /// Play in the running cluster of this directory, as the tests do; everything is built
    #[arg(long, hide = true, requires = "keep", conflicts_with = "no_node", value_name = "DIRECTORY")]
    cluster: Option<PathBuf>,
}

pub fn tell(args: &DemoArgs) -> Result<()> {
    let profile = match &args.cluster {
        Some(_) => Profile::Node,
        None if args.no_node => Profile::Api,
        None => Profile::best(),
    };
    if args.day && profile == Profile::Api {
        return Err(Failure("a data scientist's day needs a node, and a node needs root\nhint: as root, cargo xtask demo --day".to_owned()));
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
        let why = if args.no_node { "as you wish" } else { "a node needs root" };
        say::step(&format!("{why}: the API server accepts the job, and nothing runs it"));
    }
    let parent = args.cluster.clone().unwrap_or_else(locations::target);
    let folder = parent.join("demo");
    if folder.exists() {
        fs_err::remove_dir_all(&folder).doing("cannot clear the last demo")?;
    }
    fs_err::create_dir_all(&folder).doing("cannot make the demo's folder")?;
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
        say::during("removing what an earlier tour has left", None, || tour::begin(&mut stage))?;
    }
    let told = if args.day {
        day::tell(&mut stage, &cluster, args.picture.as_deref())
    } else {
        main_job::tell(&mut stage, profile == Profile::Node)
    };
    if args.keep {
        say::during("setting up the README's tour", None, || tour::set_up(&mut stage, &commands))?;
        tour::show_how_to_go_on(&stage);
    }
    told.and(cluster.stop())
}

/// The attack that the command that lies about its rights is made of.
pub const LIAR: &str = "lying_manifest";

/// The command that lies about its rights, and what its author wrote about it.
fn liar() -> PathBuf {
    locations::workspace().join("tests/adversarial/lying")
}

fn built_liar() -> PathBuf {
    locations::target().join("lying")
}

/// Builds the command that lies about its rights.
pub fn build_liar(toolchain: &Toolchain) -> Result<()> {
    let log = locations::log("guests");
    let component = say::during("building the lying command", Some(&log), || {
        guests::build_example(toolchain, "kf-attacks", LIAR, "guest")
    });
    place_liar(&component.doing("cannot build the lying command")?)
}

/// Puts the built component of the command that lies where the demo looks for it.
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

/// Signs a registry of the demo's own: what the reviewed index says of these commands, and the command that lies.
fn publish(folder: &Path, commands: &[String]) -> Result<()> {
    let index = folder.join("registry-index");
    let artifacts = folder.join("artifacts");
    run(Command::new("cp").arg("-a").arg(locations::workspace().join("registry-index")).arg(&index))?;
    fs_err::create_dir(&artifacts).doing("cannot make the demo's folder")?;
    for name in plugins::all()? {
        if commands.contains(&name) {
            run(Command::new("cp").arg("-a").arg(plugins::artifacts().join(&name)).arg(&artifacts))?;
        } else {
            let listed = index.join("plugins").join(&name).with_extension("toml");
            fs_err::remove_file(listed).doing("cannot leave out a command")?;
        }
    }
    name_only(commands, &index.join("authors/kubeflow.toml"))?;
    run(Command::new("cp").arg("-a").arg(built_liar()).arg(artifacts.join("snoop")))?;
    for (from, to) in [("index.toml", "plugins/snoop.toml"), ("author.toml", "authors/mallory.toml")] {
        fs_err::copy(liar().join(from), index.join(to)).doing("cannot list the lying command")?;
    }
    let mut build = Command::new(programs()?.join("kf"));
    build.args(["registry", "build"]).arg(&index);
    build.arg("--artifacts").arg(&artifacts).arg("--out").arg(folder.join("published"));
    build.arg("--keys").arg(folder.join("keys")).arg("--create-keys").env("KF_HOME", folder.join("admin"));
    quietly("signing the registry", &mut build)
}

/// Has an author's file name these commands and no others.
fn name_only(commands: &[String], author: &Path) -> Result<()> {
    let text = fs_err::read_to_string(author).doing("cannot leave out a command")?;
    let named = serde_json::to_string(commands).doing("cannot leave out a command")?;
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("plugins", _)) => format!("plugins = {named}\n"),
        _ => format!("{line}\n"),
    });
    fs_err::write(author, lines.collect::<String>()).doing("cannot leave out a command")
}

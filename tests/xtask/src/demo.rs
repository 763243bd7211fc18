//! The main job, as lines a reader can repeat: every step is a plain `kf` call.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use clap::Args;
use kf_toolchains::guests::toolchain::Toolchain;
use kf_toolchains::{guests, locations};

use crate::cluster::{Cluster, Profile};
use crate::setup::{self, Wanted};
use crate::step::{Doing, Failure, Result, programs, quietly, run};
use crate::{plugins, say};

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave the cluster running, and print the lines to go on with
    #[arg(long)]
    keep: bool,

    /// Stop where the API server has accepted the job, as without root
    #[arg(long)]
    no_node: bool,
}

pub fn tell(args: &DemoArgs) -> Result<()> {
    let profile = if args.no_node { Profile::Api } else { Profile::best() };
    setup::prepare(Wanted::Demo, profile)?;
    if profile == Profile::Api {
        let why = if args.no_node { "as you wish" } else { "a node needs root" };
        say::step(&format!("{why}: the demo ends where the API server accepts the job"));
    }
    let folder = locations::target().join("demo");
    if folder.exists() {
        fs_err::remove_dir_all(&folder).doing("cannot clear the last demo")?;
    }
    fs_err::create_dir_all(&folder).doing("cannot make the demo's folder")?;
    let (published, cluster) = thread::scope(|scope| {
        let published = scope.spawn(|| publish(&folder));
        let cluster = if args.keep { Cluster::kept(profile) } else { Cluster::start(profile) };
        (setup::joined(published.join()), cluster)
    });
    let cluster = cluster?;
    published?;
    let demo = Demo::new(folder, &cluster)?;
    let told = demo.tell(profile == Profile::Node);
    if args.keep {
        demo.how_to_go_on();
    }
    told.and(cluster.stop())
}

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
        guests::build_example(toolchain, "kf-attacks", "lying_manifest", "guest")
    });
    let component = component.doing("cannot build the lying command")?;
    plugins::place(&built_liar(), &liar().join("plugin.toml"), &component.wasm_path)
}

/// Signs a registry of the demo's own: the reviewed index, and the command that lies.
fn publish(folder: &Path) -> Result<()> {
    let index = folder.join("registry-index");
    let artifacts = folder.join("artifacts");
    run(Command::new("cp").arg("-a").arg(locations::workspace().join("registry-index")).arg(&index))?;
    run(Command::new("cp").arg("-a").arg(plugins::artifacts()).arg(&artifacts))?;
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

struct Demo {
    folder: PathBuf,
    kf: PathBuf,
    scientist: PathBuf,
    viewer: PathBuf,
}

/// What a step must come to.
struct Told {
    code: i32,
    stderr: String,
}

impl Demo {
    fn new(folder: PathBuf, cluster: &Cluster) -> Result<Self> {
        Ok(Self {
            folder,
            kf: programs()?.join("kf"),
            scientist: cluster.kubeconfig("dana"),
            viewer: cluster.kubeconfig("vic"),
        })
    }

    fn tell(&self, node: bool) -> Result<()> {
        let url = format!("file://{}", self.folder.join("published").display());
        let root = self.folder.join("published/metadata/1.root.json").display().to_string();
        self.chapter("A registry is trusted by its root, and by nothing else");
        self.ok(&["registry", "add", "kubeflow", &url, "--root", &root])?;
        self.ok(&["command", "list", "--available"])?;

        self.chapter("Commands are added with their rights in sight; without a person the answer is no");
        self.ok(&["command", "add", "hello"])?;
        self.ok(&["hello"])?;
        for name in ["whoami", "status", "train", "logs", "snoop"] {
            self.add_with_rights(name)?;
        }
        self.ok(&["whoami"])?;
        self.ok(&["command", "describe", "train"])?;

        self.chapter("Looking before leaping");
        let job = ["train", "mnist", "--runtime", "kf-test", "--nodes", "2", "--env", "EPOCHS=5"];
        self.ok(&[&job[..], &["--dry-run"]].concat())?;
        if node {
            self.chapter(
                "A real training run on a real node: the epochs stream in, the exit code is the job's",
            );
            self.ok(&[&job[..], &["--wait", "--logs"]].concat())?;
            self.ok(&["logs", "mnist", "--rank", "0"])?;
        } else {
            self.chapter("The API server accepts the job");
            self.ok(&job)?;
        }
        self.ok(&["status"])?;

        self.chapter("Somebody with fewer rights is refused, with the reason and the remedy");
        self.refused(&self.viewer, &["train", "mine", "--runtime", "kf-test"], "your own rights")?;

        self.chapter("A command that reaches further than its manifest is refused, whatever the user may do");
        self.refused(&self.scientist, &["snoop"], "asked by snoop")?;

        self.chapter("Every call can be seen, and is written down");
        self.ok(&["status", "--explain"])?;
        self.show_audit_log()?;
        self.chapter("Done");
        Ok(())
    }

    fn chapter(&self, title: &str) {
        say::line(&format!("\n# {title}"));
    }

    /// The refusal names the one word that accepts; the demo types it as a person would paste it.
    fn add_with_rights(&self, name: &str) -> Result<()> {
        let refused = self.step(&self.scientist, &["command", "add", name])?;
        if refused.code != 8 {
            return Err(Failure(format!(
                "`kf command add {name}` without a person ended with {}, not 8",
                refused.code
            )));
        }
        let hint = refused.stderr.lines().find_map(|line| line.strip_prefix("hint: kf "));
        let words: Vec<&str> = hint.unwrap_or_default().split(' ').collect();
        self.ok(&words)
    }

    fn ok(&self, arguments: &[&str]) -> Result<()> {
        let told = self.step(&self.scientist, arguments)?;
        if told.code == 0 {
            return Ok(());
        }
        Err(Failure(format!("`kf {}` ended with {}", arguments.join(" "), told.code)))
    }

    fn refused(&self, kubeconfig: &Path, arguments: &[&str], reason: &str) -> Result<()> {
        let told = self.step(kubeconfig, arguments)?;
        say::line(&format!("$ echo $?\n{}", told.code));
        if told.code == 4 && told.stderr.contains(reason) {
            return Ok(());
        }
        Err(Failure(format!("`kf {}` was not refused for `{reason}`", arguments.join(" "))))
    }

    /// Shows the line, runs it, and shows what it says as it says it.
    fn step(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Told> {
        let who = if kubeconfig == self.viewer { "(as the viewer) " } else { "" };
        say::line(&format!("\n{who}$ kf {}", shown(arguments)));
        let mut child = Command::new(&self.kf)
            .args(arguments)
            .env("KF_HOME", self.folder.join("home"))
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .doing("cannot run kf")?;
        let mut stderr = String::new();
        if let Some(talk) = child.stderr.take() {
            for line in std::io::BufRead::lines(std::io::BufReader::new(talk)) {
                let line = line.doing("cannot read what kf says")?;
                say::line(&line);
                stderr.push_str(&line);
                stderr.push('\n');
            }
        }
        let status = child.wait().doing("cannot wait for kf")?;
        Ok(Told { code: status.code().unwrap_or(-1), stderr })
    }

    fn show_audit_log(&self) -> Result<()> {
        let path = self.folder.join("home/state/audit.jsonl");
        say::line(&format!("\n$ tail -n 3 {}", path.display()));
        let log = fs_err::read_to_string(&path).doing("there is no audit log")?;
        let lines: Vec<&str> = log.lines().collect();
        let mut stdout = std::io::stdout().lock();
        for line in lines.iter().skip(lines.len().saturating_sub(3)) {
            writeln!(stdout, "{line}").doing("cannot print")?;
        }
        Ok(())
    }

    fn how_to_go_on(&self) {
        say::line("\n# The cluster stays. Type:");
        say::line(&format!("export KF_HOME={}", self.folder.join("home").display()));
        say::line(&format!("export KUBECONFIG={}", self.scientist.display()));
        say::line(&format!("alias kf={}", self.kf.display()));
        say::line("kf status");
        say::line("# and in the end: cargo xtask cluster down");
    }
}

fn shown(arguments: &[&str]) -> String {
    let quoted = |word: &&str| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

//! The environment of a demo: a home, the kubeconfigs of two users, and the shown command lines with their output.

use std::io::{BufRead, BufReader, IsTerminal, PipeReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::page;
use crate::cluster::Cluster;
use crate::published::hinted;
use crate::report;
use crate::step::{Context, Failure, Result, programs};

/// The user who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Scientist,
    Viewer,
}

pub struct Stage {
    pub folder: PathBuf,
    /// `KF_HOME` of the commands.
    pub home: PathBuf,
    pub kf: PathBuf,
    pub scientist: PathBuf,
    pub viewer: PathBuf,
    /// All shown output, with colours.
    shown: String,
}

/// The result of a step.
pub struct Outcome {
    pub code: i32,
    /// Its output, without colours.
    pub output: String,
}

impl Stage {
    pub fn new(folder: PathBuf, cluster: &Cluster) -> Result<Self> {
        Ok(Self {
            home: folder.join("home"),
            folder,
            kf: programs()?.join("kf"),
            scientist: cluster.kubeconfig("dana"),
            viewer: cluster.kubeconfig("vic"),
            shown: String::new(),
        })
    }

    /// The output so far, with colours.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub fn chapter(&mut self, title: &str) {
        self.show(&format!("\n# {title}"));
    }

    /// A step that must succeed.
    pub fn expect_success(&mut self, arguments: &[&str]) -> Result<Outcome> {
        self.expect_code(arguments, 0)
    }

    /// A step that must end with an exit code.
    pub fn expect_code(&mut self, arguments: &[&str], code: i32) -> Result<Outcome> {
        let outcome = self.step(Who::Scientist, arguments)?;
        if code != 0 {
            self.show(&format!("$ echo $?\n{}", outcome.code));
        }
        if outcome.code == code {
            return Ok(outcome);
        }
        Err(Failure(format!("`kf {}` ended with {}, not {code}", arguments.join(" "), outcome.code)))
    }

    /// A step that must be refused for a reason.
    pub fn expect_refusal(&mut self, who: Who, arguments: &[&str], reason: &str) -> Result<()> {
        let outcome = self.step(who, arguments)?;
        self.show(&format!("$ echo $?\n{}", outcome.code));
        if outcome.code == 4 && outcome.output.contains(reason) {
            return Ok(());
        }
        Err(Failure(format!("`kf {}` was not refused for `{reason}`", arguments.join(" "))))
    }

    /// Adds a command by running the line of the refusal's hint, which accepts its rights.
    pub fn add_with_rights(&mut self, name: &str) -> Result<()> {
        let refused = self.step(Who::Scientist, &["command", "add", name])?;
        if refused.code != 8 {
            return Err(Failure(format!(
                "`kf command add {name}` without a terminal ended with {}, not 8",
                refused.code
            )));
        }
        let words = accepting_words(&refused);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.expect_success(&words).map(drop)
    }

    /// The arguments that add the demo's registry.
    pub fn add_registry_words(&self) -> Vec<String> {
        let published = self.folder.join("published");
        let url = format!("file://{}", published.display());
        let root = published.join("metadata/1.root.json").display().to_string();
        ["registry", "add", "kubeflow", &url, "--root", &root].map(str::to_owned).to_vec()
    }

    /// Adds a command without showing it: the main demo does.
    pub fn add_quietly(&self, name: &str) -> Result<()> {
        let refused = self.run_quietly(&["command", "add", name])?;
        let outcome = match refused.code {
            0 => refused,
            _ => {
                let words = accepting_words(&refused);
                self.run_quietly(&words.iter().map(String::as_str).collect::<Vec<_>>())?
            }
        };
        if outcome.code == 0 {
            Ok(())
        } else {
            Err(Failure(format!("{name} cannot be added: {}", outcome.output)))
        }
    }

    /// Runs a command without showing it.
    pub fn run_quietly(&self, arguments: &[&str]) -> Result<Outcome> {
        let (mut child, reader) = self.spawn(Who::Scientist, arguments)?;
        let mut words = String::new();
        for line in BufReader::new(reader).lines() {
            words.push_str(&plain(&line.context("cannot read the output of kf")?));
            words.push('\n');
        }
        Ok(Outcome { code: ended(&mut child)?, output: words })
    }

    /// Shows the command line, runs it, and shows its output as it is printed.
    pub fn step(&mut self, who: Who, arguments: &[&str]) -> Result<Outcome> {
        self.prompt(who, arguments);
        let (mut child, reader) = self.spawn(who, arguments)?;
        let words = self.show_all(BufReader::new(reader))?;
        Ok(Outcome { code: ended(&mut child)?, output: words })
    }

    /// Runs a command that serves a page until Ctrl-C, fetches the page, and sends Ctrl-C.
    pub fn open_page(&mut self, arguments: &[&str], path: Option<&str>) -> Result<()> {
        self.prompt(Who::Scientist, arguments);
        let (mut child, reader) = self.spawn(Who::Scientist, arguments)?;
        let mut reader = BufReader::new(reader);
        let mut fetched = Err(Failure(format!("`kf {}` printed no address", arguments.join(" "))));
        let mut line = String::new();
        while reader.read_line(&mut line).context("cannot read the output of kf")? > 0 {
            self.show(line.trim_end());
            if let Some(address) = page::address(&plain(&line)) {
                fetched = page::fetch(&address, path);
                break;
            }
            line.clear();
        }
        if let Ok(seen) = &fetched {
            self.show(seen);
        }
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ended = kill_process(pid, Signal::INT);
        }
        self.show("^C");
        self.show_all(reader)?;
        let _code = ended(&mut child)?;
        fetched.map(drop)
    }

    fn prompt(&mut self, who: Who, arguments: &[&str]) {
        let as_whom = if who == Who::Viewer { "(as the viewer) " } else { "" };
        self.show(&format!("\n{as_whom}$ kf {}", shown(arguments)));
    }

    fn spawn(&self, who: Who, arguments: &[&str]) -> Result<(Child, PipeReader)> {
        let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
        let kubeconfig = if who == Who::Viewer { &self.viewer } else { &self.scientist };
        let child = Command::new(&self.kf)
            .args(["--color", "always"])
            .args(arguments)
            .env("KF_HOME", &self.home)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().context("cannot create a pipe")?)
            .stderr(writer)
            .spawn()
            .context("cannot run kf")?;
        Ok((child, reader))
    }

    fn show_all(&mut self, reader: impl BufRead) -> Result<String> {
        let mut words = String::new();
        for line in reader.lines() {
            let line = line.context("cannot read the output of kf")?;
            words.push_str(&plain(&line));
            words.push('\n');
            self.show(&line);
        }
        Ok(words)
    }

    pub fn show(&mut self, text: &str) {
        let coloured = std::io::stderr().is_terminal();
        report::line(&if coloured { text.to_owned() } else { plain(text) });
        self.shown.push_str(text);
        self.shown.push('\n');
    }

    pub fn show_audit_log(&mut self) -> Result<()> {
        let path = self.home.join("state/audit.jsonl");
        self.show(&format!("\n$ tail -n 3 {}", path.display()));
        let log = fs_err::read_to_string(&path).context("cannot read the audit log")?;
        let lines: Vec<&str> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(3)) {
            self.show(line);
        }
        Ok(())
    }
}

fn accepting_words(refused: &Outcome) -> Vec<String> {
    hinted(&refused.output).unwrap_or_default()
}

fn ended(child: &mut Child) -> Result<i32> {
    Ok(child.wait().context("cannot wait for kf")?.code().unwrap_or(-1))
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

pub fn shown(arguments: &[&str]) -> String {
    let quoted =
        |word: &&str| if word.contains([' ', '$']) { format!("'{word}'") } else { (*word).to_owned() };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

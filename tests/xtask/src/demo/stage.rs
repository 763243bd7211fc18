//! Where a demo plays: a home, two people's kubeconfigs, and the lines with what they come to.

use std::io::{BufRead, BufReader, IsTerminal, PipeReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::page;
use crate::cluster::Cluster;
use crate::published::hinted;
use crate::say;
use crate::step::{Doing, Failure, Result, programs};

/// Who types.
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
    /// Everything that was shown, with its colours.
    shown: String,
}

/// What a step came to.
pub struct Told {
    pub code: i32,
    /// What it said, without colours.
    pub words: String,
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

    /// What was shown so far, with its colours.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub fn chapter(&mut self, title: &str) {
        self.show(&format!("\n# {title}"));
    }

    /// A step that must work.
    pub fn ok(&mut self, arguments: &[&str]) -> Result<Told> {
        self.ends(arguments, 0)
    }

    /// A step that must end with an exit code.
    pub fn ends(&mut self, arguments: &[&str], code: i32) -> Result<Told> {
        let told = self.step(Who::Scientist, arguments)?;
        if code != 0 {
            self.show(&format!("$ echo $?\n{}", told.code));
        }
        if told.code == code {
            return Ok(told);
        }
        Err(Failure(format!("`kf {}` ended with {}, not {code}", arguments.join(" "), told.code)))
    }

    /// A step that must be refused for a reason.
    pub fn refused(&mut self, who: Who, arguments: &[&str], reason: &str) -> Result<()> {
        let told = self.step(who, arguments)?;
        self.show(&format!("$ echo $?\n{}", told.code));
        if told.code == 4 && told.words.contains(reason) {
            return Ok(());
        }
        Err(Failure(format!("`kf {}` was not refused for `{reason}`", arguments.join(" "))))
    }

    /// Adds a command. The refusal names the one word that accepts; the demo types it as a person
    /// would paste it.
    pub fn add_with_rights(&mut self, name: &str) -> Result<()> {
        let refused = self.step(Who::Scientist, &["command", "add", name])?;
        if refused.code != 8 {
            return Err(Failure(format!(
                "`kf command add {name}` without a person ended with {}, not 8",
                refused.code
            )));
        }
        let words = accepting_words(&refused);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.ok(&words).map(drop)
    }

    /// What trusts the demo's registry.
    pub fn words_of_trust(&self) -> Vec<String> {
        let published = self.folder.join("published");
        let url = format!("file://{}", published.display());
        let root = published.join("metadata/1.root.json").display().to_string();
        ["registry", "add", "kubeflow", &url, "--root", &root].map(str::to_owned).to_vec()
    }

    /// Adds a command without showing it: the main demo does.
    pub fn add_quietly(&self, name: &str) -> Result<()> {
        let refused = self.unseen(&["command", "add", name])?;
        let told = match refused.code {
            0 => refused,
            _ => {
                let words = accepting_words(&refused);
                self.unseen(&words.iter().map(String::as_str).collect::<Vec<_>>())?
            }
        };
        if told.code == 0 { Ok(()) } else { Err(Failure(format!("{name} cannot be added: {}", told.words))) }
    }

    /// Runs a command without showing it.
    pub fn unseen(&self, arguments: &[&str]) -> Result<Told> {
        let (mut child, reader) = self.spawn(Who::Scientist, arguments)?;
        let mut words = String::new();
        for line in BufReader::new(reader).lines() {
            words.push_str(&plain(&line.doing("cannot read what kf says")?));
            words.push('\n');
        }
        Ok(Told { code: ended(&mut child)?, words })
    }

    /// Shows the line, runs it, and shows what it says as it says it.
    pub fn step(&mut self, who: Who, arguments: &[&str]) -> Result<Told> {
        self.prompt(who, arguments);
        let (mut child, reader) = self.spawn(who, arguments)?;
        let words = self.show_all(BufReader::new(reader))?;
        Ok(Told { code: ended(&mut child)?, words })
    }

    /// A command that shows a page until Ctrl-C: the page is looked at, then Ctrl-C is typed.
    pub fn looked_at(&mut self, arguments: &[&str], path: Option<&str>) -> Result<()> {
        self.prompt(Who::Scientist, arguments);
        let (mut child, reader) = self.spawn(Who::Scientist, arguments)?;
        let mut reader = BufReader::new(reader);
        let mut looked = Err(Failure(format!("`kf {}` named no address", arguments.join(" "))));
        let mut line = String::new();
        while reader.read_line(&mut line).doing("cannot read what kf says")? > 0 {
            self.show(line.trim_end());
            if let Some(address) = page::address(&plain(&line)) {
                looked = page::look(&address, path);
                break;
            }
            line.clear();
        }
        if let Ok(seen) = &looked {
            self.show(seen);
        }
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ended = kill_process(pid, Signal::INT);
        }
        self.show("^C");
        self.show_all(reader)?;
        let _code = ended(&mut child)?;
        looked.map(drop)
    }

    fn prompt(&mut self, who: Who, arguments: &[&str]) {
        let as_whom = if who == Who::Viewer { "(as the viewer) " } else { "" };
        self.show(&format!("\n{as_whom}$ kf {}", shown(arguments)));
    }

    fn spawn(&self, who: Who, arguments: &[&str]) -> Result<(Child, PipeReader)> {
        let (reader, writer) = std::io::pipe().doing("cannot make a pipe")?;
        let kubeconfig = if who == Who::Viewer { &self.viewer } else { &self.scientist };
        let child = Command::new(&self.kf)
            .args(["--color", "always"])
            .args(arguments)
            .env("KF_HOME", &self.home)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().doing("cannot make a pipe")?)
            .stderr(writer)
            .spawn()
            .doing("cannot run kf")?;
        Ok((child, reader))
    }

    fn show_all(&mut self, reader: impl BufRead) -> Result<String> {
        let mut words = String::new();
        for line in reader.lines() {
            let line = line.doing("cannot read what kf says")?;
            words.push_str(&plain(&line));
            words.push('\n');
            self.show(&line);
        }
        Ok(words)
    }

    pub fn show(&mut self, text: &str) {
        let coloured = std::io::stderr().is_terminal();
        say::line(&if coloured { text.to_owned() } else { plain(text) });
        self.shown.push_str(text);
        self.shown.push('\n');
    }

    pub fn show_audit_log(&mut self) -> Result<()> {
        let path = self.home.join("state/audit.jsonl");
        self.show(&format!("\n$ tail -n 3 {}", path.display()));
        let log = fs_err::read_to_string(&path).doing("there is no audit log")?;
        let lines: Vec<&str> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(3)) {
            self.show(line);
        }
        Ok(())
    }
}

fn accepting_words(refused: &Told) -> Vec<String> {
    hinted(&refused.words).unwrap_or_default()
}

fn ended(child: &mut Child) -> Result<i32> {
    Ok(child.wait().doing("cannot wait for kf")?.code().unwrap_or(-1))
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

pub fn shown(arguments: &[&str]) -> String {
    let quoted =
        |word: &&str| if word.contains([' ', '$']) { format!("'{word}'") } else { (*word).to_owned() };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

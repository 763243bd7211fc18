//! A registry of built commands, and a home with some of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_toolchains::locations::workspace;

use crate::step::{Context, Failure, Result, quietly};

/// kf with its own home. The registry is the folder `published`.
pub struct Kf {
    pub program: PathBuf,
    pub home: PathBuf,
    /// The folder with a subfolder for each published command.
    pub artifacts: PathBuf,
    pub folder: PathBuf,
}

impl Kf {
    /// Signs a registry with `keys`, which are generated if missing, and adds commands from it.
    pub fn set_up(&self, keys: &Path, commands: &[&str]) -> Result<()> {
        let index = workspace().join("registry-index").display().to_string();
        let artifacts = self.artifacts.display().to_string();
        let build = ["registry", "build", &index, "--artifacts", &artifacts, "--out", "published"];
        let mut sign = self.command();
        quietly("signing a registry", sign.args(build).arg("--create-keys").arg("--keys").arg(keys))?;
        let url = format!("file://{}", self.folder.join("published").display());
        let add = ["registry", "add", "kubeflow", &url, "--root", "published/metadata/1.root.json"];
        quietly("adding the registry", self.command().args(add))?;
        self.add(commands)
    }

    /// Adds commands. If kf refuses, runs the line of its hint, which accepts their rights.
    fn add(&self, names: &[&str]) -> Result<()> {
        let label = "adding commands";
        let mut first = self.command();
        let answer =
            first.args(["command", "add"]).args(names).stdin(Stdio::null()).output().context(label)?;
        if answer.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&answer.stderr);
        let words = hinted(&message).ok_or_else(|| Failure(format!("{label}: {message}")))?;
        quietly(label, self.command().args(words))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("KF_HOME", &self.home);
        command
    }
}

/// The words after `kf` of the line in a hint.
pub fn hinted(output: &str) -> Option<Vec<String>> {
    let hint = output.lines().find_map(|line| line.strip_prefix("hint: kf "))?;
    Some(hint.split(' ').map(str::to_owned).collect())
}

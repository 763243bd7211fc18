//! A registry of the commands in `target/plugins`, and a home of kf that has some of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_toolchains::locations::workspace;

use crate::plugins;
use crate::step::{Doing, Failure, Result, quietly};

/// kf with a home of its own. The registry is `published` in the folder.
pub struct Kf {
    pub program: PathBuf,
    pub home: PathBuf,
    pub folder: PathBuf,
}

impl Kf {
    /// Signs a registry with `keys`, which are made if they are not there, and adds commands from it.
    pub fn set_up(&self, keys: &Path, commands: &[&str]) -> Result<()> {
        let index = workspace().join("registry-index").display().to_string();
        let artifacts = plugins::artifacts().display().to_string();
        let build = ["registry", "build", &index, "--artifacts", &artifacts, "--out", "published"];
        let mut sign = self.command();
        quietly("signing a registry", sign.args(build).arg("--create-keys").arg("--keys").arg(keys))?;
        let url = format!("file://{}", self.folder.join("published").display());
        let add = ["registry", "add", "kubeflow", &url, "--root", "published/metadata/1.root.json"];
        quietly("adding the registry", self.command().args(add))?;
        commands.iter().try_for_each(|name| self.add(name))
    }

    /// Adds a command; a refusal names the words that accept its rights.
    fn add(&self, name: &str) -> Result<()> {
        let label = format!("adding {name}");
        let mut first = self.command();
        let answer = first.args(["command", "add", name]).stdin(Stdio::null()).output().doing(&label)?;
        if answer.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&answer.stderr);
        let words = told.lines().find_map(|line| line.strip_prefix("hint: kf "));
        let words = words.ok_or_else(|| Failure(format!("{label}: {told}")))?;
        quietly(&label, self.command().args(words.split(' ')))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("KF_HOME", &self.home);
        command
    }
}

//! Go programs, built from pinned modules with the `go` the machine has.
//!
//! A program is a directory with `go.mod` and `go.sum`. The result is cached under everything that
//! decides it: those files, the program's own sources, the flags and the version of Go.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::cache::{self, Key};
use super::command;
use super::error::{ClusterError, Result};
use super::progress::Progress;

/// A Go program and how to build it.
pub(crate) struct GoProgram<'a> {
    /// What to call it, in messages and in the cache.
    pub(crate) name: &'a str,
    /// The directory with `go.mod` and `go.sum`.
    pub(crate) module: PathBuf,
    /// Which package to build.
    pub(crate) package: &'a str,
    /// More flags for the linker, such as `-X` lines.
    pub(crate) linker_flags: &'a str,
    /// How long the first build takes, for the message.
    pub(crate) about: &'a str,
}

/// The path of the built program.
pub(crate) fn build(program: &GoProgram<'_>, progress: Progress) -> Result<PathBuf> {
    let go = Go::find()?;
    let key = go.key_of(&program.module)?.with(program.package).with(program.linker_flags);
    let entry = cache::entry(program.name, key, progress, |directory| {
        progress(&format!("building {} ({} the first time)", program.name, program.about));
        command::output(
            go.command(&program.module)
                .args(["build", "-trimpath", "-ldflags"])
                .arg(format!("-s -w {}", program.linker_flags))
                .arg("-o")
                .arg(directory.join(program.name))
                .arg(program.package),
        )?;
        Ok(())
    })?;
    Ok(entry.join(program.name))
}

/// The `go` of the machine.
pub(crate) struct Go {
    program: PathBuf,
    version: String,
}

impl Go {
    pub(crate) fn find() -> Result<Self> {
        let program = command::find("go").ok_or(ClusterError::ProgramMissing {
            program: "go",
            purpose: "to build Kubernetes for the tests",
            remedy: "install Go 1.26, or set KUBEBUILDER_ASSETS or KF_TEST_KUBECONFIG (tests/cluster/mod.rs)",
        })?;
        let version =
            command::output(Command::new(&program).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"))?;
        Ok(Self { program, version: version.trim().to_owned() })
    }

    /// A key of this Go and everything in `module` that is compiled.
    pub(crate) fn key_of(&self, module: &Path) -> Result<Key> {
        let mut key = Key::new().with(&self.version);
        let mut directories = vec![module.to_owned()];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in fs_err::read_dir(directory)? {
                let path = entry?.path();
                if path.is_dir() {
                    directories.push(path);
                } else if path
                    .extension()
                    .is_some_and(|e| ["go", "mod", "sum"].iter().any(|known| e == *known))
                {
                    files.push(path);
                }
            }
        }
        files.sort();
        for file in files {
            let name = file.strip_prefix(module).unwrap_or(&file).as_os_str();
            key = key.with(name.as_encoded_bytes()).with_file(&file)?;
        }
        Ok(key)
    }

    /// The unpacked sources of `path`, a module that `module` requires.
    pub(crate) fn sources_of(&self, module: &Path, path: &str) -> Result<PathBuf> {
        #[derive(Deserialize)]
        struct Download {
            #[serde(rename = "Dir")]
            directory: PathBuf,
        }
        let answer = command::output(self.command(module).args(["mod", "download", "-json", path]))?;
        let download: Download = serde_json::from_str(&answer)
            .map_err(|error| ClusterError::malformed(module.join("go.mod"), format!("{path}: {error}")))?;
        Ok(download.directory)
    }

    fn command(&self, module: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(module)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off");
        if self.has_json_v2() {
            // Go 1.27 turns encoding/json/v2 on, in which the struct tag that kube-openapi relies
            // on has another name: the server then publishes no usable OpenAPI document.
            command.env("GOEXPERIMENT", "nojsonv2");
        }
        command
    }

    fn has_json_v2(&self) -> bool {
        let minor = self.version.strip_prefix("go1.").and_then(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        minor.is_none_or(|minor| minor >= 27)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_json_v2(version: &str) -> bool {
        Go { program: PathBuf::new(), version: version.to_owned() }.has_json_v2()
    }

    #[test]
    fn json_v2_is_switched_off_where_it_is_the_default() {
        assert!(!has_json_v2("go1.26.8"));
        assert!(has_json_v2("go1.27rc1"));
        assert!(has_json_v2("go1.30.1"));
        assert!(has_json_v2("devel go1.28-abcdef"));
    }
}

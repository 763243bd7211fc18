//! Go programs, built from pinned modules with the machine's `go`.
//!
//! A program is a directory with `go.mod` and `go.sum`. The result is cached by everything that
//! affects it: those files, the program's own sources, the flags and the version of Go.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::cache::{self, Key};
use crate::{Error, Progress, Result, command, effort, locations};

/// A Go program and how to build it.
pub struct GoProgram<'a> {
    /// Its name in messages and in the cache.
    pub name: &'a str,
    /// The directory with `go.mod` and `go.sum`.
    pub module: PathBuf,
    /// The package to build.
    pub package: &'a str,
    /// Additional flags for the linker, such as `-X`.
    pub linker_flags: &'a str,
    /// How many seconds of one core the first build takes.
    pub core_seconds: u64,
}

impl GoProgram<'_> {
    fn key(&self, go: &Go) -> Result<Key> {
        Ok(go.key_of(&self.module)?.with(self.package).with(self.linker_flags))
    }

    /// How many seconds of one core it takes to build now: none if it is cached.
    pub fn core_seconds_left(&self) -> Result<u64> {
        let cached = cache::has(self.name, self.key(&Go::find()?)?);
        Ok(if cached { 0 } else { self.core_seconds })
    }
}

/// Builds the program if it is not cached. Returns its path.
pub fn build(program: &GoProgram<'_>, progress: Progress) -> Result<PathBuf> {
    let go = Go::find()?;
    let key = program.key(&go)?;
    let entry = cache::entry(program.name, key, progress, |directory| {
        progress(&format!("building {}: {}", program.name, effort::estimate(program.core_seconds)));
        // With -v, Go prints each package that it has compiled.
        let mut build = go.command(&program.module);
        build.args(["build", "-v", "-trimpath", "-ldflags"]).arg(format!("-s -w {}", program.linker_flags));
        // The linker strips debug information, so none is generated, which saves a tenth of the time.
        build.args(["-gcflags", "all=-dwarf=false"]);
        build.arg("-o").arg(directory.join(program.name)).arg(program.package);
        command::logged(&mut build, &locations::log(program.name)).map(drop)
    })?;
    Ok(entry.join(program.name))
}

/// The `go` of the machine.
pub struct Go {
    program: PathBuf,
    version: String,
}

impl Go {
    pub fn find() -> Result<Self> {
        let program = command::need(
            "go",
            "to build Kubernetes for the tests",
            "install Go 1.26, or set KUBEBUILDER_ASSETS or KF_TEST_KUBECONFIG (tests/cluster/mod.rs)",
        )?;
        let version =
            command::output(Command::new(&program).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"))?;
        Ok(Self { program, version: version.trim().to_owned() })
    }

    /// The cache key of this Go and of all sources in `module`.
    pub fn key_of(&self, module: &Path) -> Result<Key> {
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

    /// The unpacked sources of the module `path`, which `module` requires.
    pub fn sources_of(&self, module: &Path, path: &str) -> Result<PathBuf> {
        #[derive(Deserialize)]
        struct Download {
            #[serde(rename = "Dir")]
            directory: PathBuf,
        }
        let answer = command::output(self.command(module).args(["mod", "download", "-json", path]))?;
        let download: Download = serde_json::from_str(&answer)
            .map_err(|error| Error::malformed(module.join("go.mod"), format!("{path}: {error}")))?;
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
            // Go 1.27 enables encoding/json/v2, which renames the struct tag that kube-openapi uses: the
            // server would publish an unusable OpenAPI document.
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
    fn json_v2_is_detected_where_it_is_default() {
        assert!(!has_json_v2("go1.26.8"));
        assert!(has_json_v2("go1.27rc1"));
        assert!(has_json_v2("go1.30.1"));
        assert!(has_json_v2("devel go1.28-abcdef"));
    }
}

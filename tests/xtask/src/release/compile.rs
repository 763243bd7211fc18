//! kf compiled for a release, so that the same sources give the same bytes in any folder.
//!
//! What would tell folders apart are the paths that rustc writes into a program: they are replaced by fixed ones. The C
//! code of aws-lc does the same by itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use kf_toolchains::cross::CrossCompiler;
use kf_toolchains::{command, locations};

use crate::say;
use crate::step::{Doing, Failure, Result, quietly};

/// One compilation of kf: of which sources, to where, and for what.
pub struct Build {
    pub workspace: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    pub cargo_home: PathBuf,
    pub triple: String,
    /// What compiles C, unless it is for this machine.
    pub cross: Option<CrossCompiler>,
    /// The folder that `kf-bundle` wrote, with the commands to be built in.
    pub built_in: PathBuf,
    /// The addresses of the default registry, separated by spaces; without them there is none.
    pub registry_url: Option<String>,
    /// Seconds since 1970: the time of everything in a release.
    pub time: String,
}

impl Build {
    /// Of this workspace, for this machine.
    pub fn here(built_in: PathBuf, registry_url: Option<String>, time: String) -> Result<Self> {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
        let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
        let cargo_home =
            cargo_home.ok_or_else(|| Failure("neither CARGO_HOME nor HOME is set".to_owned()))?;
        Ok(Self {
            target: locations::target().join("release-build"),
            triple: host()?,
            cross: None,
            workspace: locations::workspace(),
            cargo_home,
            built_in,
            registry_url,
            time,
        })
    }

    /// The compiled program.
    pub fn program(&self) -> Result<PathBuf> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&self.workspace).args(["build", "--package", "kf-host", "--bin", "kf"]);
        self.configure(&mut cargo)?;
        quietly(&format!("compiling kf for {}", self.triple), &mut cargo)?;
        Ok(self.target.join(&self.triple).join("release/kf"))
    }

    /// Words and environment of cargo and of maturin, which calls cargo: with the same ones, cargo finds that all is
    /// compiled already.
    pub fn configure(&self, command: &mut Command) -> Result<()> {
        command.args(["--release", "--locked", "--target", &self.triple, "--target-dir"]).arg(&self.target);
        for variable in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "CFLAGS", "RUSTC_BOOTSTRAP"] {
            command.env_remove(variable);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags()?);
        command.env("CARGO_HOME", &self.cargo_home).env("SOURCE_DATE_EPOCH", &self.time);
        command.args(["--features", "kf-host/built-in"]).env("KF_BUILT_IN", &self.built_in);
        match &self.registry_url {
            Some(url) => command.env("KF_REGISTRY_URL", url),
            None => command.env_remove("KF_REGISTRY_URL"),
        };
        if let Some(cross) = &self.cross {
            let triple = self.triple.replace('-', "_");
            command.env(format!("CC_{triple}"), &cross.cc).env(format!("AR_{triple}"), &cross.ar);
            command.env(format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase()), &cross.cc);
        }
        Ok(())
    }

    fn rust_flags(&self) -> Result<OsString> {
        let mut flags = OsString::from("-Ctarget-feature=+crt-static");
        for (folder, name) in self.folders()? {
            flags.push("\x1f--remap-path-prefix=");
            flags.push(folder);
            flags.push("=");
            flags.push(name);
        }
        Ok(flags)
    }

    /// Folders of this machine, and what stands for them in the program. Of several that fit, rustc takes the last.
    fn folders(&self) -> Result<Vec<(PathBuf, String)>> {
        let mut folders =
            vec![(self.workspace.clone(), "/kf".to_owned()), (self.target.clone(), "/kf/target".to_owned())];
        // One for each registry, with the host of a mirror in its name.
        let registries = self.cargo_home.join("registry/src");
        let mut names: Vec<_> = fs_err::read_dir(&registries)
            .doing("cannot find the sources of dependencies")?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()
            .doing("cannot find the sources of dependencies")?;
        names.sort();
        folders.extend(names.into_iter().map(|name| (registries.join(name), "/cargo".to_owned())));
        let sysroot =
            output(Command::new("rustc").current_dir(&self.workspace).args(["--print", "sysroot"]))?;
        let library = Path::new(&sysroot).join("lib/rustlib/src/rust");
        folders.push((library, format!("/rustc/{}", rustc_says("commit-hash: ")?)));
        Ok(folders)
    }
}

/// Fails for a program that needs an interpreter or a library to start.
pub fn is_static(program: &Path) -> Result<()> {
    let headers = output(Command::new("readelf").args(["--wide", "--program-headers"]).arg(program))?;
    if headers.contains("INTERP") {
        return Err(Failure(format!("{} is linked dynamically", program.display())));
    }
    Ok(())
}

/// What `SOURCE_DATE_EPOCH` says, or else when the last change was committed. Says so where there are later ones.
pub fn time_of_sources() -> Result<String> {
    if let Some(time) = std::env::var_os("SOURCE_DATE_EPOCH") {
        return Ok(time.to_string_lossy().into_owned());
    }
    let git = |words: &[&str]| output(Command::new("git").current_dir(locations::workspace()).args(words));
    if !git(&["status", "--porcelain"])?.is_empty() {
        say::step("this release has changes in it that are not committed");
    }
    git(&["log", "-1", "--format=%ct"])
}

/// This machine's triple.
pub fn host() -> Result<String> {
    rustc_says("host: ")
}

/// The rest of the line of `rustc -vV` that begins with `field`.
fn rustc_says(field: &str) -> Result<String> {
    let version = output(Command::new("rustc").current_dir(locations::workspace()).arg("-vV"))?;
    let line = version.lines().find_map(|line| line.strip_prefix(field));
    line.map(str::to_owned).ok_or_else(|| Failure(format!("`rustc -vV` has no `{field}`")))
}

fn output(command: &mut Command) -> Result<String> {
    command::output(command).map(|text| text.trim().to_owned()).doing("cannot prepare the release build")
}

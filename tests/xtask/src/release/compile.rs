//! kf compiled for a release, so that the same sources give the same bytes in any folder.
//!
//! The paths that rustc writes into a program are replaced as for the components, see `kf_toolchains::remap`. The C code of
//! aws-lc replaces its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use kf_toolchains::cross::CrossCompiler;
use kf_toolchains::remap::Folders;
use kf_toolchains::{command, locations};

use crate::say;
use crate::step::{Doing, Failure, Result, quietly};

/// One compilation of kf: of which sources, to where, and for what.
pub struct Build {
    pub folders: Folders,
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
        let folders = Folders {
            workspace: locations::workspace(),
            target: locations::target().join("release-build"),
            cargo_home: locations::cargo_home(),
        };
        Ok(Self { folders, triple: host()?, cross: None, built_in, registry_url, time })
    }

    /// The compiled program.
    pub fn program(&self) -> Result<PathBuf> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&self.folders.workspace).args(["build", "--package", "kf-host", "--bin", "kf"]);
        self.configure(&mut cargo)?;
        quietly(&format!("compiling kf for {}", self.triple), &mut cargo)?;
        Ok(self.folders.target.join(&self.triple).join("release/kf"))
    }

    /// Words and environment of cargo and of maturin, which calls cargo: with the same ones, cargo finds that all is
    /// compiled already.
    pub fn configure(&self, command: &mut Command) -> Result<()> {
        command
            .args(["--release", "--locked", "--target", &self.triple, "--target-dir"])
            .arg(&self.folders.target);
        for variable in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "CFLAGS", "RUSTC_BOOTSTRAP"] {
            command.env_remove(variable);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags()?);
        command.env("CARGO_HOME", &self.folders.cargo_home).env("SOURCE_DATE_EPOCH", &self.time);
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
        let sysroot = output(rustc().args(["--print", "sysroot"]))?;
        let remapped = self.folders.encoded_flags(Path::new(&sysroot), &rustc_says("commit-hash: ")?);
        let mut flags = OsString::from("-Ctarget-feature=+crt-static\x1f");
        flags.push(remapped.doing("cannot prepare the release build")?);
        Ok(flags)
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
    let version = output(rustc().arg("-vV"))?;
    let line = version.lines().find_map(|line| line.strip_prefix(field));
    line.map(str::to_owned).ok_or_else(|| Failure(format!("`rustc -vV` has no `{field}`")))
}

fn rustc() -> Command {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(locations::workspace());
    rustc
}

fn output(command: &mut Command) -> Result<String> {
    command::output(command).map(|text| text.trim().to_owned()).doing("cannot prepare the release build")
}

//! Compiles kf for a release, reproducibly in any folder.
//!
//! Paths that rustc writes into a program are remapped as for components, see `kf_toolchains::remap`. The C code of aws-lc
//! remaps its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use kf_toolchains::cross::CrossCompiler;
use kf_toolchains::remap::Folders;
use kf_toolchains::{command, locations};

use crate::report;
use crate::step::{Context, Failure, Result, quietly};

/// One build of kf: sources, output and target.
pub struct Build {
    pub folders: Folders,
    pub triple: String,
    /// The C compiler; none for this machine's own.
    pub cross: Option<CrossCompiler>,
    /// The folder of built-in commands that `kf-bundle` wrote.
    pub built_in: PathBuf,
    /// The addresses of the default registry, separated by spaces; none for no default registry.
    pub registry_url: Option<String>,
    /// The timestamp of all files in a release, in seconds since 1970.
    pub time: String,
}

impl Build {
    /// A build of this workspace for this machine.
    pub fn here(built_in: PathBuf, registry_url: Option<String>, time: String) -> Result<Self> {
        let folders = Folders {
            workspace: locations::workspace(),
            target: locations::target().join("release-build"),
            cargo_home: locations::cargo_home(),
        };
        Ok(Self { folders, triple: host()?, cross: None, built_in, registry_url, time })
    }

    /// Compiles the program, and returns its path.
    pub fn program(&self) -> Result<PathBuf> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&self.folders.workspace).args(["build", "--package", "kf-host", "--bin", "kf"]);
        self.configure(&mut cargo)?;
        quietly(&format!("compiling kf for {}", self.triple), &mut cargo)?;
        Ok(self.folders.target.join(&self.triple).join("release/kf"))
    }

    /// Sets arguments and environment of cargo, or of maturin, which calls cargo. With the same ones cargo does not compile
    /// again.
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
        let remapped = self.folders.encoded_flags(Path::new(&sysroot), &rustc_field("commit-hash: ")?);
        let mut flags = OsString::from("-Ctarget-feature=+crt-static\x1f");
        flags.push(remapped.context("cannot prepare the release build")?);
        Ok(flags)
    }
}

/// Fails if a program is linked dynamically.
pub fn check_is_static(program: &Path) -> Result<()> {
    let headers = output(Command::new("readelf").args(["--wide", "--program-headers"]).arg(program))?;
    if headers.contains("INTERP") {
        return Err(Failure(format!("{} is linked dynamically", program.display())));
    }
    Ok(())
}

/// `SOURCE_DATE_EPOCH`, or else the time of the last commit. Prints a note if there are uncommitted changes.
pub fn source_date() -> Result<String> {
    if let Some(time) = std::env::var_os("SOURCE_DATE_EPOCH") {
        return Ok(time.to_string_lossy().into_owned());
    }
    let git = |words: &[&str]| output(Command::new("git").current_dir(locations::workspace()).args(words));
    if !git(&["status", "--porcelain"])?.is_empty() {
        report::step("this release contains uncommitted changes");
    }
    git(&["log", "-1", "--format=%ct"])
}

/// This machine's triple.
pub fn host() -> Result<String> {
    rustc_field("host: ")
}

/// The value of a field of `rustc -vV`.
fn rustc_field(field: &str) -> Result<String> {
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
    command::output(command).map(|text| text.trim().to_owned()).context("cannot prepare the release build")
}
